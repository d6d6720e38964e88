// Applications that require packages: run, switched between, compiled to a folder, given to sessions.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { main } from "../../src/cli/program.ts";
import { createSandbox } from "../../src/index.ts";
import { outcomeOf, useBench } from "../support/running.ts";
import { memoryTerminal } from "../cli/recorded.ts";
import { makeWheel, TestIndex, writeWheels } from "./wheels.ts";

const folder = mkdtempSync(join(tmpdir(), "sandloom-required-"));

const lib = (version: string): ReturnType<typeof makeWheel> =>
  makeWheel("Data-Lib", version, {
    requires: ["helper>=1", "numpy>=2", "winapi ; sys_platform == 'win32'"],
    files: {
      "data_lib/__init__.py": `import helper\nVERSION = ${JSON.stringify(version)}\nCALLS = []\ndef called():\n    CALLS.append(1)\n    return len(CALLS)\n`,
      "data_lib/late.py": `import numpy as np\ndef total(n):\n    return float(np.arange(n).sum()), ${JSON.stringify(version)}\n`,
      "data_lib/data/table.txt": `table of ${version}\n`,
    },
  });

let index: TestIndex;

beforeAll(async () => {
  index = await TestIndex.start();
  process.env["PIP_INDEX_URL"] = index.url;
  process.env["SANDLOOM_WHEELS"] = writeWheels(join(folder, "wheels"), [
    lib("1.0"),
    lib("2.0"),
    makeWheel("helper", "1.5", { files: { "helper.py": "def help():\n    return 'helped'\n" } }),
    makeWheel("broken", "1.0", { files: { "broken.py": "import no_such_module\n" } }),
    makeWheel("native", "1.0", { tag: "cp314-cp314-manylinux_2_17_x86_64" }),
  ]);
});
afterAll(async () => {
  await index[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const bench = useBench({ cpus: 1 });

const LIB = `
import data_lib
from helper import help
from sandloom import split

@split
def late(n):
    import importlib.metadata
    import importlib.resources
    from data_lib.late import total
    text = importlib.resources.files("data_lib").joinpath("data/table.txt").read_text()
    return [*total(n), text.strip(), importlib.metadata.version("data-lib"), data_lib.called()]

def main(event):
    return [data_lib.VERSION, help(), data_lib.__file__, late(3), [late(n) for n in [4, 5]]]
`;

const answer = (version: string): unknown => {
  const component = (n: number): unknown => [(n * (n - 1)) / 2, version, `table of ${version}`, version, 1];
  const file = "/lib/python3.14/packages/data_lib/__init__.py";
  return [version, "helped", file, component(3), [component(4), component(5)]];
};

describe("an application with requirements.txt beside it", () => {
  test("imports them when it is loaded and later, in every component, with their data and metadata", async () => {
    const app = bench.write({ "app.py": LIB, "requirements.txt": "data_lib\n" });
    expect(await bench.run(app)).toMatchObject({ error: undefined, value: answer("2.0") });
  });

  test("and another with other versions take turns in the same sandboxes", async () => {
    const old = bench.write({ "app.py": LIB, "requirements.txt": "Data.Lib<2\n" });
    const recent = bench.write({ "app.py": LIB, "requirements.txt": "Data.Lib>=2\n" });
    const plain =
      "def main(event):\n    import os, sys\n    return [os.path.exists('/lib/python3.14/packages'), len(sys.path)]\n";
    const none = (await bench.valueOf(plain)) as [boolean, number];
    expect(none[0]).toBe(false);
    for (let round = 0; round < 3; round++) {
      expect((await bench.run(old)).value).toEqual(answer("1.0"));
      expect((await bench.run(recent)).value).toEqual(answer("2.0"));
      expect(await bench.valueOf(plain)).toEqual(none);
    }
  });

  test("cannot write there", async () => {
    const app = bench.write({
      "app.py": `
import data_lib
def main(event):
    errors = []
    for mode in ["w", "a"]:
        try:
            open(data_lib.__file__, mode)
        except OSError as error:
            errors.append(type(error).__name__)
    return errors
`,
      "requirements.txt": "data_lib",
    });
    const { value } = await bench.run(app);
    expect(value).toEqual(["PermissionError", "PermissionError"]);
  });

  test("has another image when they come to other wheels, and the same when they do not", async () => {
    const app = bench.write({ "app.py": LIB, "requirements.txt": "data_lib" });
    const newest = await bench.cluster.compile(app);
    expect(newest.graph.packages?.map(({ name, version }) => `${name} ${version}`)).toEqual([
      "data-lib 2.0",
      "helper 1.5",
    ]);
    writeFileSync(join(app, "requirements.txt"), "data_lib # the newest\n");
    expect(await bench.cluster.compile(app)).toMatchObject({ hash: newest.hash, cached: true });
    writeFileSync(join(app, "requirements.txt"), "data_lib==1.0\n");
    expect((await bench.cluster.compile(app)).hash).not.toBe(newest.hash);
  });

  test("that asks for nothing beside the base image is as one without", async () => {
    const text = "import pandas\ndef main(event):\n    return 7\n";
    const [without, empty] = [
      bench.write({ "app.py": text }),
      bench.write({ "app.py": text, "requirements.txt": "pandas>=2\n" }),
    ];
    const hashes = await Promise.all([without, empty].map(async (app) => bench.cluster.compile(app)));
    // Their names differ, as their folders do.
    expect(hashes.map(({ graph }) => graph.packages)).toEqual([undefined, undefined]);
    expect((await bench.run(empty)).value).toBe(7);
  });

  test("is refused by the name of what cannot work", async () => {
    const { error } = await bench.run(bench.write({ "app.py": LIB, "requirements.txt": "data_lib\nnative\n" }));
    expect(error).toMatchObject({ code: "RequirementRefused", details: { package: "native", reason: "native" } });
    const wrong = await bench.run(bench.write({ "app.py": LIB, "requirements.txt": "numpy<2\n" }));
    expect(wrong.error).toMatchObject({
      code: "RequirementRefused",
      details: { package: "numpy", reason: "base-version" },
    });
  });

  test("tells what a package raises when it is imported", async () => {
    const app = bench.write({
      "app.py": "import broken\ndef main(event):\n    return 1\n",
      "requirements.txt": "broken",
    });
    const { error } = await bench.run(app);
    expect(error?.message).toBe("ModuleNotFoundError: No module named 'no_such_module'");
  });
});

test("an import of what is neither there nor required says where to name it", async () => {
  const { error } = await bench.runSource("import data_lib\ndef main(event):\n    return 1\n");
  expect(error?.code).toBe("CompileRefused");
  expect(JSON.stringify(error?.details)).toContain("requirements.txt beside the application");
});

test("another file takes the place of requirements.txt", async () => {
  const app = bench.write({ "app.py": LIB, "requirements.txt": "data_lib", "old.txt": "data_lib<2" });
  expect((await bench.run(app, { requirements: join(app, "old.txt") })).value).toEqual(answer("1.0"));
});

test("a compiled folder holds which wheels it needs, and takes no other", async () => {
  const app = bench.write({ "app.py": LIB, "requirements.txt": "data_lib<2" });
  const { graph, files } = await bench.cluster.compile(app);
  const compiled = join(folder, "compiled");
  for (const [path, text] of [...files, ["graph.json", JSON.stringify(graph)] as const]) {
    mkdirSync(join(compiled, path, ".."), { recursive: true });
    writeFileSync(join(compiled, path), text);
  }
  expect((await bench.run(compiled)).value).toEqual(answer("1.0"));
  const { error } = await outcomeOf(bench.cluster.run(compiled, { requirements: join(app, "requirements.txt") }));
  expect(error?.code).toBe("BadInput");
});

test("a sandbox of one's own begins with them, and so does one from its snapshot", async () => {
  const app = bench.write({ "app.py": LIB, "requirements.txt": "data_lib" });
  await using first = await bench.cluster.createSandbox({ image: app });
  expect((await first.run("from data_lib.late import total; total(3)")).value).toEqual([3, "2.0"]);
  const snapshot = await first.snapshot();
  await using second = await bench.cluster.createSandbox({ image: snapshot });
  const code = "import importlib.resources as r; r.files('data_lib').joinpath('data/table.txt').read_text()";
  expect((await second.run(code)).value).toBe("table of 2.0\n");
  snapshot.drop();
  await using bare = await createSandbox();
  expect((await bare.run("import importlib.util as u; u.find_spec('data_lib') is None")).value).toBe(true);
});

describe("the command", () => {
  const runCommand = async (...args: string[]): Promise<{ code: number; out: string; err: string }> => {
    const terminal = memoryTerminal({ cwd: folder });
    const code = await main(args, { terminal });
    return { code, out: terminal.stdout, err: terminal.stderr };
  };

  test("takes requirements.txt, or the file that is named", async () => {
    const app = bench.write({ "app.py": LIB, "requirements.txt": "data_lib", "old.txt": "data_lib<2" });
    const newest = await runCommand("run", app, "-q");
    expect([newest.code, JSON.parse(newest.out)]).toEqual([0, answer("2.0")]);
    const old = await runCommand("run", app, "-q", "--requirements", join(app, "old.txt"));
    expect([old.code, JSON.parse(old.out)]).toEqual([0, answer("1.0")]);
  });

  test("says in one block what is refused, and ends with 2", async () => {
    const app = bench.write({ "app.py": LIB, "requirements.txt": "# all\npandas<1\n" });
    const { code, err } = await runCommand("run", app, "-q");
    expect(code).toBe(2);
    expect(err).toMatch(
      /RequirementRefused: pandas cannot be used: 3\.\S+ is part of the base image, and line 2 needs pandas<1/,
    );
    expect(await runCommand("run", app, "-q", "-r", "no-such.txt")).toMatchObject({ code: 2 });
  });
});

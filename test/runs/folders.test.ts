import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { writeCompiled } from "../../src/cli/output-folder.ts";
import { eventsOf, framesOf, useBench } from "../support/running.ts";

const SOURCE = `
import numpy as np
from sandloom import remote, split
from helpers import weight


@split(writes=("out",), memory="300MiB")
def scaled(x, out, by=2.0):
    out[:] = x * by * weight()


def main(event):
    x = remote(np.arange(1000.0))
    out = remote.zeros(1000)
    [scaled(a, b, by=event["by"]) for a, b in zip(split(x), split(out))]
    return float(out.sum())
`;

/** Two components written by hand: the entry triggers, the other uses its arrays as bytes. */
const PROGRAMS = {
  "components/main.py": `import numpy as np


def main(params, action):
    from shapes import SIZE
    from sandloom import lowlevel

    x = lowlevel.empty("main.x", SIZE)
    x[:] = np.arange(SIZE)
    tickets = [action.trigger("add", x[a : a + 10], by=float(params["by"])) for a in range(0, SIZE, 10)]
    return {"sums": [t.join() for t in tickets], "x": x.tolist()}
`,
  "components/add.py": `import numpy as np

PARAMETERS = ("x", "by")
WRITES = ("x",)


def main(params, action):
    x = action.get_transport("x")
    by = action.get_transport("by").value()
    first = np.frombuffer(x.read(8), np.float64)[0]
    x.write(np.float64(first + by).tobytes())
    x.write(np.float64(-1.0).tobytes(), 8)
    assert len(x.buf) == 80
    try:
        action.get_transport("nothing")
    except KeyError:
        pass
    return float(x.value().sum())
`,
  "modules/shapes.py": "SIZE = 30\n",
};

const GRAPH = {
  format: "sandloom-graph/1",
  application: { name: "by-hand", hash: "0", files: [] },
  imports: [],
  modules: [{ name: "shapes", path: "modules/shapes.py" }],
  components: [
    {
      kind: "compute",
      name: "main",
      program: "components/main.py",
      entry: true,
      parameters: ["event"],
      writes: [],
      caps: {},
    },
    {
      kind: "compute",
      name: "add",
      program: "components/add.py",
      entry: false,
      parameters: ["x", "by"],
      writes: ["x"],
      caps: { timeout_ms: 5000 },
    },
    { kind: "memory", name: "main.x", origin: "remote.empty" },
  ],
  relations: [
    { kind: "trigger", from: "main", to: "add", mode: "fan-out", reason: "written by hand" },
    { kind: "communicate", compute: "add", memory: "main.x", parameter: "x", access: "read-write", range: "rows" },
  ],
};

describe("a compiled folder", () => {
  const bench = useBench();

  test("runs like the application that it was compiled from, tracebacks included", async () => {
    const app = bench.write({ "app.py": SOURCE, "helpers.py": "def weight():\n    return 3.0\n" });
    const compiled = join(bench.folder, "compiled");
    writeCompiled(compiled, await bench.cluster.compile(app));
    const direct = await bench.run(app, { event: { by: 2 } });
    const again = await bench.run(compiled, { event: { by: 2 } });
    expect(direct.value).toBe(499_500 * 6);
    expect(again.value).toBe(direct.value);
    expect(again.record?.splits).toEqual(direct.record?.splits);
    const failed = [await bench.run(app, { event: {} }), await bench.run(compiled, { event: {} })].map(({ error }) =>
      framesOf(error),
    );
    const places = failed.map((frames) => frames.map(({ file, line, function: name }) => [file, line, name]));
    expect(places[1]).toEqual(places[0]);
    expect(places[0]?.[0]).toEqual(["app.py", 15, "main"]);
    // The source's own text, where it is at hand.
    expect(failed[0]?.[0]?.text).toMatch(/^\[scaled\(a, b, by=event\["by"\]\)/);
  });

  test("written by hand runs too: transports, triggers and writes of the low-level API", async () => {
    const folder = bench.write({ ...PROGRAMS, "graph.json": JSON.stringify(GRAPH) });
    const outcome = await bench.run(folder, { event: { by: 100 } });
    if (outcome.error) throw outcome.error;
    const x = Array.from({ length: 30 }, (_, i) => i);
    for (const a of [0, 10, 20]) {
      x[a] = (x[a] as number) + 100;
      x[a + 1] = -1;
    }
    const sums = [0, 10, 20].map((a) => x.slice(a, a + 10).reduce((sum, value) => sum + value, 0));
    expect(outcome.value).toEqual({ sums, x });
    expect(eventsOf(outcome, "memory-made").map(({ name, copied_bytes }) => [name, copied_bytes])).toEqual([
      ["main.x", 0],
    ]);
  });

  test.each([
    [
      "a component without its program",
      {
        ...GRAPH,
        components: [...GRAPH.components, { ...GRAPH.components[1], name: "gone", program: "components/gone.py" }],
      },
      /components\/gone\.py of gone, which does not exist/,
    ],
    ["another format", { ...GRAPH, format: "sandloom-graph/9" }, /no resource graph: \/format/],
    ["an unknown property", { ...GRAPH, extra: 1 }, /no resource graph/],
  ])("with %s is refused by name", async (_, graph, text) => {
    const { error } = await bench.run(bench.write({ ...PROGRAMS, "graph.json": JSON.stringify(graph) }));
    expect(error?.code).toBe("BadInput");
    expect(error?.message).toMatch(text);
  });

  test("that is no JSON, or not there at all, is refused by name", async () => {
    expect((await bench.run(bench.write({ "graph.json": "{" }))).error?.code).toBe("BadInput");
    expect((await bench.run(join(bench.folder, "nowhere"))).error?.code).toBe("BadInput");
    expect((await bench.run(bench.write({ "other.py": "" }))).error?.code).toBe("BadInput");
  });
});

describe("files", () => {
  const bench = useBench();

  test("of a mounted folder can be read and not changed, and links do not lead out of it", async () => {
    const host = join(bench.folder, "data");
    mkdirSync(join(host, "sub"), { recursive: true });
    writeFileSync(join(host, "a.txt"), "inside");
    writeFileSync(join(host, "sub/b.csv"), "k,v\n1,2\n");
    writeFileSync(join(bench.folder, "secret.txt"), "secret");
    symlinkSync(join(host, "a.txt"), join(host, "good-link"));
    symlinkSync(join(bench.folder, "secret.txt"), join(host, "bad-link"));
    symlinkSync(bench.folder, join(host, "bad-folder"));
    symlinkSync("/proc/self/environ", join(host, "environ"));
    const outcome = await bench.runSource(
      `
import os
import numpy as np
import pandas as pd
from sandloom import split


def attempt(work):
    try:
        return work()
    except OSError as e:
        return type(e).__name__


@split
def read():
    return {
        "list": sorted(os.listdir("/data")),
        "text": open("/data/a.txt").read(),
        "frame": pd.read_csv("/data/sub/b.csv").to_dict("list"),
        "link": attempt(lambda: open("/data/good-link").read()),
        "bad": [
            attempt(lambda: open("/data/" + path).read())
            for path in ("bad-link", "bad-folder/secret.txt", "../secret.txt", "environ", "sub/../../secret.txt")
        ],
        "writes": [
            attempt(lambda: open("/data/a.txt", "w")),
            attempt(lambda: open("/data/new", "w")),
            attempt(lambda: os.remove("/data/a.txt")),
            attempt(lambda: os.rename("/data/a.txt", "/data/c")),
            attempt(lambda: os.mkdir("/data/d")),
            attempt(lambda: os.symlink("/", "/data/l")),
            attempt(lambda: os.chmod("/data/a.txt", 0o777)),
        ],
    }


def main(event):
    return [read(), read()]
`,
      {},
      { mounts: [{ host, guest: "/data" }] },
    );
    if (outcome.error) throw outcome.error;
    const [first = {}, second] = outcome.value as Record<string, unknown>[];
    expect(second).toEqual(first);
    expect(first).toMatchObject({ text: "inside", frame: { k: [1], v: [2] }, link: "inside" });
    expect(first["list"]).toEqual(["a.txt", "good-link", "sub"]);
    for (const what of first["bad"] as string[]) expect(what).toMatch(/Error$/);
    for (const what of first["writes"] as string[]) expect(what).toMatch(/Error$/);
    expect(readFileSync(join(host, "a.txt"), "utf8")).toBe("inside");
    // The next run without the mount does not see it.
    expect(await bench.valueOf(`import os\n\n\ndef main(event):\n    return os.path.exists("/data")\n`)).toBe(false);
  });

  test.each([["/"], ["/lib"], ["/dev/x"], ["/tmp"], ["relative"], ["/a/../b"]])(
    "are not mounted at %s",
    async (guest) => {
      const { error } = await bench.runSource(
        "def main(event):\n    return 1\n",
        {},
        { mounts: [{ host: bench.folder, guest }] },
      );
      expect(error?.code).toBe("BadInput");
    },
  );

  test("that the entry writes to /out come back as artifacts; arrays and frames of the result lie beside them", async () => {
    const outDir = join(bench.folder, "result");
    const app = bench.write({
      "app.py": `
import os
import numpy as np
import pandas as pd


def main(event):
    os.makedirs("/out/deep/er")
    with open("/out/deep/er/a.bin", "wb") as file:
        file.write(bytes(range(256)))
    os.symlink("/etc/passwd", "/out/link")
    open("/tmp/not-this", "w").close()
    return {"x": np.arange(3.0), "f": pd.DataFrame({"a": [1, 2]}), "n": np.int64(7), "s": [np.float32(0.5), True, None]}
`,
    });
    const run = bench.cluster.run(app, { outDir });
    const { value, artifacts } = await run.result;
    expect(value).toMatchObject({
      x: { $array: { file: "result.npy", dtype: "<f8", shape: [3] } },
      f: { $frame: { file: "result.csv", rows: 2, columns: ["a"], index: false } },
      n: 7,
      s: [0.5, true, null],
    });
    expect(artifacts.map(({ path }) => path).toSorted()).toEqual([
      "artifacts/deep/er/a.bin",
      "artifacts/result.csv",
      "artifacts/result.npy",
    ]);
    expect([...readFileSync(join(outDir, "artifacts/deep/er/a.bin"))]).toEqual(
      Array.from({ length: 256 }, (_, i) => i),
    );
    expect(readFileSync(join(outDir, "artifacts/result.csv"), "utf8")).toBe("a\n1\n2\n");
  });

  test.each([
    ["not a number", 'float("nan")', /result\['k'\] is nan/],
    ["a set", "{1}", /result\['k'\] is a set.*sorted/],
    ["bytes", 'b"x"', /bytes.*\/out/],
    ["a key that is no string", "{1: 2}", /key of a JSON object/],
  ])("a result that JSON cannot hold is refused by name: %s", async (_, text, message) => {
    const { error } = await bench.runSource(`def main(event):\n    return {"k": ${text}}\n`);
    expect(error?.code).toBe("ResultNotJson");
    expect(error?.message).toMatch(message);
  });

  test("an event that is no JSON value is refused", async () => {
    const endless: Record<string, unknown> = {};
    endless["self"] = endless;
    for (const event of [endless, () => 1, 1n])
      expect((await bench.runSource("def main(event):\n    return 1\n", event)).error?.code).toBe("BadInput");
    expect(await bench.valueOf("def main(event):\n    return event\n", null)).toBeNull();
    expect(await bench.valueOf("def main(event):\n    return event\n", [1, "ü"])).toEqual([1, "ü"]);
  });
});

describe("the names of modules", () => {
  const bench = useBench();

  test.each([
    [
      "a module of Python",
      { "app.py": "from queue import f\ndef main(event):\n    return f()\n", "queue.py": "def f():\n    return 1\n" },
    ],
    [
      "a package of the image",
      {
        "app.py": "import numpy\ndef main(event):\n    return numpy.f()\n",
        "numpy/__init__.py": "def f():\n    return 1\n",
      },
    ],
  ])("an application's module with the name of %s is refused: an import would not find it", async (_, files) => {
    const { error } = await bench.run(bench.write(files));
    expect(error).toMatchObject({
      code: "BadInput",
      message: expect.stringMatching(/(queue|numpy\/__init__)\.py has the name of a module .* rename it/) as string,
    });
    expect(framesOf(error)).toEqual([]);
  });

  test("a module with the name of one of Python's that sandboxes have not loaded is the application's, as in CPython", async () => {
    const files = {
      "app.py": "from turtledemo import f\ndef main(event):\n    return f()\n",
      "turtledemo.py": "def f():\n    return 1\n",
    };
    expect((await bench.run(bench.write(files))).value).toBe(1);
  });
});

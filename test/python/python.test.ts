/**
 * The guest package's own tests (the `test_*.py` beside this file), in the two worlds that it runs in: the pinned Pyodide, and
 * this machine's CPython where that has NumPy. A host of the test's own answers the device's calls (loopback.py).
 */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { basePackages, type LockedPackage, lockedPackages } from "../../src/sandbox/runtime/catalogue.ts";
import { guestPackages, packageRoot, pyodideDirectory, wheelPath } from "../../src/sandbox/runtime/paths.ts";

const folder = join(packageRoot, "test", "python");
const modules = readdirSync(folder)
  .filter((name) => name.startsWith("test_") && name.endsWith(".py"))
  .map((name) => name.slice(0, -3));

interface Outcome {
  readonly ran: number;
  readonly failures: readonly string[];
}

/** Runs one module of tests; `summary` is its outcome as JSON. */
const RUN = `
import io, json, sys, unittest, warnings
warnings.simplefilter("ignore")
def run_tests(module):
    suite = unittest.defaultTestLoader.loadTestsFromName(module)
    result = unittest.TextTestRunner(stream=io.StringIO()).run(suite)
    problems = [f"{test}\\n{text}" for test, text in result.failures + result.errors]
    return json.dumps({"ran": result.testsRun, "failures": problems})
`;

describe("the guest package under Pyodide", () => {
  let run: (code: string) => string;

  beforeAll(async () => {
    const { loadPyodide } = await import("pyodide");
    const loaded = await loadPyodide({ indexURL: `${pyodideDirectory}/`, packageBaseUrl: "http://localhost/" });
    const locked = lockedPackages();
    for (const name of basePackages) {
      const wheel = readFileSync(wheelPath((locked[name] as LockedPackage).file_name) as string);
      loaded.unpackArchive(new Uint8Array(wheel), "wheel");
    }
    for (const [host, guest] of [
      [guestPackages, "/repository/runtimes/python"],
      [folder, "/repository/test/python"],
    ] as const) {
      loaded.FS.mkdirTree(guest);
      loaded.FS.mount(loaded.FS.filesystems.NODEFS, { root: host }, guest);
    }
    run = (code) => String(loaded.runPython(code));
    run(`import sys; sys.dont_write_bytecode = True; sys.path.insert(0, "/repository/test/python")\n${RUN}`);
  }, 120_000);

  test.each(modules)("passes %s", (module) => {
    const outcome = JSON.parse(run(`run_tests("${module}")`)) as Outcome;
    expect(outcome.failures).toEqual([]);
    expect(outcome.ran).toBeGreaterThan(0);
  });
});

const python = process.env["SANDLOOM_TEST_PYTHON"] ?? "python3";
const withNumpy = spawnSync(python, ["-c", "import numpy"]).status === 0;

if (!withNumpy)
  console.log(`skipped: ${python} has no NumPy: set SANDLOOM_TEST_PYTHON to one of 3.12 or newer that has`);

describe.skipIf(!withNumpy)("the guest package under this machine's CPython", () => {
  test.each(modules)("passes %s", (module) => {
    const ended = spawnSync(python, ["-B", "-c", `${RUN}\nprint(run_tests("${module}"))`], {
      encoding: "utf8",
      env: { ...process.env, PYTHONPATH: `${guestPackages}:${folder}` },
    });
    const outcome = JSON.parse(ended.stdout.trim().split("\n").at(-1) ?? "") as Outcome;
    expect(outcome.failures).toEqual([]);
  });
});

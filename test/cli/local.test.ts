// Real Python, found through a PATH of the test's own: with NumPy's name in reach, without it, and none at all.
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { main } from "../../src/cli/program.ts";
import { memoryTerminal, replay } from "./recorded.ts";

const python = spawnSync("python3", ["-c", "import sys; print(sys.executable)"], { encoding: "utf8" });
const executable = python.status === 0 ? python.stdout.trim() : undefined;
const cwd = mkdtempSync(join(tmpdir(), "sandloom-plain-"));
const path = process.env["PATH"];

afterAll(() => rmSync(cwd, { recursive: true, force: true }));
afterEach(() => {
  process.env["PATH"] = path;
});

function install(folder: string, script: string): void {
  mkdirSync(join(cwd, folder), { recursive: true });
  writeFileSync(join(cwd, folder, "python3"), `#!/bin/sh\n${script}\n`);
  chmodSync(join(cwd, folder, "python3"), 0o755);
}

beforeAll(() => {
  mkdirSync(join(cwd, "packages/numpy"), { recursive: true });
  writeFileSync(join(cwd, "packages/numpy/__init__.py"), "");
  mkdirSync(join(cwd, "empty"));
  mkdirSync(join(cwd, "data"));
  writeFileSync(join(cwd, "data/x.txt"), "42");
  mkdirSync(join(cwd, "compiled"));
  writeFileSync(join(cwd, "compiled/graph.json"), "{}");
  // -S: without the packages that this machine happens to have.
  install("with-numpy", `PYTHONPATH="$PYTHONPATH:${join(cwd, "packages")}" exec ${executable} -S "$@"`);
  install("without-numpy", `exec ${executable} -S "$@"`);
  install("broken", "exit 3");
  const program = (name: string, body: string): void => writeFileSync(join(cwd, name), `def main(event):\n${body}`);
  program("app.py", `    print("hello")\n    return {"event": event, "x": int(open("/data/x.txt").read())}\n`);
  program("raises.py", `    raise ValueError("no")\n`);
  program("loops.py", "    while True: pass\n");
  program("writes.py", `    open("/out/a.txt", "w").write("a")\n    return 1\n`);
});

interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

async function local(args: string[], bin: string): Promise<Ran> {
  process.env["PATH"] = join(cwd, bin);
  const terminal = memoryTerminal({ cwd });
  const code = await main(["run", "--local", ...args], { terminal, api: replay() });
  return { code, stdout: terminal.stdout, stderr: terminal.stderr };
}

describe.skipIf(executable === undefined)("sandloom run --local", () => {
  test("runs the program as plain Python: the result on standard output, prints on standard error", async () => {
    const args = ["app.py", "--event", '{"a": 1}', "--set", "b.c=2", "--mount", "data:/data", "--out", "o"];
    const { code, stdout, stderr } = await local(args, "with-numpy");
    expect(stderr).toBe("hello\n");
    expect(stdout).toBe('{"event":{"a":1,"b":{"c":2}},"x":42}\n');
    expect(code).toBe(0);
    expect(JSON.parse(readFileSync(join(cwd, "o/result.json"), "utf8"))).toHaveProperty("x", 42);
    expect(existsSync(join(cwd, "o/artifacts"))).toBe(false);
  });

  test("brings files of /out back, and prints one document with --json", async () => {
    const { code, stdout } = await local(["writes.py", "--json", "--out", "w"], "with-numpy");
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({ run: null, out: join(cwd, "w"), result: 1 });
    expect(readFileSync(join(cwd, "w/artifacts/a.txt"), "utf8")).toBe("a");
  });

  test("shows the program's own traceback and exits with 1 when it raises", async () => {
    const { code, stdout, stderr } = await local(["raises.py", "--out", "r"], "with-numpy");
    expect(code).toBe(1);
    expect(stdout).toBe("");
    expect(stderr).toMatch(
      /raises\.py", line 2, in main\n[^]*ValueError: no\nGuestRaised: python3 ended with 1; what it said is above\n$/,
    );
  });

  test("ends the program after --timeout and exits with 3", async () => {
    const { code, stderr } = await local(["loops.py", "--timeout", "1s", "--out", "t"], "with-numpy");
    expect(code).toBe(3);
    expect(stderr).toContain(
      "TimedOut: the program took longer than --timeout\n  the limit run_timeout_ms is 1.00 s\n",
    );
  });

  test("is ended by Ctrl-C and exits with 130", async () => {
    process.env["PATH"] = join(cwd, "with-numpy");
    const terminal = memoryTerminal({ cwd });
    setTimeout(() => terminal.interrupt(), 500);
    expect(await main(["run", "--local", "loops.py", "--out", "i"], { terminal, api: replay() })).toBe(130);
    expect(terminal.stderr).toContain("Cancelled: interrupted by Ctrl-C");
  });

  test("says which options plain Python takes no notice of", async () => {
    const { stderr } = await local(["writes.py", "--memory", "1GB", "--cpus", "1", "--out", "n"], "with-numpy");
    expect(stderr).toBe("plain Python takes no notice of --memory, --cpus\n");
  });

  test.each([
    [
      "without-numpy",
      "Unsupported: --local needs NumPy, and the python3 on PATH has none\n  → install it for that python3:",
    ],
    ["empty", "Unsupported: --local needs python3, and there is none on PATH\n  → install Python 3"],
    ["broken", "Unsupported: --local needs a working python3 on PATH: this one ended with 3\n  → install Python 3"],
  ])("on a machine whose python3 is %s says so and exits with 4", async (bin, message) => {
    // Not what the set-up got for this checkout.
    process.env["SANDLOOM_PYTHON_PACKAGES"] = join(cwd, "none");
    const { code, stderr } = await local(["app.py"], bin);
    delete process.env["SANDLOOM_PYTHON_PACKAGES"];
    expect(code).toBe(4);
    expect(stderr.startsWith(message), stderr).toBe(true);
  });

  test("of a compiled folder is refused: it runs the source", async () => {
    const { code, stderr } = await local(["compiled"], "with-numpy");
    expect(code).toBe(2);
    expect(stderr).toMatch(/^BadInput: .*: --local runs the source of an application, and this is a compiled one\n/);
  });
});

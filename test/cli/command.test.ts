import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { main } from "../../src/cli/program.ts";
import * as errors from "../../src/graph/errors.ts";
import { SandloomError } from "../../src/graph/errors.ts";
import { begun, compiled, graph, memoryTerminal, raised, type Replay, replay } from "./recorded.ts";

const base = mkdtempSync(join(tmpdir(), "sandloom-command-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));
let cwd = base;
let next = 0;
beforeEach(() => {
  cwd = join(base, String(next++));
  mkdirSync(join(cwd, "data"), { recursive: true });
  writeFileSync(join(cwd, "app.py"), "def main(event):\n    return event\n");
});

interface Ran {
  code: number;
  stdout: string;
  stderr: string;
  api: ReturnType<typeof replay>;
}

async function sandloom(args: string[], o: Replay & { stdin?: string; isTTY?: boolean } = {}): Promise<Ran> {
  const terminal = memoryTerminal({ cwd, ...o });
  const api = replay(o);
  const code = await main(args, { terminal, api });
  return { code, stdout: terminal.stdout, stderr: terminal.stderr, api };
}

describe("sandloom run", () => {
  test("writes the result to standard output and all that a person reads to standard error", async () => {
    const { code, stdout, stderr } = await sandloom(["run", "app.py"]);
    expect(code).toBe(0);
    expect(stdout).toBe('{"w":[1,2.5]}\n');
    const sections = stderr.split("\n").filter((line) => /^\w/.test(line));
    expect(sections.map((line) => line.split(" ")[0])).toEqual([
      "graph",
      "run",
      "result",
      "timeline",
      "resources",
      "artifacts",
      "wrote",
    ]);
    expect(stderr).toContain("  main ");
    expect(stderr).toContain("main#0       │ hello\n");
    expect(stderr).toContain("artifacts  out/plot.svg (1.23 kB)");
  });

  test("writes the graph, the programs and the result to a folder of the run's name, and says so", async () => {
    const { stderr, api } = await sandloom(["run", "app.py"]);
    const [name] = readdirSync(join(cwd, ".sandloom/runs")) as [string];
    expect(name).toMatch(/^\d+-\d{8}-\d{6}-[0-9a-f]{4}$/);
    expect(api.options[0]).toMatchObject({
      id: name,
      outDir: join(cwd, ".sandloom/runs", name),
      keep: false,
      event: {},
    });
    expect(stderr).toContain(`wrote  .sandloom/runs/${name}: components/, graph.json, modules/, result.json\n`);
    const folder = join(cwd, ".sandloom/runs", name);
    expect(JSON.parse(readFileSync(join(folder, "graph.json"), "utf8"))).toEqual(graph);
    expect(readFileSync(join(folder, "components/gradient.py"), "utf8")).toBe(
      compiled.files.get("components/gradient.py"),
    );
    expect(JSON.parse(readFileSync(join(folder, "result.json"), "utf8"))).toEqual({ w: [1, 2.5] });
  });

  test("hands on the event, the mounts, the limits and the folder", async () => {
    const args = [
      "--event",
      "-",
      "--set",
      "a.b=1",
      "--set",
      "c=x",
      "--mount",
      "data:/data",
      "--timeout",
      "1m30s",
      "--memory",
      "2GiB",
    ];
    const { code, api } = await sandloom(["run", "app.py", ...args, "--cpus", "2", "--out", "here", "--keep"], {
      stdin: '{"z": 0}',
    });
    expect(code).toBe(0);
    expect(api.compiledApps).toEqual([join(cwd, "app.py")]);
    expect(api.options[0]).toMatchObject({
      event: { z: 0, a: { b: 1 }, c: "x" },
      mounts: [{ host: join(cwd, "data"), guest: "/data" }],
      limits: { run_timeout_ms: 90_000, component_timeout_ms: 90_000, memory_bytes: 2 ** 31 },
      outDir: join(cwd, "here"),
      keep: true,
    });
  });

  test("--json prints one document and no decoration", async () => {
    const { code, stdout, stderr } = await sandloom(["run", "app.py", "--json", "--out", "o"]);
    expect(code).toBe(0);
    expect(stderr).toBe("");
    expect(stdout.match(/\n/g)).toHaveLength(1);
    const document = JSON.parse(stdout) as Record<string, unknown>;
    expect(Object.keys(document)).toEqual(["run", "out", "result", "artifacts", "report"]);
    expect(document).toMatchObject({
      out: join(cwd, "o"),
      result: { w: [1, 2.5] },
      report: { copied_bytes: 80_000_000 },
    });
  });

  test("--quiet prints the result and nothing else", async () => {
    expect(await sandloom(["run", "app.py", "--quiet"])).toMatchObject({
      code: 0,
      stdout: '{"w":[1,2.5]}\n',
      stderr: "",
    });
  });

  test("takes an earlier run's folder again and leaves nothing of the earlier application in it", async () => {
    await sandloom(["run", "app.py", "--out", "o"]);
    writeFileSync(join(cwd, "o/components/old.py"), "");
    expect((await sandloom(["run", "app.py", "--out", "o"])).code).toBe(0);
    expect(readdirSync(join(cwd, "o/components"))).toEqual(["gradient.py"]);
  });

  test("of a program that raises shows what ran and the traceback, closes the cluster and exits with 1", async () => {
    const error = new errors.GuestRaised("ValueError: no", {
      type: "ValueError",
      message: "no",
      frames: [{ file: "app.py", line: 2, function: "main" }],
    });
    const { code, stdout, stderr, api } = await sandloom(["run", "app.py"], { events: raised, error });
    expect(code).toBe(1);
    expect(stdout).toBe("");
    expect(api.closed).toBe(1);
    expect(stderr).toMatch(/\ntimeline\n[^]* ✗ [^]*\nwrote {2}[^]*\n\nGuestRaised: ValueError: no\n/);
    expect(stderr).toContain('    File "app.py", line 2, in main\n      return event\n  ValueError: no\n');
  });

  test("of a run that fails prints the error as a document with --json, and as text on standard error", async () => {
    const error = new errors.TimedOut("too slow", { limit: "run_timeout_ms", bound: 10 });
    const { code, stdout, stderr } = await sandloom(["run", "app.py", "--json"], { events: raised, error });
    expect(code).toBe(3);
    expect(JSON.parse(stdout)).toMatchObject({
      error: { code: "TimedOut", message: "too slow", details: { bound: 10 } },
    });
    expect(stderr).toMatch(/^TimedOut: too slow\n/);
  });

  test("of a program that cannot be compiled leaves no folder", async () => {
    const compileError = new errors.CompileRefused("1 place", {
      refusals: [{ file: "app.py", line: 2, column: 5, rule: "no-main", message: "m", fix: "f" }],
    });
    const { code, stderr } = await sandloom(["run", "app.py"], { compileError });
    expect(code).toBe(2);
    expect(stderr).toBe(
      "CompileRefused: 1 place cannot be compiled\n\napp.py:2:5 no-main m\n        return event\n        ^\n  → f\n",
    );
    expect(readdirSync(cwd)).toEqual(["app.py", "data"]);
  });

  test.each([
    ["GuestRaised", 1],
    ["WroteReadOnlyComponent", 1],
    ["MutatedByValue", 1],
    ["MutatedGlobal", 1],
    ["BadHostCall", 1],
    ["CompileRefused", 2],
    ["BadInput", 2],
    ["MemoryCapExceeded", 3],
    ["HeapCapExceeded", 3],
    ["FabricFull", 3],
    ["WindowFull", 3],
    ["TimedOut", 3],
    ["ComponentLimitExceeded", 3],
    ["OutputLimitExceeded", 3],
    ["SandboxDied", 4],
    ["ExecutorDied", 4],
    ["Unsupported", 4],
    ["InternalError", 4],
    ["SomethingNew", 4],
    ["Cancelled", 130],
  ])("that fails with %s exits with %i", async (code, exit) => {
    expect((await sandloom(["run", "app.py"], { error: new SandloomError(code, "m") })).code).toBe(exit);
  });
});

describe("an interrupted run", () => {
  const begin = (
    args: string[] = [],
  ): { terminal: ReturnType<typeof memoryTerminal>; api: ReturnType<typeof replay>; ended: Promise<number> } => {
    const terminal = memoryTerminal({ cwd });
    const api = replay({ events: begun, hangs: true });
    return { terminal, api, ended: main(["run", "app.py", ...args], { terminal, api }) };
  };
  const running = async (api: ReturnType<typeof replay>): Promise<void> => {
    while (api.options.length === 0) await sleep(1);
    await sleep(1);
  };

  test.each(["SIGINT", "SIGTERM"] as const)(
    "by %s is cancelled cleanly, says what stopped, and exits with 130",
    async (signal) => {
      const { terminal, api, ended } = begin();
      await running(api);
      terminal.interrupt(signal);
      expect(await ended).toBe(130);
      expect(api.closed).toBe(1);
      expect(terminal.exits).toEqual([]);
      expect(terminal.stderr).toContain(
        signal === "SIGINT" ? "cancelling (Ctrl-C again ends at once)\n" : "cancelling\n",
      );
      expect(terminal.stderr).toContain("cancelled  1 running, 1 waiting and 1 queued stopped; 0 had returned\n");
      expect(terminal.stderr).toMatch(/\nCancelled: interrupted by /);
    },
  );

  test("is ended at once by a second Ctrl-C", async () => {
    const { terminal, api, ended } = begin();
    await running(api);
    terminal.interrupt();
    terminal.interrupt();
    expect(terminal.exits).toEqual([130]);
    expect(await ended).toBe(130);
  });

  test("before the cluster is there runs nothing", async () => {
    const terminal = memoryTerminal({ cwd });
    const api = replay();
    const createCluster = async (): ReturnType<typeof api.createCluster> => (terminal.interrupt(), api.createCluster());
    expect(await main(["run", "app.py"], { terminal, api: { ...api, createCluster } })).toBe(130);
    expect(api.compiledApps).toEqual([]);
    expect(api.closed).toBe(1);
    expect(terminal.stderr).toContain("Cancelled: interrupted by Ctrl-C");
  });
});

describe("the source lines in an error", () => {
  const raisedIn = async (file: string): Promise<string> => {
    const frames = [{ file, line: 1, function: "f" }];
    return (await sandloom(["run", "app.py"], { error: new errors.GuestRaised("m", { type: "E", frames }) })).stderr;
  };

  test("are those of the application's folder, and of no other file of this machine", async () => {
    expect(await raisedIn("app.py")).toContain("      def main(event):\n");
    writeFileSync(join(base, "secret.txt"), "secret");
    expect(await raisedIn(join(base, "secret.txt"))).not.toContain("secret\n");
    expect(await raisedIn("../secret.txt")).not.toContain("secret\n");
  });
});

describe("bad input", () => {
  test.each<[string, string[], string]>([
    ["an application that is not there", ["run", "gone.py"], "BadInput: gone.py: there is no such file or folder\n"],
    ["a folder without a program", ["graph", "data"], "BadInput: data: this folder has neither app.py nor main.py"],
    [
      "an event that is not JSON",
      ["run", "app.py", "--event", "{a:1}"],
      'BadInput: --event is not JSON: "a" is not expected at line 1, column 2\n    {a:1}\n     ^\n',
    ],
    [
      "an event file that is not there",
      ["run", "app.py", "--event", "@no.json"],
      "BadInput: --event @no.json: there is no such file\n",
    ],
    ["a --set without a value", ["run", "app.py", "--set", "a"], "BadInput: --set a: write it as key=value"],
    [
      "a mount that is not there",
      ["run", "app.py", "--mount", "gone:/data"],
      "BadInput: --mount gone:/data: there is no folder gone\n",
    ],
    [
      "a duration without a unit",
      ["run", "app.py", "--timeout", "30"],
      'BadInput: --timeout "30" is not a duration: a unit is missing',
    ],
    ["a size of an unknown unit", ["run", "app.py", "--memory", "2G"], 'BadInput: --memory "2G" is not a size'],
    ["no number of CPUs", ["run", "app.py", "--cpus", "all"], 'BadInput: --cpus "all" is not a number of CPUs'],
    [
      "an output folder with other files",
      ["run", "app.py", "--out", "."],
      "BadInput: --out .: this folder has other files (app.py)",
    ],
    ["an output that is a file", ["compile", "app.py", "-o", "app.py"], "BadInput: -o app.py: this is a file"],
    [
      "compile without a folder",
      ["compile", "app.py"],
      "error: required option '-o, --out <DIR>' not specified\nTry 'sandloom --help'",
    ],
    ["run without an application", ["run"], "error: missing required argument 'APP'\n"],
    ["two applications", ["run", "app.py", "b.py"], "error: too many arguments"],
    [
      "an unknown option",
      ["run", "app.py", "--tiemout", "3s"],
      "error: unknown option '--tiemout'\n(Did you mean --timeout?)\n",
    ],
    ["an unknown command", ["rum"], "error: unknown command 'rum'\n(Did you mean run?)\n"],
    [
      "--json with --quiet",
      ["run", "app.py", "--json", "--quiet"],
      "error: option '-q, --quiet' cannot be used with option '--json'\n",
    ],
    [
      "an application in place of a command",
      ["app.py"],
      `BadInput: "app.py" is no command: to run it, write 'sandloom run app.py'\n`,
    ],
  ])("%s exits with 2, says what is wrong and starts nothing", async (_what, args, message) => {
    const { code, stdout, stderr, api } = await sandloom(args);
    expect(stderr.startsWith(message), stderr).toBe(true);
    expect(code).toBe(2);
    expect(stdout).toBe("");
    expect(api.compiledApps).toEqual([]);
    expect(readdirSync(cwd)).toEqual(["app.py", "data"]);
  });

  test("no command at all shows the help on standard error and exits with 2", async () => {
    const { code, stdout, stderr } = await sandloom([]);
    expect(code).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toContain("Usage: sandloom <command> [options]");
  });
});

describe("help", () => {
  test.each([["--help"], ["run", "--help"], ["help", "run"]])(
    "%s %s is on standard output, with examples and exit codes",
    async (...args) => {
      const { code, stdout, stderr } = await sandloom(args.filter((arg) => typeof arg === "string"));
      expect(code).toBe(0);
      expect(stderr).toBe("");
      expect(stdout).toContain("Examples:\n  sandloom run app.py");
      expect(stdout).toContain("  130  interrupted by Ctrl-C or SIGTERM\n");
    },
  );

  test("--version is the package's", async () => {
    const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
      version: string;
    };
    expect(await sandloom(["--version"])).toMatchObject({ code: 0, stdout: `${version}\n` });
  });
});

describe("sandloom compile, graph and doctor", () => {
  test("compile writes the folder, shows the graph and says what it wrote", async () => {
    const { code, stdout, stderr, api } = await sandloom(["compile", "app.py", "-o", "out"]);
    expect(code).toBe(0);
    expect(stdout).toBe("");
    expect(stderr).toMatch(
      /^regression: 3 compute components[^]*\n\nwrote out: components\/, graph.json, modules\/\n$/,
    );
    expect(api.closed).toBe(1);
  });

  test("graph prints the graph, and graph.json with --json", async () => {
    expect((await sandloom(["graph", "app.py"])).stdout).toMatch(/^regression: 3 compute components/);
    expect(JSON.parse((await sandloom(["graph", "app.py", "--json"])).stdout)).toEqual(graph);
  });

  test("doctor prints the checks, and exits with 4 only when something is missing", async () => {
    const { code, stdout } = await sandloom(["doctor"]);
    expect(code).toBe(0);
    expect(stdout).toContain("! libfabric  not installed\n             costs: one machine only\n");
    expect(JSON.parse((await sandloom(["doctor", "--json"])).stdout)).toHaveProperty("checks");
    const doctor = async (): ReturnType<ReturnType<typeof replay>["doctor"]> => ({
      checks: [{ name: "Linux", status: "missing", found: "darwin" }],
    });
    expect(await main(["doctor"], { terminal: memoryTerminal({ cwd }), api: { ...replay(), doctor } })).toBe(4);
  });
});

describe("the live view", () => {
  test("on a terminal is one status line that is written over and leaves nothing behind", async () => {
    const terminal = memoryTerminal({ cwd, isTTY: true });
    const api = replay({ events: begun, hangs: true });
    const ended = main(["run", "app.py"], { terminal, api });
    while (!terminal.stderr.endsWith(" ms")) await sleep(10);
    expect(terminal.stderr).toMatch(
      / {2}1 running · 1 waiting · 1 queued · 0 done · 80\.0 MB in memory components · [\d.]+ ms$/,
    );
    terminal.interrupt();
    await ended;
    expect(terminal.stderr.split("\r\u001B[K").length).toBeGreaterThan(2);
    expect(terminal.stderr.split("\r\u001B[K").at(-1)).not.toContain("running ·");
  });

  test("without a terminal has no control characters", async () => {
    expect((await sandloom(["run", "app.py"])).stderr).not.toMatch(/[^\P{Cc}\n]/u);
  });
});

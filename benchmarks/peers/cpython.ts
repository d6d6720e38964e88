/** CPython as hosts of functions use it: a pool that is kept warm behind HTTP, and a process for each request. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { atExit } from "../cleanup.ts";
import { CPUS, threads } from "./start.ts";

interface Hello {
  readonly url: string;
}
interface Call {
  readonly folder: string;
  /** A module of the folder, with `main`. */
  readonly module: string;
  /** JSON. */
  readonly event: string;
}

const START_DEADLINE_MS = 60_000;
const CALL_DEADLINE_MS = 60_000;
const VERBOSE_BYTES = 64 * 2 ** 20;

/**
 * As fast as CPython can start here. The interpreter itself: `python3` may be a script that looks for it (pyenv's takes 50 ms). And
 * with bytecode that it may write and that nobody else touched: where the packages' own is out of date, every process would compile
 * them again, which takes three times as long as importing them.
 */
export class CPython {
  readonly versions: Readonly<Record<string, string>>;
  readonly #executable: string;
  readonly #env: NodeJS.ProcessEnv;

  constructor(root: string) {
    const { PYTHONDONTWRITEBYTECODE: _, ...inherited } = process.env;
    this.#env = {
      ...inherited,
      ...threads,
      // The set-up puts NumPy and pandas for the system's Python there.
      PYTHONPATH: join(root, ".sandloom", "cpython"),
      PYTHONPYCACHEPREFIX: join(root, ".sandloom", "bench", "pycache"),
    };
    const program = "import json, platform, sys\nprint(json.dumps([sys.executable, platform.python_version()]))";
    const { stdout, status } = spawnSync("python3", ["-c", program], { encoding: "utf8", env: this.#env });
    if (status !== 0) throw new Error("there is no python3 to compare with");
    const [executable, version] = JSON.parse(stdout) as [string, string];
    this.#executable = executable;
    this.versions = { CPython: version };
  }

  /** A pool that is kept warm; `folder` holds the modules that it is asked for, by POST to their names. */
  async startPool(folder: string): Promise<AsyncDisposable & Hello> {
    const script = fileURLToPath(new URL("cpython_http.py", import.meta.url));
    // A process group of its own: the pool's processes end with it, whatever happens.
    const child = spawn(this.#executable, [script, String(CPUS), folder], {
      env: this.#env,
      stdio: ["pipe", "pipe", "inherit"],
      detached: true,
    });
    const done = atExit(() => killGroup(child));
    const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
    const stop = async (): Promise<void> => {
      killGroup(child);
      await closed;
      done();
    };
    try {
      const { url } = JSON.parse(await firstLine(child, START_DEADLINE_MS)) as Hello;
      return { url, [Symbol.asyncDispose]: stop };
    } catch (error) {
      await stop();
      throw error;
    }
  }

  /**
   * A process that imports the module, calls it on one event and prints the answer; {@link prepare} comes first.
   * @returns the answer, and when it was there
   */
  async callInProcess({ folder, module, event }: Call): Promise<{ answer: string; ms: number }> {
    const program = `import json, sys\nsys.path.insert(0, sys.argv[1])\nfrom ${module} import main\nprint(json.dumps(main(json.loads(sys.argv[2]))), flush=True)`;
    const started = performance.now();
    const child = spawn(this.#executable, ["-c", program, folder, event], {
      env: this.#env,
      stdio: ["ignore", "pipe", "inherit"],
    });
    const done = atExit(() => child.kill("SIGKILL"));
    const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
    try {
      const answer = await firstLine(child, CALL_DEADLINE_MS);
      const ms = performance.now() - started;
      // Its end is not timed, but nobody else's trial meets it.
      await closed;
      return { answer, ms };
    } finally {
      child.kill("SIGKILL");
      done();
    }
  }

  /** Writes the bytecode of what a module imports. @throws if it is not used then: such a peer would be slow by our own doing */
  prepare({ folder, module }: Omit<Call, "event">): void {
    const program = `import sys\nsys.path.insert(0, sys.argv[1])\nimport ${module}`;
    const options = { encoding: "utf8", env: this.#env } as const;
    const { status, stderr } = spawnSync(this.#executable, ["-c", program, folder], options);
    if (status !== 0) throw new Error(`CPython cannot import ${module}:\n${stderr}`);
    // It quotes the path of bytecode that it reads, and not that of a source that it compiles.
    const again = spawnSync(this.#executable, ["-v", "-c", program, folder], {
      ...options,
      maxBuffer: VERBOSE_BYTES,
    });
    const compiled = /^# code object from [^'\n].*\/(numpy|pandas)\/.*$/m.exec(again.stderr);
    if (again.status !== 0 || compiled)
      throw new Error(`CPython compiles at each start: ${compiled?.[0] ?? again.stderr}`);
  }
}

async function firstLine(child: ChildProcess, deadline_ms: number): Promise<string> {
  if (!child.stdout) throw new TypeError("the peer's standard output is no pipe");
  const lines = createInterface({ input: child.stdout });
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`CPython did not answer in ${deadline_ms / 1000} s`)), deadline_ms);
    lines.once("line", resolve);
    // After the line, this rejects what is settled.
    lines.once("close", () => reject(new Error("CPython ended without an answer")));
    child.once("error", reject);
    lines.once("close", () => clearTimeout(timer));
  });
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // Nothing of the group is left.
  }
}

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

const START_DEADLINE_MS = 60_000;
const CALL_DEADLINE_MS = 60_000;

/** The set-up puts NumPy and pandas for the system's Python there. */
const environment = (root: string): NodeJS.ProcessEnv => ({
  ...process.env,
  ...threads,
  PYTHONPATH: join(root, ".sandloom", "cpython"),
});

/** A warm pool; `folder` holds the modules that it is asked for, by POST to their names. */
export async function startWarmPool(root: string, folder: string): Promise<AsyncDisposable & Hello> {
  const script = fileURLToPath(new URL("cpython_http.py", import.meta.url));
  // A process group of its own: the pool's processes end with it, whatever happens.
  const child = spawn("python3", [script, String(CPUS), folder], {
    env: environment(root),
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

/** A process that imports the module, calls it on one event and prints the answer. @returns the answer, and when it was there */
export async function callInProcess(
  root: string,
  { folder, module, event }: { folder: string; module: string; event: string },
): Promise<{ answer: string; ms: number }> {
  const program = `import json, sys\nsys.path.insert(0, sys.argv[1])\nfrom ${module} import main\nprint(json.dumps(main(json.loads(sys.argv[2]))), flush=True)`;
  const env = environment(root);
  const started = performance.now();
  const child = spawn("python3", ["-c", program, folder, event], { env, stdio: ["ignore", "pipe", "inherit"] });
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

/** What the table says of it. */
export function cpythonVersions(root: string): Record<string, string> {
  const program = "import json, platform\nprint(json.dumps({'CPython': platform.python_version()}))";
  const { stdout, status } = spawnSync("python3", ["-c", program], { encoding: "utf8", env: environment(root) });
  return status === 0 ? (JSON.parse(stdout) as Record<string, string>) : {};
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

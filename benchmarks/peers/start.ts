/** Which peers there are, and the environments that they run in. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Workspace } from "../workspace.ts";
import { Peer } from "./peer.ts";

/** The CPUs of every contender. */
export const CPUS = 2;

interface Options {
  /** Ray and Dask too. */
  readonly all: boolean;
  readonly say: (line: string) => void;
}

/** One thread each for NumPy's own pools: the contenders have the same two CPUs, shared out by their schedulers. */
export const threads: Readonly<Record<string, string>> = {
  OMP_NUM_THREADS: "1",
  OPENBLAS_NUM_THREADS: "1",
  MKL_NUM_THREADS: "1",
};

export async function startPeers(
  workspace: Workspace,
  options: Options,
): Promise<{ peers: Peer[]; missing: string[] }> {
  const peers: Peer[] = [];
  const missing: string[] = [];
  const start = async (name: string, script: string, python: string, env: NodeJS.ProcessEnv): Promise<void> => {
    try {
      peers.push(await Peer.start(name, script, { python, env: { ...process.env, ...threads, ...env }, cpus: CPUS }));
    } catch (error) {
      missing.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  };
  // The set-up puts NumPy for the system's Python there.
  const cpython = join(workspace.root, ".sandloom", "cpython");
  await start("CPython pool", "cpython_pool.py", "python3", { PYTHONPATH: cpython });
  if (!options.all) {
    missing.push("Ray and Dask (--peers)");
    return { peers, missing };
  }
  try {
    const python = environment(join(workspace.root, ".sandloom", "bench-venv"), options.say);
    await start("Ray", "ray_tasks.py", python, {});
    await start("Dask", "dask_tasks.py", python, {});
  } catch (error) {
    missing.push(`Ray and Dask: ${error instanceof Error ? error.message : String(error)}`);
  }
  return { peers, missing };
}

/** Makes the virtual environment if it is not there as it should be, and answers with its interpreter. */
function environment(folder: string, say: (line: string) => void): string {
  const requirements = fileURLToPath(new URL("requirements.txt", import.meta.url));
  const hash = createHash("sha256").update(readFileSync(requirements)).digest("hex");
  const stamp = join(folder, "requirements.sha256");
  const python = join(folder, "bin", "python3");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === hash) return python;
  say("installing Ray and Dask (about 370 MB, once) ...");
  rmSync(folder, { recursive: true, force: true });
  // Debian's venv lacks ensurepip; pip can install into another environment than its own.
  run("python3", ["-m", "venv", "--without-pip", folder]);
  const quiet = ["--quiet", "--disable-pip-version-check", "--only-binary=:all:"];
  run("python3", ["-m", "pip", "--python", python, "install", ...quiet, "-r", requirements]);
  writeFileSync(stamp, hash);
  return python;
}

function run(command: string, args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(command, args, { encoding: "utf8", stdio: ["ignore", "ignore", "pipe"] });
  if (status !== 0)
    throw new Error(`'${command} ${args.join(" ")}' failed: ${error?.message ?? stderr.trim().split("\n").at(-1)}`);
}

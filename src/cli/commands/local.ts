/** `sandloom run --local`: the same program as plain Python, by the python3 on PATH. */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Mount } from "../../cluster/api.ts";
import { BadInput, GuestRaised, SandloomError, TimedOut, Unsupported } from "../../graph/errors.ts";
import type { Context } from "../context.ts";
import { EXIT, type ExitCode } from "../exit.ts";
import { Interrupt } from "../interrupt.ts";
import { writeResult } from "../output-folder.ts";
import { jsonText } from "../text/json.ts";
import type { RunFlags } from "./run.ts";

export interface LocalJob {
  readonly path: string;
  readonly event: unknown;
  readonly mounts: readonly Mount[];
  readonly out: string;
  readonly flags: RunFlags;
}

const GUEST_PACKAGE = fileURLToPath(new URL("../../../runtimes/python", import.meta.url));
/** NumPy and pandas for the system's python3, in a checkout (scripts/bootstrap/cpython.mjs). */
const CHECKOUT_PACKAGES = fileURLToPath(new URL("../../../.sandloom/cpython", import.meta.url));
/** `$SANDLOOM_PYTHON_PACKAGES` names another folder. */
const ownPackages = (): string => process.env["SANDLOOM_PYTHON_PACKAGES"] ?? CHECKOUT_PACKAGES;
const NO_NUMPY = 9;

export async function runLocally(context: Context, job: LocalJob): Promise<ExitCode> {
  const { terminal } = context;
  const { json, quiet } = job.flags;
  const say = (line: string): void => terminal.err.write(`${line}\n`);
  using interrupt = new Interrupt(terminal, say);
  try {
    refuseCompiled(job.path);
    if (!json && !quiet) sayWhatDoesNotApply(job.flags, say);
    const packages = await findPackages(interrupt.signal);
    const value = await runProgram(context, job, packages, interrupt.signal);
    writeResult(job.out, value);
    terminal.out.write(json ? documentText(job, { result: value }) : `${jsonText(value, terminal.out.columns)}\n`);
    return EXIT.ok;
  } catch (error) {
    const shown = interrupt.signal.aborted ? interrupt.signal.reason : error;
    if (json) terminal.out.write(documentText(job, { error: SandloomError.from(shown).toReport() }));
    throw shown;
  }
}

function documentText(job: LocalJob, content: Readonly<Record<string, unknown>>): string {
  return `${JSON.stringify({ run: null, out: job.out, ...content })}\n`;
}

function refuseCompiled(path: string): void {
  if (path.endsWith(".py") || ["app.py", "main.py"].some((name) => existsSync(join(path, name)))) return;
  throw new BadInput(`${path}: --local runs the source of an application, and this is a compiled one`, { path });
}

function sayWhatDoesNotApply(flags: RunFlags, say: (line: string) => void): void {
  const given = (["memory", "cpus", "keep", "requirements"] as const).filter((name) => flags[name] !== undefined);
  if (given.length > 0) say(`plain Python takes no notice of ${given.map((name) => `--${name}`).join(", ")}`);
}

/** What must be added to the path for python3 to have NumPy: nothing if it has its own, in a checkout what the set-up got. */
async function findPackages(signal: AbortSignal): Promise<readonly string[]> {
  const look = `import importlib.util, sys; sys.exit(0 if importlib.util.find_spec("numpy") else ${NO_NUMPY})`;
  let code: number | null = null;
  for (const packages of [[], [ownPackages()]]) {
    ({ code } = await python(["-c", look], { signal, packages, output: () => undefined }));
    if (code === 0) return packages;
    if (code !== NO_NUMPY) break;
  }
  if (code === NO_NUMPY) {
    throw new Unsupported("--local needs NumPy, and the python3 on PATH has none", {
      fix: "install it for that python3: python3 -m pip install numpy (and pandas, if the program uses it)",
    });
  }
  throw new Unsupported(`--local needs a working python3 on PATH: this one ended with ${code ?? "a signal"}`, {
    fix: INSTALL_PYTHON,
  });
}

const INSTALL_PYTHON = "install Python 3 with NumPy, on Debian and Ubuntu: apt-get install python3 python3-numpy";

/** Prints of the program go to standard error: standard output has the result and nothing else. */
async function runProgram(
  { terminal }: Context,
  job: LocalJob,
  packages: readonly string[],
  signal: AbortSignal,
): Promise<unknown> {
  const { timeout } = job.flags;
  const artifacts = join(job.out, "artifacts");
  const folder = mkdtempSync(join(tmpdir(), "sandloom-local-"));
  try {
    const event = join(folder, "event.json");
    const document = join(folder, "result.json");
    writeFileSync(event, JSON.stringify(job.event));
    const args = ["-m", "sandloom.local", job.path, "--event", `@${event}`, "--document", document, "--out", artifacts];
    for (const { host, guest } of job.mounts) args.push("--mount", `${host}:${guest}`);
    let unsaid = "";
    const output = (text: string): void => {
      if (job.flags.quiet) unsaid += text;
      else terminal.err.write(text);
    };
    const ended = await python(args, {
      signal,
      packages,
      output,
      ...(timeout === undefined ? {} : { timeout_ms: timeout }),
    });
    if (ended.timedOut) {
      throw new TimedOut("the program took longer than --timeout", { limit: "run_timeout_ms", bound: timeout });
    }
    if (ended.code !== 0) {
      terminal.err.write(unsaid);
      throw new GuestRaised(`python3 ended with ${ended.code ?? ended.signal}; what it said is above`);
    }
    return JSON.parse(readFileSync(document, "utf8"));
  } finally {
    rmSync(folder, { recursive: true, force: true });
    if (existsSync(artifacts) && readdirSync(artifacts).length === 0) rmdirSync(artifacts);
  }
}

interface PythonOptions {
  readonly packages: readonly string[];
  readonly signal: AbortSignal;
  readonly timeout_ms?: number;
  readonly output: (text: string) => void;
}

interface PythonEnded {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly timedOut: boolean;
}

async function python(args: readonly string[], options: PythonOptions): Promise<PythonEnded> {
  options.signal.throwIfAborted();
  const path = [GUEST_PACKAGE, process.env["PYTHONPATH"], ...options.packages].filter(Boolean).join(delimiter);
  const child = spawn("python3", args, {
    stdio: ["ignore", "pipe", "pipe"],
    // No __pycache__ beside the user's sources; prints as they come.
    env: { ...process.env, PYTHONPATH: path, PYTHONDONTWRITEBYTECODE: "1", PYTHONUNBUFFERED: "1" },
  });
  const kill = (): void => void child.kill("SIGKILL");
  const interrupt = (): void => void child.kill("SIGINT");
  let timedOut = false;
  const timer = setTimeout(() => ((timedOut = true), kill()), options.timeout_ms ?? 2 ** 31 - 1);
  process.on("exit", kill);
  options.signal.addEventListener("abort", interrupt);
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", options.output);
  try {
    return await new Promise((resolve, reject) => {
      child.on("error", (error: NodeJS.ErrnoException) => {
        const missing = new Unsupported("--local needs python3, and there is none on PATH", { fix: INSTALL_PYTHON });
        reject(error.code === "ENOENT" ? missing : error);
      });
      child.on("close", (code, signal) => resolve({ code, signal, timedOut }));
    });
  } finally {
    clearTimeout(timer);
    process.off("exit", kill);
    options.signal.removeEventListener("abort", interrupt);
  }
}

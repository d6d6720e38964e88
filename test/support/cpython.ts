/** The same program under plain CPython, where one with NumPy and pandas is found. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";

const root = join(import.meta.dirname, "../..");
/** A `pip install --target` folder that the bootstrap makes. */
const packages = join(root, ".sandloom/cpython");

interface Interpreter {
  readonly command: string;
  readonly env: NodeJS.ProcessEnv;
}

function find(): Interpreter | undefined {
  const guest = join(root, "runtimes/python");
  const base = { ...process.env, PYTHONDONTWRITEBYTECODE: "1", OPENBLAS_NUM_THREADS: "1" };
  const candidates = [
    { command: process.env["SANDLOOM_TEST_PYTHON"] ?? "", path: [guest] },
    { command: existsSync(packages) ? "python3" : "", path: [guest, packages] },
    { command: "python3", path: [guest] },
  ];
  for (const { command, path } of candidates) {
    if (command === "") continue;
    const env = { ...base, PYTHONPATH: path.join(delimiter) };
    if (spawnSync(command, ["-c", "import numpy, pandas"], { env, stdio: "ignore" }).status === 0)
      return { command, env };
  }
  return undefined;
}

const interpreter = find();
/** Why the comparison is left out here, or undefined. */
export const noCPython: string | undefined = interpreter
  ? undefined
  : `no python3 with NumPy and pandas: npm test makes one in ${packages}, or set SANDLOOM_TEST_PYTHON`;
if (noCPython) console.log(`skipped: ${noCPython}`);

export interface PlainOutcome {
  readonly value?: unknown;
  readonly error?: { readonly type: string; readonly message: string };
  readonly trace?: string;
}

export interface PlainRun {
  readonly event?: unknown;
  /** rows → n, as the run in sandboxes chose them. */
  readonly splits?: Readonly<Record<string, number>>;
}

/** One interpreter that forks for each program. */
export class CPython {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #hello: Promise<unknown>;

  constructor() {
    if (!interpreter) throw new Error(noCPython);
    const { command, env } = interpreter;
    this.#child = spawn(command, [join(import.meta.dirname, "cpython.py")], {
      env,
      stdio: ["pipe", "pipe", "inherit"],
    });
    const { stdout } = this.#child;
    if (!stdout) throw new Error("no pipe");
    this.#lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
    this.#hello = this.#line();
  }

  async #line(): Promise<unknown> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error("CPython ended");
    return JSON.parse(value);
  }

  /** `app`: a file or a folder. One at a time. */
  async run(app: string, { event = {}, splits = {} }: PlainRun = {}): Promise<PlainOutcome> {
    await this.#hello;
    const job = [[app, "--event", JSON.stringify(event)], { SANDLOOM_SPLITS: JSON.stringify(splits) }];
    this.#child.stdin?.write(`${JSON.stringify(job)}\n`);
    return (await this.#line()) as PlainOutcome;
  }

  close(): void {
    this.#child.stdin?.end();
  }
}

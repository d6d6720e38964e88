/** A peer: a Python process that stays up and runs one trial when asked, timed from within, as its own user would time it. */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export type Trial =
  | { readonly trial: "chain"; readonly links: number; readonly bytes: number }
  | { readonly trial: "fan-out"; readonly leaves: number }
  | { readonly trial: "memory"; readonly bytes: number };

interface Reply {
  readonly wall_ms?: number;
  readonly answer?: number;
  readonly error?: string;
}
interface Hello {
  readonly versions: Readonly<Record<string, string>>;
  readonly trials: readonly Trial["trial"][];
}

const START_DEADLINE_MS = 120_000;
const TRIAL_DEADLINE_MS = 60_000;
const CLOSE_DEADLINE_MS = 10_000;
const KEPT_CHARS = 4000;

export class Peer {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  #stderr = "";
  #hello: Hello = { versions: {}, trials: [] };

  private constructor(name: string, child: ChildProcess) {
    this.name = name;
    this.#child = child;
    child.stderr?.on("data", (chunk: Buffer) => (this.#stderr = (this.#stderr + chunk.toString()).slice(-KEPT_CHARS)));
    if (!child.stdout) throw new TypeError("the peer's standard output is no pipe");
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  /** Starts `<script>` of this folder; `cpus` are what it may use. */
  static async start(
    name: string,
    script: string,
    options: { python: string; env: NodeJS.ProcessEnv; cpus: number },
  ): Promise<Peer> {
    const path = fileURLToPath(new URL(script, import.meta.url));
    // A process group of its own: what it started ends with it, whatever happens.
    const child = spawn(options.python, [path, String(options.cpus)], {
      env: options.env,
      stdio: ["pipe", "pipe", "pipe"],
      detached: true,
    });
    child.once("error", () => undefined);
    const peer = new Peer(name, child);
    try {
      peer.#hello = (await peer.#line(START_DEADLINE_MS)) as Hello;
    } catch (error) {
      await peer.close();
      throw error;
    }
    return peer;
  }

  get versions(): Readonly<Record<string, string>> {
    return this.#hello.versions;
  }
  has(trial: Trial["trial"]): boolean {
    return this.#hello.trials.includes(trial);
  }

  async run(trial: Trial): Promise<{ wall_ms: number; answer: number }> {
    this.#child.stdin?.write(`${JSON.stringify(trial)}\n`);
    const { wall_ms, answer, error } = (await this.#line(TRIAL_DEADLINE_MS)) as Reply;
    if (wall_ms === undefined || answer === undefined) throw new Error(`${this.name}: ${error ?? "no answer"}`);
    return { wall_ms, answer };
  }

  async close(): Promise<void> {
    const { exitCode, signalCode, pid } = this.#child;
    if (pid === undefined) return;
    const closed = new Promise((resolve) => this.#child.once("close", resolve));
    if (exitCode === null && signalCode === null) {
      this.#child.stdin?.end();
      await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, CLOSE_DEADLINE_MS).unref())]);
    }
    try {
      process.kill(-pid, "SIGKILL");
    } catch {
      // Nothing of the group is left.
    }
  }

  async #line(deadline_ms: number): Promise<unknown> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => late.reject(new Error(`${this.name} did not answer in ${deadline_ms / 1000} s\n${this.#stderr}`)),
      deadline_ms,
    );
    try {
      const line = await Promise.race([this.#lines.next(), late.promise]);
      if (line.done === true) throw new Error(`${this.name} ended${this.#stderr ? `:\n${this.#stderr}` : ""}`);
      return JSON.parse(line.value);
    } finally {
      clearTimeout(timer);
    }
  }
}

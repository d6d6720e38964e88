/** A sandbox of one's own: code that runs in it finds what the code before left there. */
import { randomUUID } from "node:crypto";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { BadInput, Cancelled, SandloomError } from "../graph/errors.ts";
import { defaultLimits } from "../graph/limits.ts";
import type { Surroundings } from "../graph/resource-graph.ts";
import type { Sandbox, SandboxOptions, SandboxResult, Snapshot } from "./api.ts";
import type { LocalCluster } from "./cluster.ts";

const RUN_TIMEOUT_MS = 300_000;

/** What a session needs of its cluster. */
export interface SessionHost {
  snapshotFolder(): string;
  /** @returns what its image needs */
  openSession(id: string, options: SandboxOptions, output: SessionOutput): Promise<Surroundings>;
  sessionTask(id: string, task: { document: string; timeout_ms: number; deltaPath?: string }): Promise<string>;
  interruptSession(id: string): void;
  closeSession(id: string, busy: boolean): Promise<void>;
}

export type SessionOutput = (stream: "stdout" | "stderr", text: string) => void;

export class Session implements Sandbox {
  readonly #host: SessionHost;
  readonly #id: string = randomUUID();
  readonly #onOutput: SessionOutput;
  readonly #cluster: LocalCluster | undefined;
  /** What was asked for runs one after the other. */
  #last: Promise<unknown> = Promise.resolve();
  #listener: SessionOutput | undefined;
  #needs: Surroundings | undefined;
  #cells = 0;
  /** Asked for and not begun yet. */
  #waiting = 0;
  #busy = 0;
  /** Came when nothing ran and something was to: it is for that. */
  #interrupted = false;
  #closed = false;

  private constructor(host: SessionHost, onOutput: SessionOutput, cluster: LocalCluster | undefined) {
    this.#host = host;
    this.#onOutput = onOutput;
    this.#cluster = cluster;
  }

  /** `cluster`: closed with the sandbox. */
  static async open(host: SessionHost, options: SandboxOptions, cluster?: LocalCluster): Promise<Session> {
    const session = new Session(host, options.onOutput ?? (() => undefined), cluster);
    session.#needs = await host.openSession(session.#id, options, (stream, text) => {
      session.#listener?.(stream, text);
      session.#onOutput(stream, text);
    });
    return session;
  }

  run(code: string, options: { timeout_ms?: number; signal?: AbortSignal } = {}): Promise<SandboxResult> {
    const { timeout_ms = RUN_TIMEOUT_MS, signal } = options;
    return this.#inTurn(async () => {
      signal?.throwIfAborted();
      let [stdout, stderr] = ["", ""];
      this.#listener = (stream, text) => {
        if (stream === "stdout") stdout += text;
        else stderr += text;
      };
      const onAbort = (): void => this.interrupt();
      signal?.addEventListener("abort", onAbort, { once: true });
      try {
        const document = { op: "run", code, cell: ++this.#cells };
        const answer = await this.#task(document, timeout_ms);
        return { ...(answer as { value?: unknown; repr?: string }), stdout, stderr };
      } catch (error) {
        const { code: kind, message, details } = SandloomError.from(error);
        throw SandloomError.fromReport({ code: kind, message, details: { ...details, stdout, stderr } });
      } finally {
        signal?.removeEventListener("abort", onAbort);
        this.#listener = undefined;
      }
    });
  }

  async writeFile(path: string, data: Uint8Array | string): Promise<void> {
    const document = { op: "write", path: absolute(path), data: Buffer.from(data).toString("base64") };
    await this.#inTurn(() => this.#task(document, RUN_TIMEOUT_MS));
  }

  async readFile(path: string): Promise<Uint8Array> {
    const document = { op: "read", path: absolute(path) };
    const { data } = (await this.#inTurn(() => this.#task(document, RUN_TIMEOUT_MS))) as { data: string };
    return Buffer.from(data, "base64");
  }

  async snapshot(): Promise<Snapshot> {
    const folder = this.#host.snapshotFolder();
    mkdirSync(folder, { recursive: true });
    const path = join(folder, `${randomUUID()}.delta`);
    await this.#inTurn(() => this.#task({ op: "snapshot" }, RUN_TIMEOUT_MS, path));
    return { path, ...this.#needs, drop: () => rmSync(path, { force: true }) };
  }

  interrupt(): void {
    if (this.#busy > 0) this.#host.interruptSession(this.#id);
    else this.#interrupted = this.#waiting > 0;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#host.closeSession(this.#id, this.#busy > 0);
    await this.#cluster?.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    this.#waiting++;
    const turn = this.#last.then(async () => {
      this.#waiting--;
      if (this.#closed) throw new Cancelled("the sandbox is closed");
      this.#busy++;
      try {
        return await work();
      } finally {
        this.#busy--;
        // It was for this one, which may have ended before it was sent.
        this.#interrupted = false;
      }
    });
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async #task(document: object, timeout_ms: number, deltaPath?: string): Promise<unknown> {
    const task = { document: JSON.stringify(document), timeout_ms, ...(deltaPath === undefined ? {} : { deltaPath }) };
    const answer = this.#host.sessionTask(this.#id, task);
    if (this.#interrupted) this.#host.interruptSession(this.#id);
    return JSON.parse(await answer);
  }
}

function absolute(path: string): string {
  if (!path.startsWith("/"))
    throw new BadInput(`${path}: a path in a sandbox is absolute, /tmp/${path} for one`, { path });
  return path;
}

export const sessionLimits = (
  limits: SandboxOptions["limits"] = {},
): Required<NonNullable<SandboxOptions["limits"]>> => ({
  heap_bytes: limits.heap_bytes ?? defaultLimits.heap_bytes,
  output_bytes: limits.output_bytes ?? defaultLimits.output_bytes,
  message_bytes: limits.message_bytes ?? defaultLimits.message_bytes,
  file_bytes: limits.file_bytes ?? defaultLimits.file_bytes,
});

/** An executor process as the cluster sees it: started with the flags that hardening needs, asked, supervised, ended. */
import { type ChildProcess, fork } from "node:child_process";
import { availableParallelism } from "node:os";
import { extname, join } from "node:path";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { ExecutorDied, type SandloomError, SandloomError as Errors } from "../../graph/errors.ts";
import { type Answer, ANSWER_FD, AnswerReader } from "../../sandbox/answers.ts";
import { SANDBOX_FLAGS } from "../../sandbox/runtime/v8-flags.ts";
import { BOOT_REQUEST, type ExecutorOptions, type FromExecutor, type ToExecutor } from "./protocol.ts";

/**
 * Of glibc's allocator, which else makes some for each CPU, and keeps in them what threads gave back when they had started: 8 MB for each
 * sandbox.
 */
const MALLOC_ARENAS = Math.max(2, Math.ceil(availableParallelism() / 4));

/** All of its environment. */
export function executorEnvironment(cacheDir: string): Record<string, string> {
  return {
    PATH: process.env["PATH"] ?? "",
    NODE_COMPILE_CACHE: join(cacheDir, "compile-cache"),
    MALLOC_ARENA_MAX: String(MALLOC_ARENAS),
  };
}

type Request = Extract<ToExecutor, { request: number }>;
// Omit does not distribute over a union by itself.
type Unnumbered<T> = T extends unknown ? Omit<T, "request"> : never;

export class ExecutorProcess {
  readonly #child: ChildProcess;
  readonly #pending = new Map<number, { resolve: (value: string) => void; reject: (error: SandloomError) => void }>();
  readonly #ready = Promise.withResolvers<number>();
  readonly exited: Promise<void>;
  #requests = 0;
  #stderr = "";
  #dead: SandloomError | undefined;
  onAnswer: (answer: Answer) => void = () => undefined;
  onMessage: (message: FromExecutor) => void = () => undefined;
  onDeath: (error: SandloomError) => void = () => undefined;

  /** `cacheDir` also keeps V8's compile cache of our own sources. */
  constructor(cacheDir: string, options: ExecutorOptions) {
    const entry = fileURLToPath(new URL(`./main${extname(import.meta.filename)}`, import.meta.url));
    this.#child = fork(entry, [JSON.stringify(options)], {
      execArgv: [...SANDBOX_FLAGS],
      serialization: "advanced",
      // The last one is ANSWER_FD.
      stdio: ["ignore", "ignore", "inherit", "ipc", "pipe"],
      env: executorEnvironment(cacheDir),
    });
    this.#ready.promise.catch(() => undefined);
    this.#child.stderr?.on("data", (chunk: Buffer) => {
      this.#stderr = (this.#stderr + chunk.toString("utf8")).slice(-8000);
    });
    this.#child.on("message", (message: FromExecutor) => this.#receive(message));
    const reader = new AnswerReader();
    (this.#child.stdio[ANSWER_FD] as Readable | null)?.on("data", (bytes: Buffer) => {
      for (const answer of reader.push(bytes)) this.onAnswer(answer);
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.exited = promise;
    this.#child.once("close", (code, signal) => {
      this.#die(
        new ExecutorDied(
          `the executor process ended (${signal ?? `exit code ${code}`})${this.#stderr ? `:\n${this.#stderr}` : ""}`,
          { code, signal },
        ),
      );
      resolve();
    });
    this.#child.once("error", (error) => {
      this.#die(new ExecutorDied(`the executor process could not be started: ${error.message}`));
      resolve();
    });
  }

  /** The end of what it wrote to stderr: nothing, unless something is wrong. */
  get log(): string {
    return this.#stderr;
  }
  get pid(): number | undefined {
    return this.#child.pid;
  }
  /** Bytes of the image that its sandboxes share. */
  get ready(): Promise<number> {
    return this.#ready.promise;
  }
  get dead(): SandloomError | undefined {
    return this.#dead;
  }

  send(message: ToExecutor): void {
    if (this.#dead) return;
    this.#child.send(message, (error) => {
      if (error) this.#die(new ExecutorDied(`the executor process cannot be reached: ${error.message}`));
    });
  }

  request(message: Unnumbered<Request>): Promise<string> {
    if (this.#dead) return Promise.reject(this.#dead);
    const request = this.#requests++;
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    this.#pending.set(request, { resolve, reject });
    this.send({ ...message, request });
    return promise;
  }

  /** Ends the process at once, whatever it does. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.exited;
  }

  #receive(message: FromExecutor): void {
    switch (message.type) {
      case "ready":
        this.#ready.resolve(message.image_bytes);
        return;
      case "reply":
        this.#pending.get(message.request)?.resolve(message.value);
        this.#pending.delete(message.request);
        return;
      case "failed": {
        const error = Errors.fromReport(message.error);
        if (message.request === BOOT_REQUEST) this.#ready.reject(error);
        this.#pending.get(message.request)?.reject(error);
        this.#pending.delete(message.request);
        return;
      }
      case "stuck":
        this.#child.kill("SIGKILL");
        return;
      case "note":
      case "session-output":
      case "pool":
      case "events":
      case "ended":
        this.onMessage(message);
    }
  }

  #die(error: SandloomError): void {
    if (this.#dead) return;
    this.#dead = error;
    this.#ready.reject(error);
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
    this.onDeath(error);
  }
}

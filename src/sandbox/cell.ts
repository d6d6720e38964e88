/**
 * A cell: one worker thread (a Piscina of one) with one sandbox, seen from the executor's main thread. Who runs in it is
 * decided by the dispatcher, or by a component that calls another directly; the cell only tells what happens there.
 */
import { extname } from "node:path";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { Piscina } from "piscina";
import { type ErrorReport, SandboxDied, SandloomError } from "../graph/errors.ts";
import { type Exchange, OWNER, SLOT } from "./exchange.ts";
import type { FromSandbox, ResetReport, RunTask, ToSandbox, WorkerTask } from "./messages.ts";
import type { ShellParts } from "./shell/parts.ts";

/**
 * A thread that does not end by itself within this time takes the executor with it (docs/sandboxes.md, "Kill"). The run is
 * answered before that, so this is only about when its memory comes back; at 50 ms, a loaded machine lost executors whose
 * threads were merely being torn down.
 */
export const TERMINATE_DEADLINE_MS = 500;

/** Python frames are large: the interpreter's own recursion limit must be met before the thread's stack ends. */
const STACK_MIB = 8;

/** More is not kept of what a sandbox says while it is paused. */
const MAX_KEPT_MESSAGES = 64;
const MAX_KEPT_CHARACTERS = 64 * 1024;

/** What a thread makes of garbage is little; by itself V8 would hold 4 MB more of it in each. With less it collects all the time. */
const YOUNG_MIB = 4;

/** Of a task after which the sandbox keeps its state. */
const NOT_RESET: ResetReport = { local_bytes: 0, dirty_pages: 0, reset_ms: 0 };

type Listener = (message: FromSandbox) => void;

/** The component that runs in a cell, as its dispatcher attends to it. */
interface Attended {
  readonly listener: Listener;
  readonly over: PromiseWithResolvers<ResetReport>;
}

export class SandboxCell {
  readonly id: number;
  readonly slot: number;
  readonly #exchange: Exchange;
  readonly #pool: Piscina<WorkerTask, ErrorReport | undefined>;
  readonly #port: MessagePort;
  readonly #workerPort: MessagePort;
  readonly #abort = new AbortController();
  #attended: Attended | undefined;
  /** Not heard yet: the component's caller has not told of it here, or it is paused. */
  readonly #kept: FromSandbox[] = [];
  #kept_characters = 0;
  #onFull: (() => void) | undefined;
  #hearing = false;
  #death: Error | undefined;

  /** @throws ComponentLimitExceeded */
  constructor(id: number, exchange: Exchange) {
    this.id = id;
    this.slot = exchange.open();
    this.#exchange = exchange;
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    this.#workerPort = port2;
    this.#port.on("message", (message: FromSandbox) => {
      this.#kept.push(message);
      if (message.type === "print") this.#kept_characters += message.text.length;
      this.#hearKept();
      const full = this.#kept.length > MAX_KEPT_MESSAGES || this.#kept_characters > MAX_KEPT_CHARACTERS;
      if (full) this.#onFull?.();
    });
    const compileCache = process.env["NODE_COMPILE_CACHE"];
    this.#pool = new Piscina({
      filename: new URL(`./worker${extname(import.meta.filename)}`, import.meta.url).href,
      minThreads: 1,
      maxThreads: 1,
      // All of the environment that it has. Without the cache of stripped sources each thread would load what strips types: 20 ms, and 5 MB.
      env: compileCache === undefined ? {} : { NODE_COMPILE_CACHE: compileCache },
      resourceLimits: { stackSizeMb: STACK_MIB, maxYoungGenerationSizeMb: YOUNG_MIB },
      recordTiming: false,
    });
  }

  /** The image that is mapped. */
  get image(): number {
    return this.#exchange.load(this.slot, SLOT.image);
  }
  get idle(): boolean {
    return this.#exchange.owner(this.slot) === OWNER.idle;
  }
  /** What its memory has grown to, the window left out; 0 if it is as it was made. */
  get grown_bytes(): number {
    return this.#exchange.load(this.slot, SLOT.grown_mib) * 1024 * 1024;
  }
  /** Whether the sandbox of that slot called it, and that is not heard yet. */
  calledBy(slot: number): boolean {
    return this.#exchange.owner(this.slot) === OWNER.calledBy + slot;
  }

  /** Makes the sandbox, and leaves it idle. @throws SandboxNotSealed, and whatever else is wrong with it */
  async make(parts: ShellParts, image: number, options: { warm: boolean }): Promise<void> {
    const { buffer: exchange } = this.#exchange;
    const [slot, port, { warm }, { signal }] = [this.slot, this.#workerPort, options, this.#abort];
    const transferList = [port] as never;
    const task: WorkerTask = { type: "make", slot, exchange, parts, port, image, warm };
    const refused = await this.#pool.run(task, { transferList, signal });
    if (refused) throw SandloomError.fromReport(refused);
    this.#pool.run({ type: "serve" }, { signal }).catch((error: unknown) => {
      this.#death =
        error instanceof SandboxDied ? error : new SandboxDied(error instanceof Error ? error.message : String(error));
      this.#attended?.over.reject(this.#death);
    });
    this.#exchange.store(this.slot, SLOT.owner, OWNER.idle);
  }

  /** @returns whether it stood idle, and is now the dispatcher's, to run one component. */
  take(): boolean {
    return this.#exchange.pass(this.slot, OWNER.idle, OWNER.dispatcher);
  }

  /** Runs what it was taken for. Resolves when it has ended and the sandbox is at its image again. @throws SandboxDied */
  run(task: RunTask, listener: Listener): Promise<ResetReport> {
    // Here, not in the thread: a signal that comes before the thread has begun is for this task.
    this.#exchange.store(this.slot, SLOT.signal, 0);
    this.send(task);
    return this.#attend(listener);
  }

  /** Puts a sandbox that kept its state back to its image; it is idle then. @throws SandboxDied */
  restore(): Promise<ResetReport> {
    this.send({ type: "restore" });
    return this.#attend(() => undefined);
  }

  /** The Python code that runs, or is about to, gets a signal where it next looks for one. */
  signal(number: number): void {
    this.#exchange.store(this.slot, SLOT.signal, number);
  }

  /** Hears a component that the sandbox of slot `caller` called here, as `run` does. */
  adopt(caller: number, listener: Listener): Promise<ResetReport> {
    this.#exchange.pass(this.slot, OWNER.calledBy + caller, OWNER.dispatcher);
    return this.#attend(listener);
  }

  #attend(listener: Listener): Promise<ResetReport> {
    const over = Promise.withResolvers<ResetReport>();
    this.#attended = { listener, over };
    if (this.#death) over.reject(this.#death);
    this.#hearKept();
    return over.promise;
  }

  /** Keeps what the sandbox says from now on, until `listen`; `onFull` is called when that becomes too much. */
  pause(onFull: () => void): void {
    this.#onFull = onFull;
  }
  listen(): void {
    this.#onFull = undefined;
    this.#hearKept();
  }

  #hearKept(): void {
    if (this.#hearing) return;
    this.#hearing = true;
    while (this.#attended && !this.#onFull) {
      const message = this.#kept.shift();
      if (!message) break;
      if (message.type === "print") this.#kept_characters -= message.text.length;
      const { over, listener } = this.#attended;
      if (message.type !== "reset") listener(message);
      const report = message.type === "reset" ? message.report : message.type === "ended" ? message.reset : undefined;
      const kept = message.type === "ended" && message.kept === true;
      if (!report && !kept) continue;
      this.#attended = undefined;
      if (!report) {
        over.resolve(NOT_RESET);
        continue;
      }
      this.#exchange.pass(this.slot, OWNER.dispatcher, OWNER.idle);
      over.resolve(report);
    }
    this.#hearing = false;
  }

  /** Puts a message where the component that runs finds it when it next looks. */
  deliver(message: ToSandbox): void {
    this.#port.postMessage(message);
  }

  /** Delivers a message, and wakes the thread. */
  send(message: ToSandbox): void {
    this.#port.postMessage(message);
    this.#exchange.wake(this.slot);
  }

  /**
   * Ends the thread, whatever it does. Resolves to false when it did not end in time: then only the end of the process helps.
   */
  async kill(): Promise<boolean> {
    this.#exchange.store(this.slot, SLOT.owner, OWNER.absent);
    this.#exchange.store(this.slot, SLOT.cancel, 1);
    this.#exchange.wake(this.slot);
    this.#port.close();
    this.#abort.abort();
    const ended = Promise.all(this.#pool.threads.map((thread) => thread.terminate())).then(() => true);
    const late = new Promise<boolean>((resolve) => setTimeout(resolve, TERMINATE_DEADLINE_MS, false).unref());
    const gone = await Promise.race([ended, late]);
    if (!gone) return false;
    await this.#pool.destroy();
    return true;
  }

  /** Gives up its place, when it is killed and nobody is left that it called. */
  close(): void {
    this.#exchange.close(this.slot);
  }
}

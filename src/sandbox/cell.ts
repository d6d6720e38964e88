/**
 * A cell: one worker thread (a Piscina of one) with one sandbox, seen from the executor's main thread. Who runs in it is
 * decided by the dispatcher, or by a component that calls another directly; the cell only tells what happens there.
 */
import { extname } from "node:path";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { Piscina } from "piscina";
import { SandboxDied } from "../graph/errors.ts";
import { type Exchange, FIRST_TURN, nextTurn, OWNER, SLOT } from "./exchange.ts";
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
  readonly #pool: Piscina<WorkerTask, void>;
  readonly #port: MessagePort;
  readonly #workerPort: MessagePort;
  readonly #abort = new AbortController();
  /** By turn: that one is over, and another has begun, may be known here late and in any order. */
  readonly #attended = new Map<number, Attended>();
  /** Of which what is heard next is. */
  #heard = FIRST_TURN;
  /** Not heard yet: the component's caller has not told of it here, or it is paused. */
  readonly #kept: FromSandbox[] = [];
  #paused = false;
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
      this.#hearKept();
    });
    this.#pool = new Piscina({
      filename: new URL(`./worker${extname(import.meta.filename)}`, import.meta.url).href,
      minThreads: 1,
      maxThreads: 1,
      env: {},
      workerData: process.env["NODE_COMPILE_CACHE"],
      resourceLimits: { stackSizeMb: STACK_MIB },
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
  /** The slot of who called it directly, while that is not attended to. */
  get caller(): number | undefined {
    return this.#exchange.caller(this.slot);
  }

  /** Makes the sandbox, and leaves it idle. */
  async make(parts: ShellParts, image: number, options: { warm: boolean }): Promise<void> {
    const { buffer: exchange } = this.#exchange;
    const [slot, port, { warm }, { signal }] = [this.slot, this.#workerPort, options, this.#abort];
    const transferList = [port] as never;
    await this.#pool.run({ type: "make", slot, exchange, parts, port, image, warm }, { transferList, signal });
    this.#pool.run({ type: "serve" }, { signal }).catch((error: unknown) => {
      this.#death =
        error instanceof SandboxDied ? error : new SandboxDied(error instanceof Error ? error.message : String(error));
      for (const { over } of this.#attended.values()) over.reject(this.#death);
    });
    this.#exchange.store(this.slot, SLOT.state, OWNER.idle);
  }

  /** If it stands idle it is the caller's, to run one component. @returns that one's turn */
  take(): number | undefined {
    return this.#exchange.take(this.slot);
  }

  /** No more turns. @returns false if this one is over, and the sandbox somebody else's */
  giveUp(turn: number): boolean {
    return this.#exchange.giveUp(this.slot, turn);
  }

  /** Runs what the turn was taken for. Resolves when it has ended and the sandbox is at its image again. @throws SandboxDied */
  run(turn: number, task: RunTask, listener: Listener): Promise<ResetReport> {
    this.send(task);
    return this.#attend(turn, listener);
  }

  /** Hears a component that another one called here, as `run` does. */
  adopt(turn: number, listener: Listener): Promise<ResetReport> {
    const over = this.#attend(turn, listener);
    this.#exchange.adopt(this.slot);
    return over;
  }

  #attend(turn: number, listener: Listener): Promise<ResetReport> {
    const over = Promise.withResolvers<ResetReport>();
    this.#attended.set(turn, { listener, over });
    this.#hearKept();
    if (this.#death) over.reject(this.#death);
    return over.promise;
  }

  /** Keeps what the sandbox says from now on, until `listen`. */
  pause(): void {
    this.#paused = true;
  }
  listen(): void {
    this.#paused = false;
    this.#hearKept();
  }

  #hearKept(): void {
    for (;;) {
      const attended = this.#attended.get(this.#heard);
      const message = attended && !this.#paused ? this.#kept.shift() : undefined;
      if (!attended || !message) return;
      if (message.type === "reset") {
        this.#attended.delete(this.#heard);
        this.#heard = nextTurn(this.#heard);
        attended.over.resolve(message.report);
      } else {
        attended.listener(message);
      }
    }
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
    this.#exchange.giveUp(this.slot);
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

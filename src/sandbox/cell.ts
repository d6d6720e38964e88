/**
 * A cell: one worker thread (a Piscina of one) with one sandbox, seen from the executor's main thread. Who runs in it is
 * decided by the dispatcher; the cell only carries it out.
 */
import { extname } from "node:path";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { Piscina } from "piscina";
import { SandboxDied } from "../graph/errors.ts";
import { CONTROL, type FromSandbox, type ResetReport, type ToSandbox, type WorkerTask } from "./messages.ts";
import type { RunTask } from "./sandbox.ts";
import type { ShellParts } from "./shell/parts.ts";

/**
 * A thread that does not end by itself within this time takes the executor with it (docs/sandboxes.md, "Kill"). The run is
 * answered before that, so this is only about when its memory comes back; at 50 ms, a loaded machine lost executors whose
 * threads were merely being torn down.
 */
export const TERMINATE_DEADLINE_MS = 500;

/** Python frames are large: the interpreter's own recursion limit must be met before the thread's stack ends. */
const STACK_MIB = 8;

export class SandboxCell {
  readonly id: number;
  readonly #pool: Piscina<WorkerTask, ResetReport | undefined>;
  readonly #control: Int32Array;
  readonly #port: MessagePort;
  readonly #workerPort: MessagePort;
  readonly #abort = new AbortController();
  #image = -1;
  onMessage: (message: FromSandbox) => void = () => undefined;

  constructor(id: number) {
    this.id = id;
    this.#control = new Int32Array(new SharedArrayBuffer(CONTROL.words * 4));
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    this.#workerPort = port2;
    this.#port.on("message", (message: FromSandbox) => this.onMessage(message));
    this.#pool = new Piscina({
      filename: new URL(`./worker${extname(import.meta.filename)}`, import.meta.url).href,
      minThreads: 1,
      maxThreads: 1,
      // The worker sleeps in Atomics.wait between tasks: it has no event loop to serve.
      atomics: "sync",
      env: {},
      workerData: process.env["NODE_COMPILE_CACHE"],
      resourceLimits: { stackSizeMb: STACK_MIB },
      recordTiming: false,
    });
  }

  /** The image that is mapped, or -1. */
  get image(): number {
    return this.#image;
  }

  async make(parts: ShellParts, image: number, options: { warm: boolean }): Promise<void> {
    this.#image = image;
    await this.#pool.run(
      {
        type: "make",
        sandbox: this.id,
        parts,
        control: this.#control.buffer as SharedArrayBuffer,
        port: this.#workerPort,
        image,
        warm: options.warm,
      },
      { transferList: [this.#workerPort] as never, signal: this.#abort.signal },
    );
  }

  /** Resolves when the component has ended and the sandbox is back at its image. @throws SandboxDied */
  async run(task: RunTask): Promise<ResetReport> {
    this.#image = task.image;
    try {
      return (await this.#pool.run(task, { signal: this.#abort.signal })) as ResetReport;
    } catch (error) {
      throw error instanceof SandboxDied
        ? error
        : new SandboxDied(error instanceof Error ? error.message : String(error));
    }
  }

  /** Puts a message where the component that runs finds it when it next looks. */
  deliver(message: ToSandbox): void {
    this.#port.postMessage(message);
  }

  /** Delivers a message to the component that runs, and wakes it. */
  send(message: ToSandbox): void {
    this.#port.postMessage(message);
    Atomics.add(this.#control, CONTROL.wake, 1);
    Atomics.notify(this.#control, CONTROL.wake);
  }

  /**
   * Ends the thread, whatever it does. Resolves to false when it did not end in time: then only the end of the process helps.
   */
  async kill(): Promise<boolean> {
    Atomics.store(this.#control, CONTROL.cancel, 1);
    Atomics.add(this.#control, CONTROL.wake, 1);
    Atomics.notify(this.#control, CONTROL.wake);
    this.#port.close();
    this.#abort.abort();
    const ended = Promise.all(this.#pool.threads.map((thread) => thread.terminate())).then(() => true);
    const late = new Promise<boolean>((resolve) => setTimeout(resolve, TERMINATE_DEADLINE_MS, false).unref());
    const gone = await Promise.race([ended, late]);
    if (gone) await this.#pool.destroy();
    return gone;
  }
}

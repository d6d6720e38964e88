/** The executor of one base image: started when there is none that lives, and anew when the image on the disk is damaged. */
import { Cancelled, SandloomError } from "../graph/errors.ts";
import { type Base, dropBase, ensureBase } from "../sandbox/image/base.ts";
import type { ExecutorProcess } from "./executor/process.ts";
import type { ExecutorOptions } from "./executor/protocol.ts";

type Application = NonNullable<ExecutorOptions["application"]>;

export interface BaseExecutorOptions {
  readonly cacheDir: string;
  readonly progress: (line: string) => void;
  /** Starts a process, with an application's image if it is cached. */
  readonly start: (base: Base, application: Application | undefined) => ExecutorProcess;
}

export class BaseExecutor {
  readonly #options: BaseExecutorOptions;
  /** Hashes of the applications whose images the process knows. */
  readonly #opened = new Set<string>();
  #base: Base;
  #running: ExecutorProcess | undefined;
  #image_bytes = 0;
  #closed = false;

  constructor(base: Base, options: BaseExecutorOptions) {
    this.#base = base;
    this.#options = options;
  }

  get base(): Base {
    return this.#base;
  }
  /** Bytes of the image that its sandboxes share; 0 before there is one. */
  get image_bytes(): number {
    return this.#image_bytes;
  }

  /** The process. */
  process(application?: Application): ExecutorProcess {
    if (this.#running && !this.#running.dead) return this.#running;
    this.#opened.clear();
    if (application) this.#opened.add(application.hash);
    return (this.#running = this.#options.start(this.#base, application));
  }

  /** The process, when it has a sandbox. */
  async ready(application?: Application): Promise<ExecutorProcess> {
    const { progress, cacheDir } = this.#options;
    for (let rebuilt = false; ; rebuilt = true) {
      if (this.#closed) throw new Cancelled("the cluster is closed");
      const executor = this.process(application);
      try {
        this.#image_bytes = await executor.ready;
        return executor;
      } catch (error) {
        if (rebuilt || !isDamaged(error) || error.details["image"] !== "base") throw error;
        await executor.kill();
        progress(`${error.message}: it is built again`);
        dropBase(this.#base);
        this.#base = await ensureBase(cacheDir, progress, this.#base.kind);
      }
    }
  }

  /** Whether the process that lives knows an image. */
  isOpen(hash: string): boolean {
    return this.#running !== undefined && !this.#running.dead && this.#opened.has(hash);
  }

  /** Makes an application's image known to the process. */
  async open(application: Application): Promise<void> {
    await this.#open(await this.ready(application), application);
  }

  /** That of a session, in the middle of something: new sandboxes, which run a component first, are not made with it. */
  async openSnapshot(image: Application): Promise<void> {
    await this.#open(await this.ready(), { ...image, snapshot: true });
  }

  async #open(executor: ExecutorProcess, image: Application & { readonly snapshot?: true }): Promise<void> {
    if (this.#opened.has(image.hash)) return;
    await executor.request({ type: "open", ...image });
    this.#opened.add(image.hash);
  }

  /** It knows this one by other means. */
  opened(hash: string): void {
    this.#opened.add(hash);
  }

  /** One of its images is damaged: it may be the one that the process was started with. */
  async forget(hash: string): Promise<void> {
    this.#opened.delete(hash);
    await this.#running?.kill();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#running?.kill();
  }
}

export const isDamaged = (error: unknown): error is SandloomError =>
  error instanceof SandloomError && error.code === "BadImage";

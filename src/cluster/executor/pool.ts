/** The cells of an executor: which are idle, which are being made or put back, and when to make more. */
import { InternalError } from "../../graph/errors.ts";
import { SandboxCell } from "../../sandbox/cell.ts";
import type { ShellParts } from "../../sandbox/shell/parts.ts";
import { BASE, type Images } from "./images.ts";

export interface PoolEvents {
  made(cell: SandboxCell, ms: number): void;
  /** A sandbox could not be made: nothing that waits for one can go on. */
  failed(error: Error): void;
  changed(): void;
}

export class CellPool {
  readonly #parts: Promise<ShellParts>;
  readonly #images: Images;
  readonly #events: PoolEvents;
  readonly #idle: SandboxCell[] = [];
  readonly #all = new Set<SandboxCell>();
  readonly #discarded = new WeakMap<SandboxCell, Promise<boolean>>();
  /** Being put back to their image: idle in about a millisecond. */
  readonly #resetting = new Set<SandboxCell>();
  #making = 0;
  #next = 0;
  #failure: Error | undefined;
  /** As many are kept: one that is discarded is replaced in the background. */
  target = 0;
  /** Whose image new sandboxes get. */
  application = BASE;

  constructor(parts: Promise<ShellParts>, images: Images, events: PoolEvents) {
    this.#parts = parts;
    this.#images = images;
    this.#events = events;
  }

  get idle(): number {
    return this.#idle.length;
  }
  get coming(): number {
    return this.#resetting.size + this.#making;
  }
  get size(): number {
    return this.#all.size;
  }

  /** Makes a sandbox in a thread of its own, or in one that was started ahead. @returns whether it was made. */
  async make(ahead?: SandboxCell): Promise<boolean> {
    const cell = ahead ?? new SandboxCell(this.#next);
    // Somebody waits for the one that was started ahead.
    const options = { warm: ahead === undefined };
    const start = performance.now();
    this.#next++;
    this.#all.add(cell);
    this.#making++;
    try {
      const parts = await this.#parts;
      await this.#images.using(this.application, (image) => cell.make(parts, image, options));
      this.#idle.push(cell);
      this.#events.made(cell, performance.now() - start);
      return true;
    } catch (error) {
      this.#all.delete(cell);
      await cell.kill();
      this.#failure = error instanceof Error ? error : new InternalError(String(error));
      this.#events.failed(this.#failure);
      return false;
    } finally {
      this.#making--;
      this.#events.changed();
    }
  }

  /** Why the last sandbox could not be made. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** An idle cell, one that has `image` mapped if there is such a one. */
  take(image: number): SandboxCell | undefined {
    const at = this.#idle.findIndex((cell) => cell.image === image);
    return at < 0 ? this.#idle.shift() : this.#idle.splice(at, 1)[0];
  }

  has(cell: SandboxCell): boolean {
    return this.#all.has(cell);
  }

  resetting(cell: SandboxCell): void {
    this.#resetting.add(cell);
  }

  /** The cell's sandbox is back at its image. */
  give(cell: SandboxCell): void {
    this.#resetting.delete(cell);
    this.#idle.push(cell);
    this.#events.changed();
  }

  /** Ends the cell's thread. @returns false when the thread does not end. */
  discard(cell: SandboxCell): Promise<boolean> {
    let gone = this.#discarded.get(cell);
    if (!gone) this.#discarded.set(cell, (gone = this.#end(cell)));
    return gone;
  }

  async #end(cell: SandboxCell): Promise<boolean> {
    this.#resetting.delete(cell);
    this.#all.delete(cell);
    const at = this.#idle.indexOf(cell);
    if (at >= 0) this.#idle.splice(at, 1);
    const gone = await cell.kill();
    if (gone && this.#all.size < this.target) void this.make();
    this.#events.changed();
    return gone;
  }
}

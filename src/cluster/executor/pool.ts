/** The cells of an executor: which are idle, which are being made or put back, and when to make more. */
import { InternalError } from "../../graph/errors.ts";
import { SandboxCell } from "../../sandbox/cell.ts";
import type { Exchange } from "../../sandbox/exchange.ts";
import type { ShellParts } from "../../sandbox/shell/parts.ts";
import type { Images } from "./images.ts";
import { BASE } from "./protocol.ts";

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
  readonly #exchange: Exchange;
  /** Idle as far as this thread knows: a component may have called one of them directly. */
  readonly #idle = new Set<SandboxCell>();
  readonly #all = new Set<SandboxCell>();
  readonly #discarded = new WeakMap<SandboxCell, Promise<boolean>>();
  readonly #killing = new Set<Promise<boolean>>();
  /** Being put back to their image: idle in about a millisecond. */
  readonly #resetting = new Set<SandboxCell>();
  #making = 0;
  #next = 0;
  #failure: Error | undefined;
  /** As many are kept: one that is discarded is replaced in the background. */
  target = 0;
  /** Whose image new sandboxes get. */
  application = BASE;

  constructor(parts: Promise<ShellParts>, images: Images, exchange: Exchange, events: PoolEvents) {
    this.#exchange = exchange;
    this.#parts = parts;
    this.#images = images;
    this.#events = events;
  }

  get idle(): number {
    let idle = 0;
    for (const cell of this.#idle) if (cell.idle) idle++;
    return idle;
  }
  get coming(): number {
    return this.#resetting.size + this.#making;
  }
  get size(): number {
    return this.#all.size;
  }

  /** Makes a sandbox in a thread of its own, or in one that was started ahead. @returns whether it was made. */
  async make(ahead?: SandboxCell): Promise<boolean> {
    // Somebody waits for the one that was started ahead.
    const options = { warm: ahead === undefined };
    const start = performance.now();
    let cell = ahead;
    this.#making++;
    try {
      cell ??= new SandboxCell(this.#next, this.#exchange);
      this.#next++;
      this.#all.add(cell);
      const parts = await this.#parts;
      const made = cell;
      await this.#images.using(this.application, (image) => made.make(parts, image, options));
      this.#idle.add(made);
      this.#events.made(made, performance.now() - start);
      return true;
    } catch (error) {
      if (cell) {
        this.#all.delete(cell);
        if (await cell.kill()) cell.close();
      }
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

  /** An idle cell, one that has `image` mapped if there is such a one; nobody else can have it now. */
  take(image: number): SandboxCell | undefined {
    for (const fits of [true, false]) {
      for (const cell of this.#idle) {
        if ((cell.image === image) !== fits || !cell.take()) continue;
        this.#idle.delete(cell);
        return cell;
      }
    }
    return undefined;
  }

  /** The cell of this slot, which a component called directly. */
  called(slot: number): SandboxCell | undefined {
    for (const cell of this.#all) {
      if (cell.slot !== slot) continue;
      this.#idle.delete(cell);
      return cell;
    }
    return undefined;
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
    this.#idle.add(cell);
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
    this.#idle.delete(cell);
    const killed = cell.kill();
    this.#killing.add(killed);
    const gone = await killed;
    this.#killing.delete(killed);
    if (!gone) return false;
    // It may have called one that the dispatcher does not know of yet.
    const called = [...this.#all].filter((other) => other.calledBy(cell.slot));
    const calledGone = await Promise.all(called.map((callee) => this.discard(callee)));
    // As long as one that it called lives, that one may write an answer to its slot.
    const allGone = [...calledGone, ...(await Promise.all(this.#killing))].every((ended) => ended);
    if (!allGone) return false;
    cell.close();
    if (this.#all.size < this.target) void this.make();
    this.#events.changed();
    return true;
  }
}

/** The cells of an executor: which are idle, which are being made or put back, and when to make more or let one go. */
import { InternalError } from "../../graph/errors.ts";
import type { PoolEvent } from "../../graph/pool.ts";
import {
  chooseSandbox,
  type PoolCounts,
  type Refusal,
  refusalOf,
  sandboxesNeeded,
  surplusOf,
} from "../../materializer/pool.ts";
import { SandboxCell } from "../../sandbox/cell.ts";
import { type Exchange, MAX_SANDBOXES } from "../../sandbox/exchange.ts";
import type { ShellParts } from "../../sandbox/shell/parts.ts";
import type { Images } from "./images.ts";
import { MemoryMeter } from "./memory-meter.ts";
import { BASE, type PoolSettings } from "./protocol.ts";
import { poolFull } from "./run-errors.ts";

/** How often the pool looks for what has stood idle, and at its memory. In each look it lets go of one at most. */
export const LOOK_MS = 250;
/** For so long a task of the host, or a session, waits for a sandbox when none may be made. */
const WAIT_MS = 10_000;
/** Images whose last use is known; a sandbox whose image was used before all of these is as good as any other such. */
const KNOWN_USES = 2048;

type Why = Pick<PoolEvent, "cause" | "reason">;
/** What the pool tells; when, and how many sandboxes there are, is added to it. */
export type PoolNews = Omit<PoolEvent, "at">;

export interface PoolEvents {
  told(news: PoolNews): void;
  /** A sandbox that something waits for could not be made: it cannot go on. */
  failed(error: Error): void;
  changed(): void;
}

export interface PoolOptions {
  readonly parts: Promise<ShellParts>;
  readonly images: Images;
  readonly exchange: Exchange;
  readonly settings: PoolSettings;
  readonly events: PoolEvents;
}

export class CellPool {
  readonly #parts: Promise<ShellParts>;
  readonly #images: Images;
  readonly #events: PoolEvents;
  readonly #exchange: Exchange;
  readonly #settings: PoolSettings;
  readonly #meter: MemoryMeter;
  /**
   * Idle as far as this thread knows, in the order in which they became so, and since when: a component may have called one of them
   * directly.
   */
  readonly #idle = new Map<SandboxCell, number>();
  readonly #all = new Set<SandboxCell>();
  readonly #discarded = new WeakMap<SandboxCell, Promise<boolean>>();
  readonly #killing = new Set<Promise<boolean>>();
  /** Being put back to their image: idle in about a millisecond. */
  readonly #resetting = new Set<SandboxCell>();
  /** The number of the use in which an image was last taken. */
  readonly #usedAt = new Map<number, number>();
  #uses = 0;
  #making = 0;
  #next = 0;
  #failure: Error | undefined;
  #failures = 0;
  /** What forbids one more sandbox, since the last that was made. */
  #refused: Refusal | undefined;
  #started = false;
  /** A thread without a sandbox: who makes one on demand need not wait for the thread. */
  #ahead: SandboxCell | undefined;
  /** As many are kept: raised while a session has one of them. */
  min_warm: number;
  /** Whose image new sandboxes get. */
  application = BASE;

  constructor({ parts, images, exchange, settings, events }: PoolOptions) {
    this.#exchange = exchange;
    this.#parts = parts;
    this.#images = images;
    this.#settings = settings;
    this.#meter = new MemoryMeter(images);
    this.#events = events;
    this.min_warm = settings.min_warm;
  }

  get idle(): number {
    let idle = 0;
    for (const cell of this.#idle.keys()) if (cell.idle) idle++;
    return idle;
  }
  get coming(): number {
    return this.#resetting.size + this.#making;
  }
  /** Threads that are being ended: their memory is not free yet. */
  get leaving(): number {
    return this.#killing.size;
  }
  get size(): number {
    return this.#all.size;
  }
  get memory_bytes(): number {
    return this.#meter.read();
  }

  /** The first sandbox, in a thread that was started ahead. When it is there the pool keeps itself. @returns whether it was made */
  async start(ahead: SandboxCell): Promise<boolean> {
    this.#next++;
    const made = await this.#make({ cause: "start", reason: "the first" }, ahead);
    this.#started = true;
    return made;
  }

  /** Something waits that could use so many sandboxes at once. @returns why no more are made for it, where that is so */
  demand(wanted: number): Refusal | undefined {
    return this.#makeNeeded(wanted);
  }

  /** Keeps as many as are to be kept. */
  tend(): void {
    // What failed once is tried again when somebody asks for it, and not over and over.
    if (this.#started && !this.#failure) this.#makeNeeded(0);
  }

  #makeNeeded(wanted: number, making = this.#making): Refusal | undefined {
    const need = sandboxesNeeded(this.#counts(wanted, making));
    if (!need) return undefined;
    const { count, cause, reason } = need;
    for (let made = 0; made < count; made++) {
      const refusal = this.#refusal();
      if (refusal) return refusal;
      void this.#make({ cause, reason });
    }
    return undefined;
  }

  #counts(wanted: number, making: number): PoolCounts {
    const { reserve } = this.#settings;
    const { size: sandboxes, coming, min_warm } = this;
    // Counting them looks at memory that other threads write: only where it matters.
    const idle = wanted > 0 || reserve > 0 ? this.idle : 0;
    return { sandboxes, idle, coming, making, min_warm, reserve, wanted };
  }

  #refusal(): Refusal | undefined {
    const { bound_bytes } = this.#settings;
    const memory_bytes = bound_bytes === undefined ? 0 : this.#meter.read();
    const room = { sandboxes: this.size, making: this.#making, limit: MAX_SANDBOXES, memory_bytes, bound_bytes };
    const refusal = refusalOf(room);
    // Told once, and not for each that waits.
    if (refusal && refusal.cause !== this.#refused?.cause) this.#tell("refused", refusal);
    this.#refused = refusal;
    return refusal;
  }

  /** Makes a sandbox in a thread of its own, or in one that was started ahead. @returns whether it was made. */
  async #make(why: Why, ahead?: SandboxCell): Promise<boolean> {
    // Somebody waits for the one that was started ahead.
    const options = { warm: ahead === undefined };
    const start = performance.now();
    let cell = ahead;
    this.#making++;
    try {
      cell ??= this.#ahead ?? this.#startThread();
      this.#ahead = undefined;
      this.#all.add(cell);
      const parts = await this.#parts;
      this.#meter.base_bytes = parts.record.data_bytes;
      const made = cell;
      await this.#images.using(this.application, (image) => made.make(parts, image, options));
      this.#idle.set(made, performance.now());
      this.#failure = undefined;
      this.#tell("made", why, made, Math.round((performance.now() - start) * 1000) / 1000);
      return true;
    } catch (error) {
      if (cell) {
        this.#all.delete(cell);
        if (await cell.kill()) cell.close();
      }
      this.#failures++;
      this.#failure = error instanceof Error ? error : new InternalError(String(error));
      this.#tell("discarded", { cause: "failed", reason: `it could not be made: ${this.#failure.message}` }, cell);
      if (why.cause === "demand" || why.cause === "start") this.#events.failed(this.#failure);
      return false;
    } finally {
      this.#making--;
      this.#events.changed();
      // When no other is being made: those would wait for its CPU.
      if (this.#settings.thread_ahead && this.#making === 0 && this.size < MAX_SANDBOXES - 1)
        this.#ahead ??= this.#startThread();
    }
  }

  #startThread(): SandboxCell {
    return new SandboxCell(this.#next++, this.#exchange);
  }

  /** Why the last sandbox could not be made. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** An idle cell for a component of this image, which nobody else can have now; and why this one. */
  take(image: number): { readonly cell: SandboxCell; readonly reason: string } | undefined {
    for (;;) {
      const idle: SandboxCell[] = [];
      for (const cell of this.#idle.keys()) if (cell.idle) idle.push(cell);
      const chosen = chooseSandbox(idle, image, (of) => this.#usedAt.get(of) ?? 0);
      if (!chosen) return undefined;
      // Another component may have called it a moment ago: then it is not idle in the next look.
      if (!chosen.take.take()) continue;
      this.#idle.delete(chosen.take);
      this.#used(image);
      return { cell: chosen.take, reason: chosen.reason };
    }
  }

  /**
   * A cell for work that is no component, as soon as one is idle. Another is made if none comes free by itself.
   * @throws PoolFull, and why none could be made
   */
  async takeSoon(image: number): Promise<SandboxCell> {
    const since_ms = performance.now();
    for (;;) {
      const taken = this.take(image);
      if (taken) return taken.cell;
      if (this.coming === 0) {
        const refusal = this.demand(1);
        if (refusal && performance.now() - since_ms > WAIT_MS) throw poolFull(refusal);
      }
      const failures = this.#failures;
      await new Promise((resolve) => setTimeout(resolve, 1));
      if (this.#failure && this.#failures > failures) throw this.#failure;
    }
  }

  #used(image: number): void {
    this.#usedAt.set(image, ++this.#uses);
    if (this.#usedAt.size <= KNOWN_USES) return;
    for (const [known, use] of this.#usedAt) if (use < this.#uses - KNOWN_USES / 2) this.#usedAt.delete(known);
  }

  /**
   * Lets go of one sandbox, if it is not needed or memory is short; and makes those that were refused before, if it no longer is.
   * @returns by how much memory is short, when no sandbox that could be let go stands idle or is on its way out
   */
  look(): { readonly value: number; readonly bound: number } | undefined {
    const { reserve, idle_ms: limit_ms, bound_bytes } = this.#settings;
    const memory_bytes = bound_bytes === undefined ? 0 : this.#meter.read();
    const { size: sandboxes, idle, min_warm } = this;
    for (const [cell, since_ms] of this.#idle) {
      const idle_ms = performance.now() - since_ms;
      const why = surplusOf({ sandboxes, idle, min_warm, reserve, idle_ms, limit_ms, memory_bytes, bound_bytes });
      if (!why) break;
      if (!cell.take()) continue;
      void this.discard(cell, { what: "let-go", ...why });
      return undefined;
    }
    if (this.#refused) this.#events.changed();
    if (bound_bytes === undefined || memory_bytes <= bound_bytes || this.leaving > 0) return undefined;
    return { value: memory_bytes, bound: bound_bytes };
  }

  /** The cell of this slot, which a component called directly. */
  called(slot: number): SandboxCell | undefined {
    for (const cell of this.#all) {
      if (cell.slot !== slot) continue;
      this.#idle.delete(cell);
      this.#used(cell.image);
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
    this.#idle.set(cell, performance.now());
    this.#events.changed();
  }

  /** Ends the cell's thread. @returns false when the thread does not end. */
  discard(cell: SandboxCell, why: Pick<PoolEvent, "what" | "cause" | "reason">): Promise<boolean> {
    let gone = this.#discarded.get(cell);
    if (!gone) this.#discarded.set(cell, (gone = this.#end(cell, why)));
    return gone;
  }

  async #end(cell: SandboxCell, { what, ...why }: Pick<PoolEvent, "what" | "cause" | "reason">): Promise<boolean> {
    this.#resetting.delete(cell);
    this.#all.delete(cell);
    this.#idle.delete(cell);
    this.#tell(what, why, cell);
    const killed = cell.kill();
    this.#killing.add(killed);
    const gone = await killed;
    this.#killing.delete(killed);
    if (!gone) return false;
    // It may have called one that the dispatcher does not know of yet.
    const called = [...this.#all].filter((other) => other.calledBy(cell.slot));
    const of = { what: "discarded", cause: "failed", reason: "what called it there was ended" } as const;
    const calledGone = await Promise.all(called.map((callee) => this.discard(callee, of)));
    // As long as one that it called lives, that one may write an answer to its slot.
    const allGone = [...calledGone, ...(await Promise.all(this.#killing))].every((ended) => ended);
    if (!allGone) return false;
    cell.close();
    // Replaced at once, whatever else is being made: who lost several goes on as soon as others do.
    if (what === "discarded" && !this.#failure) this.#makeNeeded(0, 0);
    this.#events.changed();
    return true;
  }

  #tell(what: PoolEvent["what"], { cause, reason }: Why, cell?: SandboxCell, ms?: number): void {
    const { size: sandboxes, idle } = this;
    const of = { ...(cell ? { sandbox: cell.id } : {}), ...(ms === undefined ? {} : { ms }) };
    this.#events.told({ what, cause, reason, ...of, sandboxes, idle });
  }
}

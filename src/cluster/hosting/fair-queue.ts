/**
 * Who may run next: as many invocations at a time as there are workers, and where more wait, functions take turns, so that a flood
 * for one does not starve another. Nobody waits without a bound.
 */
import { Overloaded } from "../../graph/errors.ts";

export interface QueueLimits {
  /** Invocations at a time. */
  readonly workers: number;
  /** Invocations that wait, of one function. */
  readonly waiting_per_function: number;
  /** Of all functions. */
  readonly waiting: number;
}

interface Waiter {
  readonly enter: () => void;
  readonly leave: (reason: unknown) => void;
}

interface Line {
  readonly waiters: Waiter[];
  running: number;
  concurrency: number;
}

/** When to try again: the time in which an invocation of some milliseconds has long made room. */
export const RETRY_AFTER_MS = 1000;

export class FairQueue {
  readonly #limits: QueueLimits;
  /** In the order of turns: who had one goes to the end. */
  readonly #lines = new Map<string, Line>();
  #running = 0;
  #waiting = 0;

  constructor(limits: QueueLimits) {
    this.#limits = limits;
  }

  get running(): number {
    return this.#running;
  }
  get waiting(): number {
    return this.#waiting;
  }

  of(name: string): { readonly running: number; readonly waiting: number } {
    const line = this.#lines.get(name);
    return { running: line?.running ?? 0, waiting: line?.waiters.length ?? 0 };
  }

  /**
   * Resolves when it may run; it must be followed by {@link exit}. Rejects with the signal's reason while it waits.
   * `unbounded`: it waits however many wait already, for its place is kept elsewhere.
   * @throws Overloaded at once, when too many wait
   */
  async enter(
    name: string,
    concurrency: number,
    { signal, unbounded = false }: { signal?: AbortSignal | undefined; unbounded?: boolean } = {},
  ): Promise<void> {
    const line = this.#lines.get(name) ?? { waiters: [], running: 0, concurrency };
    line.concurrency = concurrency;
    this.#lines.set(name, line);
    if (this.#running < this.#limits.workers && line.running < concurrency && line.waiters.length === 0) {
      this.#start(line);
      return;
    }
    if (!unbounded) this.#refuseIfFull(name, line);
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter = { enter: resolve, leave: reject };
    line.waiters.push(waiter);
    this.#waiting++;
    const onAbort = (): void => {
      const at = line.waiters.indexOf(waiter);
      if (at < 0) return;
      line.waiters.splice(at, 1);
      this.#waiting--;
      reject(signal?.reason as Error);
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      await promise;
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }

  exit(name: string): void {
    const line = this.#lines.get(name);
    if (!line) return;
    this.#running--;
    line.running--;
    this.#next();
    if (line.running === 0 && line.waiters.length === 0) this.#lines.delete(name);
  }

  #start(line: Line): void {
    line.running++;
    this.#running++;
  }

  #next(): void {
    for (const [name, line] of this.#lines) {
      if (this.#running >= this.#limits.workers) return;
      if (line.waiters.length === 0 || line.running >= line.concurrency) continue;
      const waiter = line.waiters.shift() as Waiter;
      this.#waiting--;
      this.#start(line);
      this.#lines.delete(name);
      this.#lines.set(name, line);
      waiter.enter();
      return this.#next();
    }
  }

  #refuseIfFull(name: string, line: Line): void {
    const { waiting_per_function, waiting } = this.#limits;
    const refuse = (text: string, limit: string, bound: number, value: number): never => {
      throw new Overloaded(`${text}: try again later`, { limit, bound, value, retry_after_ms: RETRY_AFTER_MS });
    };
    if (line.waiters.length >= waiting_per_function)
      refuse(
        `${line.waiters.length} invocations of ${name} wait, and ${waiting_per_function} are allowed`,
        "waiting_per_function",
        waiting_per_function,
        line.waiters.length + 1,
      );
    if (this.#waiting >= waiting)
      refuse(`${this.#waiting} invocations wait, and ${waiting} are allowed`, "waiting", waiting, this.#waiting + 1);
  }
}

/** What the pool of a host did: how often since the start, and the last of it with its reasons. */
import type { PoolEvent } from "../../graph/pool.ts";

const KEPT = 20;

export class PoolLog {
  readonly #counts: Record<PoolEvent["what"], number> = { made: 0, "let-go": 0, discarded: 0, refused: 0 };
  readonly #recent: PoolEvent[] = [];

  add(event: PoolEvent): void {
    this.#counts[event.what]++;
    this.#recent.push(event);
    if (this.#recent.length > KEPT) this.#recent.shift();
  }

  get counts(): Readonly<Record<PoolEvent["what"], number>> {
    return { ...this.#counts };
  }
  /** The last one at the end. */
  get recent(): readonly PoolEvent[] {
    return [...this.#recent];
  }
}

/** A run's events: kept from the first, so that an iteration may begin whenever it likes. */
import type { RunEvent } from "../graph/events.ts";

export class EventLog implements AsyncIterable<RunEvent> {
  readonly events: RunEvent[] = [];
  #ended = false;
  #more = Promise.withResolvers<void>();

  push(events: readonly RunEvent[]): void {
    this.events.push(...events);
    this.#wake();
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  #wake(): void {
    const { resolve } = this.#more;
    this.#more = Promise.withResolvers<void>();
    resolve();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<RunEvent> {
    for (let at = 0; ;) {
      const more = this.#more.promise;
      while (at < this.events.length) yield this.events[at++] as RunEvent;
      if (this.#ended && at >= this.events.length) return;
      await more;
    }
  }
}

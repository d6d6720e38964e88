/** Logs of functions: written in batches, followed live, the last lines of each function kept. */
import type { LogLine } from "./bundle.ts";
import type { HostDatabase, NewLogLine } from "./database.ts";

/** A line may be lost with the process for as long as this. */
const FLUSH_MS = 100;
const KEPT_LINES_PER_FUNCTION = 10_000;
/** A batch is written at once above this, so that a flood of output does not pile up. */
const MAX_BATCH = 2000;

type Follower = (line: LogLine) => void;

export class LogBook {
  readonly #database: HostDatabase;
  readonly #followers = new Map<string, Set<Follower>>();
  #pending: NewLogLine[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(database: HostDatabase) {
    this.#database = database;
  }

  add(line: NewLogLine): void {
    this.#pending.push(line);
    if (this.#pending.length >= MAX_BATCH) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), FLUSH_MS);
  }

  lines(name: string, options: { after?: number; limit: number }): LogLine[] {
    this.flush();
    return this.#database.logLines(name, options);
  }

  /** Calls `follower` for every line from now on. @returns what ends it */
  follow(name: string, follower: Follower): () => void {
    const followers = this.#followers.get(name) ?? new Set();
    this.#followers.set(name, followers.add(follower));
    return () => {
      followers.delete(follower);
      if (followers.size === 0) this.#followers.delete(name);
    };
  }

  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const lines = this.#pending;
    if (lines.length === 0) return;
    this.#pending = [];
    let id = this.#database.addLogLines(lines, KEPT_LINES_PER_FUNCTION);
    for (const { name, at_ms, ...line } of lines) {
      const told = { id: id++, at: new Date(at_ms).toISOString(), ...line };
      for (const follower of this.#followers.get(name) ?? []) follower(told);
    }
  }
}

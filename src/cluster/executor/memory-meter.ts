/** What this process holds. Cheap enough to be asked before each sandbox: the proportional set size would take milliseconds. */
import { openSync, readSync } from "node:fs";
import { InternalError } from "../../graph/errors.ts";
import { store } from "../../fabric/store.ts";

const STATUS_BYTES = 4096;
/** Asked again within this it answers as before. */
const FRESH_MS = 10;

export class MemoryMeter {
  readonly #images: { readonly open_bytes: number };
  /** Of the base image, which is shared. */
  base_bytes = 0;
  readonly #status = openSync("/proc/self/status", "r");
  readonly #text = Buffer.alloc(STATUS_BYTES);
  #known: { readonly at_ms: number; readonly bytes: number } | undefined;

  constructor(images: { readonly open_bytes: number }) {
    this.#images = images;
  }

  /** Pages that nobody shares (heaps of guests and of V8, compiled code), memory components, and images once. */
  read(): number {
    const at_ms = performance.now();
    if (this.#known && at_ms - this.#known.at_ms < FRESH_MS) return this.#known.bytes;
    const length = readSync(this.#status, this.#text, 0, STATUS_BYTES, 0);
    const { used_bytes, idle_bytes } = store.storeStats();
    const [, kib] = /RssAnon:\s+(\d+) kB/.exec(this.#text.toString("latin1", 0, length)) ?? [];
    if (kib === undefined) throw new InternalError("/proc/self/status has no RssAnon");
    const bytes = Number(kib) * 1024 + used_bytes + idle_bytes + this.base_bytes + this.#images.open_bytes;
    this.#known = { at_ms, bytes };
    return bytes;
  }
}

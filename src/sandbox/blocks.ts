/**
 * Blocks: large arrays of a component that lie in the window from the start, so that a result is handed on where it is, and its pages are
 * neither copied nor put back (docs/fabric.md, "Blocks"). They are heap: the component's own, within its heap's bound, gone with it.
 */
import type { Space } from "../fabric/native.ts";
import { store } from "../fabric/store.ts";
import { NO_ACCOUNT } from "./messages.ts";
import type { BlockCalls } from "./shell/allocator-module.ts";

/** Each is a mapping, of which a process has 65,530. */
const MAX_BLOCKS = 256;
/** Freed ones that wait for an array of their size: of temporaries in a loop. */
const MAX_FREE_BLOCKS = 8;
const MAX_FREE_BYTES = 64 * 1024 * 1024;
const PAGE_BYTES = 4096;

export interface Block {
  readonly region: number;
  readonly address: number;
  /** Whole pages. */
  readonly bytes: number;
}

/** What they need of their sandbox. */
export interface BlockHost {
  /** Of the run whose component is running, or NO_ACCOUNT. */
  account(): number;
  /** What the component's memory may grow by, blocks counted. */
  room_bytes(): number;
  /** There is one more. */
  given(): void;
  space(): Space;
  memory(): Uint8Array;
}

export class Blocks implements BlockCalls {
  readonly #host: BlockHost;
  readonly #live = new Map<number, Block>();
  #free: Block[] = [];
  #bytes = 0;
  #peak_bytes = 0;
  readonly #adopted = new Set<number>();
  #adopted_bytes = 0;

  constructor(host: BlockHost) {
    this.#host = host;
  }

  /** Of those that are in use or wait for the next array. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Lets go of those that wait. */
  trim(): void {
    while (this.#free.length > 0) this.#drop();
  }

  give(least_bytes: number, zeroed: number): number {
    const bytes = Math.ceil((least_bytes >>> 0) / PAGE_BYTES) * PAGE_BYTES;
    const block = this.#takeFree(bytes, zeroed !== 0) ?? this.#make(bytes);
    if (!block) return 0;
    this.#live.set(block.address, block);
    return block.address;
  }

  take(signed: number): void {
    const block = this.#live.get(signed >>> 0);
    // What was handed on stays where it is until the reset: nobody else may have these pages.
    if (!block || this.#adopted.has(block.region)) return;
    this.#live.delete(block.address);
    this.#free.push(block);
    while (this.#free.length > MAX_FREE_BLOCKS || this.#freeBytes() > MAX_FREE_BYTES) this.#drop();
  }

  size(signed: number): number {
    return this.#live.get(signed >>> 0)?.bytes ?? 0;
  }

  /**
   * The block in which these bytes lie becomes a region of the run; `fresh`: only now. Not if they are a small part of it: all of it would
   * stay for their sake. @throws MemoryCapExceeded
   */
  adopt(address: number, bytes: number): (Block & { readonly fresh: boolean }) | undefined {
    const block = this.#find(address);
    if (!block || bytes * 2 < block.bytes) return undefined;
    const fresh = !this.#adopted.has(block.region);
    if (fresh) {
      store.regionAdopt(block.region);
      this.#adopted.add(block.region);
      this.#adopted_bytes += block.bytes;
    }
    return { ...block, fresh };
  }

  /** After the reset of the memory, which has unmapped them. @returns the most bytes that the component had, less what it handed on */
  reset(): number {
    const own_bytes = this.#peak_bytes - this.#adopted_bytes;
    if (this.#peak_bytes > 0) {
      this.#live.clear();
      this.#free = [];
      this.#adopted.clear();
      this.#bytes = this.#peak_bytes = this.#adopted_bytes = 0;
    }
    return own_bytes;
  }

  #find(address: number): Block | undefined {
    for (const block of this.#live.values())
      if (address >= block.address && address < block.address + block.bytes) return block;
    return undefined;
  }

  #takeFree(bytes: number, zeroed: boolean): Block | undefined {
    const at = this.#free.findLastIndex((block) => block.bytes === bytes);
    if (at < 0) return undefined;
    const [block] = this.#free.splice(at, 1) as [Block];
    if (zeroed) this.#host.memory().fill(0, block.address, block.address + bytes);
    return block;
  }

  #make(bytes: number): Block | undefined {
    const account = this.#host.account();
    if (account === NO_ACCOUNT || this.#live.size >= MAX_BLOCKS) return undefined;
    while (bytes > this.#host.room_bytes() && this.#free.length > 0) this.#drop();
    if (bytes > this.#host.room_bytes()) return undefined;
    try {
      const region = store.regionAllocateHeap(account, bytes);
      // Mapped, it is held by its mapping alone.
      try {
        const address = this.#host.space().attach(region, true, true);
        this.#bytes += bytes;
        this.#peak_bytes = Math.max(this.#peak_bytes, this.#bytes);
        this.#host.given();
        return { region, address, bytes };
      } finally {
        store.regionRelease(region);
      }
    } catch {
      // The fabric or the window is full: the array lies in the heap, as it always did.
      return undefined;
    }
  }

  #drop(): void {
    const block = this.#free.shift();
    if (!block) return;
    this.#bytes -= block.bytes;
    this.#host.space().detach(block.region);
  }

  #freeBytes(): number {
    return this.#free.reduce((total, { bytes }) => total + bytes, 0);
  }
}

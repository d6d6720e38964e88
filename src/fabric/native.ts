/**
 * The native addon as it is: raw types, and the loading of it. Behind it lie the mappings of linear memories, which
 * JavaScript cannot make; no address ever comes out of it, only ids, offsets in a linear memory, and sizes in bytes.
 *
 * Images, accounts and regions belong to the process: an id that one worker thread got is good in every other. A `Space`
 * belongs to the thread that made it. Errors are those of `native-errors.ts`.
 */
import { createRequire } from "node:module";
import { createFabricError } from "./native-errors.ts";

export interface OpenedImage {
  readonly id: number;
  readonly bytes: number;
  /** Memory that it holds besides its base. */
  readonly own_bytes: number;
  /** Of a base's file. */
  readonly content_hash: string;
}

export interface StoreOptions {
  /** Rounded up to 2 MiB; a region that is larger gets a slab of its own. */
  readonly slab_bytes: number;
  /** What all regions together may take. */
  readonly capacity_bytes: number;
  /** How much zeroed, resident memory to keep for the next regions; what is freed above it goes back to the kernel. */
  readonly idle_bytes: number;
}

export interface StoreStats {
  readonly regions: number;
  readonly used_bytes: number;
  readonly idle_bytes: number;
  readonly slabs: number;
  readonly accounts: number;
  readonly zero_pending_bytes: number;
}

export interface AccountStats {
  readonly regions: number;
  readonly used_bytes: number;
  readonly peak_bytes: number;
}

export interface FreedRegion {
  readonly region: number;
  readonly at_ms: number;
}

export interface RegionInfo {
  readonly bytes: number;
  readonly account: number;
  readonly references: number;
}

/** Bytes of a file. */
export interface FilePart {
  readonly path: string;
  readonly offset: number;
  readonly bytes: number;
}

/** Which physical pages a region has: equal means the same pages. */
export interface RegionPhysical {
  readonly slab: number;
  readonly offset: number;
}

export interface SpaceOptions {
  /** Both multiples of 64 KiB. */
  readonly window_offset: number;
  readonly window_bytes: number;
}

export interface ResetSummary {
  readonly dirty_pages: number;
  readonly tail_bytes: number;
  readonly regions_detached: number;
  /** Page tables were read to find the dirty pages; false when this thread had no page fault since `enter`. */
  readonly scanned: boolean;
}

export interface DeltaSummary {
  readonly pages: number;
  readonly bytes: number;
}

export interface Attachment {
  readonly region: number;
  readonly offset: number;
  readonly bytes: number;
  readonly writable: boolean;
}

export interface ProcessMemory {
  readonly pss_bytes: number;
  readonly rss_bytes: number;
  readonly fds: number;
  readonly mappings: number;
}

export interface NativeCapabilities {
  /** Dirty pages are found by the PAGEMAP_SCAN ioctl (Linux 6.7), and else by reading /proc/self/pagemap. */
  readonly pagemap_scan: boolean;
  readonly pagemap: boolean;
  readonly userfaultfd: boolean | "user-mode";
  readonly memfd: boolean;
  readonly shmem_thp: boolean;
  readonly kernel: string;
}

/**
 * One sandbox's linear memory. Call `close()` before letting go of the memory: a Space is not collected before that, so
 * that guest code never reaches a region that was given up.
 *
 * After `memory.grow` everything but `attach`, `detach`, `strayWrites` and `attachments` throws `StaleMemoryError` until
 * `rebind` is called. After a `SystemError` of any method but `writeDelta` the sandbox is fit only for being discarded.
 */
export interface Space {
  /** Throws `BaseMovedError` if the memory moved. */
  rebind(memory: Uint8Array): void;
  /**
   * Maps an image around the window, zeros elsewhere; detaches every region. The memory must be long enough. `untouched`: it is as the
   * last `reset` or `mapImage` left it, but for what the image to come has anew: going to another application's image is quicker then.
   */
  mapImage(image: number, untouched: boolean): void;
  /** The guest is about to run: a reset that follows without a page fault in between need not look for dirty pages. */
  enter(): void;
  /** Back to the image; detaches every region and forgets its stray writes. */
  reset(): ResetSummary;
  /** Pages outside the window whose content differs from the image's; past the image: that are not zero. */
  dirtyPages(): Uint32Array;
  /** Those pages as a file for `imageOpen`, relative to the mapped image. */
  writeDelta(path: string, image_bytes: number): DeltaSummary;
  /** Memory outside the window that this sandbox does not share. */
  privateBytes(): number;
  /**
   * The offset at which the region now lies. `populate`: it will be used at once, so its pages are mapped now. Attaching again counts up; asking for `writable` later turns the mapping
   * writable in place, or throws `StrayWriteError` if it was written to before.
   */
  attach(region: number, writable: boolean, populate: boolean): number;
  /** Counts down; at zero zeros take the region's place. */
  detach(region: number): void;
  /** Regions attached read-only, now or since the last `reset` or `mapImage`, that were written to all the same. */
  strayWrites(): number[];
  attachments(): Attachment[];
  /** Zeros over everything that was mapped. Can be called again. */
  close(): void;
}

export interface Native {
  /**
   * Reads a (sparse) base image into sealed memory, or a delta over one, off the thread. A base is read once as long as it is in use; a
   * delta of up to 8 MiB that does not change its length costs its own pages only.
   */
  imageOpen(base_path: string, delta_path: string | null): Promise<OpenedImage>;
  /** Forgets the id; the memory stays while a Space has it mapped. */
  imageClose(image: number): void;
  imageInfo(image: number): { readonly bytes: number };

  storeConfigure(options: StoreOptions): void;
  storeStats(): StoreStats;

  accountOpen(limit_bytes: number): number;
  /** Frees every region that is left in it. */
  accountClose(account: number): { readonly regions_freed: number };
  accountStats(account: number): AccountStats;
  /** What was freed in the account since the last call; times are milliseconds of the wall clock. */
  accountFreed(account: number): FreedRegion[];

  /** Zeroed memory, in whole pages of 4096 bytes, with one reference for the caller. */
  regionAllocate(account: number, bytes: number): number;
  /** The same as a part of a sandbox's heap: it ends with the account, which neither pays for it nor tells that it was freed. */
  regionAllocateHeap(account: number, bytes: number): number;
  /** A piece of heap becomes a region like others, which the account pays for. Nothing, if it is one. */
  regionAdopt(region: number): void;
  regionRetain(region: number): void;
  /** True if that was the last reference. */
  regionRelease(region: number): boolean;
  regionInfo(region: number): RegionInfo;
  /** Copies out for the host; components never exchange data this way. */
  regionRead(region: number, offset: number, out: Uint8Array): void;
  /**
   * A region that holds copies of these pieces of a sandbox's memory and else zeros, with one reference for the caller: what
   * publication is (docs/fabric.md, "Copies"). Each piece is three numbers: address, bytes, offset in the region.
   */
  regionPublish(account: number, bytes: number, memory: Uint8Array, pieces: readonly number[]): number;
  regionPhysical(region: number): RegionPhysical;

  /** `memory` views the whole buffer of a `WebAssembly.Memory`. */
  spaceCreate(memory: Uint8Array, options: SpaceOptions): Space;

  /**
   * Writes the machine code that V8 has optimized of modules until now, for `modulesCompile` in other processes; returns how many
   * bytes that are. Without a path it only counts. `budgets`: V8's `wasm-tiering-budget`, and what it is to be for what did not run.
   */
  codeWrite(
    path: string | null,
    modules: readonly WebAssembly.Module[],
    budgets: { readonly budget: number; readonly usual_budget: number },
  ): number;
  /**
   * Compiles modules, with the code that such a file has of them: of those that have some (`offered`), `used` were what it was made
   * of, under the same V8, processor and flags. Throws `BadImageError` for a file that is damaged.
   */
  modulesCompile(
    sources: readonly FilePart[],
    code_path: string | null,
  ): { readonly modules: Promise<WebAssembly.Module>[]; readonly offered: number; readonly used: number };

  processMemory(): ProcessMemory;
  /** CPU time of the calling thread since it began. */
  threadCpuMs(): number;
  capabilities(): NativeCapabilities;
}

interface Addon extends Native {
  setErrorFactory(factory: typeof createFabricError): void;
}

function load(): Native {
  const require = createRequire(import.meta.url);
  const addon = require("../../native/build/Release/sandloom.node") as Addon;
  addon.setErrorFactory(createFabricError);
  return addon;
}

export const native: Native = load();

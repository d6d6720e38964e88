/**
 * Fills the free places of a heap before its image is written. Python's allocator here is dlmalloc, which gives a small block the
 * hole that fits it best, anywhere in 60 MiB: a component that made a few hundred objects dirtied a hundred pages for them, and the
 * delta of an application of ten lines held 800. With no holes left, what is made next lies close together at the heap's end.
 */
import type { EmscriptenModule } from "../runtime/emscripten.ts";

type Allocate = (bytes: number) => number;

/** Fields of `struct mallinfo`: the last is the size of the free block at the end of the heap. */
const MALLINFO_WORDS = 10;
/** More than what dlmalloc keeps behind that block for itself (TOP_FOOT_SIZE): it begins this much later, at most. */
const FOOT_BYTES = 256;
/** Larger holes are dense enough; an application's are left free, for they count in the limit of its components' heap. */
const LARGE_BYTES = 64 * 1024;
const SMALLEST_BYTES = 12;
const STEP_BYTES = 8;

export interface HoleOptions {
  /** Fill those of 64 KiB and more too. */
  readonly large: boolean;
}

/** What was filled is zeros and belongs to nobody, for ever; what is free at the heap's end is zeros too. */
export function fillHoles(module: EmscriptenModule, { large }: HoleOptions): void {
  const { PyGC_Collect, malloc, free, mallinfo } = module.__sandloom.wasmExports as {
    PyGC_Collect: () => number;
    malloc: Allocate;
    free: (pointer: number) => void;
    mallinfo: (result: number) => void;
  };
  // Python keeps freed objects of the usual types for the next ones, wherever they lie; a full collection lets go of them.
  PyGC_Collect();
  const words = (): Uint32Array => new Uint32Array(module.HEAPU8.buffer);
  const info = malloc(MALLINFO_WORDS * 4) >>> 0;
  mallinfo(info);
  const breakAt = words()[module._emscripten_get_sbrk_ptr() >>> 2] as number;
  const end = breakAt - (words()[(info >>> 2) + MALLINFO_WORDS - 1] as number) - FOOT_BYTES;
  /** Takes every hole of at least `bytes`. */
  const fill = (bytes: number): number[] => {
    const taken: number[] = [];
    // Near the end it is not known whether it is a hole: those are given back, but only when all others are taken.
    const near: number[] = [];
    for (;;) {
      const pointer = malloc(bytes) >>> 0;
      if (pointer > 0 && pointer < end) {
        module.HEAPU8.fill(0, pointer, pointer + bytes);
        taken.push(pointer);
        continue;
      }
      near.push(pointer);
      if (pointer > 0 && pointer < end + FOOT_BYTES) continue;
      near.forEach((each) => free(each));
      return taken;
    }
  };
  const largest = fill(LARGE_BYTES);
  for (let bytes = LARGE_BYTES / 2; bytes > 512; bytes /= 2) fill(bytes);
  for (let bytes = 508; bytes >= SMALLEST_BYTES; bytes -= STEP_BYTES) fill(bytes);
  // The free block at the end: it holds what was freed there, and behind its head nothing of the allocator's.
  // A block that fits in no hole that may be left near it begins where that one begins.
  const last = malloc(4 * FOOT_BYTES) >>> 0;
  free(last);
  module.HEAPU8.fill(0, last, breakAt - FOOT_BYTES);
  if (!large) largest.forEach((each) => free(each));
}

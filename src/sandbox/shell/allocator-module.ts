/**
 * The four functions of NumPy's memory handler (`PyDataMem_Handler`), as WebAssembly: an array from {@link BLOCK_LEAST_BYTES} on lies
 * in a block that the host gives, in the window (docs/fabric.md, "Blocks"). A smaller one, or one for which the host has no block, is
 * NumPy's own business, by way of the functions that were its handler's before.
 */
import type { AllocatorRecord } from "../image/format.ts";

/** For less, a copy costs no more than a mapping without huge pages. */
const BLOCK_LEAST_BYTES = 2 * 1024 * 1024;
/** np.intp has 32 bits. */
const BLOCK_MOST_BYTES = 2 ** 31 - 1;

/** What the host does for them. No block: address 0. */
export interface BlockCalls {
  give(bytes: number, zeroed: number): number;
  take(address: number): void;
  size(address: number): number;
}

/** In the order of their slots in the function table. */
export const ALLOCATOR_FUNCTIONS = ["malloc", "calloc", "realloc", "free"] as const;

const [I32, I64, FUNCREF, FUNCTION, EMPTY] = [0x7f, 0x7e, 0x70, 0x60, 0x40];
const [IF, END, RETURN, CALL, CALL_INDIRECT, SELECT] = [0x04, 0x0b, 0x0f, 0x10, 0x11, 0x1b];
const [GET, TEE] = [0x20, 0x22];
const [I32_CONST, I64_CONST, I32_EQZ, I32_LT_U, I32_GE_U, I64_LE_U, I64_GE_U] = [
  0x41, 0x42, 0x45, 0x49, 0x4f, 0x58, 0x5a,
];
const [I32_SUB, I32_AND, I64_MUL, I32_WRAP, I64_EXTEND_U] = [0x6b, 0x71, 0x7e, 0xa7, 0xad];
const MEMORY_COPY = [0xfc, 0x0a, 0, 0];

const leb = (value: number): number[] =>
  value < 128 ? [value] : [(value & 127) | 128, ...leb(Math.floor(value / 128))];
/** Signed, of a 32-bit pattern. */
const sleb = (value: number): number[] => {
  const out: number[] = [];
  for (let left = value | 0; ; left >>= 7) {
    const [low, rest] = [left & 127, left >> 7];
    const last = (rest === 0 && (low & 64) === 0) || (rest === -1 && (low & 64) !== 0);
    out.push(last ? low : low | 128);
    if (last) return out;
  }
};
const code = (...parts: readonly number[][]): number[] => parts.flat();
const sized = (body: number[]): number[] => [...leb(body.length), ...body];
const text = (value: string): number[] => sized([...Buffer.from(value)]);
const vector = (items: readonly number[][]): number[] => [...leb(items.length), ...items.flat()];
const section = (id: number, items: readonly number[][]): number[] => [id, ...sized(vector(items))];
const i32 = (value: number): number[] => [I32_CONST, ...sleb(value)];
const i64 = (value: number): number[] => [I64_CONST, ...sleb(value)];

// Types and functions by their indices: three imports come first.
const [TWO, THREE, FREE, TAKE, SIZE] = [0, 1, 2, 3, 4];
const [GIVE_AT, TAKE_AT, SIZE_AT, MALLOC_AT] = [0, 1, 2, 3];

/** Imports `memory`, `table` and {@link BlockCalls} of `e`; exports {@link ALLOCATOR_FUNCTIONS}. */
export function allocatorModule(
  { defaults }: AllocatorRecord,
  window: { readonly offset: number; readonly bytes: number },
): WebAssembly.Module {
  const byDefault = (slot: number, type: number, ...locals: number[]): number[] =>
    code(i32(defaults.context), ...locals.map((local) => [GET, local]), i32(slot), [CALL_INDIRECT, type, 0]);
  /** Whether local 1 is no address of the window. */
  const outside = code([GET, 1], i32(window.offset), [I32_SUB], i32(window.bytes), [I32_GE_U]);
  const given = (local: number): number[] => [CALL, GIVE_AT, TEE, local, IF, EMPTY, GET, local, RETURN, END];
  const bodies = {
    // (context, bytes); 2: the block
    malloc: code(
      [GET, 1],
      i32(BLOCK_LEAST_BYTES),
      [I32_GE_U, IF, EMPTY, GET, 1],
      i32(0),
      given(2),
      [END],
      byDefault(defaults.malloc, TWO, 1),
    ),
    // (context, elements, bytes of each); 3: the block, 4: bytes
    calloc: code(
      [GET, 1, I64_EXTEND_U, GET, 2, I64_EXTEND_U, I64_MUL, TEE, 4],
      i64(BLOCK_LEAST_BYTES),
      [I64_GE_U, GET, 4],
      i64(BLOCK_MOST_BYTES),
      [I64_LE_U, I32_AND, IF, EMPTY, GET, 4, I32_WRAP],
      i32(1),
      given(3),
      [END],
      byDefault(defaults.calloc, THREE, 1, 2),
    ),
    // (context, address, bytes); 3: the new place, 4: bytes until now
    realloc: code(
      outside,
      [IF, EMPTY],
      byDefault(defaults.realloc, THREE, 1, 2),
      [RETURN, END, GET, 0, GET, 2, CALL, MALLOC_AT, TEE, 3, I32_EQZ, IF, EMPTY],
      i32(0),
      [RETURN, END, GET, 3, GET, 1, GET, 1, CALL, SIZE_AT, TEE, 4, GET, 2, GET, 4, GET, 2, I32_LT_U, SELECT],
      MEMORY_COPY,
      [GET, 1, CALL, TAKE_AT, GET, 3],
    ),
    // (context, address, bytes)
    free: code(outside, [IF, EMPTY], byDefault(defaults.free, FREE, 1, 2), [RETURN, END, GET, 1, CALL, TAKE_AT]),
  };
  const locals = {
    malloc: [[1, I32]],
    calloc: [
      [1, I32],
      [1, I64],
    ],
    realloc: [[2, I32]],
    free: [],
  };
  const functions = ALLOCATOR_FUNCTIONS.map((name) => sized([...vector(locals[name]), ...bodies[name], END]));
  const bytes = code(
    [0, 97, 115, 109, 1, 0, 0, 0],
    section(1, [
      [FUNCTION, 2, I32, I32, 1, I32],
      [FUNCTION, 3, I32, I32, I32, 1, I32],
      [FUNCTION, 3, I32, I32, I32, 0],
      [FUNCTION, 1, I32, 0],
      [FUNCTION, 1, I32, 1, I32],
    ]),
    section(2, [
      [...text("e"), ...text("give"), 0, TWO],
      [...text("e"), ...text("take"), 0, TAKE],
      [...text("e"), ...text("size"), 0, SIZE],
      [...text("e"), ...text("table"), 1, FUNCREF, 0, 0],
      [...text("e"), ...text("memory"), 2, 0, 0],
    ]),
    section(3, [[TWO], [THREE], [THREE], [FREE]]),
    section(
      7,
      ALLOCATOR_FUNCTIONS.map((name, i) => [...text(name), 0, MALLOC_AT + i]),
    ),
    section(10, functions),
  );
  return new WebAssembly.Module(Uint8Array.from(bytes));
}

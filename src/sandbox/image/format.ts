/** What is recorded beside a heap image, so that a shell can be made that fits it (docs/sandboxes.md tells how and why). */

/** Raised whenever a recorded field changes its meaning. */
export const IMAGE_FORMAT = 5;

/** NumPy's memory handler: our functions' first slot in the table, and what its own were (`allocator-module.ts`). */
export interface AllocatorRecord {
  readonly slot: number;
  readonly defaults: Readonly<Record<"context" | "malloc" | "calloc" | "realloc" | "free", number>>;
}

export interface SideModule {
  readonly name: string;
  readonly memoryBase: number;
  readonly tableBase: number;
  readonly memoryBytes: number;
  readonly tableSlots: number;
  readonly global: boolean;
  /** null: never unloaded. */
  readonly references: number | null;
  readonly handles: readonly number[];
  readonly needed: readonly string[];
}

/** Slot of the function table → which export of which module (index into `libraries`, -1 main, -2 an import of main). */
export type TableSlot = readonly [slot: number, module: number, name: string];

export interface BaseImage {
  readonly format: typeof IMAGE_FORMAT;
  readonly hash: string;
  readonly image_bytes: number;
  /** Of the image's content, as `imageOpen` tells it: one that was damaged is found. */
  readonly content_hash: string;
  /** Bytes of it that are not zero: what it takes in memory. */
  readonly data_bytes: number;
  readonly window_offset: number;
  readonly window_bytes: number;
  readonly stackPointer: number;
  /** Address of the Python callable that runs one component; it is in the image. */
  readonly entryAddress: number;
  /** Address of the callable that parses sources or loads an application. */
  readonly taskAddress: number;
  /** Mersenne twisters that every component gets anew: address of the words, address of the position. */
  readonly randomStates: readonly (readonly [words: number, position: number])[];
  /** Functions that main imports, and those that its table has. */
  readonly imports: readonly string[];
  readonly mainTableStart: number;
  readonly mainTableEnd: number;
  readonly tableLength: number;
  readonly freeSlots: readonly number[];
  /** JavaScript functions that main has in its table: slot, name, signature. */
  readonly importSlots: readonly (readonly [slot: number, name: string, signature: string])[];
  /** Functions of main in its table that somebody's GOT names. */
  readonly exportSlots: readonly (readonly [slot: number, name: string])[];
  readonly laterSlots: readonly TableSlot[];
  readonly allocator: AllocatorRecord;
  readonly got: Readonly<Record<string, number>>;
  readonly libraries: readonly SideModule[];
}

/** What V8 made of the glue's source. */
export const glueCachePath = (prefix: string): string => `${prefix}.glue.cache`;
/** What V8 made of the modules: machine code (docs/decisions/0017-compiled-code.md). */
export const compiledCodePath = (prefix: string): string => `${prefix}.code.bin`;

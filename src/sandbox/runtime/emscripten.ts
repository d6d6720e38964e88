/** The parts of Pyodide's Emscripten module that the sandbox engine touches, and no others. */

export interface FsNode {
  id: number;
  mode: number;
  rdev: number;
  parent: FsNode;
  name: string;
  mount: { mounts: unknown[] };
  mounted?: unknown;
  contents?: unknown;
  usedBytes?: number;
  mtime?: number;
  ctime?: number;
  atime?: number;
  node_ops: Record<string, unknown>;
  stream_ops: Record<string, unknown>;
}

export interface FsStream {
  fd: number;
  node: FsNode;
  flags: number;
  position: number;
  tty?: unknown;
  stream_ops: Record<string, unknown>;
}

export interface EmscriptenFs {
  ErrnoError: new (errno: number) => Error;
  streams: (FsStream | null | undefined)[];
  currentPath: string;
  nameTable: unknown[];
  nextInode: number;
  root: FsNode;
  filesystems: { MEMFS: FileSystemType };
  createNode(parent: FsNode | null, name: string, mode: number, rdev: number): FsNode;
  create(path: string, mode: number): FsNode;
  mkdirTree(path: string): void;
  mkdev(path: string, mode: number, dev: number): FsNode;
  makedev(major: number, minor: number): number;
  registerDevice(dev: number, ops: Record<string, unknown>): void;
  mount(type: FileSystemType, options: Record<string, unknown>, path: string): FsNode;
  unmount(path: string): void;
  rmdir(path: string): void;
  chdir(path: string): void;
  lookupPath(path: string, options?: { follow?: boolean; parent?: boolean }): { node: FsNode; path: string };
  open(path: string, flags: number): FsStream;
  readdir(path: string): string[];
  readFile(path: string): Uint8Array;
  analyzePath(path: string): { exists: boolean };
}

export interface FileSystemType {
  mount(mount: unknown): FsNode;
}

export interface LoadedLibrary {
  name: string;
  exports: Record<string, unknown>;
  global: boolean;
  refcount: number;
}

/** What the patched glue hands out (see glue.ts). */
export interface Internals {
  readonly wasmTable: WebAssembly.Table;
  readonly wasmImports: Record<string, ((...args: never[]) => unknown) & { stub?: boolean; sig?: string }>;
  readonly wasmMemory: WebAssembly.Memory;
  readonly wasmExports: Record<string, unknown>;
  functionsInTableMap: WeakMap<object, number>;
  readonly tableMirror: unknown[];
  readonly GOT: Record<string, WebAssembly.Global>;
  readonly LDSO: {
    loadedLibsByName: Record<string, LoadedLibrary>;
    loadedLibsByHandle: Record<string, LoadedLibrary>;
  };
  relocateExports(exports: WebAssembly.Exports, memoryBase: number): Record<string, unknown>;
  /** The interpreter has aborted and cannot go on. */
  readonly aborted: boolean;
}

/** Called by the patched glue instead of resolving the main module's 8,960 symbols one by one. */
export type FillTable = (
  exports: WebAssembly.Exports,
  table: WebAssembly.Table,
  got: Record<string, WebAssembly.Global>,
  freeTableIndexes: number[],
  imports: Internals["wasmImports"],
  setTableMap: (map: WeakMap<object, number>) => void,
) => void;

export interface EmscriptenModule {
  HEAPU8: Uint8Array;
  FS: EmscriptenFs;
  ENV: Record<string, string>;
  API: Record<string, unknown>;
  LDSO: Internals["LDSO"];
  freeTableIndexes: number[];
  growMemory(bytes: number): 1 | undefined;
  newDSO(name: string, handle: number | undefined, exports: unknown): LoadedLibrary;
  stackSave(): number;
  stackRestore(pointer: number): void;
  _emscripten_get_sbrk_ptr(): number;
  _PyObject_CallNoArgs(callable: number): number;
  _Py_DecRef(object: number): void;
  _malloc(bytes: number): number;
  _free(pointer: number): void;
  _PyRun_SimpleString(source: number): number;
  /** Where the interpreter reads the number of a signal, if the byte at the address below is 1. */
  Py_EmscriptenSignalBuffer?: Int32Array;
  readonly _Py_EMSCRIPTEN_SIGNAL_HANDLING: number;
  /** JavaScript objects that Python holds by number. */
  readonly __hiwire_get: (handle: number) => unknown;
  readonly __hiwire_immortal_get: (handle: number) => unknown;
  __sandloom: Internals;
  __rawExports?: WebAssembly.Exports;
  /** Length of the function table once main is linked; set while a base image is built. */
  __mainTableStart?: number;
  __fillTable?: FillTable;
  /** Upper bound of linear memory, in bytes. */
  __heapMax?: number;
  __tableTop?: () => number;
  __tableReserve?: (base: number, count: number) => number;
  __tableJournal?: [object, number][];
  __onLibrary?: (name: string, memoryBase: number, metadata: DylinkMetadata, tableBase: number) => void;
  __beforeTableSet?: (slot: number) => void;
  /** Throws for a library that the guest may not load. */
  __admitLibrary?: (name: string) => void;
}

const WASM_PAGE_BYTES = 65536;

/** Where the heap ends, in whole Wasm pages: Emscripten makes the memory longer than asked for, and that is all zeros. */
export function heapEnd(module: EmscriptenModule): number {
  const breakAt = new Uint32Array(module.HEAPU8.buffer)[module._emscripten_get_sbrk_ptr() >>> 2] as number;
  return Math.ceil(breakAt / WASM_PAGE_BYTES) * WASM_PAGE_BYTES;
}

export interface DylinkMetadata {
  memorySize: number;
  tableSize: number;
  neededDynlibs?: string[];
}

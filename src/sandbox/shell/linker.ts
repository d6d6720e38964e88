/**
 * The JavaScript side of Emscripten's linker, as the image's record says it was: instantiates the side modules in place and
 * puts everything back after a run that loaded more (a heap reset alone leaves the linker believing in libraries that are
 * gone, and the next invocation with `memory access out of bounds`).
 */
import type { SideModule } from "../image/format.ts";
import type { EmscriptenModule, FillTable, Internals, LoadedLibrary } from "../runtime/emscripten.ts";
import { ALLOCATOR_FUNCTIONS, type BlockCalls } from "./allocator-module.ts";
import type { ShellParts } from "./parts.ts";

/** Fills main's part of the table, and its GOT, from the record. */
export function tableFiller({ record, wrapper }: ShellParts): FillTable {
  return (exports, table, got, freeTableIndexes, imports, setTableMap) => {
    table.grow(record.tableLength - table.length);
    const map = new WeakMap<object, number>();
    setTableMap(map);
    for (const [name, global] of Object.entries(got)) global.value = record.got[name] ?? 0;
    const functions: Record<string, WebAssembly.ImportValue> = {};
    record.importSlots.forEach(([, name], i) => {
      functions[`f${i}`] = imports[name] as WebAssembly.ImportValue;
    });
    const wrapped = new WebAssembly.Instance(wrapper, { e: functions }).exports;
    record.importSlots.forEach(([slot, name], i) => {
      table.set(slot, wrapped[`f${i}`]);
      map.set(imports[name] as object, slot);
    });
    for (const [slot, name] of record.exportSlots) {
      table.set(slot, exports[name]);
      map.set(exports[name] as object, slot);
    }
    freeTableIndexes.push(...record.freeSlots);
  };
}

/** Puts the functions of NumPy's memory handler into their slots. */
export function linkAllocator(
  compiled: WebAssembly.Module,
  slot: number,
  blocks: BlockCalls,
  { wasmMemory: memory, wasmTable: table }: Internals,
): void {
  const { exports } = new WebAssembly.Instance(compiled, {
    e: {
      memory,
      table,
      give: (bytes: number, zeroed: number) => blocks.give(bytes, zeroed),
      take: (address: number) => blocks.take(address),
      size: (address: number) => blocks.size(address),
    },
  });
  ALLOCATOR_FUNCTIONS.forEach((name, i) => table.set(slot + i, exports[name]));
}

const baseName = (path: string): string => path.slice(path.lastIndexOf("/") + 1);

export class Linker {
  readonly #module: EmscriptenModule;
  readonly #parts: ShellParts;
  #top: number;
  #names: ReadonlySet<string> = new Set();
  #handles: ReadonlySet<string> = new Set();
  #got: ReadonlyMap<string, number> = new Map();
  /** Not the record's: the interpreter's call trampoline has taken one of those by now, and lives in it. */
  #free: readonly number[] = [];
  /** Slots that were written since, and what had stood there. */
  readonly #overwritten = new Map<number, unknown>();

  constructor(module: EmscriptenModule, parts: ShellParts) {
    this.#module = module;
    this.#parts = parts;
    this.#top = parts.record.tableLength;
  }

  /** Instantiates every side module at its recorded place. Their data segments write memory: map the image afterwards. */
  link(blocks: BlockCalls): void {
    const module = this.#module;
    const inner = module.__sandloom;
    const { record, libraries, allocator } = this.#parts;
    const got = new Proxy(inner.GOT, {
      get: (all, name: string) =>
        (all[name] ??= new WebAssembly.Global({ value: "i32", mutable: true }, record.got[name] ?? 0)),
    });
    const byName = new Map<string, WebAssembly.Exports>();
    const instances = record.libraries.map((library, i) => {
      const exports = this.#instantiate(library, libraries[i] as WebAssembly.Module, got, byName);
      byName.set(baseName(library.name), exports);
      return exports;
    });
    const map = inner.functionsInTableMap;
    for (const [slot, owner, name] of record.laterSlots) {
      const source: Record<string, unknown> =
        owner === -1 ? inner.wasmExports : owner === -2 ? inner.wasmImports : (instances[owner] as WebAssembly.Exports);
      inner.wasmTable.set(slot, source[name]);
      map.set(source[name] as object, slot);
    }
    linkAllocator(allocator, record.allocator.slot, blocks, inner);
    module.__tableTop = () => this.#top;
    module.__tableReserve = (base, count) => {
      const end = base + count;
      if (end > inner.wasmTable.length) inner.wasmTable.grow(end - inner.wasmTable.length);
      this.#top = Math.max(this.#top, end);
      return base;
    };
    module.__tableJournal = [];
    module.__beforeTableSet = (slot) => {
      if (!this.#overwritten.has(slot)) this.#overwritten.set(slot, inner.wasmTable.get(slot));
    };
    this.#free = [...module.freeTableIndexes];
    this.#names = new Set(Object.keys(inner.LDSO.loadedLibsByName));
    this.#handles = new Set(Object.keys(inner.LDSO.loadedLibsByHandle));
    this.#got = new Map(Object.entries(inner.GOT).map(([name, global]) => [name, global.value as number]));
  }

  #instantiate(
    library: SideModule,
    compiled: WebAssembly.Module,
    got: Record<string, WebAssembly.Global>,
    byName: ReadonlyMap<string, WebAssembly.Exports>,
  ): WebAssembly.Exports {
    const module = this.#module;
    const inner = module.__sandloom;
    const imports = inner.wasmImports;
    const needed = library.needed.map((name) => byName.get(baseName(name))).filter((e) => e !== undefined);
    const stubs: Record<string, unknown> = {};
    const env = new Proxy<WebAssembly.ModuleImports>(
      {},
      {
        get: (_, name: string) => {
          if (name === "__memory_base") return library.memoryBase;
          if (name === "__table_base") return library.tableBase;
          const found = imports[name];
          if (found && !found.stub) return found;
          for (const other of needed) if (other[name]) return other[name];
          return (stubs[name] ??= (...args: unknown[]) =>
            (instance.exports[name] as (...a: unknown[]) => unknown)(...args));
        },
      },
    );
    const instance = new WebAssembly.Instance(compiled, {
      "GOT.mem": got,
      "GOT.func": got,
      env,
      wasi_snapshot_preview1: env,
    });
    const { exports } = instance;
    const entry = module.newDSO(library.name, undefined, null);
    // Relocating the export table of 54 modules costs more than all else here, and only a later dlopen reads it.
    let relocated: Record<string, unknown> | undefined;
    Object.defineProperty(entry, "exports", {
      configurable: true,
      get: () => (relocated ??= inner.relocateExports(exports, library.memoryBase)),
      set: (value: Record<string, unknown>) => {
        relocated = value;
      },
    });
    entry.global = library.global;
    entry.refcount = library.references ?? Number.POSITIVE_INFINITY;
    for (const handle of library.handles) inner.LDSO.loadedLibsByHandle[handle] = entry;
    return exports;
  }

  /** Forgets every library and table entry that came after the image. Cheap when there was none. */
  reset(): void {
    const module = this.#module;
    const inner = module.__sandloom;
    const journal = module.__tableJournal as [object, number][];
    const { tableLength } = this.#parts.record;
    const changed = this.#top !== tableLength || journal.length > 0 || this.#overwritten.size > 0;
    if (changed) {
      const drop = (all: Record<string, LoadedLibrary>, keep: ReadonlySet<string>): void => {
        for (const key of Object.keys(all)) if (!keep.has(key)) delete all[key];
      };
      drop(inner.LDSO.loadedLibsByName, this.#names);
      drop(inner.LDSO.loadedLibsByHandle, this.#handles);
      for (const [name, global] of Object.entries(inner.GOT)) {
        const old = this.#got.get(name);
        if (old === undefined) delete inner.GOT[name];
        else global.value = old;
      }
      for (const [used] of journal) inner.functionsInTableMap.delete(used);
      journal.length = 0;
      for (const [slot, before] of this.#overwritten) {
        inner.wasmTable.set(slot, before);
        inner.tableMirror[slot] = undefined;
      }
      this.#overwritten.clear();
      for (let slot = tableLength; slot < inner.wasmTable.length; slot++) inner.wasmTable.set(slot, null);
      inner.tableMirror.length = Math.min(inner.tableMirror.length, tableLength);
      this.#top = tableLength;
    }
    // By content: a guest that gives back a slot which it never got has changed the list, not its length.
    const free = module.freeTableIndexes;
    if (free.length !== this.#free.length || free.some((slot, i) => slot !== this.#free[i])) {
      free.length = 0;
      free.push(...this.#free);
    }
  }
}

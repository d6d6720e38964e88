/**
 * Pyodide's JavaScript glue (`pyodide.asm.mjs`), patched. The glue keeps its linker state (GOT, function table, loaded
 * libraries) in closures; a heap image can be restored only when that state can be read, set and reset. Each patch must match
 * exactly once: another Pyodide fails here, by name, not later and elsewhere.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import vm from "node:vm";
import { Unsupported } from "../../graph/errors.ts";
import type { EmscriptenModule } from "./emscripten.ts";
import { pyodideDirectory } from "./paths.ts";

interface Patch {
  readonly why: string;
  readonly from: string;
  readonly to: string;
}

const patches: readonly Patch[] = [
  {
    why: "hand out the linker's state",
    from: "var wasmExports;wasmExports=await (createWasm());run();",
    to: `var wasmExports;Module.__sandloom={get wasmTable(){return wasmTable},get wasmImports(){return wasmImports},get wasmMemory(){return wasmMemory},get wasmExports(){return wasmExports},get functionsInTableMap(){return functionsInTableMap},set functionsInTableMap(v){functionsInTableMap=v},get tableMirror(){return wasmTableMirror},get GOT(){return GOT},get LDSO(){return LDSO},relocateExports,get aborted(){return ABORT}};wasmExports=await (createWasm());run();`,
  },
  {
    why: "fill the table and the GOT of main from the record",
    from: "updateGOT(origExports);LDSO.init();",
    to: "(Module.__fillTable?Module.__fillTable(origExports,wasmTable,GOT,freeTableIndexes,wasmImports,m=>{functionsInTableMap=m}):(Module.__mainTableStart=wasmTable.length,updateGOT(origExports)));LDSO.init();",
  },
  {
    why: "a library that is loaded after the image starts at our table top: a table cannot shrink",
    from: "var tableBase=metadata.tableSize?wasmTable.length:0;",
    to: "var tableBase=metadata.tableSize?(Module.__tableTop?Module.__tableTop():wasmTable.length):0;",
  },
  {
    why: "report each loaded library, and reserve its slots",
    from: "if(metadata.tableSize){wasmTable.grow(metadata.tableSize)}var moduleExports;",
    to: "Module.__onLibrary?.(libName,memoryBase,metadata,tableBase);if(metadata.tableSize){if(Module.__tableReserve)Module.__tableReserve(tableBase,metadata.tableSize);else wasmTable.grow(metadata.tableSize)}var moduleExports;",
  },
  {
    why: "single slots come from our table top too",
    from: 'return wasmTable["grow"](1)}',
    to: 'return Module.__tableReserve?Module.__tableReserve(Module.__tableTop(),1):wasmTable["grow"](1)}',
  },
  {
    why: "journal of functions put into the table, for the reset",
    from: "functionsInTableMap.set(func,ret);return ret}",
    to: "functionsInTableMap.set(func,ret);Module.__tableJournal?.push([func,ret]);return ret}",
  },
  {
    why: "journal of table slots that are written, for the reset: ctypes' callbacks go into whichever slot the guest names",
    from: "setWasmTableEntry=(idx,func)=>{wasmTable.set(idx,func);",
    to: "setWasmTableEntry=(idx,func)=>{Module.__beforeTableSet?.(idx);wasmTable.set(idx,func);",
  },
  {
    why: "a library is admitted before anything is looked up, or read, by a name that the guest gave",
    from: "libName=PATH.normalize(libName);var dso=LDSO.loadedLibsByName[libName];",
    to: "libName=PATH.normalize(libName);Module.__admitLibrary?.(libName);var dso=LDSO.loadedLibsByName[libName];",
  },
  {
    why: "a library's bytes are those of its file: the guest could name one, and point to others in its memory",
    from: "if(data&&dataSize){var libData",
    to: "if(data&&dataSize&&!Module.__admitLibrary){var libData",
  },
  {
    why: "tables by names of the guest have no prototype: `__proto__` would be the realm's own",
    from: "LDSO={loadedLibsByName:{},loadedLibsByHandle:{},",
    to: "LDSO={loadedLibsByName:{__proto__:null},loadedLibsByHandle:{__proto__:null},",
  },
  {
    why: "linear memory has our bound",
    from: "getHeapMax=()=>4294901760;",
    to: "getHeapMax=()=>Module.__heapMax??4294901760;",
  },
  { why: "run as a plain function", from: "export default _createPyodideModule;", to: "" },
];

export function patchedGlue(): string {
  let source = readFileSync(join(pyodideDirectory, "pyodide.asm.mjs"), "utf8");
  for (const { why, from, to } of patches) {
    const found = source.split(from).length - 1;
    if (found !== 1)
      throw new Unsupported(
        `this Pyodide's glue does not fit: the place to ${why} was found ${found} times, not once`,
        {
          directory: pyodideDirectory,
        },
      );
    source = source.replace(from, () => to);
  }
  source = unsignedAddresses(source);
  source = source.replaceAll("import.meta.url", "__url").replaceAll("await import(", "await __import(");
  return `(function(__url,__import,${HELD.join()}){${source}\nreturn _createPyodideModule})`;
}

/** Globals that the glue uses while a guest runs. It holds them itself: in a sandbox's realm they are deleted (realm/lock.ts). */
const HELD = ["WebAssembly", "performance", "crypto", "TextDecoder"] as const;

/**
 * A sandbox's heap lies behind its window, above 2 GiB, where an address as a signed number is negative. Emscripten's own code is
 * made for that; what libffi and Pyodide add by hand shifts addresses as signed numbers, and reads
 * `undefined`.
 */
function unsignedAddresses(source: string): string {
  const [start, end] = ["function unbox_small_structs(", "ffi_prep_closure_loc_js.sig"].map((text) =>
    source.indexOf(text),
  );
  if (start === undefined || end === undefined || start < 0 || end < start)
    throw new Unsupported("this Pyodide's glue does not fit: libffi's functions were not found in it", {
      directory: pyodideDirectory,
    });
  const unsigned = (text: string): string => text.replaceAll(/([^>])>>([123])(?!\d)/g, "$1>>>$2");
  const libffi = unsigned(source.slice(start, end));
  return (source.slice(0, start) + libffi + source.slice(end)).replaceAll(
    /HEAPU?(?:8|16|32)\[[\w+]+>>[123]\]/g,
    unsigned,
  );
}

export type CreateModule = (settings: Record<string, unknown>) => Promise<EmscriptenModule>;

/** Evaluates the patched glue in this realm; `cache` is V8's code cache for it. */
export function evaluateGlue(source: string, cache?: Uint8Array): { create: CreateModule; script: vm.Script } {
  const script = new vm.Script(source, {
    filename: "pyodide-glue.js",
    ...(cache ? { cachedData: cache } : {}),
    importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  });
  const outer = script.runInThisContext() as (
    url: string,
    load: (name: string) => Promise<unknown>,
    ...held: unknown[]
  ) => CreateModule;
  const held = HELD.map((name) => globalThis[name]);
  return { create: outer("file:///pyodide.asm.mjs", (name) => import(name), ...held), script };
}

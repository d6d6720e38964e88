/**
 * Builds a base image: boots the pinned Pyodide once, imports what every application has, warms the code paths, freezes the
 * garbage collector's generations, moves the break to make room for the window, and writes the heap and its record. Runs as a
 * process of its own: `node build-base.ts <out prefix> <hash>`.
 */
import { closeSync, ftruncateSync, openSync, readFileSync, renameSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { store } from "../../fabric/store.ts";
import { Unsupported } from "../../graph/errors.ts";
import { type DylinkMetadata, type EmscriptenModule, heapEnd } from "../runtime/emscripten.ts";
import { evaluateGlue, patchedGlue } from "../runtime/glue.ts";
import { packFileSystem, packInMemory } from "../runtime/guest-files.ts";
import { pyodideDirectory } from "../runtime/paths.ts";
import type { BaseKind } from "../../graph/resource-graph.ts";
import { BASE_KINDS } from "../runtime/catalogue.ts";
import { packSitePackages, type SitePackages } from "../runtime/site-packages.ts";
import { guestEnvironment, installFiles } from "../shell/guest-root.ts";
import { ALLOCATOR_FUNCTIONS, allocatorModule } from "../shell/allocator-module.ts";
import { linkAllocator } from "../shell/linker.ts";
import { type AllocatorRecord, type BaseImage, IMAGE_FORMAT, type SideModule, type TableSlot } from "./format.ts";
import { fillHoles } from "./fill-holes.ts";
import { neededNames } from "./libraries.ts";
import { stripExports } from "./strip-exports.ts";

/** 2.5 GiB: one array below 2 GiB (np.intp is 32 bits) and others beside it; what is left of 4 GiB is heap. */
export const WINDOW_BYTES: number = 2560 * 1024 * 1024;
/**
 * Room after the heap (a hole in the file): an application that fits in has an image as long as its base, and a sandbox can go
 * from one such to another by the pages in which they differ.
 */
const APPLICATION_BYTES = 1024 * 1024;
/**
 * Where in a page the heap goes on behind the window. Regions begin with a page; were a large result to begin a few bytes behind
 * the beginning of a page too, each of its stores would look to the processor like the next load of the operand ("4K aliasing"),
 * and `x + 1` over 1 MiB would take 0.25 ms instead of 0.06.
 */
const HEAP_PHASE_BYTES = 2048;
const WASM_PAGE = 65536;
const OS_PAGE = 4096;

interface Loaded {
  readonly name: string;
  readonly memoryBase: number;
  readonly metadata: DylinkMetadata;
  readonly tableBase: number;
}

interface Pyodide {
  runPython(code: string): unknown;
  loadedPackages: Record<string, string>;
  _module: EmscriptenModule;
}

/** Everything in one place that any application may need; each import costs image bytes once, not time per start. */
const IMPORTS = `
import json, math, sys, os, re, io, time, datetime, collections, dataclasses, functools, itertools, ctypes, random, string
import decimal, fractions, base64, hashlib, struct, marshal, linecache, traceback, tempfile, warnings, ast, csv, enum, uuid, pathlib
import statistics, operator, contextlib, typing, copy, heapq, bisect, textwrap, zipfile, gzip, pickle
import numpy as np
import numpy.linalg, numpy.fft, numpy.random, numpy.polynomial, numpy.ma
import pandas as pd
`;

/** What the larger bases have beside. */
const MORE_IMPORTS: Readonly<Record<BaseKind, string>> = {
  standard: "",
  scipy: `
import scipy.cluster.hierarchy, scipy.cluster.vq, scipy.constants, scipy.fft, scipy.fftpack, scipy.integrate, scipy.interpolate, scipy.io
import scipy.linalg._matfuncs_sqrtm, scipy.ndimage, scipy.optimize, scipy.signal, scipy.sparse.csgraph, scipy.sparse.linalg, scipy.spatial.transform
import scipy.special, scipy.stats
`,
  sklearn: `
import sklearn.calibration, sklearn.cluster, sklearn.compose, sklearn.covariance, sklearn.cross_decomposition, sklearn.datasets
import sklearn.decomposition, sklearn.discriminant_analysis, sklearn.dummy, sklearn.ensemble, sklearn.feature_extraction
import sklearn.feature_extraction.text, sklearn.feature_selection, sklearn.gaussian_process, sklearn.impute, sklearn.inspection
import sklearn.isotonic, sklearn.kernel_approximation, sklearn.kernel_ridge, sklearn.linear_model, sklearn.manifold, sklearn.metrics
import sklearn.mixture, sklearn.model_selection, sklearn.multiclass, sklearn.multioutput, sklearn.naive_bayes, sklearn.neighbors
import sklearn.neural_network, sklearn.pipeline, sklearn.preprocessing, sklearn.random_projection, sklearn.semi_supervised, sklearn.svm
import sklearn.tree
`,
};

const MORE_WARM_UP: Readonly<Record<BaseKind, string>> = {
  standard: "",
  scipy: `
scipy.linalg.solve(np.eye(3) * 2, np.ones(3)); scipy.optimize.minimize(lambda v: (v ** 2).sum(), np.ones(2)); scipy.stats.norm.cdf(0.5)
`,
  sklearn: `
_x = np.arange(40.0).reshape(20, 2) % 7
sklearn.pipeline.make_pipeline(sklearn.preprocessing.StandardScaler(), sklearn.linear_model.LogisticRegression()).fit(_x, np.arange(20) % 2).predict(_x)
sklearn.ensemble.RandomForestClassifier(n_estimators=2).fit(_x, np.arange(20) % 2); sklearn.cluster.KMeans(2, n_init=1).fit(_x)
del _x
`,
};

/**
 * Every compiled module is in the image, whether it is used often or not: one that was loaded later, when an application's modules
 * are, would be in that application's image and not in the record that shells are made from.
 */
const importCompiled = (site: SitePackages): string => {
  const names = Object.keys(site.index)
    .filter((path) => /\.cpython-[^/]*\.so$/.test(path))
    .map((path) => path.replace(/\.cpython-[^/]*$/, "").replaceAll("/", "."));
  return `import importlib\nfor _n in ${JSON.stringify(names)}: importlib.import_module(_n)\n`;
};

const WARM_UP = `
_w = pd.DataFrame({"a": [1, 1, 2], "b": [1.0, 2, 3], "s": ["x", "y", None]})
_w.groupby("a").b.sum().tolist(); _w.merge(_w, on="a").sort_values("b_x").to_json(); _w.describe(); _w.to_csv()
pd.read_csv(io.StringIO("a,b\\n1,2\\n"))
np.linalg.inv(np.eye(3)); np.random.default_rng(1).random(3); np.load(io.BytesIO((lambda b: (np.save(b, np.arange(3)), b.getvalue())[1])(io.BytesIO())))
del _w
`;

/** The FFI to JavaScript leaves the interpreter: on the fast path its handles would lead nowhere. */
const CUT_JAVASCRIPT = `
sys.meta_path[:] = [f for f in sys.meta_path if type(f).__name__ != "JsFinder"]
for _n in [n for n in sys.modules if n in ("js", "pyodide_js") or n.startswith(("js.", "pyodide_js."))]: del sys.modules[_n]
`;

async function boot(site: SitePackages, loaded: Loaded[]): Promise<Pyodide> {
  const main = new WebAssembly.Module(readFileSync(join(pyodideDirectory, "pyodide.asm.wasm")));
  const { create } = evaluateGlue(patchedGlue());
  const instantiate = WebAssembly.instantiate;
  let rawExports: WebAssembly.Exports | undefined;
  // loadPyodide fetches the binary itself; an empty answer stands for the module that is compiled already.
  const patched = async (
    source: BufferSource | WebAssembly.Module,
    imports?: WebAssembly.Imports,
  ): Promise<unknown> => {
    if (source instanceof WebAssembly.Module || source.byteLength > 0)
      return instantiate(source as BufferSource, imports);
    const instance = new WebAssembly.Instance(main, imports);
    rawExports = instance.exports;
    return { module: main, instance };
  };
  WebAssembly.instantiate = patched as typeof WebAssembly.instantiate;
  const { loadPyodide } = (await import("pyodide")) as unknown as {
    loadPyodide: (options: Record<string, unknown>) => Promise<Pyodide>;
  };
  const pyodide = await loadPyodide({
    indexURL: `${pyodideDirectory}/`,
    packageBaseUrl: "http://localhost/",
    lockFileContents: {
      info: { abi_version: "2026_0", arch: "wasm32", platform: "emscripten_5_0_3", python: "3.14.0" },
      packages: {},
    },
    env: guestEnvironment,
    _makeSnapshot: true,
    jsglobals: {},
    createPyodideModule: async (settings: Record<string, unknown>) => {
      settings["wasmBinary"] = new Uint8Array(0);
      // As in a shell. Else it is this script's path, and a guest would read from its image where the host has it.
      settings["thisProgram"] = "python";
      settings["__onLibrary"] = (name: string, memoryBase: number, metadata: DylinkMetadata, tableBase: number) =>
        loaded.push({ name, memoryBase, metadata, tableBase });
      (settings["preRun"] as ((m: EmscriptenModule) => void)[])[0] = (m) => {
        installFiles(m, readFileSync(join(pyodideDirectory, "python_stdlib.zip")));
        m.FS.mount(
          packFileSystem(m, () => site.index, packInMemory(site.data)),
          {},
          m.API["sitePackages"] as string,
        );
      };
      const module = await create(settings);
      if (rawExports) module.__rawExports = rawExports;
      return module;
    },
  });
  WebAssembly.instantiate = instantiate;
  return pyodide;
}

/** Which export (or import of main) each function in the table is. */
function nameSlots(
  module: EmscriptenModule,
  loaded: readonly Loaded[],
  { mainTableEnd, allocator }: { readonly mainTableEnd: number; readonly allocator: AllocatorRecord },
) {
  const inner = module.__sandloom;
  const mainTableStart = module.__mainTableStart as number;
  const owners = new Map<unknown, readonly [number, string]>();
  loaded.forEach(({ name }, i) => {
    for (const [key, value] of Object.entries(inner.LDSO.loadedLibsByName[name]?.exports ?? {}))
      if (typeof value === "function" && !owners.has(value)) owners.set(value, [i, key]);
  });
  for (const exports of [inner.wasmExports, module.__rawExports ?? {}])
    for (const [key, value] of Object.entries(exports))
      if (typeof value === "function" && !owners.has(value)) owners.set(value, [-1, key]);

  const importSlots: [number, string, string][] = [];
  const importBySlot = new Map<number, string>();
  for (const [key, value] of Object.entries(inner.wasmImports)) {
    const slot = typeof value === "function" ? inner.functionsInTableMap.get(value) : undefined;
    if (slot === undefined) continue;
    importBySlot.set(slot, key);
    if (slot >= mainTableStart && slot < mainTableEnd && value.sig) importSlots.push([slot, key, value.sig]);
  }
  const taken = new Set(importSlots.map(([slot]) => slot));
  const exportSlots: [number, string][] = [];
  const freeSlots: number[] = [];
  for (let slot = mainTableStart; slot < mainTableEnd; slot++) {
    if (taken.has(slot)) continue;
    const owner = owners.get(inner.wasmTable.get(slot));
    if (owner?.[0] === -1) exportSlots.push([slot, owner[1]]);
    else freeSlots.push(slot);
  }
  const ofLibrary = (slot: number): boolean =>
    loaded.some((l) => slot >= l.tableBase && slot < l.tableBase + l.metadata.tableSize);
  const isAllocator = (slot: number): boolean =>
    slot >= allocator.slot && slot < allocator.slot + ALLOCATOR_FUNCTIONS.length;
  const laterSlots: TableSlot[] = [];
  const unknown: number[] = [];
  for (let slot = mainTableEnd; slot < inner.wasmTable.length; slot++) {
    const value: unknown = inner.wasmTable.get(slot);
    if (ofLibrary(slot) || isAllocator(slot) || value === null) continue;
    const owner = owners.get(value);
    const imported = importBySlot.get(slot);
    if (owner) laterSlots.push([slot, ...owner]);
    else if (imported !== undefined) laterSlots.push([slot, -2, imported]);
    else unknown.push(slot);
  }
  if (unknown.length > 0)
    throw new Unsupported(
      `the function table holds ${unknown.length} entries that no module exports (first: slot ${unknown[0]})`,
    );
  return { mainTableStart, importSlots, exportSlots, freeSlots, laterSlots };
}

/** What main calls of the host, by name: as functions that it imports, and as slots of its table. */
function importsOf(importSlots: readonly (readonly [number, string, string])[]): string[] {
  const main = new WebAssembly.Module(readFileSync(join(pyodideDirectory, "pyodide.asm.wasm")));
  const imported = WebAssembly.Module.imports(main).filter(({ kind }) => kind === "function");
  return [...new Set([...imported.map(({ name }) => name), ...importSlots.map(([, name]) => name)])];
}

/** Arrays that are made from now on, and all of a sandbox, go by our memory handler; while the image is built there are no blocks. */
function installAllocator(pyodide: Pyodide): AllocatorRecord {
  const inner = pyodide._module.__sandloom;
  const defaults = JSON.parse(
    pyodide.runPython("import sandloom.allocator; sandloom.allocator.defaults()") as string,
  ) as AllocatorRecord["defaults"];
  const allocator = { slot: inner.wasmTable.grow(ALLOCATOR_FUNCTIONS.length), defaults };
  const none = { give: () => 0, take: () => undefined, size: () => 0 };
  linkAllocator(allocatorModule(allocator, { offset: 0, bytes: 0 }), allocator.slot, none, inner);
  pyodide.runPython(`sandloom.allocator.install(${allocator.slot})`);
  return allocator;
}

/** Moves the break over the window, so that no allocator ever hands out an address in it. */
function reserveWindow(module: EmscriptenModule): number {
  const pointer = module._emscripten_get_sbrk_ptr();
  const words = (): Uint32Array => new Uint32Array(module.HEAPU8.buffer);
  const breakAt = words()[pointer >>> 2] as number;
  const offset = Math.ceil(breakAt / WASM_PAGE) * WASM_PAGE;
  const end = offset + WINDOW_BYTES;
  if (module.HEAPU8.length < end && !module.growMemory(end))
    throw new Unsupported(`linear memory cannot grow to ${end} bytes`);
  words()[pointer >>> 2] = end + HEAP_PHASE_BYTES;
  return offset;
}

/** @returns how many bytes are not a hole. */
function writeImage(path: string, heap: Uint8Array, window_offset: number): number {
  const fd = openSync(path, "w");
  ftruncateSync(fd, heap.length);
  const words = new BigUint64Array(heap.buffer, 0, heap.length / 8);
  let start = -1;
  let data_bytes = 0;
  const flush = (end: number): void => {
    if (start >= 0) data_bytes += writeSync(fd, heap, start, end - start, start);
    start = -1;
  };
  for (let at = 0; at < heap.length; at += OS_PAGE) {
    if (at === window_offset) {
      flush(at);
      at += WINDOW_BYTES;
      if (at >= heap.length) break;
    }
    const first = at / 8;
    let zero = true;
    for (let k = first; k < first + OS_PAGE / 8; k++)
      if (words[k] !== 0n) {
        zero = false;
        break;
      }
    if (zero) flush(at);
    else if (start < 0) start = at;
  }
  flush(heap.length);
  closeSync(fd);
  return data_bytes;
}

export async function buildBase(prefix: string, hash: string, kind: BaseKind): Promise<void> {
  const site = packSitePackages(kind);
  const loaded: Loaded[] = [];
  const pyodide = await boot(site, loaded);
  const module = pyodide._module;
  const inner = module.__sandloom;
  const mainTableEnd = inner.wasmTable.length;

  const more = BASE_KINDS.slice(0, BASE_KINDS.indexOf(kind) + 1);
  pyodide.runPython(IMPORTS + more.map((each) => MORE_IMPORTS[each]).join("") + importCompiled(site));
  pyodide.runPython(WARM_UP + more.map((each) => MORE_WARM_UP[each]).join("") + CUT_JAVASCRIPT);
  pyodide.runPython("import sandloom.sandbox, sandloom.runner");
  const allocator = installAllocator(pyodide);
  const entryAddress = pyodide.runPython("id(sandloom.runner.run_once)") as number;
  const taskAddress = pyodide.runPython("id(sandloom.sandbox.run_task)") as number;
  for (const name of Object.keys(pyodide.loadedPackages)) delete pyodide.loadedPackages[name];

  // The window's place must be known to the guest before the heap is written, and the configuration allocates: the break is
  // moved first, twice the same call.
  const window_offset = reserveWindow(module);
  pyodide.runPython(`sandloom.sandbox.configure(${window_offset}, ${WINDOW_BYTES})`);
  pyodide.runPython("import sandloom.warm; sandloom.warm.run()");
  // Again, for what only the first time leaves behind, and what its own caller held.
  for (let times = 0; times < 2; times++) pyodide.runPython("sandloom.sandbox.freeze()");

  const randomStates = JSON.parse(pyodide.runPython("sandloom.sandbox.random_states()") as string) as [
    number,
    number,
  ][];
  const { mainTableStart, importSlots, exportSlots, freeSlots, laterSlots } = nameSlots(module, loaded, {
    mainTableEnd,
    allocator,
  });
  const got: Record<string, number> = {};
  for (const [name, global] of Object.entries(inner.GOT)) got[name] = global.value as number;
  const needed = neededNames(
    loaded.map(({ name }) => name),
    site,
  );
  const neededGot: Record<string, number> = {};
  for (const name of needed.got) if (name in got) neededGot[name] = got[name] as number;
  const named = new Set(Object.values(neededGot));

  const libraries: SideModule[] = loaded.map(({ name, memoryBase, metadata, tableBase }) => {
    const library = inner.LDSO.loadedLibsByName[name];
    if (!library) throw new Unsupported(`${name} was loaded and is not known to the linker`);
    return {
      name,
      memoryBase,
      tableBase,
      memoryBytes: metadata.memorySize,
      tableSlots: metadata.tableSize,
      global: library.global,
      references: Number.isFinite(library.refcount) ? library.refcount : null,
      handles: Object.entries(inner.LDSO.loadedLibsByHandle)
        .filter(([, l]) => l === library)
        .map(([handle]) => Number(handle)),
      needed: metadata.neededDynlibs ?? [],
    };
  });

  fillHoles(module, { large: true });
  const draft = `${prefix}.${process.pid}`;
  const image_bytes = heapEnd(module) + APPLICATION_BYTES;
  if (module.HEAPU8.length < image_bytes && !module.growMemory(image_bytes))
    throw new Unsupported(`linear memory cannot grow to ${image_bytes} bytes`);
  const data_bytes = writeImage(`${draft}.img`, module.HEAPU8.subarray(0, image_bytes), window_offset);
  const shape: Omit<BaseImage, "content_hash"> = {
    format: IMAGE_FORMAT,
    hash,
    image_bytes,
    data_bytes,
    window_offset,
    window_bytes: WINDOW_BYTES,
    stackPointer: module.stackSave(),
    entryAddress,
    taskAddress,
    randomStates,
    imports: importsOf(importSlots),
    mainTableStart,
    mainTableEnd,
    tableLength: inner.wasmTable.length,
    freeSlots,
    importSlots,
    exportSlots: exportSlots.filter(([slot]) => named.has(slot)),
    laterSlots,
    allocator,
    got: neededGot,
    libraries,
  };
  const { id, content_hash } = await store.imageOpen(`${draft}.img`, null);
  store.imageClose(id);
  const record: BaseImage = { ...shape, content_hash };
  writeFileSync(`${draft}.site.bin`, site.data);
  writeFileSync(`${draft}.site.json`, JSON.stringify(site.index));
  const glue = patchedGlue();
  writeFileSync(`${draft}.glue.js`, glue);
  const main = readFileSync(join(pyodideDirectory, "pyodide.asm.wasm"));
  const exported = new Set([...shape.exportSlots, ...laterSlots].map((slot) => slot.at(-1)));
  const isUsed = (name: string): boolean => needed.imported.has(name) || exported.has(name) || glue.includes(name);
  writeFileSync(`${draft}.main.wasm`, stripExports(main, isUsed));
  // The record comes last: an image without its record does not exist.
  writeFileSync(`${draft}.json`, JSON.stringify(record));
  for (const end of ["img", "main.wasm", "site.bin", "site.json", "glue.js", "json"])
    renameSync(`${draft}.${end}`, `${prefix}.${end}`);
}

if (import.meta.main) {
  const [prefix, hash, kind] = process.argv.slice(2) as [string, string, BaseKind];
  try {
    await buildBase(prefix, hash, kind);
    process.exit(0);
  } catch (error) {
    // Not thrown: Node would quote the glue's one line of 1.2 MB.
    console.error(error instanceof Error ? `${error.name}: ${error.message}` : error);
    process.exit(1);
  }
}

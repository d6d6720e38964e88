/** What every shell of a process shares: compiled modules, the glue, the files, the record. Made once, handed to each worker. */
import { existsSync, openSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { BadImageError } from "../../fabric/native-errors.ts";
import { store } from "../../fabric/store.ts";
import { type BaseImage, compiledCodePath, glueCachePath } from "../image/format.ts";
import { librarySpan } from "../image/libraries.ts";
import type { PackIndex } from "../runtime/guest-files.ts";
import { pyodideDirectory } from "../runtime/paths.ts";
import { allocatorModule } from "./allocator-module.ts";
import { wrapperModule } from "./wrapper-module.ts";

/** Modules of which there is compiled code beside the image, and those that start with it; if some do not, why. */
export interface CodeUse {
  readonly offered: number;
  readonly used: number;
  readonly refused?: string;
}

export interface ShellParts {
  readonly record: BaseImage;
  readonly main: WebAssembly.Module;
  readonly libraries: readonly WebAssembly.Module[];
  readonly code: CodeUse;
  readonly wrapper: WebAssembly.Module;
  readonly allocator: WebAssembly.Module;
  readonly glue: string;
  /** V8's cache of the glue; absent before there is compiled code. */
  readonly glueCache: SharedArrayBuffer | undefined;
  readonly stdlib: SharedArrayBuffer;
  /** The site-packages pack, open in this process: file descriptors are shared by its threads. */
  readonly siteFd: number;
  readonly siteIndex: SharedArrayBuffer;
}

const shared = (bytes: Uint8Array): SharedArrayBuffer => {
  const buffer = new SharedArrayBuffer(bytes.length);
  new Uint8Array(buffer).set(bytes);
  return buffer;
};

export async function loadParts(prefix: string): Promise<ShellParts> {
  const record = JSON.parse(readFileSync(`${prefix}.json`, "utf8")) as BaseImage;
  const index = readFileSync(`${prefix}.site.json`);
  // First, and large: V8 goes on with it on threads of its own.
  const { modules, code } = compile(prefix, record, JSON.parse(index.toString()) as PackIndex);
  const cache = glueCachePath(prefix);
  const files = {
    wrapper: wrapperModule(record.importSlots.map(([, , signature]) => signature)),
    allocator: allocatorModule(record.allocator, { offset: record.window_offset, bytes: record.window_bytes }),
    glue: readFileSync(`${prefix}.glue.js`, "latin1"),
    glueCache: existsSync(cache) ? shared(readFileSync(cache)) : undefined,
    stdlib: shared(readFileSync(join(pyodideDirectory, "python_stdlib.zip"))),
    siteFd: openSync(`${prefix}.site.bin`, "r"),
    siteIndex: shared(index),
  };
  const [main, ...libraries] = (await Promise.all(modules)) as [WebAssembly.Module, ...WebAssembly.Module[]];
  return { record, main, libraries, code, ...files };
}

interface Compiling {
  readonly modules: readonly Promise<WebAssembly.Module>[];
  readonly code: CodeUse;
}

function compile(prefix: string, record: BaseImage, site: PackIndex): Compiling {
  const main = `${prefix}.main.wasm`;
  const sources = [
    { path: main, offset: 0, bytes: statSync(main).size },
    ...record.libraries.map(({ name }) => {
      const [offset, bytes] = librarySpan(name, site);
      return { path: `${prefix}.site.bin`, offset, bytes };
    }),
  ];
  const path = compiledCodePath(prefix);
  const without = (refused?: string): Compiling => {
    const { modules } = store.modulesCompile(sources, null);
    return { modules, code: { offered: 0, used: 0, ...(refused === undefined ? {} : { refused }) } };
  };
  if (!existsSync(path)) return without();
  try {
    const { modules, offered, used } = store.modulesCompile(sources, path);
    if (used === offered) return { modules, code: { offered, used } };
    const refused = `${offered - used} of ${offered} modules: it is of another V8 or processor, or of other modules`;
    return { modules, code: { offered, used, refused } };
  } catch (error) {
    if (!(error instanceof BadImageError)) throw error;
    return without(error.message);
  }
}

/** What every shell of a process shares: compiled modules, the glue, the files, the record. Made once, handed to each worker. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { BaseImage } from "../image/format.ts";
import { libraryBytes } from "../image/libraries.ts";
import type { PackIndex } from "../runtime/guest-files.ts";
import { pyodideDirectory } from "../runtime/paths.ts";
import { wrapperModule } from "./wrapper-module.ts";

export interface ShellParts {
  readonly record: BaseImage;
  readonly main: WebAssembly.Module;
  readonly libraries: readonly WebAssembly.Module[];
  readonly wrapper: WebAssembly.Module;
  readonly glue: string;
  /** V8's code cache of the glue; absent on the first run of a base. */
  readonly glueCache: SharedArrayBuffer | undefined;
  readonly stdlib: SharedArrayBuffer;
  readonly siteData: SharedArrayBuffer;
  readonly siteIndex: SharedArrayBuffer;
}

const shared = (bytes: Uint8Array): SharedArrayBuffer => {
  const buffer = new SharedArrayBuffer(bytes.length);
  new Uint8Array(buffer).set(bytes);
  return buffer;
};

export const glueCachePath = (prefix: string): string => `${prefix}.glue.${process.version}.cache`;

export async function loadParts(prefix: string): Promise<ShellParts> {
  // V8 compiles lazily and off this thread: start main first, it is the largest.
  const main = WebAssembly.compile(readFileSync(join(pyodideDirectory, "pyodide.asm.wasm")));
  const record = JSON.parse(readFileSync(`${prefix}.json`, "utf8")) as BaseImage;
  const site = readFileSync(`${prefix}.site.bin`);
  const index = readFileSync(`${prefix}.site.json`);
  const parsed = JSON.parse(index.toString()) as PackIndex;
  const libraries = record.libraries.map(({ name }) => WebAssembly.compile(libraryBytes(name, parsed, site)));
  const cache = glueCachePath(prefix);
  return {
    record,
    wrapper: wrapperModule(record.importSlots.map(([, , signature]) => signature)),
    glue: readFileSync(`${prefix}.glue.js`, "latin1"),
    glueCache: existsSync(cache) ? shared(readFileSync(cache)) : undefined,
    stdlib: shared(readFileSync(join(pyodideDirectory, "python_stdlib.zip"))),
    siteData: shared(site),
    siteIndex: shared(index),
    main: await main,
    libraries: await Promise.all(libraries),
  };
}

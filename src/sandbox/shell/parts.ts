/** What every shell of a process shares: compiled modules, the glue, the files, the record. Made once, handed to each worker. */
import { existsSync, openSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";
import { InternalError } from "../../graph/errors.ts";
import type { BaseImage } from "../image/format.ts";
import { libraryBytes } from "../image/libraries.ts";
import type { PackIndex, ReadPack } from "../runtime/guest-files.ts";
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
  /** The site-packages pack, open in this process: file descriptors are shared by its threads. */
  readonly siteFd: number;
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
  const siteFd = openSync(`${prefix}.site.bin`, "r");
  const readPack: ReadPack = (out, offset) => {
    if (readSync(siteFd, out, 0, out.length, offset) !== out.length)
      throw new InternalError(`${prefix}.site.bin ends early`);
  };
  const index = readFileSync(`${prefix}.site.json`);
  const parsed = JSON.parse(index.toString()) as PackIndex;
  const libraries = record.libraries.map(({ name }) => WebAssembly.compile(libraryBytes(name, parsed, readPack)));
  const cache = glueCachePath(prefix);
  return {
    record,
    wrapper: wrapperModule(record.importSlots.map(([, , signature]) => signature)),
    glue: readFileSync(`${prefix}.glue.js`, "latin1"),
    glueCache: existsSync(cache) ? shared(readFileSync(cache)) : undefined,
    stdlib: shared(readFileSync(join(pyodideDirectory, "python_stdlib.zip"))),
    siteFd,
    siteIndex: shared(index),
    main: await main,
    libraries: await Promise.all(libraries),
  };
}

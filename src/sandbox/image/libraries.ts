/** Side modules (`.so`) of a base image: their compiled modules, and which GOT entries somebody imports. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { InternalError } from "../../graph/errors.ts";
import type { PackIndex } from "../runtime/guest-files.ts";
import { pyodideDirectory } from "../runtime/paths.ts";
import type { SitePackages } from "../runtime/site-packages.ts";
import { SITE_PACKAGES } from "../shell/guest-root.ts";

/** Where a side module lies in the pack of the site-packages, by its path in the guest. */
export function librarySpan(name: string, index: PackIndex): readonly [offset: number, bytes: number] {
  const at = index[name.startsWith(`${SITE_PACKAGES}/`) ? name.slice(SITE_PACKAGES.length + 1) : name];
  if (!at) throw new InternalError(`the side module ${name} is not among the site-packages`);
  return [at[0], at[1]];
}

export interface NeededNames {
  /** In the GOT: 528 of 8,960. */
  readonly got: ReadonlySet<string>;
  /** All of them. */
  readonly imported: ReadonlySet<string>;
}

/** The names that main or a side module imports. */
export function neededNames(libraries: readonly string[], site: SitePackages): NeededNames {
  const got = new Set<string>();
  const imported = new Set<string>();
  const add = (module: WebAssembly.Module): void => {
    for (const { module: from, name } of WebAssembly.Module.imports(module)) {
      imported.add(name);
      if (from.startsWith("GOT")) got.add(name);
    }
  };
  add(new WebAssembly.Module(readFileSync(join(pyodideDirectory, "pyodide.asm.wasm"))));
  for (const name of libraries) {
    const [offset, bytes] = librarySpan(name, site.index);
    add(new WebAssembly.Module(site.data.slice(offset, offset + bytes)));
  }
  return { got, imported };
}

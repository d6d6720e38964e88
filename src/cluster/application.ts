/** An application on disk: which files belong to it, and whether it is compiled already. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import { BadInput } from "../graph/errors.ts";
import type { Surroundings } from "../graph/resource-graph.ts";

export interface Application {
  readonly name: string;
  /** All paths are relative to it. */
  readonly folder: string;
  readonly entryFile: string;
  readonly files: readonly { readonly path: string; readonly text: string }[];
  /** The text of its requirements file, if it has one. */
  readonly requirements?: string;
  /** What it needs, as it was found before: it is not looked for again. */
  readonly needs?: Surroundings;
}

const SOURCE_LIMIT_BYTES = 16 * 1024 * 1024;
/** Beside the entry file. */
const REQUIREMENTS_FILE = "requirements.txt";
const ENTRY_NAMES = ["app.py", "main.py"];

/** Where an import statement names modules; strings that look like one only cost a look at the disk. */
const IMPORT = /^[ \t]*(?:from[ \t]+(\.*[\w.]*)[ \t]+import[ \t]+\(?([\w ,\t]*)|import[ \t]+([\w., \t]+))/gm;

export function isCompiled(path: string): boolean {
  return existsSync(join(path, "graph.json"));
}

/**
 * Reads the entry file, every module in its folder that it imports, directly or not, and its requirements: those of the given file, or
 * of `requirements.txt` beside the entry.
 *
 * @throws BadInput when there is nothing to read.
 */
export function readApplication(path: string, requirementsPath?: string): Application {
  const at = resolve(path);
  if (!existsSync(at)) throw new BadInput(`${path} does not exist`, { path });
  let entry = at;
  if (statSync(at).isDirectory()) {
    const found = ENTRY_NAMES.map((name) => join(at, name)).find((file) => existsSync(file));
    if (!found) throw new BadInput(`the folder ${path} has no ${ENTRY_NAMES.join(" or ")}`, { path });
    entry = found;
  } else if (!at.endsWith(".py")) throw new BadInput(`${path} is neither a Python file nor a folder`, { path });
  const folder = dirname(entry);
  const files = new Map<string, string>();
  let bytes = 0;
  const visit = (file: string): void => {
    const key = relative(folder, file).split(sep).join("/");
    if (files.has(key)) return;
    const text = readUtf8(file);
    bytes += text.length;
    if (bytes > SOURCE_LIMIT_BYTES)
      throw new BadInput(
        `the application's sources are over ${SOURCE_LIMIT_BYTES} bytes: mount data instead of writing it into modules`,
        { path },
      );
    files.set(key, text);
    for (const name of importedNames(text)) for (const found of moduleFiles(folder, file, name)) visit(found);
  };
  visit(entry);
  const listed = requirementsPath === undefined ? join(folder, REQUIREMENTS_FILE) : resolve(requirementsPath);
  const requirements = requirementsPath !== undefined || existsSync(listed) ? readUtf8(listed) : undefined;
  const name = statSync(at).isDirectory()
    ? basename(at)
    : basename(at, ".py") === "app"
      ? basename(folder)
      : basename(at, ".py");
  return {
    name,
    folder,
    entryFile: relative(folder, entry),
    files: [...files].map(([p, text]) => ({ path: p, text })),
    ...(requirements === undefined ? {} : { requirements }),
  };
}

function readUtf8(file: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(readFileSync(file));
  } catch (error) {
    throw new BadInput(`${file} cannot be read as UTF-8: ${(error as Error).message}`, { path: file });
  }
}

/** The top-level names that its files seem to import: a string that looks like an import counts too. */
export function topLevelImports({ files }: Pick<Application, "files">): Set<string> {
  return new Set(files.flatMap(({ text }) => importedNames(text).map((name) => name.split(".")[0] ?? name)));
}

function importedNames(text: string): string[] {
  const names: string[] = [];
  for (const [, from, imported, plain] of text.matchAll(IMPORT)) {
    if (from !== undefined) {
      names.push(from);
      // `from package import module`
      for (const name of (imported ?? "").split(",")) {
        const first = name.trim().split(/\s/)[0];
        if (first) names.push(from.endsWith(".") ? from + first : `${from}.${first}`);
      }
    }
    for (const name of (plain ?? "").split(",")) {
      const first = name.trim().split(/\s/)[0];
      if (first) names.push(first);
    }
  }
  return names;
}

/** The files of a dotted module and of the packages around it, as far as they are in the folder. */
function moduleFiles(folder: string, importer: string, name: string): string[] {
  const dots = /^\.*/.exec(name)?.[0].length ?? 0;
  let base = folder;
  if (dots > 0) {
    base = dirname(importer);
    for (let i = 1; i < dots; i++) base = dirname(base);
  }
  const found: string[] = [];
  const parts = name.slice(dots).split(".").filter(Boolean);
  let at = base;
  for (const part of parts) {
    at = join(at, part);
    for (const file of [`${at}.py`, join(at, "__init__.py")]) if (existsSync(file)) found.push(file);
  }
  return found.filter((file) => file.startsWith(folder + sep));
}

/** What goes into a base image, by name: the pinned wheels and the guest's own packages. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { BaseKind } from "../../graph/resource-graph.ts";
import { guestPackages, pyodideDirectory } from "./paths.ts";

/** The distributions in every base image, by their names in Pyodide's lock file, in load order. */
export const basePackages: readonly string[] = ["numpy", "pandas", "python-dateutil", "pytz", "six"];

/** Each has all of the one before: an application gets the first that has what it imports. */
export const BASE_KINDS: readonly BaseKind[] = ["standard", "scipy", "sklearn"];

export const packagesOfBase: Readonly<Record<BaseKind, readonly string[]>> = {
  standard: basePackages,
  scipy: [...basePackages, "scipy"],
  sklearn: [...basePackages, "scipy", "joblib", "threadpoolctl", "scikit-learn"],
};

/** The first base that has all of these top-level names that any has. */
export function baseFor(imports: Iterable<string>): BaseKind {
  const wanted = new Set(imports);
  const needed = BASE_KINDS.filter((kind, at) => {
    const before = new Set(at === 0 ? [] : importablePackages(BASE_KINDS[at - 1] ?? kind));
    return importablePackages(kind).some((name) => !before.has(name) && wanted.has(name));
  });
  return needed.at(-1) ?? "standard";
}

/** Top-level names that a program may import besides the standard library and its own modules. */
export function importablePackages(kind: BaseKind): string[] {
  const locked = lockedPackages();
  return ["sandloom", ...packagesOfBase[kind].flatMap((name) => locked[name]?.imports ?? [])];
}

export interface LockedPackage {
  readonly version: string;
  readonly file_name: string;
  readonly sha256: string;
  readonly imports: readonly string[];
}

export function lockedPackages(): Readonly<Record<string, LockedPackage>> {
  const lock = JSON.parse(readFileSync(join(pyodideDirectory, "pyodide-lock.json"), "utf8")) as {
    packages: Record<string, LockedPackage>;
  };
  return lock.packages;
}

/** The guest's own Python files, in a fixed order. */
export function guestSources(): string[] {
  const found: string[] = [];
  const walk = (folder: string): void => {
    for (const name of readdirSync(folder).toSorted()) {
      const path = join(folder, name);
      if (statSync(path).isDirectory()) {
        if (name !== "__pycache__") walk(path);
      } else if (name.endsWith(".py")) found.push(path);
    }
  };
  walk(guestPackages);
  return found;
}

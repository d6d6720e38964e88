// What the lock file promises: the same packages everywhere, from whatever registry the user has set, without running code.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

interface Entry {
  version?: string;
  resolved?: string;
  integrity?: string;
  hasInstallScript?: boolean;
  optionalDependencies?: Record<string, string>;
}

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(new URL(`../../${path}`, import.meta.url), "utf8"));
}

const { packages } = readJson("package-lock.json") as { packages: Record<string, Entry> };
const entries = Object.entries(packages);
const locked = entries.filter(([path]) => path !== "");

describe("package-lock.json", () => {
  test("names no registry", () => {
    expect(locked.filter(([, entry]) => entry.resolved !== undefined).map(([path]) => path)).toEqual([]);
  });

  test("has a checksum for every package", () => {
    expect(locked.filter(([, entry]) => entry.integrity === undefined).map(([path]) => path)).toEqual([]);
  });

  test("has no package with an install script", () => {
    expect(locked.filter(([, entry]) => entry.hasInstallScript).map(([path]) => path)).toEqual([]);
  });

  test("has every optional package, also those of other platforms: `npm ci` refuses a lock with gaps", () => {
    const gaps = entries.flatMap(([path, entry]) =>
      Object.keys(entry.optionalDependencies ?? {})
        .filter((name) => !(`node_modules/${name}` in packages) && !(`${path}/node_modules/${name}` in packages))
        .map((name) => `${path} -> ${name}`),
    );
    expect(gaps).toEqual([]);
  });
});

describe("package.json", () => {
  const manifest = readJson("package.json") as Record<string, Record<string, string>>;

  test("asks for what the lock holds", () => {
    const [asked, held] = [manifest, packages[""] as Record<string, unknown>];
    for (const kind of ["dependencies", "optionalDependencies", "devDependencies"])
      expect(held[kind]).toEqual(asked[kind]);
  });

  test("pins every dependency to one version", () => {
    const kinds = ["dependencies", "optionalDependencies", "devDependencies", "overrides"];
    const ranges = kinds
      .flatMap((kind) => Object.entries(manifest[kind] ?? {}))
      .filter(([, range]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(range));
    expect(ranges).toEqual([]);
  });
});

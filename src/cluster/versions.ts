/** What ran: for `run.json` and for benchmarks. */
import { readFileSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { packageRoot, pyodideDirectory } from "../sandbox/runtime/paths.ts";
import { lockedPackages } from "../sandbox/runtime/catalogue.ts";

const versionIn = (folder: string): string =>
  (JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { version: string }).version;

let known: Readonly<Record<string, string>> | undefined;

export function versions(): Readonly<Record<string, string>> {
  return (known ??= readVersions());
}

function readVersions(): Record<string, string> {
  const locked = lockedPackages() as Readonly<Record<string, { version?: string }>>;
  return {
    sandloom: versionIn(packageRoot),
    node: process.versions.node,
    pyodide: versionIn(pyodideDirectory),
    numpy: locked["numpy"]?.version ?? "?",
    pandas: locked["pandas"]?.version ?? "?",
    linux: release(),
  };
}

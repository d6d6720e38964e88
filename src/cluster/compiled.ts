/** Compiled applications: made by the compiler, kept in the cache with their image's delta, or read from a folder. */
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join, relative, sep } from "node:path";
import { BadInput } from "../graph/errors.ts";
import type { ResourceGraph } from "../graph/resource-graph.ts";
import { PACKAGES } from "../sandbox/shell/guest-root.ts";
import type { CompiledApp } from "./api.ts";

/** Applications that were not used for longest leave the cache above this. */
const CACHE_LIMIT_BYTES = 2 * 1024 * 1024 * 1024;

export const hashOf = (...parts: readonly string[]): string => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(`${part.length}:`).update(part);
  return hash.digest("hex").slice(0, 32);
};

export interface CacheEntry {
  readonly folder: string;
  readonly deltaPath: string;
}

export class ApplicationCache {
  readonly #folder: string;

  constructor(cacheDir: string) {
    this.#folder = join(cacheDir, "applications");
  }

  entry(key: string): CacheEntry {
    const folder = join(this.#folder, key);
    return { folder, deltaPath: join(folder, "image.delta") };
  }

  /** What is cached under the key, or undefined; a damaged entry is dropped. */
  read(key: string): CompiledApp | undefined {
    const { folder, deltaPath } = this.entry(key);
    const document = join(folder, "compiled.json");
    if (!existsSync(document) || !existsSync(deltaPath)) return undefined;
    try {
      const { graph, files, warnings, output } = JSON.parse(readFileSync(document, "utf8")) as {
        graph: ResourceGraph;
        files: [string, string][];
        warnings: NonNullable<CompiledApp["warnings"]>;
        output: string;
      };
      const now = new Date();
      utimesSync(folder, now, now);
      return { graph, files: new Map(files), hash: key, cached: true, warnings, output };
    } catch {
      this.drop(key);
      return undefined;
    }
  }

  /** A folder to write an entry's delta into; {@link commit} makes it the entry. */
  draft(key: string): CacheEntry {
    const folder = join(this.#folder, `${key}.${process.pid}.${performance.now().toString(36)}`);
    mkdirSync(folder, { recursive: true });
    return { folder, deltaPath: join(folder, "image.delta") };
  }

  commit(draft: CacheEntry, app: CompiledApp): CacheEntry {
    writeFileSync(
      join(draft.folder, "compiled.json"),
      JSON.stringify({
        graph: app.graph,
        files: [...app.files],
        warnings: app.warnings ?? [],
        output: app.output ?? "",
      }),
    );
    const { folder, deltaPath } = this.entry(app.hash);
    try {
      renameSync(draft.folder, folder);
    } catch {
      // Somebody else was first with the same content.
      rmSync(draft.folder, { recursive: true, force: true });
    }
    this.#prune(app.hash);
    return { folder, deltaPath };
  }

  /** Takes an entry out. */
  drop(key: string): void {
    rmSync(this.entry(key).folder, { recursive: true, force: true });
  }

  /** Removes what a draft left, if it was not committed. */
  discard(draft: CacheEntry): void {
    rmSync(draft.folder, { recursive: true, force: true });
  }

  #prune(keep: string): void {
    const entries = readdirSync(this.#folder).map((name) => {
      const folder = join(this.#folder, name);
      const { mtimeMs } = statSync(folder);
      const bytes = readdirSync(folder).reduce((sum, file) => sum + statSync(join(folder, file)).size, 0);
      return { name, folder, bytes, mtimeMs };
    });
    let total = entries.reduce((sum, { bytes }) => sum + bytes, 0);
    for (const { name, folder, bytes } of entries.toSorted((a, b) => a.mtimeMs - b.mtimeMs)) {
      if (total <= CACHE_LIMIT_BYTES) return;
      if (name === keep) continue;
      rmSync(folder, { recursive: true, force: true });
      total -= bytes;
    }
  }
}

/** Reads a folder that `sandloom compile` wrote, or that a person wrote by hand. @throws BadInput */
export async function readCompiledFolder(folder: string): Promise<CompiledApp> {
  const path = join(folder, "graph.json");
  let document: unknown;
  try {
    document = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw new BadInput(`${path} is not JSON: ${(error as Error).message}`, { path });
  }
  // Loaded here and not above: the validator takes longer to load than a cached run to start.
  const { checkGraph } = await import("./check-graph.ts");
  const graph = checkGraph(document, path);
  const files = new Map<string, string>();
  const walk = (at: string): void => {
    for (const entry of readdirSync(at, { withFileTypes: true })) {
      const file = join(at, entry.name);
      if (entry.isDirectory()) walk(file);
      else if (entry.name.endsWith(".py"))
        files.set(relative(folder, file).split(sep).join("/"), readFileSync(file, "utf8"));
    }
  };
  for (const part of ["components", "modules"]) if (existsSync(join(folder, part))) walk(join(folder, part));
  for (const component of graph.components)
    if (component.kind === "compute" && !files.has(component.program))
      throw new BadInput(`${path} names the program ${component.program} of ${component.name}, which does not exist`, {
        path,
      });
  const hash = hashOf(JSON.stringify(graph), ...[...files].flat());
  return { graph, files, hash, cached: false };
}

/** What a sandbox loads: the modules and the programs, under the file names that tracebacks show. */
export function loadDocument(app: CompiledApp, sources: ReadonlyMap<string, string>): string {
  const modules = app.graph.modules.map((module) => ({
    name: module.name,
    file: module.source ?? module.path,
    text: app.files.get(module.path) ?? "",
    source: sources.get(module.source ?? "") ?? app.files.get(module.path) ?? "",
    package: module.path.endsWith("/__init__.py"),
  }));
  const programs = app.graph.components.flatMap((component) =>
    component.kind === "compute"
      ? [
          {
            name: `components.${component.name}`,
            file: component.program,
            text: app.files.get(component.program) ?? "",
          },
        ]
      : [],
  );
  const components = [{ name: "components", file: "components/__init__.py", text: "", package: true }, ...programs];
  const packages = (app.graph.packages ?? []).length > 0 ? { packages: PACKAGES } : {};
  return JSON.stringify({ modules, components, ...packages });
}

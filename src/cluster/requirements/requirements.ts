/**
 * What an application requires beside the base image: resolved once to wheels with checksums, kept on the disk, and packed into one file
 * that its sandboxes mount. docs/packages.md says what it means for users.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { InternalError } from "../../graph/errors.ts";
import type { BaseKind, RequiredPackage, Surroundings } from "../../graph/resource-graph.ts";
import { BASE_KINDS, lockedPackages, packagesOfBase } from "../../sandbox/runtime/catalogue.ts";
import { packIndexOf } from "../../sandbox/runtime/pack-file.ts";
import { userWheels } from "../../sandbox/runtime/paths.ts";
import { FileStore } from "./file-store.ts";
import { REQUIREMENT_LIMITS } from "./limits.ts";
import type { WheelFetcher } from "./wheel-fetcher.ts";
import { folderState } from "./wheel-folder.ts";

/** Raised whenever a resolution or a pack of the same input would come out differently. */
const FORMAT = 1;

export interface RequirementsOptions {
  readonly cacheDir: string;
  readonly onProgress: (line: string) => void;
}

export interface Pack {
  readonly path: string;
  /** Top-level names that can be imported from it. */
  readonly imports: readonly string[];
}

export class Requirements {
  readonly #options: RequirementsOptions;
  readonly #wheels: FileStore;
  readonly #packs: FileStore;
  readonly #resolutions: FileStore;
  readonly #busy = new Map<string, Promise<unknown>>();

  constructor(options: RequirementsOptions) {
    const folder = join(options.cacheDir, "packages");
    const { cache_wheels_bytes, cache_packs_bytes, cache_resolutions } = REQUIREMENT_LIMITS;
    this.#options = options;
    this.#wheels = new FileStore(join(folder, "wheels"), { bytes: cache_wheels_bytes });
    this.#packs = new FileStore(join(folder, "packs"), { bytes: cache_packs_bytes });
    this.#resolutions = new FileStore(join(folder, "resolutions"), { files: cache_resolutions });
  }

  /**
   * The wheels that a requirements file comes to, and the base image that has the rest: the given one or a larger. The same text comes to
   * the same as long as the cache and the folder of wheels are as they were: nobody is asked again.
   *
   * @throws RequirementRefused, PackageIndexFailed, TimedOut
   */
  resolve(text: string, base: BaseKind, signal?: AbortSignal): Promise<Surroundings> {
    const locked = lockedPackages();
    const there = BASE_KINDS.flatMap((kind) => packagesOfBase[kind].map((name) => `${name} ${locked[name]?.version}`));
    const own = userWheels();
    const key = `${hashOf(FORMAT, text, base, ...there, own === undefined ? "" : folderState(own))}.json`;
    return this.#once(key, async () => {
      const kept = this.#keptResolution(key);
      if (kept) return kept;
      const fetcher = await this.#fetcher();
      this.#options.onProgress("resolving the requirements ...");
      const found = await fetcher.resolve(text, base, signal);
      this.#resolutions.write(key, Buffer.from(JSON.stringify(found)));
      const names = found.packages.map(({ name, version }) => `${name} ${version}`).join(", ");
      this.#options.onProgress(`requirements resolved: ${names || "the base image has all of them"}`);
      return found;
    });
  }

  #keptResolution(key: string): Surroundings | undefined {
    const bytes = this.#resolutions.read(key);
    if (!bytes) return undefined;
    try {
      return JSON.parse(Buffer.from(bytes).toString("utf8")) as Surroundings;
    } catch {
      // Cut short: it is made anew.
      this.#resolutions.drop(key);
      return undefined;
    }
  }

  /**
   * The pack of wheels that were resolved before, here or elsewhere: made if it is not kept, of the kept wheels or of the same ones
   * fetched again.
   *
   * @throws RequirementRefused, PackageIndexFailed, TimedOut
   */
  pack(packages: readonly RequiredPackage[], signal?: AbortSignal): Promise<Pack> {
    const key = `${hashOf(FORMAT, ...packages.map(({ file, sha256 }) => `${file} ${sha256}`))}.pack`;
    return this.#once(key, async () => {
      const known = this.#packs.path(key);
      const index = known === undefined ? undefined : packIndexOf(known);
      if (known !== undefined && index) return { path: known, imports: importsOf(Object.keys(index)) };
      const [fetcher, { packWheels }] = await Promise.all([this.#fetcher(), import("./pack.ts")]);
      const wheels = await fetcher.fetch(packages, signal);
      const path = this.#packs.write(key, packWheels(wheels));
      const made = packIndexOf(path);
      if (!made) throw new InternalError(`${path} cannot be read back`);
      return { path, imports: importsOf(Object.keys(made)) };
    });
  }

  /** Loaded when something must be found or fetched: what is kept needs none of it. */
  async #fetcher(): Promise<WheelFetcher> {
    const { WheelFetcher: Made } = await import("./wheel-fetcher.ts");
    return new Made(this.#wheels);
  }

  /** Who asks for the same at the same time waits for it together. */
  #once<T>(key: string, work: () => Promise<T>): Promise<T> {
    const busy = this.#busy.get(key) as Promise<T> | undefined;
    if (busy) return busy;
    const made = work().finally(() => this.#busy.delete(key));
    this.#busy.set(key, made);
    return made;
  }
}

function hashOf(...parts: readonly (string | number)[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(`${String(part).length}:${part}`);
  return hash.digest("hex").slice(0, 32);
}

function importsOf(paths: readonly string[]): string[] {
  const found = new Set<string>();
  for (const path of paths) {
    const [top = "", ...rest] = path.split("/");
    const name = rest.length === 0 ? top.replace(/\.py$/, "") : top;
    if (path.endsWith(".py") && /^[A-Za-z_]\w*$/.test(name)) found.add(name);
  }
  return [...found].toSorted();
}

/** Finds the wheels that a requirements file comes to, and fetches wheels: from the folder of wheels, the cache, the package index. */
import { readFileSync } from "node:fs";
import { RequirementRefused, TimedOut } from "../../graph/errors.ts";
import type { BaseKind, RequiredPackage, Surroundings } from "../../graph/resource-graph.ts";
import { BASE_KINDS, lockedPackages, packagesOfBase } from "../../sandbox/runtime/catalogue.ts";
import { userWheels, wheelPath } from "../../sandbox/runtime/paths.ts";
import type { FileStore } from "./file-store.ts";
import { IndexClient } from "./index-client.ts";
import { REQUIREMENT_LIMITS } from "./limits.ts";
import type { NamedWheel } from "./pack.ts";
import { nameKey } from "./pep508.ts";
import { pipSettings } from "./pip-settings.ts";
import { parseRequirementsFile } from "./requirements-file.ts";
import { type BasePackage, type Catalogue, NeedsBase, resolve } from "./resolve.ts";
import { type Candidate, folderSource, indexSource, type Project, sha256Of, type WheelSource } from "./sources.ts";
import { parseMetadata, readMetadata, type WheelMetadata } from "./wheel.ts";
import { isUsable, parseWheelName } from "./wheel-name.ts";

export class WheelFetcher {
  readonly #wheels: FileStore;

  /** `wheels`: where those that were fetched are kept. */
  constructor(wheels: FileStore) {
    this.#wheels = wheels;
  }

  /** `base`: the least that the application gets. @throws RequirementRefused, PackageIndexFailed, TimedOut */
  async resolve(text: string, base: BaseKind, signal?: AbortSignal): Promise<Surroundings> {
    const listed = parseRequirementsFile(text);
    if (listed.length === 0) return { base, packages: [] };
    return this.#withSources(signal, async (sources) => {
      const catalogue = this.#catalogueOf(sources);
      for (let kind = base; ;) {
        try {
          const chosen = await resolve(listed, catalogue(kind));
          return { base: kind, packages: await this.#atHand(chosen) };
        } catch (error) {
          if (!(error instanceof NeedsBase)) throw error;
          kind = error.kind;
        }
      }
    });
  }

  /** All of them are fetched before anybody relies on it. */
  async #atHand(chosen: readonly Candidate[]): Promise<RequiredPackage[]> {
    let total = 0;
    for (const candidate of chosen) {
      total += (await this.#bytesOf(candidate)).length;
      const bound = REQUIREMENT_LIMITS.wheels_bytes;
      if (total > bound)
        throw new RequirementRefused(`the required packages have ${total} bytes together, and ${bound} are allowed`, {
          limit: "wheels_bytes",
          bound,
          value: total,
          reason: "too-large",
        });
    }
    return chosen.map(({ wheel, sha256 }) => ({ name: wheel.key, version: wheel.version, file: wheel.file, sha256 }));
  }

  /** The same wheels again, whoever resolved them. @throws RequirementRefused, PackageIndexFailed, TimedOut */
  fetch(packages: readonly RequiredPackage[], signal?: AbortSignal): Promise<NamedWheel[]> {
    return this.#withSources(signal, (sources) =>
      Promise.all(packages.map(async (one) => ({ file: one.file, bytes: await this.#sameAgain(one, sources) }))),
    );
  }

  async #sameAgain(
    { name, version, file, sha256 }: RequiredPackage,
    sources: readonly WheelSource[],
  ): Promise<Uint8Array> {
    const kept = this.#kept(sha256);
    if (kept) return kept;
    for (const source of sources) {
      const project = await source.project(name);
      const same = project?.candidates.find((candidate) => candidate.sha256 === sha256);
      if (same) return this.#bytesOf(same);
    }
    throw new RequirementRefused(
      `${name} ${version} (${file}, sha256 ${sha256}) is nowhere to be had any more: deploy or compile anew`,
      {
        package: name,
        value: version,
        reason: "gone",
      },
    );
  }

  /** What is at hand, over each base image: asked for once, whatever the base. */
  #catalogueOf(sources: readonly WheelSource[]): (kind: BaseKind) => Catalogue {
    const locked = lockedPackages();
    const projects = new Map<string, Promise<Project | undefined>[]>();
    const metadata = new Map<string, Promise<WheelMetadata>>();
    const compiled = Object.entries(locked).filter(([, { file_name }]) => {
      const wheel = parseWheelName(file_name);
      return wheel !== undefined && !isUsable(wheel);
    });
    return (kind) => ({
      base: new Map(packagesOfBase[kind].map((name) => [nameKey(name), basePackage(name, locked)])),
      larger: new Map(
        BASE_KINDS.slice(BASE_KINDS.indexOf(kind) + 1)
          .toReversed()
          .flatMap((larger) => packagesOfBase[larger].map((name) => [nameKey(name), larger] as const))
          // A pure one is had without a larger base.
          .filter(([key]) => compiled.some(([name]) => nameKey(name) === key)),
      ),
      elsewhere: new Map(compiled.map(([name, { version }]) => [nameKey(name), version])),
      async *projects(key) {
        const asked = projects.get(key) ?? [];
        projects.set(key, asked);
        for (const [at, source] of sources.entries()) {
          const project = await (asked[at] ??= source.project(key));
          if (project) yield project;
        }
      },
      metadata: (candidate) => {
        const known = metadata.get(candidate.sha256) ?? this.#metadataOf(candidate);
        metadata.set(candidate.sha256, known);
        return known;
      },
    });
  }

  async #metadataOf(candidate: Candidate): Promise<WheelMetadata> {
    const { file } = candidate.wheel;
    if (candidate.metadata && !this.#wheels.path(wheelFile(candidate.sha256)))
      return parseMetadata(file, await candidate.metadata());
    return readMetadata(file, await this.#bytesOf(candidate));
  }

  /** The wheel, from the cache or from where it was found; checked either way. */
  async #bytesOf(candidate: Candidate): Promise<Uint8Array> {
    const { sha256, wheel } = candidate;
    const kept = this.#kept(sha256);
    if (kept) return kept;
    const bytes = await candidate.bytes();
    const found = sha256Of(bytes);
    if (found !== sha256)
      throw new RequirementRefused(`${wheel.file} has sha256 ${found}, and it must be ${sha256}`, {
        wheel: wheel.file,
        reason: "wrong-hash",
        expected: sha256,
        value: found,
      });
    this.#wheels.write(wheelFile(sha256), bytes);
    return bytes;
  }

  #kept(sha256: string): Uint8Array | undefined {
    const bytes = this.#wheels.read(wheelFile(sha256));
    if (bytes && sha256Of(bytes) === sha256) return bytes;
    if (bytes) this.#wheels.drop(wheelFile(sha256));
    return undefined;
  }

  /** The folder of wheels, then the index, for as long as the work takes, which is not for ever. */
  async #withSources<T>(
    signal: AbortSignal | undefined,
    work: (sources: readonly WheelSource[]) => Promise<T>,
  ): Promise<T> {
    const bound = REQUIREMENT_LIMITS.resolve_timeout_ms;
    const late = new AbortController();
    const timer = setTimeout(
      () =>
        late.abort(
          new TimedOut(`the requirements were not there after ${bound} ms`, { limit: "resolve_timeout_ms", bound }),
        ),
      bound,
    );
    const stop = signal ? AbortSignal.any([signal, late.signal]) : late.signal;
    const own = userWheels();
    const client = new IndexClient(pipSettings, stop);
    try {
      return await work([...(own === undefined ? [] : [folderSource(own)]), indexSource(client)]);
    } finally {
      clearTimeout(timer);
      client.close();
    }
  }
}

function basePackage(name: string, locked: ReturnType<typeof lockedPackages>): BasePackage {
  const { version = "0", file_name = "" } = locked[name] ?? {};
  const metadata = async (): Promise<WheelMetadata> =>
    readMetadata(file_name, readFileSync(wheelPath(file_name) ?? file_name));
  return { version, metadata };
}

const wheelFile = (sha256: string): string => `${sha256}.whl`;

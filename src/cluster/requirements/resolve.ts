/**
 * Chooses a version of each package that a requirements file asks for, directly or not: the newest that all who ask for it take. What is
 * at hand comes in by {@link Catalogue}; nothing here reads a disk or a network.
 */
import { compare, explain, satisfies } from "@renovatebot/pep440";
import { RequirementRefused, type SandloomError } from "../../graph/errors.ts";
import type { BaseKind } from "../../graph/resource-graph.ts";
import { REQUIREMENT_LIMITS } from "./limits.ts";
import { applies, type Requirement, SANDBOX } from "./pep508.ts";
import type { ListedRequirement } from "./requirements-file.ts";
import type { Candidate, Project } from "./sources.ts";
import type { WheelMetadata } from "./wheel.ts";

/** Packages of the base image: they are there whatever is asked for, in one version. */
export interface BasePackage {
  readonly version: string;
  /** What it requires, told when an extra of it is asked for. */
  readonly metadata: () => Promise<WheelMetadata>;
}

export interface Catalogue {
  readonly base: ReadonlyMap<string, BasePackage>;
  /** Packages that a larger base image has. */
  readonly larger: ReadonlyMap<string, BaseKind>;
  /** Packages that exist for sandboxes and are not in this base image. */
  readonly elsewhere: ReadonlyMap<string, string>;
  /** What each source has of a project, in their order: the next one is asked when the one before has nothing that fits. */
  projects(key: string): AsyncIterable<Project>;
  metadata(candidate: Candidate): Promise<WheelMetadata>;
}

/** Somebody asks for a package. */
interface Demand {
  readonly requirement: Requirement;
  /** `line 3`, or `jinja2 3.1.6`. */
  readonly by: string;
  /** Keys of the packages because of which it asks; none: the file itself. */
  readonly because: readonly string[];
}

interface Chosen {
  readonly candidate: Candidate;
  readonly metadata: WheelMetadata;
  readonly extras: ReadonlySet<string>;
}

/** It cannot be done with what was chosen so far for `names`. */
interface Conflict {
  readonly names: ReadonlySet<string>;
  readonly error: SandloomError;
}

type Solution = ReadonlyMap<string, Chosen>;

/** Thrown to begin anew, knowing more. */
class Restart extends Error {}

/** Thrown when a package is asked for that a larger base image has: with that one it is resolved anew. */
export class NeedsBase extends Error {
  readonly kind: BaseKind;

  constructor(kind: BaseKind) {
    super(kind);
    this.kind = kind;
  }
}

/** The chosen wheels, by name. @throws RequirementRefused, NeedsBase */
export async function resolve(listed: readonly ListedRequirement[], catalogue: Catalogue): Promise<Candidate[]> {
  const resolver = new Resolver(listed, catalogue);
  const solution = await resolver.solve();
  return [...solution].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, { candidate }]) => candidate);
}

class Resolver {
  readonly #catalogue: Catalogue;
  readonly #listed: readonly ListedRequirement[];
  /** sha256 by package, if the file names any: then every package must have one. */
  readonly #hashes: ReadonlyMap<string, ReadonlySet<string>> | undefined;
  /** What conflicted before: a version that satisfies these too is tried first. */
  readonly #learned = new Map<string, Set<string>>();
  #steps = 0;

  constructor(listed: readonly ListedRequirement[], catalogue: Catalogue) {
    this.#listed = listed;
    this.#catalogue = catalogue;
    const hashes = new Map<string, Set<string>>();
    for (const { key, hashes: own } of listed)
      if (own.length > 0) hashes.set(key, new Set([...(hashes.get(key) ?? []), ...own]));
    this.#hashes = hashes.size > 0 ? hashes : undefined;
  }

  async solve(): Promise<Solution> {
    const demands = this.#listed
      .filter((requirement) => applies(requirement, ""))
      .map((requirement): Demand => ({ requirement, by: `line ${requirement.line}`, because: [] }));
    for (;;) {
      try {
        const found = await this.#extend(demands, new Map());
        if (found instanceof Map) return found;
        throw (found as Conflict).error;
      } catch (error) {
        if (!(error instanceof Restart)) throw error;
      }
    }
  }

  /** Meets all demands, given what is chosen. */
  async #extend(demands: readonly Demand[], chosen: Solution): Promise<Solution | Conflict> {
    let pending = demands;
    for (let at = 0; at < pending.length; at++) {
      const demand = pending[at] as Demand;
      const { key } = demand.requirement;
      const base = this.#catalogue.base.get(key);
      if (base) {
        const error = refusedByBase(demand, base.version);
        if (error) return { names: new Set(demand.because), error };
        if (demand.requirement.extras.length > 0) pending = [...pending, ...(await this.#ofBase(demand, base))];
        continue;
      }
      const larger = this.#catalogue.larger.get(key);
      if (larger) throw new NeedsBase(larger);
      const known = chosen.get(key);
      if (!known) return this.#choose(demand, pending.slice(at), pending, chosen);
      if (!accepts(demand.requirement, known.candidate.wheel.version)) return this.#conflict(demand, known);
      const more = demand.requirement.extras.filter((extra) => !known.extras.has(extra));
      if (more.length === 0) continue;
      chosen = new Map(chosen).set(key, { ...known, extras: new Set([...known.extras, ...more]) });
      pending = [...pending, ...demandsOf(known, more, key)];
    }
    return chosen;
  }

  async #ofBase({ requirement }: Demand, base: BasePackage): Promise<Demand[]> {
    const metadata = await base.metadata();
    return requirement.extras.flatMap((extra) =>
      metadata.requires
        .filter((one) => !applies(one, "") && applies(one, extra))
        .map((one) => ({ requirement: one, by: `${requirement.key}[${extra}]`, because: [] })),
    );
  }

  #conflict(demand: Demand, { candidate }: Chosen): Conflict {
    const { key, specifier } = demand.requirement;
    const learned = this.#learned.get(key) ?? new Set();
    if (!learned.has(specifier)) {
      this.#learned.set(key, learned.add(specifier));
      throw new Restart();
    }
    return {
      names: new Set([...demand.because, key]),
      error: new RequirementRefused(
        `the requirements contradict each other: ${demand.by} needs ${written(demand.requirement)}, and others lead to ${key} ${candidate.wheel.version}`,
        { requirement: demand.requirement.text, package: key, reason: "conflict", by: demand.by },
      ),
    };
  }

  async #choose(
    demand: Demand,
    rest: readonly Demand[],
    all: readonly Demand[],
    chosen: Solution,
  ): Promise<Solution | Conflict> {
    const { key } = demand.requirement;
    const asked = all.filter(({ requirement }) => requirement.key === key);
    if (chosen.size >= REQUIREMENT_LIMITS.packages)
      throw tooMany("packages", REQUIREMENT_LIMITS.packages, chosen.size + 1);
    const candidates = await this.#candidates(asked);
    if (!Array.isArray(candidates)) return candidates;
    const names = new Set(asked.flatMap(({ because }) => because));
    // What the newest version fails for is what people want to read, not what one of ten years ago fails for.
    let first: SandloomError | undefined;
    for (const candidate of candidates) {
      if (++this.#steps > REQUIREMENT_LIMITS.steps) throw tooMany("steps", REQUIREMENT_LIMITS.steps, this.#steps);
      const metadata = await this.#metadataOf(candidate);
      if (metadata instanceof RequirementRefused) {
        first ??= metadata;
        continue;
      }
      if (!forThisPython(metadata.requires_python)) continue;
      const extras = new Set(asked.flatMap(({ requirement }) => requirement.extras));
      const one = { candidate, metadata, extras };
      const demands = demandsOf(one, ["", ...extras], key);
      const found = await this.#extend([...rest, ...demands], new Map(chosen).set(key, one));
      if (found instanceof Map) return found;
      const conflict = found as Conflict;
      // It is not about this one: no other version of it would help.
      if (!conflict.names.has(key)) return conflict;
      first ??= conflict.error;
      for (const name of conflict.names) if (name !== key) names.add(name);
    }
    return { names, error: first ?? forOtherPythons(asked) };
  }

  /** Old versions have metadata that nobody reads any more: they are passed over. */
  async #metadataOf(candidate: Candidate): Promise<WheelMetadata | SandloomError> {
    try {
      return await this.#catalogue.metadata(candidate);
    } catch (error) {
      if (error instanceof RequirementRefused && error.details["reason"] === "malformed") return error;
      throw error;
    }
  }

  /** Those that all who ask accept, the best first; or why there is none. */
  async #candidates(asked: readonly Demand[]): Promise<Candidate[] | Conflict> {
    const { key } = (asked[0] as Demand).requirement;
    const pins = this.#hashes?.get(key);
    if (this.#hashes && !pins) {
      const why = "some requirements have --hash, and then all packages need one: this one has none";
      return conflictOf(asked, refusedFor(asked, "no-hash", why));
    }
    const seen: Project[] = [];
    for await (const project of this.#catalogue.projects(key)) {
      seen.push(project);
      const fitting = fittingOf(project, asked, pins);
      if (fitting.length > 0) return this.#sorted(fitting, asked);
    }
    // Where one of them alone cannot be met, it is about that one only: what else was chosen need not be looked at again.
    const alone = asked.find((demand) => seen.every((project) => fittingOf(project, [demand], pins).length === 0));
    const concerned = alone ? [alone] : asked;
    const elsewhere = this.#catalogue.elsewhere.get(key);
    return conflictOf(concerned, reasonFor(concerned, seen, { elsewhere, pins }));
  }

  #sorted(candidates: readonly Candidate[], asked: readonly Demand[]): Candidate[] {
    const { key } = (asked[0] as Demand).requirement;
    const learned = [...(this.#learned.get(key) ?? [])];
    const missed = ({ wheel: { version } }: Candidate): number =>
      learned.filter((specifier) => !satisfies(version, specifier, { prereleases: true })).length;
    const ranked = candidates.map((candidate) => ({ candidate, missed: missed(candidate) }));
    const sorted = ranked.toSorted(
      (a, b) =>
        a.missed - b.missed ||
        compare(b.candidate.wheel.version, a.candidate.wheel.version) ||
        (a.candidate.wheel.file < b.candidate.wheel.file ? -1 : 1),
    );
    const one = new Map(sorted.map(({ candidate }) => [candidate.wheel.version, candidate] as const).toReversed());
    // A version has several wheels that can be used at times; one of them will do.
    return sorted
      .map(({ candidate }) => candidate)
      .filter((candidate) => one.get(candidate.wheel.version) === candidate);
  }
}

/** Those of a project that all who ask accept. */
function fittingOf(
  { candidates }: Project,
  asked: readonly Demand[],
  pins: ReadonlySet<string> | undefined,
): Candidate[] {
  const named = asked.some(({ requirement }) => /(^|,)===?[^*]*$/.test(requirement.specifier));
  const fitting = candidates.filter(
    ({ wheel, requires_python, yanked, sha256 }) =>
      asked.every(({ requirement }) => accepts(requirement, wheel.version)) &&
      forThisPython(requires_python) &&
      (!yanked || named) &&
      (!pins || pins.has(sha256)),
  );
  // Pre-releases only where one is asked for, or nothing else is there (PEP 440).
  if (asked.some(({ requirement }) => namesPrerelease(requirement.specifier))) return fitting;
  const releases = fitting.filter(({ wheel }) => !isPrerelease(wheel.version));
  return releases.length > 0 ? releases : fitting;
}

const conflictOf = (asked: readonly Demand[], error: SandloomError): Conflict => ({
  names: new Set(asked.flatMap(({ because }) => because)),
  error,
});

function demandsOf({ candidate, metadata }: Chosen, extras: readonly string[], key: string): Demand[] {
  const demands = new Map<string, Demand>();
  for (const extra of extras)
    for (const requirement of metadata.requires)
      if (applies(requirement, extra))
        demands.set(requirement.text, { requirement, by: `${key} ${candidate.wheel.version}`, because: [key] });
  return [...demands.values()];
}

const accepts = ({ specifier }: Requirement, version: string): boolean =>
  specifier === "" || satisfies(version, specifier, { prereleases: true });

const isPrerelease = (version: string): boolean => explain(version)?.is_prerelease ?? false;

const namesPrerelease = (specifier: string): boolean =>
  specifier.split(",").some((part) => isPrerelease(part.replace(/^[=~!<>]+/, "").replace(/\.\*$/, "")));

function forThisPython(requires_python: string): boolean {
  try {
    const specifier = requires_python.replaceAll(/\s+/g, "");
    return specifier === "" || satisfies(SANDBOX["python_full_version"] as string, specifier, { prereleases: true });
  } catch {
    // One that cannot be read refuses nobody, as for pip.
    return true;
  }
}

const written = ({ name, specifier }: Requirement): string => `${name}${specifier}`;

function refusedFor(
  asked: readonly Demand[],
  reason: string,
  why: string,
  more: Readonly<Record<string, unknown>> = {},
): SandloomError {
  const { requirement } = asked[0] as Demand;
  const who = asked.map(({ requirement: one, by }) => `${written(one)} (${by})`).join(", ");
  return new RequirementRefused(`${requirement.name} cannot be used: ${why}. Asked for: ${who}`, {
    package: requirement.key,
    requirement: requirement.text,
    reason,
    ...more,
  });
}

function refusedByBase(demand: Demand, version: string): SandloomError | undefined {
  if (accepts(demand.requirement, version)) return undefined;
  const why = `${version} is part of the base image, and ${demand.by} needs ${written(demand.requirement)}: require a version that this one satisfies, or none`;
  return refusedFor([demand], "base-version", why, { value: version });
}

const forOtherPythons = (asked: readonly Demand[]): SandloomError =>
  refusedFor(asked, "python", `no version of it that fits is for Python ${SANDBOX["python_version"]}`);

const PURE =
  "Only packages of Python files alone can be added: choose another, or put its Python modules into the application's folder";

/** Why no file of a project will do: the most telling of the reasons. */
function reasonFor(
  asked: readonly Demand[],
  projects: readonly Project[],
  { elsewhere, pins }: { elsewhere: string | undefined; pins: ReadonlySet<string> | undefined },
): SandloomError {
  const usable = projects.flatMap(({ candidates }) => candidates);
  const unusable = projects.flatMap((project) => project.unusable);
  const fitting = usable.filter(({ wheel }) => asked.every(({ requirement }) => accepts(requirement, wheel.version)));
  if (pins && fitting.length > 0) {
    const found = fitting.map(({ wheel, sha256 }) => `${wheel.file} sha256:${sha256}`);
    return refusedFor(
      asked,
      "wrong-hash",
      `none of its wheels has the sha256 that --hash names (${found.slice(0, 3).join(", ")})`,
    );
  }
  if (fitting.some(({ requires_python }) => !forThisPython(requires_python))) return forOtherPythons(asked);
  if (fitting.length > 0)
    return refusedFor(
      asked,
      "yanked",
      "its versions that fit were withdrawn by their authors: require one with == if it must be",
    );
  if (usable.length > 0) {
    const versions = [...new Set(usable.map(({ wheel }) => wheel.version))].toSorted((a, b) => compare(b, a));
    const shown = versions.slice(0, 5).join(", ");
    return refusedFor(
      asked,
      "version",
      `no version fits that has a wheel of Python files alone (there are ${shown}${versions.length > 5 ? ", ..." : ""})`,
    );
  }
  if (elsewhere !== undefined)
    return refusedFor(asked, "native", `it has compiled code, and is not part of this base image. ${PURE}`);
  const native = unusable.filter((file) => file.endsWith(".whl"));
  if (native.length > 0)
    return refusedFor(
      asked,
      "native",
      `its wheels have compiled code for other machines (${native.at(-1)}), which a sandbox cannot load. ${PURE}`,
    );
  if (unusable.length > 0)
    return refusedFor(
      asked,
      "sdist",
      `it has no wheel, only sources to be built (${unusable.at(-1)}). Build a wheel of it (pip wheel --no-deps) into the folder that SANDLOOM_WHEELS names`,
    );
  if (projects.length > 0) return refusedFor(asked, "no-files", "the project has no files");
  return refusedFor(
    asked,
    "unknown",
    "there is no such package, neither in the folder of wheels nor in the package index: check its name",
  );
}

function tooMany(limit: "packages" | "steps", bound: number, value: number): SandloomError {
  const what = limit === "packages" ? "packages" : "versions to look at";
  return new RequirementRefused(
    `the requirements lead to more than ${bound} ${what}: name fewer, or pin them with ==`,
    {
      limit,
      bound,
      value,
      reason: "too-many",
    },
  );
}

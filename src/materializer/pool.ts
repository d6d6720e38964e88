/**
 * The sandboxes of an executor: which one is taken, when another is made, when one is let go, and when memory forbids one. A sandbox
 * that has the image is best, then an idle one that maps it, then waiting for one.
 */

/** What a sandbox that has run NumPy and pandas takes: 29 MB measured (docs/benchmarks.md, `pss`), and room for garbage. */
export const SANDBOX_BYTES = 40_000_000;
/** The process, the compiled modules, the base image and one sandbox. */
export const FIRST_SANDBOX_BYTES = 300_000_000;

/** `cause` is a word for metrics, `reason` a sentence for people. */
interface Why<Cause extends string> {
  readonly cause: Cause;
  readonly reason: string;
}

/**
 * Chooses among idle sandboxes, given in the order in which they became idle. Of those that have the image, the one that was used
 * last: the others stand idle, and can be let go. Else the one whose own image was used longest ago, so that a function that is
 * invoked often keeps its sandboxes. `usedAt`: a number for each image that is larger for one that was used later.
 */
export function chooseSandbox<T extends { readonly image: number }>(
  idle: readonly T[],
  image: number,
  usedAt: (image: number) => number,
): { readonly take: T; readonly reason: string } | undefined {
  let mapped: T | undefined;
  let coldest: T | undefined;
  let coldest_use = Number.POSITIVE_INFINITY;
  for (const sandbox of idle) {
    const has = sandbox.image;
    if (has === image) mapped = sandbox;
    else if (mapped === undefined && usedAt(has) < coldest_use) {
      coldest = sandbox;
      coldest_use = usedAt(has);
    }
  }
  if (mapped !== undefined) return { take: mapped, reason: "a sandbox that has its image stood idle" };
  if (coldest === undefined) return undefined;
  return { take: coldest, reason: "no idle sandbox has its image: the one whose own was used longest ago maps it" };
}

export interface PoolCounts {
  /** All there are, those included that are being made. */
  readonly sandboxes: number;
  readonly idle: number;
  /** Being made, or being put back to their image. */
  readonly coming: number;
  readonly making: number;
  /** As many are kept, whether or not they are used. */
  readonly min_warm: number;
  /** As many are kept idle or coming, ahead of demand. */
  readonly reserve: number;
  /** Sandboxes that what waits could use at once. */
  readonly wanted: number;
}

/** How many sandboxes are to be made now, if any. Ahead of demand they are made one after the other: what runs has the CPUs. */
export function sandboxesNeeded(
  counts: PoolCounts,
): ({ readonly count: number } & Why<"demand" | "min-warm" | "spare">) | undefined {
  const { sandboxes, idle, coming, making, min_warm, reserve, wanted } = counts;
  const missing = wanted - idle - coming;
  if (missing > 0)
    return { count: missing, cause: "demand", reason: `${wanted} wanted, ${idle} idle and ${coming} coming` };
  if (making > 0) return undefined;
  if (sandboxes < min_warm)
    return { count: 1, cause: "min-warm", reason: `${sandboxes} of the ${min_warm} that are kept` };
  if (idle + coming < reserve)
    return {
      count: 1,
      cause: "spare",
      reason: `${idle} idle and ${coming} coming: ${reserve} are kept ahead of demand`,
    };
  return undefined;
}

export interface PoolRoom {
  readonly sandboxes: number;
  readonly making: number;
  /** Sandboxes that an executor can have. */
  readonly limit: number;
  /** What is held now, by sandboxes and memory components. */
  readonly memory_bytes: number;
  readonly bound_bytes: number | undefined;
}

export interface Refusal extends Why<"memory" | "limit"> {
  readonly bound: number;
  readonly value: number;
}

/** Why one more sandbox may not be made. The first one may: without it nothing could ever run. */
export function refusalOf({ sandboxes, making, limit, memory_bytes, bound_bytes }: PoolRoom): Refusal | undefined {
  if (sandboxes === 0) return undefined;
  if (sandboxes >= limit)
    return {
      cause: "limit",
      reason: `${sandboxes} sandboxes are alive, and that is the most of one executor`,
      bound: limit,
      value: sandboxes + 1,
    };
  if (bound_bytes === undefined) return undefined;
  // Those that are being made have not taken theirs yet; and one that is new takes all of its own only when it has run something.
  const measured = memory_bytes + (making + 1) * SANDBOX_BYTES;
  const counted = FIRST_SANDBOX_BYTES + sandboxes * SANDBOX_BYTES;
  const value = Math.max(measured, counted);
  if (value <= bound_bytes) return undefined;
  const held = `${mb(memory_bytes)} held${making === 0 ? "" : ` and ${making} being made`}`;
  const what = measured > counted ? held : `${sandboxes} sandboxes`;
  return {
    cause: "memory",
    reason: `${what}: with one more ${mb(value)} would be held, and ${mb(bound_bytes)} are allowed`,
    bound: bound_bytes,
    value,
  };
}

export interface PoolSurplus {
  readonly sandboxes: number;
  readonly idle: number;
  readonly min_warm: number;
  readonly reserve: number;
  /** For how long the one has stood idle that did so longest. */
  readonly idle_ms: number;
  /** After this an idle one is let go. */
  readonly limit_ms: number;
  readonly memory_bytes: number;
  readonly bound_bytes: number | undefined;
}

/** Whether the sandbox that has stood idle longest is let go, and why. */
export function surplusOf(surplus: PoolSurplus): Why<"idle" | "memory"> | undefined {
  const { sandboxes, idle, min_warm, reserve, idle_ms, limit_ms, memory_bytes, bound_bytes } = surplus;
  if (idle === 0) return undefined;
  if (bound_bytes !== undefined && memory_bytes > bound_bytes && sandboxes > 1)
    return { cause: "memory", reason: `${mb(memory_bytes)} are held, and ${mb(bound_bytes)} allowed` };
  // One that would be made again at once as a spare is kept.
  const kept = Math.max(min_warm, sandboxes - idle + reserve);
  if (sandboxes <= kept || idle_ms < limit_ms) return undefined;
  return {
    cause: "idle",
    reason: `idle for ${Math.floor(idle_ms / 1000)} s, and ${sandboxes} are more than the ${kept} that are kept`,
  };
}

const mb = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`;

/**
 * Who gets the next free CPU. A component that waits for children gives its CPU back and keeps its sandbox, so finishing what
 * is deep is what frees sandboxes and memory: first who only has to go on, then the deepest, then who was triggered first.
 */

/** A component that waits for a CPU, and for a sandbox when it has none. */
export interface Demand {
  /** Number of the physical component in its run. */
  readonly component: number;
  /** Depth of nesting; the entry is at 1. */
  readonly depth: number;
  /** Position in the order of triggers. */
  readonly order: number;
  /** CPUs wanted; more than the server has count as all it has. */
  readonly cpus: number;
  /** Its children are done: it has its sandbox and needs only a CPU. */
  readonly resuming: boolean;
  readonly needs_sandbox: boolean;
}

export interface Capacity {
  readonly cpus: number;
  readonly free_cpus: number;
  /** Components that hold a sandbox, running or waiting. */
  readonly alive: number;
  readonly limit_alive: number;
  /** Depth of the deepest component that holds a sandbox, and how deep the application can nest. Without them no sandbox is kept back. */
  readonly deepest_alive?: number;
  readonly limit_depth?: number;
}

/** `admit` is the component's number; without it `reason` says what the waiting ones lack. */
export type Decision =
  | { readonly admit: number; readonly reason: string }
  | { readonly admit: undefined; readonly reason: string };

// Fractional CPUs are added and taken back many times; what is left of rounding must not keep a component out.
const CPU_TOLERANCE = 1e-9;

/**
 * Chooses one component, or says why none can go. A component that lacks CPUs is not overtaken by a smaller one behind it:
 * else a stream of one-CPU components would starve it. One that lacks a sandbox is overtaken by those that need none, for
 * only they can free one. When nothing runs, the first of the order fits (demands are clamped), so the only standstill is
 * that every sandbox allowed is held by a component that waits for children. It is ruled out when the capacity says how
 * deep components nest (see `sandboxLeftFor`); without that, and beyond that depth, the caller fails the run for it.
 */
export function chooseNext(waiting: readonly Demand[], capacity: Capacity): Decision {
  if (waiting.length === 0) return { admit: undefined, reason: "nothing waits" };
  let first: Demand | undefined;
  for (const demand of waiting) {
    if (demand.needs_sandbox && !sandboxLeftFor(demand, capacity)) continue;
    if (first === undefined || goesBefore(demand, first)) first = demand;
  }
  if (first === undefined) {
    return {
      admit: undefined,
      reason: `${waiting.length} wait for a sandbox: ${capacity.alive} of ${capacity.limit_alive} components are alive${keptBack(capacity)}`,
    };
  }
  const cpus = clampCpus(first.cpus, capacity.cpus);
  if (cpus > capacity.free_cpus + CPU_TOLERANCE) {
    return {
      admit: undefined,
      reason: `component ${first.component} is next and needs ${cpus} CPU: ${round(capacity.free_cpus)} of ${capacity.cpus} are free`,
    };
  }
  return { admit: first.component, reason: reasonOf(first, cpus, capacity) };
}

/** What a component is given of the CPUs that it asks for. */
export function clampCpus(wanted: number, cpus: number): number {
  return Math.min(wanted, cpus);
}

/**
 * Whether a component may take a sandbox. As many are kept back as the deepest component alive may still need to nest to the
 * bottom: so that one chain can always be finished, and with it, one after the other, all. (The banker's algorithm, with
 * "sandboxes down to the depth limit" as the claim of the one chain that is let through.)
 */
export function sandboxLeftFor(demand: Demand, capacity: Capacity): boolean {
  const { alive, limit_alive, deepest_alive, limit_depth } = capacity;
  if (deepest_alive === undefined || limit_depth === undefined) return alive < limit_alive;
  const bottom = Math.min(limit_depth, limit_alive);
  const kept = Math.max(0, bottom - Math.max(deepest_alive, demand.depth));
  return alive + 1 + kept <= limit_alive;
}

function keptBack(capacity: Capacity): string {
  return capacity.alive < capacity.limit_alive ? ", the rest is kept for those that nest deeper" : "";
}

function goesBefore(a: Demand, b: Demand): boolean {
  if (a.resuming !== b.resuming) return a.resuming;
  if (a.depth !== b.depth) return a.depth > b.depth;
  return a.order < b.order;
}

function reasonOf(demand: Demand, cpus: number, capacity: Capacity): string {
  const room = `${round(capacity.free_cpus)} of ${capacity.cpus} CPUs free`;
  const clamped = demand.cpus > cpus ? `; it asked for ${demand.cpus} CPUs and gets all ${cpus}` : "";
  if (demand.resuming) return `its children are done and it needs only a CPU; ${room}${clamped}`;
  if (demand.depth > 1) return `first among the deepest (depth ${demand.depth}); ${room}${clamped}`;
  return `first in trigger order; ${room}${clamped}`;
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}

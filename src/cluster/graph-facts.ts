/** What a run needs to know of its graph, found once. */
import type { CompiledApp } from "./api.ts";
import type { ComponentCaps } from "./executor/protocol.ts";

function memoized<T>(find: (app: CompiledApp) => T): (app: CompiledApp) => T {
  const known = new WeakMap<CompiledApp, { readonly value: T }>();
  return (app) => {
    const found = known.get(app) ?? { value: find(app) };
    known.set(app, found);
    return found.value;
  };
}

/** The caps of each compute component. */
export const capsOf: (app: CompiledApp) => Record<string, ComponentCaps> = memoized(
  (app: CompiledApp): Record<string, ComponentCaps> => {
    const caps: Record<string, ComponentCaps> = {};
    for (const component of app.graph.components) {
      if (component.kind !== "compute") continue;
      const { cpu, memory_bytes, timeout_ms } = component.caps;
      caps[component.name] = {
        cpus: cpu ?? 1,
        ...(memory_bytes === undefined ? {} : { heap_bytes: memory_bytes }),
        ...(timeout_ms === undefined ? {} : { timeout_ms }),
      };
    }
    return caps;
  },
);

/** Components on the longest chain of triggers from the entry; Infinity where they recurse or are triggered by value. */
export const longestChain: (app: CompiledApp) => number = memoized(({ graph }: CompiledApp): number => {
  const next = new Map<string, string[]>();
  for (const relation of graph.relations)
    if (relation.kind === "trigger") next.set(relation.from, [...(next.get(relation.from) ?? []), relation.to]);
  const entry = graph.components.find((c) => c.kind === "compute" && c.entry)?.name;
  const triggered = new Set([...next.values()].flat());
  if (graph.components.some((c) => c.kind === "compute" && !c.entry && !triggered.has(c.name)))
    return Number.POSITIVE_INFINITY;
  const lengths = new Map<string, number>();
  const lengthFrom = (name: string): number => {
    const known = lengths.get(name);
    if (known !== undefined) return known;
    lengths.set(name, Number.POSITIVE_INFINITY); // met again on the way: a cycle
    const length = 1 + Math.max(0, ...(next.get(name) ?? []).map(lengthFrom));
    lengths.set(name, length);
    return length;
  };
  return entry === undefined ? Number.POSITIVE_INFINITY : lengthFrom(entry);
});

/** The relations of the graph: which component triggers which, and which memory components each of them uses. */
import { walk, type Expression, type Node } from "./ast.ts";
import type { CommunicateRelation, Place, TriggerRelation } from "../graph/resource-graph.ts";
import { boundArguments, type Via } from "./flow.ts";
import type { Context } from "./fanout.ts";
import type { CallSite } from "./lower.ts";
import type { Memory, MemorySite } from "./memory.ts";
import type { AppModule } from "./names.ts";
import type { Reach } from "./reach.ts";
import { inMainGuard } from "./program.ts";

export function placeOf(module: AppModule, node: { at: readonly [number, number, number, number] }): Place {
  return { file: module.source.path, line: node.at[0], column: node.at[1] + 1 };
}

export function triggerRelations(sites: readonly CallSite[], reach: Reach): TriggerRelation[] {
  return sites.flatMap((site) =>
    reach.componentsRunning(site.module, site.node).map((from) => ({
      kind: "trigger" as const,
      from: from.name,
      to: site.component.name,
      site: placeOf(site.module, site.node),
      mode: site.mode,
      reason: site.reason,
    })),
  );
}

interface Use {
  readonly compute: string;
  readonly memory: string;
  readonly parameter?: string;
  readonly access: CommunicateRelation["access"];
  readonly via: Via;
}

export function communicateRelations(
  context: Context & { memory: Memory },
  sites: readonly CallSite[],
  reach: Reach,
): CommunicateRelation[] {
  const uses: Use[] = [];
  for (const site of context.memory.sites) uses.push(...makers(context, site, reach));
  for (const { component, module, node } of sites) {
    if (node._ !== "Call") continue;
    for (const [parameter, argument] of boundArguments(node, component.node)) {
      const access = context.effects.access(component.node, parameter);
      for (const [memory, via] of context.flow.memory(context.flow.value(module, argument))) {
        if (memory !== undefined) uses.push({ compute: component.name, memory, parameter, access, via });
      }
    }
  }
  return merged(uses);
}

/** The component that makes a memory component writes it, and may read it. */
function makers(context: Context & { memory: Memory }, site: MemorySite, reach: Reach): Use[] {
  const inner = site.origin === "published" ? bodyOf(site.node) : site.node;
  return reach.componentsRunning(site.module, inner).map((component) => ({
    compute: component.name,
    memory: site.name,
    access: readsIt(context, site) ? "read-write" : "write",
    via: "whole" as const,
  }));
}

function bodyOf(node: Node): Node {
  return "body" in node && Array.isArray(node.body) ? ((node.body as readonly Node[])[0] ?? node) : node;
}

/** Is the variable of a memory component used for anything but to hand it on? */
function readsIt(context: Context, { module, node, variable }: MemorySite): boolean {
  const owner = [...module.around(node)].find((up) => up._ === "FunctionDef" || up._ === "AsyncFunctionDef");
  if (!owner || variable === undefined) return false;
  let reads = false;
  walk(owner, (one) => {
    if (inMainGuard(module, one)) return false;
    if (one._ === "Name" && one.id === variable && !isHandedOn(context, module, one)) reads = true;
    return true;
  });
  return reads;
}

function isHandedOn({ program }: Context, module: AppModule, name: Expression): boolean {
  let at: Node = name;
  let up = module.parent(at);
  while (up?._ === "Subscript" && up.value === at && up.slice._ === "Slice") [at, up] = [up, module.parent(up)];
  const isTarget =
    (up?._ === "Assign" && (up.targets as readonly Node[]).includes(at)) ||
    ((up?._ === "AnnAssign" || up?._ === "NamedExpr" || up?._ === "AugAssign") &&
      up.target === at &&
      up._ !== "AugAssign");
  if (isTarget || up?._ === "Delete") return true;
  if (up?._ === "keyword") up = module.parent(up);
  if (up?._ !== "Call") return false;
  return program.componentAt(module, up.func) !== undefined || program.marker(module, up.func) === "split";
}

/** One relation for each component, memory component and parameter, whatever the number of call sites. */
function merged(uses: readonly Use[]): CommunicateRelation[] {
  const found = new Map<string, CommunicateRelation>();
  for (const { compute, memory, parameter, access, via } of uses) {
    const key = JSON.stringify([compute, memory, parameter]);
    const known = found.get(key);
    found.set(key, {
      kind: "communicate",
      compute,
      memory,
      ...(parameter === undefined ? {} : { parameter }),
      access: known === undefined || known.access === access ? access : "read-write",
      range: known === undefined || known.range === via ? via : "unknown",
    });
  }
  return [...found.values()];
}

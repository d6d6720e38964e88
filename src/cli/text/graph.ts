/** A resource graph as text: what triggers what as a tree from the entry, then the memory components and who uses them. */
import type {
  CommunicateRelation,
  ComputeComponent,
  MemoryComponent,
  Place,
  ResourceGraph,
  TriggerRelation,
} from "../../graph/resource-graph.ts";
import { type Paint, table } from "./paint.ts";
import { countText } from "./quantities.ts";

export function graphText(graph: ResourceGraph, paint: Paint): string {
  const computes = graph.components.filter((component) => component.kind === "compute");
  const memories = graph.components.filter((component) => component.kind === "memory");
  const lines = [headline(graph, computes.length, memories.length, paint), ""];
  const tree = new Tree(
    computes,
    graph.relations.filter((relation) => relation.kind === "trigger"),
    paint,
  );
  for (const root of computes.filter((component) => component.entry)) lines.push(...tree.linesFrom(root));
  const apart = computes.filter((component) => !tree.shown.has(component.name));
  for (const component of apart) {
    if (!tree.shown.has(component.name)) lines.push(...tree.linesFrom(component));
  }
  if (memories.length > 0) {
    const uses = graph.relations.filter((relation) => relation.kind === "communicate");
    lines.push("", memoryTable(memories, uses, paint));
  }
  return lines.join("\n");
}

function headline(graph: ResourceGraph, computes: number, memories: number, paint: Paint): string {
  const counts = `${countText(computes, "compute component")}, ${countText(memories, "memory component")}`;
  const imports = graph.imports.length > 0 ? `, imports ${graph.imports.join(", ")}` : "";
  return `${paint("bold", graph.application.name)}: ${counts}${imports}`;
}

/** Relations that differ only in their site, as one. */
interface Branch {
  readonly to: string;
  readonly mode: TriggerRelation["mode"];
  readonly sites: string[];
}

const MODES: Readonly<Record<TriggerRelation["mode"], string>> = {
  "fan-out": "trigger ×n (fan-out)",
  parallel: "trigger (parallel)",
  sequential: "trigger",
};

class Tree {
  readonly shown: Set<string> = new Set();
  readonly #computes: Map<string, ComputeComponent>;
  readonly #triggers: readonly TriggerRelation[];
  readonly #paint: Paint;

  constructor(computes: readonly ComputeComponent[], triggers: readonly TriggerRelation[], paint: Paint) {
    this.#computes = new Map(computes.map((component) => [component.name, component]));
    this.#triggers = triggers;
    this.#paint = paint;
  }

  linesFrom(root: ComputeComponent): string[] {
    return [this.#label(root.name), ...this.#below(root.name, "")];
  }

  #below(name: string, prefix: string): string[] {
    this.shown.add(name);
    const branches = this.#branchesOf(name);
    return branches.flatMap((branch, at) => {
      const last = at === branches.length - 1;
      const arrow = this.#paint("dim", `${prefix}${last ? "└" : "├"}── ${MODES[branch.mode]} ──▶`);
      const sites = branch.sites.length > 0 ? this.#paint("dim", `  called at ${branch.sites.join(", ")}`) : "";
      // Shown before: a component that two others trigger, or a recursion.
      if (this.shown.has(branch.to))
        return [`${arrow} ${this.#paint("bold", branch.to)}${this.#paint("dim", " (above)")}${sites}`];
      const line = `${arrow} ${this.#label(branch.to)}${sites}`;
      return [line, ...this.#below(branch.to, `${prefix}${last ? "    " : "│   "}`)];
    });
  }

  #branchesOf(name: string): Branch[] {
    const branches = new Map<string, Branch>();
    for (const { from, to, mode, site } of this.#triggers) {
      if (from !== name) continue;
      const key = `${mode} ${to}`;
      const branch = branches.get(key) ?? { to, mode, sites: [] };
      if (site) branch.sites.push(placeText(site));
      branches.set(key, branch);
    }
    return [...branches.values()];
  }

  #label(name: string): string {
    const component = this.#computes.get(name);
    const source = component?.source ? this.#paint("dim", `  ${placeText(component.source)}`) : "";
    const writes = component && component.writes.length > 0 ? `  writes ${component.writes.join(", ")}` : "";
    const { cpu, memory_bytes, timeout_ms } = component?.caps ?? {};
    const caps = [
      cpu === undefined ? "" : `cpu=${cpu}`,
      memory_bytes === undefined ? "" : `memory=${memory_bytes}`,
      timeout_ms === undefined ? "" : `timeout=${timeout_ms}ms`,
    ].filter((cap) => cap !== "");
    return `${this.#paint("bold", name)}${writes}${caps.length > 0 ? `  ${caps.join(" ")}` : ""}${source}`;
  }
}

function memoryTable(memories: readonly MemoryComponent[], uses: readonly CommunicateRelation[], paint: Paint): string {
  const rows = memories.map((memory) => [
    paint("cyan", memory.name),
    memory.origin,
    uses
      .filter((use) => use.memory === memory.name)
      .map(useText)
      .join(", ") || "not used by a component that the compiler can see",
    paint("dim", memory.source ? placeText(memory.source) : ""),
  ]);
  return table([{ title: "memory component" }, { title: "made by" }, { title: "used by" }, { title: "" }], rows, paint);
}

const ACCESS: Readonly<Record<CommunicateRelation["access"], string>> = {
  read: "reads",
  write: "writes",
  "read-write": "reads and writes",
};
const RANGE: Readonly<Record<CommunicateRelation["range"], string>> = { whole: "", rows: " rows of it", unknown: "" };

function useText(use: CommunicateRelation): string {
  const parameter = use.parameter === undefined ? "" : `(${use.parameter})`;
  return `${use.compute}${parameter} ${ACCESS[use.access]}${RANGE[use.range]}`;
}

function placeText(place: Place): string {
  return `${place.file}:${place.line}`;
}

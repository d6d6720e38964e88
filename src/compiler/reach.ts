/** What code a component may run: the top-level functions, classes and globals that its names lead to. */
import { isFunction, walk, type Node, type Placed } from "./ast.ts";
import type { AppModule, Meaning } from "./names.ts";
import type { Component, Program } from "./program.ts";

/** A piece of code that runs as a whole: a top-level function, a class with all its methods, a global's statement. */
export interface Unit {
  readonly module: AppModule;
  readonly node: Placed;
}

export class Reach {
  readonly #program: Program;
  readonly #units = new Map<Component, ReadonlySet<Node>>();
  readonly #modules = new Map<Node, AppModule>();

  constructor(program: Program) {
    this.#program = program;
    for (const component of program.components) this.#units.set(component, this.#from(component));
  }

  /** The units that some component may run. */
  units(): Unit[] {
    const nodes = new Set([...this.#units.values()].flatMap((set) => [...set]));
    return [...nodes].flatMap((node) => {
      const module = this.#modules.get(node);
      return module && "at" in node ? [{ module, node }] : [];
    });
  }

  /** The components that may run a piece of code. */
  componentsRunning(module: AppModule, node: Node): Component[] {
    const around: Node[] = [node, ...module.around(node)];
    const unit = around.at(-2) ?? node;
    return this.#program.components.filter((component) => this.#units.get(component)?.has(unit));
  }

  #from(component: Component): Set<Node> {
    const found = new Set<Node>();
    const queue: Unit[] = [component];
    for (let unit = queue.pop(); unit; unit = queue.pop()) {
      if (found.has(unit.node)) continue;
      found.add(unit.node);
      this.#modules.set(unit.node, unit.module);
      const { module } = unit;
      walk(unit.node, (node) => {
        if (node._ !== "Name" && node._ !== "Attribute") return;
        for (const next of this.#named(this.#program.names.meaning(module, node))) queue.push(next);
      });
    }
    return found;
  }

  #named(meaning: Meaning): Unit[] {
    if (meaning.kind !== "global") return [];
    const { module, name } = meaning;
    const units = (module.scope.bindings.get(name) ?? []).map(({ node }) => {
      const around = [node, ...module.around(node)];
      return (around.at(-2) ?? node) as Placed;
    });
    // Another component runs in a sandbox of its own.
    return units
      .filter((node) => !isFunction(node) || !this.#program.componentOf(node))
      .map((node) => ({ module, node }));
  }
}

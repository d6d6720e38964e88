/** The application as modules, functions and components. */
import { isFunction, walk, type Expression, type FunctionNode, type Node, type Placed } from "./ast.ts";
import { Names, type AppModule, type Meaning } from "./names.ts";
import { readOptions, type Options } from "./options.ts";
import type { Findings, Rule } from "./refusals.ts";

/** A function that is called by its name: at the top level of a module. */
export interface AppFunction {
  readonly module: AppModule;
  readonly node: FunctionNode;
}

export interface Component extends AppFunction {
  /**
   * In the graph: the function's name, with its module's where two modules have one. Without dots: the guest imports a
   * component's program by this name.
   */
  readonly name: string;
  readonly entry: boolean;
  readonly options: Options;
  readonly splitDecorator: Expression | undefined;
}

export type Marker = "split" | "remote" | "remote.empty" | "remote.zeros" | "remote.other";

export class Program {
  readonly modules: readonly AppModule[];
  readonly entry: AppModule;
  readonly names: Names;
  readonly components: Component[] = [];
  /** Top-level functions, components or not. */
  readonly functions = new Map<FunctionNode, AppFunction>();
  readonly #components = new Map<FunctionNode, Component>();
  readonly #main: FunctionNode | undefined;

  constructor(modules: readonly AppModule[], entry: AppModule, findings: Findings) {
    this.modules = modules;
    this.entry = entry;
    this.names = new Names(new Map(modules.map((module) => [module.name, module])));
    for (const module of modules) {
      for (const node of module.tree.body) if (isFunction(node)) this.functions.set(node, { module, node });
    }
    this.#main = [...this.functions.values()].findLast((one) => one.module === entry && one.node.name === "main")?.node;
    const marked = modules.flatMap((module) => this.#marked(module, findings));
    const count = new Map<string, number>([["main", 1]]);
    for (const { node } of marked) count.set(node.name, (count.get(node.name) ?? 0) + 1);
    const taken = new Set<string>();
    for (const one of marked) {
      const shared = (count.get(one.node.name) ?? 0) > 1;
      const name = asciiName(
        shared ? `${one.module.name.replaceAll(".", "__")}__${one.node.name}` : one.node.name,
        taken,
      );
      this.#add({ ...one, name, entry: false });
    }
    if (this.#main) {
      const options: Options = { caps: {}, writes: [] };
      const main: Component = {
        module: entry,
        node: this.#main,
        name: "main",
        entry: true,
        options,
        splitDecorator: undefined,
      };
      this.components.unshift(main);
      this.#components.set(this.#main, main);
    }
  }

  #add(component: Component): void {
    this.components.push(component);
    this.#components.set(component.node, component);
  }

  get main(): FunctionNode | undefined {
    return this.#main;
  }

  componentOf(node: Node): Component | undefined {
    return isFunction(node) ? this.#components.get(node) : undefined;
  }

  /** What an expression means if it is one of Sandloom's own names. */
  marker(module: AppModule, node: Node): Marker | undefined {
    if (node._ !== "Name" && node._ !== "Attribute") return undefined;
    const meaning = this.names.meaning(module, node);
    if (meaning.kind !== "external" || !meaning.path.startsWith("sandloom.")) return undefined;
    const name = meaning.path.slice("sandloom.".length);
    if (name === "split" || name === "remote" || name === "remote.empty" || name === "remote.zeros") return name;
    return name.startsWith("remote.") ? "remote.other" : undefined;
  }

  /** The marker of a decorator, called or not. */
  decoratorMarker(module: AppModule, decorator: Expression): Marker | undefined {
    return this.marker(module, decorator._ === "Call" ? decorator.func : decorator);
  }

  /** The one top-level function that a meaning names. */
  functionOf(meaning: Meaning): AppFunction | undefined {
    if (meaning.kind !== "global") return undefined;
    const bindings = meaning.module.scope.bindings.get(meaning.name);
    const node = bindings?.length === 1 ? bindings[0]?.node : undefined;
    return node && isFunction(node) ? this.functions.get(node) : undefined;
  }

  functionAt(module: AppModule, node: Expression): AppFunction | undefined {
    return node._ === "Name" || node._ === "Attribute" ? this.functionOf(this.names.meaning(module, node)) : undefined;
  }

  /** The @split component that an expression names. The entry is none: calling `main` is a plain call. */
  componentAt(module: AppModule, node: Expression): Component | undefined {
    const found = this.functionAt(module, node);
    const component = found && this.#components.get(found.node);
    return component?.entry ? undefined : component;
  }

  /** The functions of a module that carry @split rightly; what is wrong is refused. */
  #marked(module: AppModule, findings: Findings): Omit<Component, "name" | "entry">[] {
    const found: Omit<Component, "name" | "entry">[] = [];
    walk(module.tree, (node) => {
      if (inMainGuard(module, node)) return false;
      if (!isFunction(node) && node._ !== "ClassDef") return undefined;
      const decorators = node.decorator_list;
      const splits = decorators.filter((one) => this.decoratorMarker(module, one) === "split");
      const split = splits[0];
      if (!split) return undefined;
      const refuse = (at: Placed, rule: Rule, message: string): undefined => {
        findings.refuse(module.source, at, rule, message);
        return undefined;
      };
      if (node._ === "ClassDef") return refuse(split, "split-not-top-level", `@split is on class ${node.name}`);
      const top = (module.tree.body as readonly Node[]).includes(node);
      const conditional =
        !top && [...module.around(node)].every((up) => !isFunction(up) && up._ !== "ClassDef" && up._ !== "Lambda");
      if (conditional)
        return refuse(node, "conditional-definition", `component ${node.name} is defined under a condition`);
      if (!top)
        return refuse(node, "split-not-top-level", `@split is on ${node.name}, which is not a top-level function`);
      if (node === this.#main) return refuse(split, "main-is-component", "@split is on main");
      if (node._ === "AsyncFunctionDef") return refuse(node, "split-async", `component ${node.name} is async`);
      const own = yieldsIn(node);
      if (own) refuse(own, "split-generator", `component ${node.name} yields`);
      for (const other of decorators) {
        const marker = this.decoratorMarker(module, other);
        if (other === split || (marker === "remote" && other._ !== "Call")) continue;
        refuse(other, "component-decorated", `component ${node.name} has another decorator`);
      }
      const options =
        split._ === "Call" ? readOptions(split, node, module.source, findings) : { caps: {}, writes: [] as string[] };
      const bindings = module.scope.bindings.get(node.name) ?? [];
      if (bindings.length > 1) {
        refuse(
          bindings[1]?.node ?? node,
          "duplicate-component",
          `${node.name} is bound again in the module that defines it as a component`,
        );
        return undefined;
      }
      found.push({ module, node, options, splitDecorator: split });
      return undefined;
    });
    return found;
  }
}

/** The first yield of a function itself, not of those in it. */
export function yieldsIn(node: FunctionNode): Expression | undefined {
  let found: Expression | undefined;
  for (const statement of node.body) {
    walk(statement, (inner) => {
      if (isFunction(inner) || inner._ === "Lambda") return false;
      if (inner._ === "Yield" || inner._ === "YieldFrom") found ??= inner;
      return true;
    });
  }
  return found;
}

/** Is this the block `if __name__ == "__main__":`? It never runs here: nothing in it is looked at. */
export function inMainGuard(module: AppModule, node: Node): boolean {
  if (node._ !== "If" || module.parent(node) !== module.tree) return false;
  const test = node.test;
  if (test._ !== "Compare" || test.ops[0] !== "Eq" || test.comparators.length !== 1) return false;
  const sides = [test.left, test.comparators[0]];
  return (
    sides.some((side) => side?._ === "Name" && side.id === "__name__") &&
    sides.some((side) => side?._ === "Constant" && side.value === "__main__")
  );
}

/** Names of the graph are ASCII: other letters of Python's identifiers are written as their code points. */
function asciiName(name: string, taken: Set<string>): string {
  const ascii = name.replace(/[^A-Za-z0-9_]/gu, (letter) => `_u${letter.codePointAt(0)?.toString(16)}_`);
  let unique = ascii;
  for (let number = 2; taken.has(unique); number++) unique = `${ascii}_${number}`;
  taken.add(unique);
  return unique;
}

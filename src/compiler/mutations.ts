/** Refuses changes that no other component would see: of module globals, and of arguments that travel by value. */
// oxlint-disable typescript/switch-exhaustiveness-check -- CPython's tree has 70 classes: `default` is meant
import { parameters, walk, type Expression, type Node, type Placed } from "./ast.ts";
import { holdsArgument, rootName } from "./effects.ts";
import type { AppModule, Meaning } from "./names.ts";
import type { Component, Program } from "./program.ts";
import type { Reach } from "./reach.ts";
import type { Findings } from "./refusals.ts";

const CONTAINER_METHODS = new Set(
  "append appendleft extend extendleft insert update setdefault add discard remove clear pop popitem popleft reverse".split(
    " ",
  ),
);
const ARRAY_METHODS = new Set("sort fill put itemset resize partition".split(" "));

export function checkMutations(program: Program, reach: Reach, findings: Findings): void {
  for (const { module, node } of reach.units()) {
    // Statements of the top level run once, before any run, and may build what they like.
    if (node._ === "FunctionDef" || node._ === "AsyncFunctionDef" || node._ === "ClassDef")
      checkGlobals(program, module, node, findings);
  }
  for (const component of program.components) if (!component.entry) checkArguments(program, component, findings);
}

function checkGlobals(program: Program, module: AppModule, unit: Node, findings: Findings): void {
  const refuse = (node: Placed, name: string): void =>
    findings.refuse(module.source, node, "global-mutation", `${name} is a module global, and this changes it`);
  const data = (node: Expression): string | undefined => {
    const global = globalName(program, module, node);
    return global && isData(global) ? global.name : undefined;
  };
  const target = (node: Expression, at: Placed): void => {
    if (node._ === "Tuple" || node._ === "List") for (const one of node.elts) target(one, at);
    else if (node._ === "Name") {
      const declared = module.scopesAt(node).find((scope) => scope.globals.has(node.id) || scope.bindings.has(node.id));
      if (declared?.globals.has(node.id)) refuse(at, node.id);
    } else if (node._ === "Subscript" || node._ === "Attribute") {
      // `helpers.count = 1` sets a global of another module.
      const whole = node._ === "Attribute" ? program.names.meaning(module, node) : undefined;
      const base = node._ === "Attribute" ? program.names.meaning(module, node.value) : undefined;
      const name =
        whole?.kind === "global"
          ? whole.name
          : base?.kind === "module"
            ? (node as { attr?: string }).attr
            : data(node.value);
      if (name !== undefined) refuse(at, name);
    }
  };
  walk(unit, (node) => {
    switch (node._) {
      case "Assign":
      case "Delete":
        for (const one of node.targets) target(one, node);
        break;
      case "AugAssign":
      case "For":
      case "AsyncFor":
        target(node.target, node);
        break;
      case "AnnAssign":
        if (node.value) target(node.target, node);
        break;
      case "NamedExpr":
        target(node.target, node);
        break;
      case "Call": {
        if (node.func._ !== "Attribute") break;
        const { attr, value } = node.func;
        if (!CONTAINER_METHODS.has(attr) && !ARRAY_METHODS.has(attr)) break;
        const global = globalName(program, module, value);
        // What a class or an import calls `update` is its own affair.
        const assigned = global?.module.scope.bindings.get(global.name)?.some((one) => one.kind === "assign");
        if (global && assigned) refuse(node, global.name);
        break;
      }
      default:
        break;
    }
  });
}

/** The global at the root of `G`, `G[i]`, `helpers.G.x`. */
function globalName(
  program: Program,
  module: AppModule,
  node: Expression,
): Extract<Meaning, { kind: "global" }> | undefined {
  for (let at = node; ;) {
    if (at._ !== "Name" && at._ !== "Attribute" && at._ !== "Subscript") return undefined;
    const meaning = at._ === "Subscript" ? undefined : program.names.meaning(module, at);
    if (meaning?.kind === "global") return meaning;
    if (at._ === "Name") return undefined;
    at = at.value;
  }
}

/** Functions cannot be changed by the methods above; classes hold data of their own. */
function isData({ module, name }: Extract<Meaning, { kind: "global" }>): boolean {
  return (module.scope.bindings.get(name) ?? []).every((one) => one.kind !== "def");
}

function checkArguments(program: Program, component: Component, findings: Findings): void {
  const { module, node: owner } = component;
  const own = module.scopeOf(owner);
  const names = new Set(parameters(owner.args).map((arg) => arg.arg));
  const argument = (node: Expression): string | undefined => {
    const root = rootName(node);
    if (!root || !names.has(root.id) || component.options.writes.includes(root.id)) return undefined;
    const meaning = program.names.meaning(module, root);
    const held = meaning.kind === "local" && meaning.scope === own && holdsArgument(component, root.id, root);
    return held ? root.id : undefined;
  };
  const refuse = (at: Placed, name: string | undefined): void => {
    if (name === undefined) return;
    const message = `this changes the argument ${name} of component ${component.name}, which travels by value`;
    const fix = `Copy it first (\`${name} = ${name}.copy()\`), change the copy and return it; an array that it writes is named in writes=.`;
    findings.refuse(module.source, at, "argument-mutation", message, fix);
  };
  walk(owner, (node) => {
    if (node._ === "Call" && node.func._ === "Attribute" && CONTAINER_METHODS.has(node.func.attr)) {
      refuse(node, argument(node.func.value));
    } else if (node._ === "AugAssign" && node.target._ === "Name") {
      const { value } = node;
      const list =
        value._ === "List" ||
        value._ === "ListComp" ||
        value._ === "Dict" ||
        value._ === "Set" ||
        value._ === "SetComp";
      if (list) refuse(node, argument(node.target));
    }
  });
}

/** What a name means: scopes as CPython's symbol table sees them, imports followed through the application's modules. */
// oxlint-disable typescript/switch-exhaustiveness-check -- CPython's tree has 70 classes: `default` is meant
import {
  children,
  isComprehension,
  isFunction,
  parameters,
  targetNames,
  walk,
  type AnyComp,
  type ClassDef,
  type Expression,
  type FunctionNode,
  type Lambda,
  type Module as Tree,
  type Node,
  type Placed,
} from "./ast.ts";
import type { SourceText } from "./text.ts";

export type ScopeNode = Tree | FunctionNode | Lambda | ClassDef | AnyComp;

export type Binding =
  | { readonly kind: "import"; readonly path: string; readonly node: Placed }
  | { readonly kind: "parameter"; readonly node: Placed }
  | { readonly kind: "def" | "class"; readonly node: Placed }
  /** `x = value`, `x: T = value`, `(x := value)`. */
  | { readonly kind: "assign"; readonly node: Placed; readonly value: Expression }
  /** Bound with a value that has no expression of its own: loops, with, except, del, unpacking, patterns. */
  | { readonly kind: "other"; readonly node: Placed }
  | { readonly kind: "augmented"; readonly node: Placed };

export interface Scope {
  readonly node: ScopeNode;
  readonly bindings: ReadonlyMap<string, readonly Binding[]>;
  readonly globals: ReadonlySet<string>;
  readonly nonlocals: ReadonlySet<string>;
}

/** A module of the application. */
export class AppModule {
  readonly name: string;
  readonly isPackage: boolean;
  readonly source: SourceText;
  readonly tree: Tree;
  readonly #parents = new Map<Node, Node>();
  readonly #scopes = new Map<Node, Scope>();

  constructor(source: SourceText, tree: Tree) {
    const parts = source.path.replace(/\.py$/, "").split("/");
    this.isPackage = parts.at(-1) === "__init__" && parts.length > 1;
    if (this.isPackage) parts.pop();
    this.name = parts.join(".");
    this.source = source;
    this.tree = tree;
    walk(tree, (node) => {
      for (const child of children(node)) this.#parents.set(child, node);
    });
  }

  parent(node: Node): Node | undefined {
    return this.#parents.get(node);
  }

  /** The nodes around a node, innermost first. */
  *around(node: Node): Generator<Node> {
    for (let up = this.parent(node); up; up = this.parent(up)) yield up;
  }

  /** Is it the decorator of a function or class (called or not)? */
  decorates(node: Node): boolean {
    const up = this.parent(node);
    return (
      up !== undefined &&
      (isFunction(up) || up._ === "ClassDef") &&
      (up.decorator_list as readonly Node[]).includes(node)
    );
  }

  /** Is it evaluated when a function runs, and not once while the module is imported? */
  inFunction(node: Node): boolean {
    return this.scopesAt(node).some((scope) => isFunction(scope.node) || scope.node._ === "Lambda");
  }

  /** The absolute dotted path that an import names, or undefined if it leaves the folder. */
  absolute(module: string | undefined, level: number): string | undefined {
    if (level === 0) return module ?? "";
    const parts = this.name.split(".");
    if (!this.isPackage) parts.pop();
    if (level > parts.length) return undefined;
    const base = parts.slice(0, parts.length - (level - 1));
    return [...base, ...(module ? [module] : [])].join(".");
  }

  get scope(): Scope {
    return this.scopeOf(this.tree);
  }

  scopeOf(node: ScopeNode): Scope {
    const known = this.#scopes.get(node);
    if (known) return known;
    const made = readScope(this, node);
    this.#scopes.set(node, made);
    return made;
  }

  /** The scopes in which an expression is evaluated, innermost first; decorators, defaults and first iterables belong outside. */
  scopesAt(node: Node): Scope[] {
    const found: Scope[] = [];
    let child: Node = node;
    for (const up of this.around(node)) {
      const inside =
        up._ === "Module" ||
        ((isFunction(up) || up._ === "ClassDef") && (up.body as readonly Node[]).includes(child)) ||
        (up._ === "Lambda" && child === up.body) ||
        (isComprehension(up) && !(child === up.generators[0] && this.#cameFromIter(node, up)));
      if (inside) {
        const scope = this.scopeOf(up);
        // Names of a class body are not seen by the functions in it.
        if (up._ !== "ClassDef" || found.every((one) => isComprehension(one.node))) found.push(scope);
      }
      child = up;
    }
    return found;
  }

  #cameFromIter(node: Node, comprehension: AnyComp): boolean {
    const iter = comprehension.generators[0]?.iter;
    return node === iter || [...this.around(node)].some((up) => up === iter);
  }
}

function readScope(module: AppModule, owner: ScopeNode): Scope {
  const bindings = new Map<string, Binding[]>();
  const globals = new Set<string>();
  const nonlocals = new Set<string>();
  const bind = (name: string, binding: Binding): void => {
    const known = bindings.get(name);
    if (known) known.push(binding);
    else bindings.set(name, [binding]);
  };
  const bindTarget = (target: Expression, node: Placed, value?: Expression): void => {
    if (value && target._ === "Name") bind(target.id, { kind: "assign", node, value });
    else for (const name of targetNames(target)) bind(name, { kind: "other", node });
  };
  const enter = (node: Node): boolean | void => {
    switch (node._) {
      case "FunctionDef":
      case "AsyncFunctionDef":
        bind(node.name, { kind: "def", node });
        outside(node);
        return false;
      case "ClassDef":
        bind(node.name, { kind: "class", node });
        for (const part of [...node.decorator_list, ...node.bases, ...node.keywords]) walk(part, enter);
        return false;
      case "Lambda":
        for (const part of [...node.args.defaults, ...node.args.kw_defaults]) if (part) walk(part, enter);
        return false;
      case "ListComp":
      case "SetComp":
      case "DictComp":
      case "GeneratorExp":
        // A walrus in a comprehension binds outside of it.
        walk(node, (inner) => {
          if (inner._ === "NamedExpr") bind(inner.target.id, { kind: "other", node: inner });
          return inner._ !== "Lambda";
        });
        return false;
      case "Import":
        for (const alias of node.names) {
          const first = alias.name.split(".")[0] ?? alias.name;
          bind(alias.asname ?? first, { kind: "import", path: alias.asname ? alias.name : first, node });
        }
        return false;
      case "ImportFrom": {
        const from = module.absolute(node.module, node.level);
        for (const alias of node.names) {
          const path = from === undefined ? "" : `${from}.${alias.name}`;
          if (alias.name !== "*") bind(alias.asname ?? alias.name, { kind: "import", path, node });
        }
        return false;
      }
      case "Assign":
        for (const target of node.targets) bindTarget(target, node, node.value);
        break;
      case "AnnAssign":
        if (node.value) bindTarget(node.target, node, node.value);
        break;
      case "NamedExpr":
        bindTarget(node.target, node, node.value);
        break;
      case "AugAssign":
        for (const name of targetNames(node.target)) bind(name, { kind: "augmented", node });
        break;
      case "For":
      case "AsyncFor":
        bindTarget(node.target, node);
        break;
      case "Delete":
        for (const target of node.targets) bindTarget(target, node);
        break;
      case "With":
      case "AsyncWith":
        for (const item of node.items) if (item.optional_vars) bindTarget(item.optional_vars, node);
        break;
      case "ExceptHandler":
        if (node.name) bind(node.name, { kind: "other", node });
        break;
      case "MatchStar":
      case "MatchAs":
      case "MatchMapping":
        for (const name of [node.name, node.rest]) if (name) bind(name, { kind: "other", node });
        break;
      case "TypeAlias":
        bindTarget(node.name, node);
        break;
      case "Global":
        for (const name of node.names) globals.add(name);
        break;
      case "Nonlocal":
        for (const name of node.names) nonlocals.add(name);
        break;
      default:
        break;
    }
  };
  const outside = (node: FunctionNode): void => {
    const parts = [...node.decorator_list, ...node.args.defaults, ...node.args.kw_defaults];
    for (const part of parts) if (part) walk(part, enter);
  };

  if (isComprehension(owner)) {
    for (const generator of owner.generators) {
      for (const name of targetNames(generator.target)) bind(name, { kind: "other", node: generator.target });
    }
  } else if (owner._ === "Lambda") {
    for (const arg of parameters(owner.args)) bind(arg.arg, { kind: "parameter", node: arg });
    walk(owner.body, enter);
  } else {
    if (isFunction(owner)) for (const arg of parameters(owner.args)) bind(arg.arg, { kind: "parameter", node: arg });
    for (const statement of owner.body) walk(statement, enter);
  }
  for (const name of [...globals, ...nonlocals]) if (owner._ !== "Module") bindings.delete(name);
  return { node: owner, bindings, globals, nonlocals };
}

export type Meaning =
  | { readonly kind: "builtin"; readonly name: string }
  /** A name outside the application: `numpy.sum`, `sandloom.split`. */
  | { readonly kind: "external"; readonly path: string }
  | { readonly kind: "module"; readonly module: AppModule }
  | { readonly kind: "global"; readonly module: AppModule; readonly name: string }
  | { readonly kind: "local"; readonly scope: Scope; readonly name: string }
  | { readonly kind: "unknown" };

const UNKNOWN: Meaning = { kind: "unknown" };

export class Names {
  readonly modules: ReadonlyMap<string, AppModule>;

  constructor(modules: ReadonlyMap<string, AppModule>) {
    this.modules = modules;
  }

  /** Names, and dotted names of modules; anything else is unknown. */
  meaning(module: AppModule, node: Node): Meaning {
    if (node._ === "Attribute") return this.#attribute(this.meaning(module, node.value), node.attr);
    if (node._ !== "Name") return UNKNOWN;
    for (const scope of module.scopesAt(node)) {
      if (scope.node._ === "Module") break;
      if (scope.globals.has(node.id)) break;
      const bindings = scope.bindings.get(node.id);
      if (!bindings) continue;
      const only = bindings[0];
      if (bindings.length === 1 && only?.kind === "import") return this.#path(only.path);
      return { kind: "local", scope, name: node.id };
    }
    return this.global(module, node.id);
  }

  /** What a name means at the top level of a module. */
  global(module: AppModule, name: string, seen: ReadonlySet<string> = new Set()): Meaning {
    const key = `${module.name}:${name}`;
    if (seen.has(key)) return UNKNOWN;
    const bindings = module.scope.bindings.get(name);
    if (bindings) {
      const last = bindings.at(-1);
      const imports = bindings.every((one) => one.kind === "import");
      if (imports && last?.kind === "import") return this.#path(last.path, new Set([...seen, key]));
      return { kind: "global", module, name };
    }
    for (const path of this.#stars(module)) {
      const target = this.modules.get(path);
      if (path === "sandloom" && (name === "split" || name === "remote"))
        return { kind: "external", path: `sandloom.${name}` };
      if (!target || name.startsWith("_")) continue;
      const found = this.global(target, name, new Set([...seen, key]));
      if (found.kind !== "builtin" && found.kind !== "unknown") return found;
    }
    if (this.#stars(module).some((path) => path !== "sandloom" && !this.modules.has(path))) return UNKNOWN;
    return { kind: "builtin", name };
  }

  #stars(module: AppModule): string[] {
    return module.tree.body.flatMap((node) =>
      node._ === "ImportFrom" && node.names.some((alias) => alias.name === "*")
        ? [module.absolute(node.module, node.level) ?? ""]
        : [],
    );
  }

  #attribute(base: Meaning, attribute: string): Meaning {
    if (base.kind === "external") return { kind: "external", path: `${base.path}.${attribute}` };
    if (base.kind !== "module") return UNKNOWN;
    const bound = base.module.scope.bindings.has(attribute);
    const submodule = this.modules.get(`${base.module.name}.${attribute}`);
    if (submodule && !bound) return { kind: "module", module: submodule };
    const found = this.global(base.module, attribute);
    return found.kind === "builtin" ? UNKNOWN : found;
  }

  /** `a.b.c` from the top: the longest prefix that is a module of the application, then its names. */
  #path(path: string, seen: ReadonlySet<string> = new Set()): Meaning {
    if (path === "") return UNKNOWN;
    const parts = path.split(".");
    for (let length = parts.length; length > 0; length--) {
      const module = this.modules.get(parts.slice(0, length).join("."));
      if (!module) continue;
      const [name, ...rest] = parts.slice(length);
      if (name === undefined) return { kind: "module", module };
      return rest.reduce((meaning, part) => this.#attribute(meaning, part), this.global(module, name, seen));
    }
    return { kind: "external", path };
  }
}

/**
 * Where values come from: which memory components and parameters a local expression may alias. Within a function it follows
 * names without regard to order; between functions it follows arguments until nothing changes.
 */
// oxlint-disable typescript/switch-exhaustiveness-check -- CPython's tree has 70 classes: `default` is meant
import {
  isFunction,
  parameters,
  walk,
  type Call,
  type Comprehension,
  type Expression,
  type FunctionNode,
  type Node,
} from "./ast.ts";
import type { Memory } from "./memory.ts";
import type { AppModule, Binding, Scope } from "./names.ts";
import { yieldsIn, type AppFunction, type Program } from "./program.ts";

export type Via = "whole" | "rows" | "unknown";

/** A thing that is aliased: a memory component, a parameter of the function, or something unknown. */
export type Root =
  | { readonly kind: "memory"; readonly name: string; readonly via: Via }
  | { readonly kind: "parameter"; readonly function: FunctionNode; readonly name: string; readonly via: Via }
  | { readonly kind: "unknown"; readonly via: Via };

/** What is known of a value. No roots: it is fresh, or plain data. */
export interface Value {
  readonly roots: readonly Root[];
  /** It is a number, a text or the like: nobody can write it. */
  readonly scalar?: boolean;
  /** What iterating it yields. */
  readonly items?: Value;
  /** What unpacking it yields. */
  readonly elements?: readonly Value[];
}

const FRESH: Value = { roots: [] };
const SCALAR: Value = { roots: [], scalar: true };
const UNKNOWN: Value = { roots: [{ kind: "unknown", via: "unknown" }] };

/** Methods of arrays and frames whose results are new. Those of other objects may hand out what they hold. */
const FRESH_METHODS = new Set(
  `sum mean min max std var prod copy astype tolist item dot all any argmax argmin round clip cumsum cumprod conj nonzero count
  standard_normal normal random integers uniform groupby merge sort_values strip lower upper split join format`.split(
    /\s+/,
  ),
);
const ALIASING_FUNCTIONS = new Set(
  "array array_split hsplit vsplit dsplit split real imag broadcast_arrays meshgrid trim_zeros as_strided sliding_window_view permute_dims matrix_transpose rollaxis nan_to_num unstack asarray asanyarray ascontiguousarray asfortranarray atleast_1d atleast_2d atleast_3d broadcast_to diagonal expand_dims flip fliplr flipud moveaxis ravel reshape require rot90 squeeze swapaxes transpose".split(
    " ",
  ),
);
const SCALAR_ATTRIBUTES = new Set("shape size ndim dtype nbytes itemsize strides empty".split(" "));
const SCALAR_FUNCTIONS = new Set("len int float str bool abs round ord chr hash repr isinstance".split(" "));
const COPYING_FUNCTIONS = new Set("list tuple sorted reversed iter".split(" "));

/** Is it an object that can be filled after it was made? */
function isContainer(node: Expression): boolean {
  if (node._ === "Call") return node.func._ === "Name" && ["list", "dict", "set"].includes(node.func.id);
  return ["List", "Dict", "Set", "ListComp", "DictComp", "SetComp"].includes(node._);
}

function rootKey(root: Root): string {
  const name =
    root.kind === "memory" ? root.name : root.kind === "parameter" ? `${root.name}@${root.function.at[0]}` : "";
  return `${root.kind}:${name}:${root.via}`;
}

function join(values: readonly Value[]): Value {
  if (values.length === 1) return values[0] ?? FRESH;
  const roots = new Map(values.flatMap((value) => value.roots).map((root) => [rootKey(root), root]));
  const items = values.flatMap((value) => (value.items ? [value.items] : []));
  return {
    roots: [...roots.values()],
    scalar: values.length > 0 && values.every((value) => value.scalar === true),
    ...(items.length > 0 ? { items: join(items) } : {}),
  };
}

/** A part of a value: of what it aliases, some unknown range. */
function part(value: Value, via: Via): Value {
  return { roots: value.roots.map((root) => ({ ...root, via: root.via === "whole" ? via : "unknown" })) };
}

export class Flow {
  readonly #program: Program;
  readonly #memory: Memory;
  readonly #names = new Map<Scope, Map<string, Value>>();
  readonly #scopes = new Map<Scope, number>();
  /** Names whose value is being found, and those of them that were met again. */
  readonly #open = new Set<string>();
  readonly #cut = new Set<string>();
  readonly #results = new Map<FunctionNode, Value>();
  /** What the parameters of a function may be, from all its call sites. */
  readonly #arguments = new Map<FunctionNode, Map<string, Map<string, Root>>>();

  constructor(program: Program, memory: Memory) {
    this.#program = program;
    this.#memory = memory;
    this.#follow();
  }

  value(module: AppModule, node: Expression): Value {
    const memory = this.#memory.at(node);
    if (memory) return { roots: [{ kind: "memory", name: memory.name, via: "whole" }] };
    switch (node._) {
      case "Name":
        return this.#name(module, node.id, node);
      case "Constant":
        return SCALAR;
      case "Compare":
        return [node.left, ...node.comparators].every((one) => this.value(module, one).scalar) ? SCALAR : FRESH;
      case "UnaryOp":
        return this.value(module, node.operand).scalar ? SCALAR : FRESH;
      case "BinOp":
        return this.value(module, node.left).scalar && this.value(module, node.right).scalar ? SCALAR : FRESH;
      case "NamedExpr":
      case "Starred":
        return this.value(module, node.value);
      case "IfExp":
        return join([this.value(module, node.body), this.value(module, node.orelse)]);
      case "BoolOp":
        return join(node.values.map((one) => this.value(module, one)));
      case "Tuple":
      case "List":
      case "Set": {
        const elements = node.elts.map((one) => this.value(module, one));
        const all = join(elements);
        return { roots: all.roots, elements, items: all };
      }
      case "Dict":
        return { roots: join(node.values.map((one) => this.value(module, one))).roots };
      case "ListComp":
      case "SetComp":
      case "GeneratorExp": {
        const items = this.value(module, node.elt);
        return { roots: items.roots, items };
      }
      case "DictComp":
        return { roots: this.value(module, node.value).roots };
      case "Attribute":
        if (SCALAR_ATTRIBUTES.has(node.attr)) return SCALAR;
        return this.#program.names.meaning(module, node).kind === "unknown"
          ? part(this.value(module, node.value), "unknown")
          : UNKNOWN;
      case "Subscript": {
        const base = this.value(module, node.value);
        if (base.scalar) return SCALAR;
        if (base.items && node.slice._ !== "Slice") return base.items;
        return part(base, "unknown");
      }
      case "Call":
        return this.#call(module, node);
      default:
        return UNKNOWN;
    }
  }

  /** What a value may alias in terms of memory components; `undefined` among them: something that is not known. */
  memory(value: Value, seen: ReadonlySet<string> = new Set()): Map<string | undefined, Via> {
    const found = new Map<string | undefined, Via>();
    const add = (name: string | undefined, via: Via): void => {
      const known = found.get(name);
      found.set(name, known === undefined || known === via ? via : "unknown");
    };
    for (const root of value.roots) {
      if (root.kind === "memory") add(root.name, root.via);
      else if (root.kind === "unknown") add(undefined, "unknown");
      else {
        const key = `${root.function.name}:${root.function.at[0]}:${root.name}`;
        if (seen.has(key)) continue;
        const given = [...(this.#arguments.get(root.function)?.get(root.name)?.values() ?? [])];
        for (const [name, via] of this.memory({ roots: given }, new Set([...seen, key]))) {
          add(name, root.via === "whole" ? via : via === "whole" ? root.via : "unknown");
        }
      }
    }
    return found;
  }

  #items(value: Value): Value {
    if (value.items) return value.items;
    return value.scalar ? SCALAR : part(value, "unknown");
  }

  #call(module: AppModule, node: Call): Value {
    const [first] = node.args;
    const of = (one: Expression | undefined): Value => (one ? this.value(module, one) : FRESH);
    if (this.#program.marker(module, node.func) === "split")
      return { roots: of(first).roots, items: part(of(first), "rows") };
    const target = this.#program.functionAt(module, node.func);
    if (target) {
      if (this.#memory.at(target.node)) return this.#published(target.node);
      // The result of a component lies in a region of its own, which the caller may hand to one that writes.
      return this.#program.componentOf(target.node) ? join([this.#returned(target), UNKNOWN]) : this.#returned(target);
    }
    if (node.func._ !== "Name" && node.func._ !== "Attribute") return UNKNOWN;
    const meaning = this.#program.names.meaning(module, node.func);
    if (meaning.kind === "builtin") {
      if (SCALAR_FUNCTIONS.has(meaning.name)) return SCALAR;
      if (meaning.name === "range") return { roots: [], items: SCALAR };
      if (meaning.name === "zip") {
        const elements = node.args.map((one) => this.#items(of(one)));
        return { roots: join(elements).roots, items: { roots: join(elements).roots, elements } };
      }
      if (meaning.name === "enumerate") {
        const item = this.#items(of(first));
        return { roots: item.roots, items: { roots: item.roots, elements: [SCALAR, item] } };
      }
      if (COPYING_FUNCTIONS.has(meaning.name)) return { roots: of(first).roots, items: this.#items(of(first)) };
      if (meaning.name === "sum") return FRESH;
      return { roots: join([...node.args, ...node.keywords.map((one) => one.value)].map(of)).roots };
    }
    if (meaning.kind === "external") {
      const name = meaning.path.split(".").at(-1) ?? "";
      if (ALIASING_FUNCTIONS.has(name) || meaning.path.startsWith("pandas.")) {
        return part(join(node.args.map(of)), "unknown");
      }
      return /^(numpy|math|cmath|random|time|zlib|json)\./.test(meaning.path) ? FRESH : UNKNOWN;
    }
    if (node.func._ === "Attribute" && meaning.kind === "unknown") {
      if (FRESH_METHODS.has(node.func.attr)) return FRESH;
      return part(of(node.func.value), "unknown");
    }
    return UNKNOWN;
  }

  #name(module: AppModule, name: string, at: Node): Value {
    const meaning = this.#program.names.meaning(module, at);
    if (meaning.kind === "global") return this.#global(meaning.module, meaning.name);
    if (meaning.kind !== "local") return UNKNOWN;
    let known = this.#names.get(meaning.scope);
    if (!known) this.#names.set(meaning.scope, (known = new Map()));
    const found = known.get(name);
    if (found) return found;
    const key = `${name}@${this.#scopeNumber(meaning.scope)}`;
    // A name that is bound with itself adds nothing to itself; what was found on the way round is not the whole of it.
    if (this.#open.has(key)) {
      this.#cut.add(key);
      return FRESH;
    }
    if (this.#open.size > 64) return UNKNOWN;
    this.#open.add(key);
    const bindings = meaning.scope.bindings.get(name) ?? [];
    const value = join(
      bindings.filter((one) => one.kind !== "augmented").map((one) => this.#binding(module, meaning.scope, name, one)),
    );
    this.#open.delete(key);
    this.#cut.delete(key);
    if (this.#cut.size === 0) known.set(name, value);
    return value;
  }

  /** No memory component is made at the top level, and nothing of a module is ever written. */
  #global(module: AppModule, name: string): Value {
    const bindings = module.scope.bindings.get(name) ?? [];
    const [only] = bindings;
    return bindings.length === 1 && only?.kind === "assign" && only.value._ === "Constant" ? SCALAR : FRESH;
  }

  #scopeNumber(scope: Scope): number {
    const number = this.#scopes.get(scope) ?? this.#scopes.size;
    this.#scopes.set(scope, number);
    return number;
  }

  #binding(module: AppModule, scope: Scope, name: string, binding: Binding): Value {
    if (binding.kind === "parameter") {
      if (!isFunction(scope.node) || !this.#program.functions.has(scope.node)) return UNKNOWN;
      // The event is plain data.
      if (scope.node === this.#program.main) return SCALAR;
      return { roots: [{ kind: "parameter", function: scope.node, name, via: "whole" }] };
    }
    const node = binding.node;
    if (binding.kind === "assign") {
      if (this.#memory.at(node)) return this.#published(node);
      const value = this.value(module, binding.value);
      // Anything may be put into it later.
      return isContainer(binding.value)
        ? { roots: join([value, UNKNOWN]).roots, items: join([value.items ?? FRESH, UNKNOWN]) }
        : value;
    }
    if (node._ === "For") return this.#unpacked(node.target, this.#items(this.value(module, node.iter)), name);
    if (node._ === "Assign") {
      return join(node.targets.map((target) => this.#unpacked(target, this.value(module, node.value), name)));
    }
    const generator = module.parent(node);
    if (generator?._ === "comprehension") return this.#generated(module, generator, name);
    return UNKNOWN;
  }

  /** What a function returns: a result keeps the aliasing of what it was made of. */
  #returned({ module, node }: AppFunction): Value {
    const known = this.#results.get(node);
    if (known) return known;
    if (node._ === "AsyncFunctionDef" || yieldsIn(node)) return UNKNOWN;
    // A call of itself adds nothing.
    this.#results.set(node, FRESH);
    const values: Value[] = [];
    for (const statement of node.body) {
      walk(statement, (one) => {
        if (one._ === "Return" && one.value) values.push(this.value(module, one.value));
        return !isFunction(one) && one._ !== "Lambda";
      });
    }
    const value = join(values);
    this.#results.set(node, value);
    return value;
  }

  #published(node: Node): Value {
    const memory = this.#memory.at(node);
    return memory ? { roots: [{ kind: "memory", name: memory.name, via: "whole" }] } : UNKNOWN;
  }

  #generated(module: AppModule, generator: Comprehension, name: string): Value {
    return this.#unpacked(generator.target, this.#items(this.value(module, generator.iter)), name);
  }

  #unpacked(target: Expression, value: Value, name: string): Value {
    if (target._ === "Name") return target.id === name ? value : FRESH;
    if (target._ !== "Tuple" && target._ !== "List") return FRESH;
    const starred = target.elts.some((one) => one._ === "Starred");
    return join(
      target.elts
        .map((one, index) => {
          const element = starred ? this.#items(value) : (value.elements?.[index] ?? this.#items(value));
          return one._ === "Starred" ? undefined : this.#unpacked(one, element, name);
        })
        .filter((one) => one !== undefined)
        .filter((one) => one !== FRESH || target.elts.length === 1),
    );
  }

  /** Arguments of every call of an application's function → its parameters. */
  #follow(): void {
    for (const module of this.#program.modules) {
      walk(module.tree, (node) => {
        if (node._ === "Call") {
          const target = this.#program.functionAt(module, node.func);
          if (target) this.#pass(module, node, target);
        } else if (node._ === "Name" || node._ === "Attribute") {
          const up = module.parent(node);
          const target = up?._ === "Call" && up.func === node ? undefined : this.#program.functionAt(module, node);
          // Used as a value, it may be called with anything.
          if (target && !module.decorates(node)) {
            for (const arg of parameters(target.node.args)) this.#give(target.node, arg.arg, UNKNOWN.roots);
          }
        }
      });
    }
  }

  #pass(module: AppModule, call: Call, target: AppFunction): void {
    for (const [name, arg] of boundArguments(call, target.node)) {
      this.#give(target.node, name, this.value(module, arg).roots);
    }
  }

  #give(target: FunctionNode, name: string, roots: readonly Root[]): void {
    let given = this.#arguments.get(target);
    if (!given) this.#arguments.set(target, (given = new Map()));
    let known = given.get(name);
    if (!known) given.set(name, (known = new Map()));
    for (const root of roots) known.set(rootKey(root), root);
  }
}

/** Parameter → argument expression, as far as it can be told; what *args and **kwargs carry goes to every parameter left. */
export function boundArguments(call: Call, target: FunctionNode): [string, Expression][] {
  const { args } = target;
  const positional = [...args.posonlyargs, ...args.args].map((arg) => arg.arg);
  const bound: [string, Expression][] = [];
  const open = new Set(parameters(args).map((arg) => arg.arg));
  const loose: Expression[] = [];
  let spread = false;
  for (const [index, arg] of call.args.entries()) {
    const name = positional[index] ?? args.vararg?.arg;
    if (arg._ === "Starred") spread = true;
    if (spread) loose.push(arg._ === "Starred" ? arg.value : arg);
    else if (name !== undefined) {
      bound.push([name, arg]);
      open.delete(name);
    }
  }
  for (const { arg, value } of call.keywords) {
    if (arg === undefined) loose.push(value);
    else {
      const name = open.has(arg) ? arg : (args.kwarg?.arg ?? arg);
      bound.push([name, value]);
      open.delete(name);
    }
  }
  for (const value of loose) for (const name of open) bound.push([name, value]);
  return bound;
}

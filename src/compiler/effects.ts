/** Which parameters a function is proven to write: its own stores, and what it hands to functions that write. */
import { parameters, walk, type Call, type Expression, type FunctionNode, type Name, type Node } from "./ast.ts";
import { boundArguments, type Flow } from "./flow.ts";
import type { AppModule } from "./names.ts";
import type { AppFunction, Program } from "./program.ts";

const WRITING_METHODS = new Set("sort fill put itemset resize partition setfield".split(" "));
const WRITING_FUNCTIONS = new Set("copyto put place putmask fill_diagonal put_along_axis shuffle".split(" "));
const BINARY_UFUNCS = new Set(
  "add subtract multiply divide true_divide floor_divide power mod remainder fmod maximum minimum fmax fmin arctan2 hypot matmul dot".split(
    " ",
  ),
);

interface Write {
  /** What is written: a name, or subscripts and attributes of one. */
  readonly target: Expression;
  readonly node: Node;
  /** A plain store reads nothing of it. */
  readonly plain: boolean;
}

export class Effects {
  readonly #program: Program;
  readonly #flow: Flow;
  readonly #written = new Map<FunctionNode, Set<string>>();
  readonly #plain = new Map<FunctionNode, Map<string, number>>();

  constructor(program: Program, flow: Flow) {
    this.#program = program;
    this.#flow = flow;
    for (const one of program.functions.values()) this.#written.set(one.node, this.#own(one));
    for (const one of program.components) {
      const written = this.#written.get(one.node);
      for (const name of one.options.writes) written?.add(name);
    }
    for (let changed = true; changed;) {
      changed = [...program.functions.values()].map((one) => this.#passed(one)).some((grew) => grew);
    }
  }

  /** In the order of the signature. */
  writes(node: FunctionNode): string[] {
    const written = this.#written.get(node) ?? new Set();
    return parameters(node.args)
      .map((arg) => arg.arg)
      .filter((name) => written.has(name));
  }

  access(node: FunctionNode, parameter: string): "read" | "write" | "read-write" {
    if (!this.#written.get(node)?.has(parameter)) return "read";
    let uses = 0;
    for (const statement of node.body) {
      walk(statement, (one) => {
        if (one._ === "Name" && one.id === parameter) uses++;
      });
    }
    return uses > 0 && uses === this.#plain.get(node)?.get(parameter) ? "write" : "read-write";
  }

  #own(one: AppFunction): Set<string> {
    const written = new Set<string>();
    const plain = new Map<string, number>();
    for (const write of writesIn(this.#program, one)) {
      for (const name of this.writtenParameters(one, write.target)) {
        written.add(name);
        if (write.plain && rootName(write.target)?.id === name) plain.set(name, (plain.get(name) ?? 0) + 1);
      }
    }
    this.#plain.set(one.node, plain);
    return written;
  }

  #passed(one: AppFunction): boolean {
    const written = this.#written.get(one.node) ?? new Set();
    const before = written.size;
    walk(one.node, (node) => {
      if (node._ !== "Call") return;
      const target = this.#program.functionAt(one.module, node.func);
      const theirs = target && this.#written.get(target.node);
      if (!target || !theirs || theirs.size === 0) return;
      for (const [name, arg] of boundArguments(node, target.node)) {
        if (theirs.has(name)) for (const own of this.writtenParameters(one, arg)) written.add(own);
      }
    });
    return written.size > before;
  }

  /** The parameters that a write to an expression certainly writes. What is not certain the runtime finds. */
  writtenParameters(one: AppFunction, target: Expression): string[] {
    const root = rootName(target);
    if (!root) return [];
    const meaning = this.#program.names.meaning(one.module, root);
    if (meaning.kind !== "local") return [];
    const own = one.module.scopeOf(one.node);
    const isParameter = parameters(one.node.args).some((arg) => arg.arg === root.id);
    if (meaning.scope === own && isParameter) return holdsArgument(one, root.id, root) ? [root.id] : [];
    const bindings = (meaning.scope.bindings.get(root.id) ?? []).filter((binding) => binding.kind !== "augmented");
    if (bindings.length !== 1) return [];
    const { roots } = this.#flow.value(one.module, root);
    return roots.flatMap((from) => {
      const mine = from.kind === "parameter" && from.function === one.node;
      return mine && (own.bindings.get(from.name)?.length ?? 0) === 1 ? [from.name] : [];
    });
  }
}

/** The name at the root of `x[i].T[j]`. */
export function rootName(node: Expression): Name | undefined {
  let root = node;
  while (root._ === "Subscript" || root._ === "Attribute" || root._ === "Starred") root = root.value;
  return root._ === "Name" ? root : undefined;
}

/**
 * Does a parameter still hold its argument at a place? Yes if nothing rebinds it before; no if something surely does; a
 * rebinding in a branch leaves it open, which counts as no: only what is proven is declared.
 */
export function holdsArgument(one: AppFunction, name: string, at: Node): boolean {
  const { module, node } = one;
  const bindings = module.scopeOf(node).bindings.get(name) ?? [];
  const around = new Set<Node>([at, ...module.around(at)]);
  return bindings.every((binding) => {
    if (binding.kind === "parameter" || binding.kind === "augmented") return true;
    const [line, column] = binding.node.at;
    const here = "at" in at ? at.at : ([0, 0] as const);
    // A statement that rebinds it from itself (`x = f(x)`) reads the argument.
    if (around.has(binding.node) && binding.kind === "assign") return true;
    return line > here[0] || (line === here[0] && column > here[1]);
  });
}

/** Everything in a function that writes something in place, nested functions included. */
function writesIn(program: Program, one: AppFunction): Write[] {
  const found: Write[] = [];
  const store = (target: Expression, node: Node, plain: boolean): void => {
    if (target._ === "Subscript" || target._ === "Attribute") found.push({ target: target.value, node, plain });
    else if (target._ === "Tuple" || target._ === "List")
      for (const element of target.elts) store(element, node, plain);
    else if (target._ === "Starred") store(target.value, node, plain);
  };
  walk(one.node, (node) => {
    if (node._ === "Assign") for (const target of node.targets) store(target, node, true);
    else if (node._ === "AnnAssign" && node.value) store(node.target, node, true);
    else if (node._ === "AugAssign") {
      if (node.target._ === "Name") found.push({ target: node.target, node, plain: false });
      else store(node.target, node, false);
    } else if (node._ === "For" || node._ === "AsyncFor") store(node.target, node, true);
    else if (node._ === "Delete") for (const target of node.targets) store(target, node, false);
    else if (node._ === "Call") found.push(...callWrites(program, one.module, node));
  });
  return found;
}

function callWrites(program: Program, module: AppModule, node: Call): Write[] {
  const found: Write[] = [];
  const add = (target: Expression | undefined, plain: boolean): void => {
    if (target) found.push({ target, node, plain });
  };
  for (const { arg, value } of node.keywords) {
    if (arg !== "out") continue;
    if (value._ === "Tuple") for (const element of value.elts) add(element, true);
    else add(value, true);
  }
  const flag = (name: string, value: boolean): boolean =>
    node.keywords.some((one) => one.arg === name && one.value._ === "Constant" && one.value.value === value);
  if (node.func._ !== "Attribute" && node.func._ !== "Name") return found;
  const meaning = program.names.meaning(module, node.func);
  if (meaning.kind === "external") {
    const parts = meaning.path.split(".");
    const name = parts.at(-1) ?? "";
    if (name === "at" && parts.length > 2) add(node.args[0], false);
    else if (WRITING_FUNCTIONS.has(name)) add(node.args[0], false);
    else if (name === "nan_to_num" && flag("copy", false)) add(node.args[0], false);
    else if (parts[0] === "numpy" && BINARY_UFUNCS.has(name)) add(node.args[2], true);
  } else if (meaning.kind === "unknown" && node.func._ === "Attribute") {
    if (WRITING_METHODS.has(node.func.attr) || flag("inplace", true)) add(node.func.value, false);
    else if (node.func.attr === "shuffle") add(node.args[0], false);
  }
  return found;
}

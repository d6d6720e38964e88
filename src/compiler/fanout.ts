/**
 * Fan-out: may the component calls in one comprehension be triggered together? Only if nobody can notice but by the clock:
 * what stands around the calls is pure, and evaluating it later, or the rest earlier, changes no value and no first failure.
 */
// oxlint-disable typescript/switch-exhaustiveness-check -- CPython's tree has 70 classes: `default` is meant
import {
  children,
  isFunction,
  targetNames,
  walk,
  type AnyComp,
  type Call,
  type Comprehension,
  type Expression,
  type Node,
} from "./ast.ts";
import type { Effects } from "./effects.ts";
import type { Flow } from "./flow.ts";
import type { AppModule } from "./names.ts";
import { yieldsIn, type Component, type Program } from "./program.ts";
import { isSlicing, mayRaise, type Purity } from "./purity.ts";

/** Functions that take all of a generator before they do anything else with its items. */
const CONSUMERS = new Set("sum list tuple set frozenset dict sorted max min".split(" "));
const EXTERNAL_CONSUMERS = new Set(
  `numpy.stack numpy.concatenate numpy.hstack numpy.vstack numpy.dstack numpy.column_stack numpy.array numpy.asarray numpy.sum
  numpy.fromiter pandas.concat math.fsum math.prod collections.deque collections.Counter`.split(/\s+/),
);

export interface FanOut {
  readonly node: AnyComp;
  /** Calls that are triggered together; a later stage takes the results of the one before as arguments. */
  readonly stages: readonly (readonly Call[])[];
  /** What stands before the first call and may raise: evaluated where the calls are triggered. */
  readonly hoisted: readonly Expression[];
}

export interface Context {
  readonly program: Program;
  readonly flow: Flow;
  readonly effects: Effects;
  readonly purity: Purity;
}

class Refused extends Error {}

/** A plan, or why the calls of the comprehension's element run one after the other; undefined if it has none. */
export function planFanOut(context: Context, module: AppModule, node: AnyComp): FanOut | string | undefined {
  const elements = node._ === "DictComp" ? [node.key, node.value] : [node.elt];
  if (!elements.some((one) => holdsCall(context, module, one))) return undefined;
  try {
    const plan = new Element(context, module, node);
    for (const element of elements) plan.visit(element, false);
    checkGenerators(context, module, node);
    const consumer = node._ === "GeneratorExp" ? consumerReason(context, module, node) : undefined;
    if (consumer !== undefined) return consumer;
    return plan.finish();
  } catch (error) {
    if (error instanceof Refused) return error.message;
    throw error;
  }
}

export function holdsCall(context: Context, module: AppModule, node: Node): boolean {
  let found = false;
  walk(node, (one) => {
    if (one._ === "Call" && context.program.componentAt(module, one.func)) found = true;
    return !found;
  });
  return found;
}

function consumerReason(context: Context, module: AppModule, node: AnyComp): string | undefined {
  const up = module.parent(node);
  if (up?._ !== "Call" || up.args[0] !== node) return "the generator's items are taken one by one";
  const others = [...up.args.slice(1), ...up.keywords.map((keyword) => keyword.value)];
  if (others.some((one) => one._ !== "Lambda" && mayRaise(one))) return "an argument beside the generator may raise";
  const meaning = context.program.names.meaning(module, up.func);
  const joined = up.func._ === "Attribute" && up.func.attr === "join" && up.func.value._ === "Constant";
  const external = meaning.kind === "external" && EXTERNAL_CONSUMERS.has(meaning.path);
  if (!joined && !external && !(meaning.kind === "builtin" && CONSUMERS.has(meaning.name))) {
    return "what takes the generator's items may stop early, or do something between them";
  }
  const key = up.keywords.find((keyword) => keyword.arg === "key")?.value;
  if (!key || key._ === "Constant" || (meaning.kind === "builtin" && meaning.name === "sorted")) return undefined;
  const reason = key._ === "Lambda" ? context.purity.reason(module, key.body) : pureName(context, module, key);
  return reason === undefined ? undefined : `key= is called between the items, and ${reason}`;
}

function pureName(context: Context, module: AppModule, node: Expression): string | undefined {
  const call = { _: "Call", at: node.at, func: node, args: [], keywords: [] } as const;
  return context.purity.callReason(module, call);
}

function checkGenerators(context: Context, module: AppModule, node: AnyComp): void {
  for (const [index, generator] of node.generators.entries()) {
    if (generator.is_async) throw new Refused("the comprehension is asynchronous");
    if (!plainTarget(generator.target)) throw new Refused("the loop's target is more than names");
    for (const condition of generator.ifs) {
      if (holdsCall(context, module, condition)) throw new Refused("a condition calls a component");
      const reason = context.purity.reason(module, condition);
      if (reason !== undefined) throw new Refused(`a condition is not pure: ${reason}`);
    }
    checkIterable(context, module, generator, index === 0);
  }
}

function plainTarget(target: Expression): boolean {
  if (target._ === "Tuple" || target._ === "List") return target.elts.every(plainTarget);
  return target._ === "Name" || (target._ === "Starred" && plainTarget(target.value));
}

function checkIterable(context: Context, module: AppModule, { iter }: Comprehension, first: boolean): void {
  if (!first) {
    if (holdsCall(context, module, iter)) throw new Refused("a second iterable calls a component");
    const reason = context.purity.reason(module, iter);
    if (reason !== undefined) throw new Refused(`a second iterable is not pure: ${reason}`);
  }
  if (lazy(context, module, iter)) throw new Refused("the iterable runs code between its items");
}

/** Does iterating over it run code of the application? Generators do, and what wraps them. */
function lazy(context: Context, module: AppModule, node: Expression, depth = 0): boolean {
  const { program, purity } = context;
  if (depth > 8) return true;
  if (node._ === "GeneratorExp") return purity.reason(module, node) !== undefined;
  if (node._ === "Name") {
    const meaning = program.names.meaning(module, node);
    if (meaning.kind !== "local") return false;
    const bindings = meaning.scope.bindings.get(node.id) ?? [];
    return bindings.some(
      (one) => one.kind === "assign" && one.value !== node && lazy(context, module, one.value, depth + 1),
    );
  }
  if (node._ !== "Call") return false;
  const target = program.functionAt(module, node.func);
  if (target)
    return (
      !program.componentAt(module, node.func) && (yieldsIn(target.node) !== undefined || returnsGenerator(target.node))
    );
  const meaning = program.names.meaning(module, node.func);
  const name = meaning.kind === "builtin" ? meaning.name : "";
  if (name === "map" || name === "filter") {
    const [called, ...rest] = node.args;
    const plain = called?._ === "Constant" || (called !== undefined && pureName(context, module, called) === undefined);
    return !plain || rest.some((one) => lazy(context, module, one, depth + 1));
  }
  if (["zip", "enumerate", "iter", "reversed"].includes(name) || meaning.kind === "external") {
    return node.args.some((one) => lazy(context, module, one, depth + 1));
  }
  // A method of an object that is not known may be a generator function of the application.
  return meaning.kind === "local" || (meaning.kind === "global" && !target);
}

function returnsGenerator(node: Node): boolean {
  let found = false;
  walk(node, (one) => {
    if (one !== node && (isFunction(one) || one._ === "Lambda")) return false;
    if (one._ === "Return" && one.value?._ === "GeneratorExp") found = true;
    return !found;
  });
  return found;
}

/** The element of a comprehension, visited in the order of its evaluation. */
class Element {
  readonly #context: Context;
  readonly #module: AppModule;
  readonly #node: AnyComp;
  readonly #calls: Call[] = [];
  readonly #hoisted: Expression[] = [];
  /** What may raise between two calls. */
  #between = false;

  constructor(context: Context, module: AppModule, node: AnyComp) {
    this.#context = context;
    this.#module = module;
    this.#node = node;
  }

  visit(node: Expression, conditional: boolean): void {
    if (!holdsCall(this.#context, this.#module, node)) return this.#plain(node);
    if (node._ === "Call" && this.#component(node)) {
      if (conditional)
        throw new Refused("the call stands under a condition of its own: write it as `if` of the comprehension");
      if (this.#between) throw new Refused("something between two calls may raise");
      this.#calls.push(node);
      return;
    }
    switch (node._) {
      case "IfExp":
        this.visit(node.test, conditional);
        this.visit(node.body, true);
        this.visit(node.orelse, true);
        break;
      case "BoolOp":
        for (const [index, one] of node.values.entries()) this.visit(one, conditional || index > 0);
        break;
      case "Compare":
        this.visit(node.left, conditional);
        for (const [index, one] of node.comparators.entries()) this.visit(one, conditional || index > 0);
        break;
      case "Dict":
        for (const [index, value] of node.values.entries()) {
          const key = node.keys[index];
          if (key) this.visit(key, conditional);
          this.visit(value, conditional);
        }
        break;
      case "Call": {
        const reason = this.#context.purity.callReason(this.#module, node);
        if (reason !== undefined) throw new Refused(`the element is not pure: ${reason}`);
        if (node.func._ === "Attribute" && holdsCall(this.#context, this.#module, node.func))
          this.visit(node.func.value, conditional);
        for (const one of node.args) this.visit(one, conditional);
        for (const one of node.keywords) this.visit(one.value, conditional);
        break;
      }
      case "BinOp":
      case "UnaryOp":
      case "Tuple":
      case "List":
      case "Set":
      case "Starred":
      case "Attribute":
      case "Subscript":
      case "Slice":
        for (const child of children(node)) this.visit(child as Expression, conditional);
        break;
      case "ListComp":
      case "SetComp":
      case "DictComp":
      case "GeneratorExp":
        throw new Refused("a comprehension inside it calls a component");
      default:
        throw new Refused(
          `the call stands inside ${node._ === "JoinedStr" ? "an f-string" : "an expression that is not pure"}`,
        );
    }
    if (this.#calls.length > 0 && !quiet(node)) this.#between = true;
  }

  #component(node: Call): Component | undefined {
    return this.#context.program.componentAt(this.#module, node.func);
  }

  #plain(node: Expression): void {
    const reason = this.#context.purity.reason(this.#module, node);
    if (reason !== undefined) throw new Refused(`the element is not pure: ${reason}`);
    this.#checkGenerators(node);
    if (!mayRaise(node)) return;
    if (this.#calls.length === 0 && node._ !== "Starred" && node._ !== "Slice") this.#hoisted.push(node);
    else this.#between = true;
  }

  /** A generator that is taken later sees the loop's names as they are then. */
  #checkGenerators(node: Expression): void {
    walk(node, (one) => {
      if (one._ !== "GeneratorExp") return;
      const up = this.#module.parent(one);
      const meaning = up?._ === "Call" ? this.#context.program.names.meaning(this.#module, up.func) : undefined;
      if (meaning?.kind === "builtin" && CONSUMERS.has(meaning.name)) return;
      throw new Refused("a generator stands beside the call");
    });
  }

  finish(): FanOut {
    const stages = this.#stages(this.#calls);
    for (const calls of stages) for (const [index, call] of calls.entries()) this.#arguments(call, index > 0);
    const all = stages.flat();
    if (all.some((call) => this.#writes(call))) this.#checkWriters(all);
    // What comes before the first call is evaluated before it; all else stays in the element.
    return { node: this.#node, stages, hoisted: this.#hoisted };
  }

  #stages(calls: readonly Call[]): (readonly Call[])[] {
    const inner = calls.map((call) => this.#direct(call));
    if (inner.every((one) => one.length === 0)) return [calls];
    const [only] = inner;
    if (calls.length > 1 || !only)
      throw new Refused("a component's result is the argument of another beside further calls");
    return [...this.#stages(only), calls];
  }

  /** The component calls that are arguments of a call themselves. */
  #direct(call: Call): Call[] {
    return [...call.args, ...call.keywords.map((one) => one.value)].flatMap((one) =>
      one._ === "Call" && this.#component(one) ? [one] : [],
    );
  }

  #arguments(call: Call, later: boolean): void {
    const direct = this.#direct(call);
    let raised = false;
    for (const one of [...call.args, ...call.keywords.map((keyword) => keyword.value)]) {
      if (direct.includes(one as Call)) {
        if (raised) throw new Refused("an argument before a component's result may raise");
        continue;
      }
      const reason = this.#context.purity.reason(this.#module, one);
      if (reason !== undefined) throw new Refused(`an argument is not pure: ${reason}`);
      if (mayRaise(one)) raised = true;
    }
    if (later && raised) throw new Refused("an argument of the second call may raise before the first has failed");
  }

  #writes(call: Call): boolean {
    const component = this.#component(call);
    return component !== undefined && this.#context.effects.writes(component.node).length > 0;
  }

  /** While a component writes, this one must only hand arrays on, and read none. */
  #checkWriters(calls: readonly Call[]): void {
    const { flow } = this.#context;
    const isMine = (node: Expression): boolean => isPrivate(this.#context, this.#module, node);
    const fail = (): never => {
      throw new Refused("a component writes an array that may be read here in the meantime");
    };
    for (const call of calls) {
      for (const one of [...call.args, ...call.keywords.map((keyword) => keyword.value)]) {
        const component = one._ === "Call" && this.#component(one);
        if (!component && !isHandedOn(this.#context, this.#module, one)) fail();
      }
    }
    for (const generator of this.#node.generators) {
      if (!generator.ifs.every(isMine)) fail();
      const value = flow.value(this.#module, generator.iter);
      if (!value.items && value.roots.some((root) => root.kind !== "unknown")) fail();
    }
    for (const element of this.#node._ === "DictComp" ? [this.#node.key, this.#node.value] : [this.#node.elt]) {
      walk(element, (node) => {
        if (node._ === "Call" && this.#component(node)) return false;
        if (node._ === "Name" && !isMine(node)) fail();
        return true;
      });
    }
  }
}

/** An argument that is handed on without anything of it being read, or that nobody else can write. */
export function isHandedOn(context: Context, module: AppModule, node: Expression): boolean {
  if (node._ === "Name") return true;
  if (node._ === "Starred") return isHandedOn(context, module, node.value);
  if (node._ === "Subscript" && isSlicing(node.slice)) return isHandedOn(context, module, node.value);
  return isPrivate(context, module, node);
}

/** Does evaluating it read nothing that a component may write: numbers, and arrays that were made here and stayed here? */
function isPrivate(context: Context, module: AppModule, node: Expression): boolean {
  const { program, flow } = context;
  let isSo = true;
  walk(node, (one) => {
    if (one._ === "Name" || one._ === "Attribute") {
      const up = module.parent(one);
      const callee = up?._ === "Call" && up.func === one && one._ === "Name";
      const named = program.names.meaning(module, one).kind;
      if (callee || named === "external" || named === "global") return false;
      // Its shape is no part of what is written.
      if (one._ === "Attribute" && flow.value(module, one).scalar) return false;
      if (one._ === "Name" && flow.memory(flow.value(module, one)).size > 0) isSo = false;
    } else if (one._ === "Call" && one.func._ === "Name" && one.func.id === "len") {
      if (one.args.every((arg) => arg._ === "Name")) return false;
    }
    return isSo;
  });
  return isSo;
}

/** Operations that do not raise on the values that a program means them for. */
function quiet(node: Expression): boolean {
  if (node._ === "BinOp") return ["Add", "Sub", "Mult", "BitAnd", "BitOr", "BitXor"].includes(node.op);
  return ["Tuple", "List", "UnaryOp", "Attribute", "Starred", "Dict"].includes(node._);
}

/** The names that the loops of a comprehension bind. */
export function loopNames(node: AnyComp): string[] {
  return [...new Set(node.generators.flatMap((generator) => targetNames(generator.target)))];
}

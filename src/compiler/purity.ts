/** Which expressions may be evaluated earlier or later than they stand without anybody noticing. */
// oxlint-disable typescript/switch-exhaustiveness-check -- CPython's tree has 70 classes: `default` is meant
import { children, isComprehension, type Call, type Expression, type Node } from "./ast.ts";
import type { AppModule, Meaning } from "./names.ts";
import type { Program } from "./program.ts";

const PURE_BUILTINS = new Set(
  "len int float complex str bytes bool abs round min max sum tuple list set frozenset dict sorted range zip enumerate reversed divmod pow ord chr hash repr isinstance slice".split(
    " ",
  ),
);
/** Libraries whose functions compute and nothing else, but for those below. */
const PURE_LIBRARIES = new Set(["numpy", "math", "cmath", "operator", "pandas"]);
const IMPURE_FUNCTIONS = new Set(
  `copyto put place putmask fill_diagonal put_along_axis seterr seterrcall setbufsize set_printoptions save savez savetxt tofile
  vectorize apply_along_axis apply_over_axes frompyfunc fromfunction piecewise fromiter setitem delitem iadd isub imul
  itruediv ifloordiv imod ipow imatmul iand ior ixor ilshift irshift iconcat call methodcaller eval set_option`.split(
    /\s+/,
  ),
);
const PURE_METHODS = new Set(
  `sum mean min max std var prod copy astype tolist item reshape ravel transpose dot all any argmax argmin round clip cumsum get
  items keys values strip lstrip rstrip lower upper title split join format startswith endswith replace encode decode to_numpy
  to_dict conj nonzero count index head tail abs`.split(/\s+/),
);

export class Purity {
  readonly #program: Program;
  /** Methods of the application's own classes: a name of them may do anything. */
  readonly #own = new Set<string>();

  constructor(program: Program) {
    this.#program = program;
    for (const module of program.modules) {
      for (const node of module.tree.body) {
        if (node._ !== "ClassDef") continue;
        for (const one of node.body) if (one._ === "FunctionDef") this.#own.add(one.name);
      }
    }
  }

  /** Why an expression is not pure, or undefined if it is. */
  reason(module: AppModule, node: Node): string | undefined {
    switch (node._) {
      case "NamedExpr":
        return "it holds an assignment expression";
      case "Await":
      case "Yield":
      case "YieldFrom":
        return "it holds await or yield";
      case "Lambda":
        return "it holds a lambda";
      case "TemplateStr":
        return "it holds a template string";
      case "Call":
        if (this.#program.componentAt(module, node.func)) return "it calls a component there";
        return this.callReason(module, node) ?? this.#below(module, node);
      default:
        return this.#below(module, node);
    }
  }

  /** Why a call of a function is not pure; its arguments are not looked at. */
  callReason(module: AppModule, node: Call): string | undefined {
    if (node.keywords.some((keyword) => keyword.arg === "out" || keyword.arg === "inplace"))
      return "it writes in place";
    const { func } = node;
    if (this.#program.marker(module, func) === "split") return undefined;
    const meaning = this.#program.names.meaning(module, func);
    if (meaning.kind === "builtin" && PURE_BUILTINS.has(meaning.name)) return undefined;
    if (meaning.kind === "external" && this.pureLibrary(meaning)) return undefined;
    if (
      meaning.kind === "unknown" &&
      func._ === "Attribute" &&
      PURE_METHODS.has(func.attr) &&
      !this.#own.has(func.attr)
    )
      return undefined;
    const name = func._ === "Name" ? func.id : func._ === "Attribute" ? func.attr : "something";
    return `it calls ${name}, which may do more than compute`;
  }

  pureLibrary(meaning: Extract<Meaning, { kind: "external" }>): boolean {
    const parts = meaning.path.split(".");
    const library = parts[0] ?? "";
    const name = parts.at(-1) ?? "";
    return (
      PURE_LIBRARIES.has(library) &&
      parts[1] !== "random" &&
      !IMPURE_FUNCTIONS.has(name) &&
      !/^(read_|load|to_)/.test(name)
    );
  }

  #below(module: AppModule, node: Node): string | undefined {
    if (isComprehension(node) && node.generators.some((one) => one.is_async)) return "it is asynchronous";
    for (const child of children(node)) {
      const reason = this.reason(module, child);
      if (reason !== undefined) return reason;
    }
    return undefined;
  }
}

/** May evaluating it raise, on values that the program means it for? Names and their arithmetic without division may not. */
export function mayRaise(node: Expression): boolean {
  switch (node._) {
    case "Name":
    case "Constant":
      return false;
    case "Attribute":
      return mayRaise(node.value);
    case "UnaryOp":
      return mayRaise(node.operand);
    case "BinOp":
      return (
        !["Add", "Sub", "Mult", "BitAnd", "BitOr", "BitXor"].includes(node.op) ||
        mayRaise(node.left) ||
        mayRaise(node.right)
      );
    case "Tuple":
    case "List":
      return node.elts.some(mayRaise);
    case "Subscript":
      return !isSlicing(node.slice) || mayRaise(node.value);
    default:
      return true;
  }
}

/** `x[a:b]`, `x[a:b, c:d]`: cuts, which read nothing and never raise. */
export function isSlicing(slice: Expression): boolean {
  if (slice._ === "Tuple") return slice.elts.length > 0 && slice.elts.every(isSlicing);
  if (slice._ !== "Slice") return false;
  return [slice.lower, slice.upper, slice.step].every((one) => one === undefined || !mayRaise(one));
}

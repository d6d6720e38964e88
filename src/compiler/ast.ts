/**
 * The tree of CPython's own `ast`, as runtimes/python/sandloom_compiler/parse.py writes it. Fields that are None are absent.
 */
// oxlint-disable typescript/switch-exhaustiveness-check -- CPython's tree has 70 classes: `default` is meant
/** Line from 1 and column from 0, in characters (code points), of the start and of the end. */
export type At = readonly [line: number, column: number, endLine: number, endColumn: number];

interface Base<K extends string> {
  readonly _: K;
  readonly at: At;
}

export interface Module {
  readonly _: "Module";
  readonly body: readonly Statement[];
}

export interface Arg extends Base<"arg"> {
  readonly arg: string;
  readonly annotation?: Expression;
}
export interface Arguments {
  readonly _: "arguments";
  readonly posonlyargs: readonly Arg[];
  readonly args: readonly Arg[];
  readonly vararg?: Arg;
  readonly kwonlyargs: readonly Arg[];
  readonly kw_defaults: readonly (Expression | null)[];
  readonly kwarg?: Arg;
  readonly defaults: readonly Expression[];
}
export interface Keyword extends Base<"keyword"> {
  readonly arg?: string;
  readonly value: Expression;
}
export interface Alias extends Base<"alias"> {
  readonly name: string;
  readonly asname?: string;
}
export interface Comprehension {
  readonly _: "comprehension";
  readonly target: Expression;
  readonly iter: Expression;
  readonly ifs: readonly Expression[];
  readonly is_async: number;
}
export interface WithItem {
  readonly _: "withitem";
  readonly context_expr: Expression;
  readonly optional_vars?: Expression;
}
export interface ExceptHandler extends Base<"ExceptHandler"> {
  readonly type?: Expression;
  readonly name?: string;
  readonly body: readonly Statement[];
}
export interface MatchCase {
  readonly _: "match_case";
  readonly pattern: Pattern;
  readonly guard?: Expression;
  readonly body: readonly Statement[];
}
/** Patterns bind names; nothing else of them matters here. */
export interface Pattern extends Base<
  | "MatchValue"
  | "MatchSingleton"
  | "MatchSequence"
  | "MatchMapping"
  | "MatchClass"
  | "MatchStar"
  | "MatchAs"
  | "MatchOr"
> {
  readonly name?: string;
  readonly rest?: string;
}
export interface TypeParameter extends Base<"TypeVar" | "ParamSpec" | "TypeVarTuple"> {
  readonly name: string;
}

interface Definition {
  readonly name: string;
  readonly args: Arguments;
  readonly body: readonly Statement[];
  readonly decorator_list: readonly Expression[];
  readonly returns?: Expression;
}
export interface FunctionDef extends Base<"FunctionDef">, Definition {}
export interface AsyncFunctionDef extends Base<"AsyncFunctionDef">, Definition {}
export type FunctionNode = FunctionDef | AsyncFunctionDef;
export interface ClassDef extends Base<"ClassDef"> {
  readonly name: string;
  readonly bases: readonly Expression[];
  readonly keywords: readonly Keyword[];
  readonly body: readonly Statement[];
  readonly decorator_list: readonly Expression[];
}
export interface Return extends Base<"Return"> {
  readonly value?: Expression;
}
export interface Delete extends Base<"Delete"> {
  readonly targets: readonly Expression[];
}
export interface Assign extends Base<"Assign"> {
  readonly targets: readonly Expression[];
  readonly value: Expression;
}
export interface TypeAlias extends Base<"TypeAlias"> {
  readonly name: Expression;
  readonly value: Expression;
}
export interface AugAssign extends Base<"AugAssign"> {
  readonly target: Expression;
  readonly op: string;
  readonly value: Expression;
}
export interface AnnAssign extends Base<"AnnAssign"> {
  readonly target: Expression;
  readonly annotation: Expression;
  readonly value?: Expression;
}
export interface For extends Base<"For" | "AsyncFor"> {
  readonly target: Expression;
  readonly iter: Expression;
  readonly body: readonly Statement[];
  readonly orelse: readonly Statement[];
}
export interface While extends Base<"While"> {
  readonly test: Expression;
  readonly body: readonly Statement[];
  readonly orelse: readonly Statement[];
}
export interface If extends Base<"If"> {
  readonly test: Expression;
  readonly body: readonly Statement[];
  readonly orelse: readonly Statement[];
}
export interface With extends Base<"With" | "AsyncWith"> {
  readonly items: readonly WithItem[];
  readonly body: readonly Statement[];
}
export interface Match extends Base<"Match"> {
  readonly subject: Expression;
  readonly cases: readonly MatchCase[];
}
export interface Raise extends Base<"Raise"> {
  readonly exc?: Expression;
  readonly cause?: Expression;
}
export interface Try extends Base<"Try" | "TryStar"> {
  readonly body: readonly Statement[];
  readonly handlers: readonly ExceptHandler[];
  readonly orelse: readonly Statement[];
  readonly finalbody: readonly Statement[];
}
export interface Assert extends Base<"Assert"> {
  readonly test: Expression;
  readonly msg?: Expression;
}
export interface Import extends Base<"Import"> {
  readonly names: readonly Alias[];
}
export interface ImportFrom extends Base<"ImportFrom"> {
  readonly module?: string;
  readonly names: readonly Alias[];
  readonly level: number;
}
export interface Global extends Base<"Global" | "Nonlocal"> {
  readonly names: readonly string[];
}
export interface ExpressionStatement extends Base<"Expr"> {
  readonly value: Expression;
}
export type Simple = Base<"Pass" | "Break" | "Continue">;

export type Statement =
  | FunctionNode
  | ClassDef
  | Return
  | Delete
  | Assign
  | TypeAlias
  | AugAssign
  | AnnAssign
  | For
  | While
  | If
  | With
  | Match
  | Raise
  | Try
  | Assert
  | Import
  | ImportFrom
  | Global
  | ExpressionStatement
  | Simple;

export interface BoolOp extends Base<"BoolOp"> {
  readonly op: string;
  readonly values: readonly Expression[];
}
export interface NamedExpr extends Base<"NamedExpr"> {
  readonly target: Name;
  readonly value: Expression;
}
export interface BinOp extends Base<"BinOp"> {
  readonly left: Expression;
  readonly op: string;
  readonly right: Expression;
}
export interface UnaryOp extends Base<"UnaryOp"> {
  readonly op: string;
  readonly operand: Expression;
}
export interface Lambda extends Base<"Lambda"> {
  readonly args: Arguments;
  readonly body: Expression;
}
export interface IfExp extends Base<"IfExp"> {
  readonly test: Expression;
  readonly body: Expression;
  readonly orelse: Expression;
}
export interface Dict extends Base<"Dict"> {
  readonly keys: readonly (Expression | null)[];
  readonly values: readonly Expression[];
}
export interface Display extends Base<"Set" | "List" | "Tuple"> {
  readonly elts: readonly Expression[];
}
export interface ElementComp extends Base<"ListComp" | "SetComp" | "GeneratorExp"> {
  readonly elt: Expression;
  readonly generators: readonly Comprehension[];
}
export interface DictComp extends Base<"DictComp"> {
  readonly key: Expression;
  readonly value: Expression;
  readonly generators: readonly Comprehension[];
}
export type AnyComp = ElementComp | DictComp;
export interface Await extends Base<"Await" | "Yield" | "YieldFrom"> {
  readonly value?: Expression;
}
export interface Compare extends Base<"Compare"> {
  readonly left: Expression;
  readonly ops: readonly string[];
  readonly comparators: readonly Expression[];
}
export interface Call extends Base<"Call"> {
  readonly func: Expression;
  readonly args: readonly Expression[];
  readonly keywords: readonly Keyword[];
}
/** f-strings and template strings, and their parts. CPython 3.11 gives the parts no true places. */
export interface JoinedStr extends Base<"JoinedStr" | "TemplateStr"> {
  readonly values: readonly Expression[];
}
export interface FormattedValue extends Base<"FormattedValue" | "Interpolation"> {
  readonly value: Expression;
  readonly format_spec?: Expression;
}
export interface Constant extends Base<"Constant"> {
  readonly kind: "str" | "int" | "float" | "bool" | "bytes" | "complex" | "NoneType" | "ellipsis";
  /** Absent for texts and numbers that are too long to be of interest. */
  readonly value?: string | number | boolean;
}
export interface Attribute extends Base<"Attribute"> {
  readonly value: Expression;
  readonly attr: string;
}
export interface Subscript extends Base<"Subscript"> {
  readonly value: Expression;
  readonly slice: Expression;
}
export interface Starred extends Base<"Starred"> {
  readonly value: Expression;
}
export interface Name extends Base<"Name"> {
  readonly id: string;
}
export interface Slice extends Base<"Slice"> {
  readonly lower?: Expression;
  readonly upper?: Expression;
  readonly step?: Expression;
}

export type Expression =
  | BoolOp
  | NamedExpr
  | BinOp
  | UnaryOp
  | Lambda
  | IfExp
  | Dict
  | Display
  | ElementComp
  | DictComp
  | Await
  | Compare
  | Call
  | JoinedStr
  | FormattedValue
  | Constant
  | Attribute
  | Subscript
  | Starred
  | Name
  | Slice;

export type Node =
  | Module
  | Statement
  | Expression
  | Arg
  | Arguments
  | Keyword
  | Alias
  | Comprehension
  | WithItem
  | ExceptHandler
  | MatchCase
  | Pattern
  | TypeParameter;
/** A node that has a place in the text. */
export type Placed = Extract<Node, { at: At }>;

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "_" in value;
}

/** The nodes below a node, in the order of their fields (which is source order but for comprehensions and dicts). */
export function children(node: Node): Node[] {
  const found: Node[] = [];
  for (const value of Object.values(node) as unknown[]) {
    if (Array.isArray(value)) {
      for (const item of value) if (isNode(item)) found.push(item);
    } else if (isNode(value)) found.push(value);
  }
  return found;
}

/** A node and all below it, parents first; `enter` returns false to leave out what is below a node. */
export function walk(node: Node, enter: (node: Node) => boolean | undefined | void): void {
  const stack: Node[] = [node];
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    if (enter(top) === false) continue;
    for (const child of children(top).toReversed()) stack.push(child);
  }
}

export function isFunction(node: Node): node is FunctionNode {
  return node._ === "FunctionDef" || node._ === "AsyncFunctionDef";
}

export function isComprehension(node: Node): node is AnyComp {
  return node._ === "ListComp" || node._ === "SetComp" || node._ === "DictComp" || node._ === "GeneratorExp";
}

/** Every parameter in the order of the signature. */
export function parameters(args: Arguments): Arg[] {
  return [
    ...args.posonlyargs,
    ...args.args,
    ...(args.vararg ? [args.vararg] : []),
    ...args.kwonlyargs,
    ...(args.kwarg ? [args.kwarg] : []),
  ];
}

/** The names that a target binds: `a, (b, *c)` → a, b, c. Attributes and subscripts bind none. */
export function targetNames(target: Expression): string[] {
  switch (target._) {
    case "Name":
      return [target.id];
    case "Starred":
      return targetNames(target.value);
    case "Tuple":
    case "List":
      return target.elts.flatMap(targetNames);
    default:
      return [];
  }
}

/**
 * Statement groups: consecutive statements that are nothing but component calls run side by side. Nothing may see the
 * difference, so a group is only made where a failure leaves the function, and nobody looks at half of its targets.
 */
// oxlint-disable typescript/switch-exhaustiveness-check -- CPython's tree has 70 classes: `default` is meant
import { isFunction, walk, type Call, type Expression, type FunctionNode, type Node, type Statement } from "./ast.ts";
import { isHandedOn, type Context } from "./fanout.ts";
import type { AppModule } from "./names.ts";
import type { SourceText } from "./text.ts";
import { mayRaise } from "./purity.ts";

export interface Member {
  readonly statement: Statement;
  readonly call: Call;
  /** Absent: the result is dropped. */
  readonly target: Expression | undefined;
}

export interface Group {
  readonly members: readonly Member[];
  /** An argument after the first call may raise: the failures of what was triggered before come first. */
  readonly careful: boolean;
}

/** The groups of a function's own statements, and for lone calls why they are in none. */
export function planGroups(
  context: Context,
  module: AppModule,
  owner: FunctionNode,
): { groups: Group[]; lone: Map<Call, string> } {
  const plan = new Planner(context, module, owner);
  plan.block(owner.body, owner.at[0]);
  return { groups: plan.groups, lone: plan.lone };
}

class Planner {
  readonly groups: Group[] = [];
  readonly lone = new Map<Call, string>();
  readonly #context: Context;
  readonly #module: AppModule;
  readonly #source: SourceText;
  readonly #shared: ReadonlySet<string>;

  constructor(context: Context, module: AppModule, owner: FunctionNode) {
    this.#context = context;
    this.#module = module;
    this.#source = module.source;
    this.#shared = sharedNames(module, owner);
  }

  block(statements: readonly Statement[], headerLine: number): void {
    let members: Member[] = [];
    const oneLiner = statements[0]?.at[0] === headerLine;
    for (const statement of statements) {
      const member = this.#member(statement);
      const refused = member && (oneLiner ? "it stands on the line of its `if` or loop" : this.#refused(member));
      if (member && refused === undefined) {
        const last = members.at(-1);
        if (last && !this.#joins(members, member)) members = this.#end(members);
        members.push(member);
        continue;
      }
      if (member && refused !== undefined) this.lone.set(member.call, refused);
      members = this.#end(members);
      this.#inside(statement);
    }
    this.#end(members);
  }

  #inside(statement: Statement): void {
    switch (statement._) {
      case "If":
      case "For":
      case "AsyncFor":
      case "While":
        this.block(statement.body, statement.at[0]);
        this.block(statement.orelse, -1);
        break;
      case "Match":
        for (const one of statement.cases) this.block(one.body, one.pattern.at[0]);
        break;
      case "Try":
      case "TryStar":
      case "With":
      case "AsyncWith":
        // What follows a failure in it may look at the targets: one after the other.
        walk(statement, (node) => {
          if (isFunction(node) || node._ === "ClassDef" || node._ === "Lambda") return false;
          if (node._ === "Call" && this.#context.program.componentAt(this.#module, node.func)) {
            this.lone.set(node, "a try or with statement around it may go on after a failure");
          }
          return true;
        });
        break;
      default:
        break;
    }
  }

  #end(members: readonly Member[]): Member[] {
    const [first] = members;
    if (members.length > 1) {
      const careful = members.slice(1).some(({ call }) => argumentsOf(call).some(mayRaise));
      this.groups.push({ members, careful });
    } else if (first) this.lone.set(first.call, "no independent call of a component stands beside it");
    return [];
  }

  #member(statement: Statement): Member | undefined {
    const isCall = (value: Expression | undefined): value is Call =>
      value?._ === "Call" && this.#context.program.componentAt(this.#module, value.func) !== undefined;
    if (statement._ === "Expr" && isCall(statement.value))
      return { statement, call: statement.value, target: undefined };
    if (statement._ === "Assign" && isCall(statement.value) && statement.targets.length === 1) {
      return { statement, call: statement.value, target: statement.targets[0] };
    }
    if (statement._ === "AnnAssign" && isCall(statement.value)) {
      return { statement, call: statement.value, target: statement.target };
    }
    return undefined;
  }

  #refused({ statement, call, target }: Member): string | undefined {
    if (target && !(target._ === "Name" || (target._ === "Tuple" && target.elts.every((one) => one._ === "Name")))) {
      return "its target is more than a name";
    }
    if (target && namesIn(target).some((name) => this.#shared.has(name))) return "other functions see its target";
    if (statement._ === "AnnAssign" && this.#context.program.marker(this.#module, statement.annotation))
      return "its result is published";
    if (!argumentsOf(call).every(simple)) return "its arguments are more than names, constants and their arithmetic";
    // A parenthesised call or target does not begin or end where its statement does.
    const start = target ? target : call;
    const whole =
      this.#source.start(start) === this.#source.start(statement) &&
      this.#source.end(call) === this.#source.end(statement);
    return whole ? undefined : "it stands in parentheses";
  }

  #joins(members: readonly Member[], next: Member): boolean {
    const bound = new Set(members.flatMap(({ target }) => (target ? namesIn(target) : [])));
    // The targets of a tuple are unpacked after all have been joined, which only the last may be.
    if (members.at(-1)?.target?._ === "Tuple") return false;
    if ([...namesIn(next.call), ...(next.target ? namesIn(next.target) : [])].some((name) => bound.has(name)))
      return false;
    if (!this.#continues(members.at(-1), next)) return false;
    const calls = [...members, next].map((member) => member.call);
    const writers = calls.some((call) => {
      const component = this.#context.program.componentAt(this.#module, call.func);
      return component && this.#context.effects.writes(component.node).length > 0;
    });
    return (
      !writers || calls.every((call) => argumentsOf(call).every((one) => isHandedOn(this.#context, this.#module, one)))
    );
  }

  /** Between two statements stand line ends, comments and semicolons; a continued line cannot be cut there. */
  #continues(last: Member | undefined, next: Member): boolean {
    if (!last) return true;
    const gap = this.#source.text.slice(this.#source.end(last.statement), this.#source.start(next.statement));
    return !gap.replace(/#[^\r\n]*/g, "").includes("\\");
  }
}

function argumentsOf(call: Call): Expression[] {
  return [...call.args, ...call.keywords.map((one) => one.value)];
}

function simple(node: Expression): boolean {
  switch (node._) {
    case "Name":
    case "Constant":
      return true;
    case "Attribute":
      return simple(node.value);
    case "Subscript":
      return simple(node.value) && simple(node.slice);
    case "Slice":
      return [node.lower, node.upper, node.step].every((one) => one === undefined || simple(one));
    case "Tuple":
    case "List":
      return node.elts.every(simple);
    case "UnaryOp":
      return simple(node.operand);
    case "BinOp":
      return simple(node.left) && simple(node.right);
    default:
      return false;
  }
}

function namesIn(node: Node): string[] {
  const names: string[] = [];
  walk(node, (one) => {
    if (one._ === "Name") names.push(one.id);
  });
  return names;
}

/** Names of a function that other code sees: declared global or nonlocal, or used by a function inside it. */
function sharedNames(module: AppModule, owner: FunctionNode): Set<string> {
  const scope = module.scopeOf(owner);
  const shared = new Set([...scope.globals, ...scope.nonlocals]);
  for (const statement of owner.body) {
    walk(statement, (node) => {
      if (!isFunction(node) && node._ !== "Lambda" && node._ !== "ClassDef") return true;
      for (const name of namesIn(node)) shared.add(name);
      return false;
    });
  }
  return shared;
}

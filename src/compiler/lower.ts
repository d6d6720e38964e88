/** Lowering: one module's text with its calls of Sandloom's names replaced, every line where it was. */
import {
  children,
  isComprehension,
  isFunction,
  walk,
  type AnyComp,
  type Call,
  type Expression,
  type FunctionNode,
  type Node,
  type Statement,
} from "./ast.ts";
import { loopNames, planFanOut, type Context, type FanOut } from "./fanout.ts";
import { planGroups, type Group } from "./groups.ts";
import type { Memory } from "./memory.ts";
import type { AppModule } from "./names.ts";
import { inMainGuard, type Component } from "./program.ts";
import { lineEnds, onOneLine, Splices } from "./text.ts";

const IMPORT = "from sandloom import lowlevel as _sandloom";

export interface CallSite {
  readonly module: AppModule;
  readonly node: Expression;
  readonly component: Component;
  readonly mode: "fan-out" | "parallel" | "sequential";
  readonly reason: string;
  /** It stands in a comprehension, and could have run beside others. */
  readonly wasted: boolean;
}

export interface Lowered {
  readonly text: string;
  readonly sites: readonly CallSite[];
}

export function lowerModule(context: Context & { memory: Memory }, module: AppModule): Lowered {
  return new Lowering(context, module).run();
}

class Lowering {
  readonly #context: Context & { memory: Memory };
  readonly #module: AppModule;
  readonly #splices: Splices;
  readonly #modes = new Map<Call, Pick<CallSite, "mode" | "reason" | "wasted">>();
  readonly #sites: CallSite[] = [];

  constructor(context: Context & { memory: Memory }, module: AppModule) {
    this.#context = context;
    this.#module = module;
    this.#splices = new Splices(module.source);
  }

  run(): Lowered {
    this.#visit(this.#module.tree, false);
    if (!this.#splices.empty) this.#import();
    return { text: this.#splices.render(), sites: this.#sites };
  }

  /** Innermost first, so that what is around a splice finds it made. */
  #visit(node: Node, inText: boolean): void {
    if (inMainGuard(this.#module, node)) return;
    const text = inText || node._ === "JoinedStr" || node._ === "TemplateStr";
    if (isFunction(node)) this.#groupModes(node);
    for (const child of children(node)) this.#visit(child, text);
    if (isFunction(node)) this.#decorators(node);
    // CPython 3.11 does not know the places of what stands in an f-string; the guest's own names do the same there.
    if (!text) this.#splice(node);
    if (node._ === "Name" || node._ === "Attribute") this.#site(node);
  }

  #splice(node: Node): void {
    const { source } = this.#module;
    if (isComprehension(node)) this.#fanOut(node);
    else if (node._ === "AnnAssign" && node.value) {
      const memory = this.#context.memory.at(node);
      if (!memory) return;
      // `x: remote = a, b` has no parentheses of its own, and a generator's are those of the call.
      const [open, close] = node.value._ === "Tuple" ? ["(", ")"] : ["", ""];
      this.#splices.open(source.start(node.value), `_sandloom.publish(${quoted(memory.name)}, ${open}`);
      this.#splices.close(source.end(node.value), `${close})`);
    } else if (node._ === "Call") {
      const memory = this.#context.memory.at(node);
      if (memory) this.#publication(node, memory.name, memory.origin);
      else if (this.#context.program.marker(this.#module, node.func) === "split" && !this.#module.decorates(node)) {
        this.#splices.replace(
          source.start(node.func),
          source.end(node.func),
          `_sandloom.split${lineEnds(source.slice(node.func))}`,
        );
      }
    }
  }

  #publication(node: Call, name: string, origin: string): void {
    const { source } = this.#module;
    const names: Readonly<Record<string, string>> = { "remote.empty": "empty", "remote.zeros": "zeros" };
    const callee = `_sandloom.${names[origin] ?? "publish"}`;
    this.#splices.replace(source.start(node.func), source.end(node.func), callee + lineEnds(source.slice(node.func)));
    const paren = source.skip(source.end(node.func), ")");
    const [only] = node.args;
    const generator = node.args.length === 1 && only?._ === "GeneratorExp" && source.start(only) === paren;
    this.#splices.close(paren + 1, `${quoted(name)}, ${generator ? "(" : ""}`);
    if (generator) this.#splices.close(source.end(node), ")");
  }

  #decorators(node: FunctionNode): void {
    const { program, effects, memory } = this.#context;
    const component = program.componentOf(node);
    const site = memory.at(node);
    const texts: string[] = [];
    const found: Expression[] = [];
    if (component?.splitDecorator) {
      const writes = effects.writes(node);
      const option = writes.length > 0 ? `, writes=(${writes.map((name) => `${quoted(name)},`).join(" ")})` : "";
      texts.push(`_sandloom.component(${quoted(component.name)}${option}`);
      found.push(component.splitDecorator);
    }
    if (site?.decorator) {
      texts.push(`_sandloom.published(${quoted(site.name)}`);
      found.push(site.decorator);
    }
    // Whichever stands first, the component is the outer one: its body publishes what it returns.
    const { source } = this.#module;
    const places = found.map((one) => [source.start(one), source.end(one)] as const).sort(([a], [b]) => a - b);
    for (const [index, [start, end]] of places.entries()) {
      this.#splices.replace(start, end, `${texts[index] ?? ""}${lineEnds(source.text.slice(start, end))})`);
    }
  }

  #site(node: Expression): void {
    const { program } = this.#context;
    const component = program.componentAt(this.#module, node);
    if (!component) return;
    if (this.#module.decorates(node)) return;
    const up = this.#module.parent(node);
    const call = up?._ === "Call" && up.func === node ? up : undefined;
    const known = call && this.#modes.get(call);
    const mode = known ?? {
      mode: "sequential" as const,
      reason: call ? "its result is needed where it stands" : "the component is used as a value",
      wasted: false,
    };
    this.#sites.push({ module: this.#module, node: call ?? node, component, ...mode });
  }

  // Fan-outs

  #fanOut(node: AnyComp): void {
    const plan = planFanOut(this.#context, this.#module, node);
    if (plan === undefined) return;
    const applied = typeof plan === "string" ? plan : this.#lowerFanOut(plan);
    const elements = node._ === "DictComp" ? [node.key, node.value] : [node.elt];
    for (const element of elements) {
      walk(element, (one) => {
        if (one !== element && isComprehension(one)) return false;
        if (one._ === "Call" && this.#context.program.componentAt(this.#module, one.func) && !this.#modes.has(one)) {
          this.#setMode(
            one,
            applied === undefined
              ? { mode: "fan-out", reason: "calls of one comprehension run side by side", wasted: false }
              : { mode: "sequential", reason: applied, wasted: true },
          );
        }
        return true;
      });
    }
  }

  #setMode(call: Call, mode: Pick<CallSite, "mode" | "reason" | "wasted">): void {
    this.#modes.set(call, mode);
    const at = this.#sites.findIndex((site) => site.node === call);
    const site = this.#sites[at];
    if (site) this.#sites[at] = { ...site, ...mode };
  }

  /** Rewrites a comprehension, or says why it cannot be written on the lines that it has. */
  #lowerFanOut({ node, stages, hoisted }: FanOut): string | undefined {
    const { source } = this.#module;
    const splices = this.#splices;
    const last = node._ === "DictComp" ? node.value : node.elt;
    const start = source.start(node) + 1;
    const loop = source.skip(source.end(last), ")");
    if (!source.text.startsWith("for", loop)) return "the element is written in an unusual way";
    const [first = [], ...later] = stages;
    if (this.#spansLines(node, new Set(first))) return "a text inside the element spans lines";

    const names = loopNames(node);
    const top = stages.at(-1) ?? [];
    const hoists = hoisted.map((one, index) => ({ node: one, text: `_sl_${index}` }));
    const results = top.map((call, index) => ({ node: call, text: `_sl[${index}]` }));
    let needed = [...this.#used(node, names, [...top, ...hoisted]), ...hoists.map((one) => one.text)];
    let text = onOneLine(this.#substitute(start, loop, [...hoists, ...results])).trim();
    for (const calls of later.toReversed()) {
      const inner = calls.flatMap((call) => this.#componentArguments(call));
      const substitutes = inner.map((call, index) => ({ node: call, text: `_sl[${index}]` }));
      const deferred = calls.map((call) => {
        splices.close(source.end(call.func), ".defer");
        return onOneLine(this.#substitute(source.start(call), source.end(call), substitutes));
      });
      text += ` for ${tuple(needed)}, _sl in _sandloom.gather((${tuple(needed)}, ${tuple(deferred)})`;
      const used = calls.flatMap((call) => this.#used(call, names, inner));
      needed = [...new Set([...used, ...needed])];
    }
    const captured = needed.map((name) => {
      const hoist = hoists.find((one) => one.text === name);
      return hoist ? onOneLine(splices.render(source.start(hoist.node), source.end(hoist.node))) : name;
    });
    text += ` for ${tuple(needed)}, _sl in _sandloom.gather((${tuple(captured)}, (`;
    let at = start;
    for (const call of first) {
      splices.close(source.end(call.func), ".defer");
      text += lineEnds(source.text.slice(at, source.start(call)));
      text += `${splices.render(source.start(call), source.end(call))},`;
      if (call !== first.at(-1)) text += " ";
      at = source.end(call);
    }
    text += `)) ${lineEnds(source.text.slice(at, loop))}`;
    splices.replace(start, loop, text);
    splices.close(source.end(node) - 1, ")".repeat(stages.length));
    return undefined;
  }

  #componentArguments(call: Call): Call[] {
    return [...call.args, ...call.keywords.map((one) => one.value)].flatMap((one) =>
      one._ === "Call" && this.#context.program.componentAt(this.#module, one.func) ? [one] : [],
    );
  }

  /** Is there a text that spans lines, outside of the calls that keep their lines? */
  #spansLines(node: AnyComp, kept: ReadonlySet<Node>): boolean {
    let found = false;
    for (const element of node._ === "DictComp" ? [node.key, node.value] : [node.elt]) {
      walk(element, (one) => {
        if (kept.has(one)) return false;
        const text = one._ === "Constant" || one._ === "JoinedStr" || one._ === "TemplateStr";
        if (text && one.at[0] !== one.at[2]) found = true;
        return true;
      });
    }
    return found;
  }

  /** The loop's names that an expression uses outside of some of its parts. */
  #used(node: Node, names: readonly string[], except: readonly Node[]): string[] {
    const used = new Set<string>();
    const elements: Node[] = isComprehension(node)
      ? node._ === "DictComp"
        ? [node.key, node.value]
        : [node.elt]
      : [node];
    for (const element of elements) {
      walk(element, (one) => {
        if (one._ === "Name" && !except.includes(one)) used.add(one.id);
        return !except.includes(one);
      });
    }
    return names.filter((name) => used.has(name));
  }

  #substitute(start: number, end: number, parts: readonly { node: Expression; text: string }[]): string {
    const { source } = this.#module;
    let text = "";
    let at = start;
    for (const part of [...parts].sort((a, b) => source.start(a.node) - source.start(b.node))) {
      text += this.#splices.render(at, source.start(part.node)) + part.text;
      at = source.end(part.node);
    }
    return text + this.#splices.render(at, end);
  }

  // Groups of statements

  #groupModes(owner: FunctionNode): void {
    const { groups, lone } = planGroups(this.#context, this.#module, owner);
    for (const [call, reason] of lone) this.#modes.set(call, { mode: "sequential", reason, wasted: false });
    for (const group of groups) {
      const others = group.members.length - 1;
      const reason = `it stands beside ${others} independent component call${others > 1 ? "s" : ""}`;
      for (const { call } of group.members) this.#modes.set(call, { mode: "parallel", reason, wasted: false });
      this.#group(group);
    }
  }

  #group({ members, careful }: Group): void {
    const { source } = this.#module;
    const temporary: string[] = [];
    const names = members.map(({ target }, index) => {
      if (target) return target._ === "Name" ? source.slice(target) : `(${source.slice(target)})`;
      const name = `_sl_${index}`;
      temporary.push(name);
      return name;
    });
    const clean = temporary.length > 0 ? `; del ${temporary.join(", ")}` : "";
    for (const [index, { statement, call }] of members.entries()) {
      const last = index === members.length - 1;
      const [start, end] = [source.start(statement), source.start(call)];
      this.#splices.close(source.end(call.func), ".defer");
      const head = careful
        ? index === 0
          ? `${names.join(", ")} = (_sl[1][0] for _sl in _sandloom.gather(((), (_sl(),)) for _sl in (lambda: `
          : "lambda: "
        : last
          ? `${names.join(", ")} = _sandloom.join(${names.slice(0, -1).join(", ")}, `
          : `${names[index] ?? ""} = `;
      if (careful || last || !members[index]?.target) {
        const lines = lineEnds(source.text.slice(start, end));
        if (start === end) this.#splices.open(start, head);
        else this.#splices.replace(start, end, head + lines);
      }
      if (careful && !last) this.#separator(statement, members[index + 1]?.statement);
      if (last) this.#splices.close(source.end(call), (careful ? ")))" : ")") + clean);
    }
  }

  /** Inside the parentheses of a careful group a comma stands for the semicolon or the line end. */
  #separator(statement: Statement, next: Statement | undefined): void {
    const { source } = this.#module;
    this.#splices.close(source.end(statement), ",");
    const semicolon = source.skip(source.end(statement));
    if (next && source.text[semicolon] === ";" && semicolon < source.start(next)) {
      this.#splices.replace(semicolon, semicolon + 1, "");
    }
  }

  // The import

  #import(): void {
    const { source, tree } = this.#module;
    const { body } = tree;
    const docstring = body[0]?._ === "Expr" && body[0].value._ === "Constant" && body[0].value.kind === "str";
    const isFuture = (node: Statement): boolean => node._ === "ImportFrom" && node.module === "__future__";
    const rest = body.slice(docstring ? 1 : 0).filter((node) => !isFuture(node));
    const simple = rest.find((node) => !("body" in node) && node._ !== "Match");
    const before = body.findLast((node, index) => isFuture(node) || (docstring && index === 0));
    if (simple) this.#splices.open(source.start(simple), `${IMPORT}; `);
    else if (before) this.#splices.close(source.end(before), `; ${IMPORT}`);
    // Nothing but definitions: they run after the module's last line.
    else this.#splices.close(source.text.length, `${source.text.endsWith("\n") ? "" : "\n"}${IMPORT}\n`);
  }
}

function tuple(items: readonly string[]): string {
  return items.length === 0 ? "()" : `(${items.map((item) => `${item},`).join(" ")})`;
}

function quoted(text: string): string {
  return JSON.stringify(text);
}

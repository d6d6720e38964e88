/** Memory components: the places where a program puts an array into the fabric, and their names. */
import {
  isFunction,
  walk,
  type AnnAssign,
  type Attribute,
  type Call,
  type Expression,
  type FunctionNode,
  type Name,
  type Node,
} from "./ast.ts";
import type { AppModule } from "./names.ts";
import { inMainGuard, yieldsIn, type Program } from "./program.ts";
import type { Findings } from "./refusals.ts";

export interface MemorySite {
  readonly name: string;
  readonly module: AppModule;
  readonly origin: "remote" | "remote.empty" | "remote.zeros" | "published";
  /** A call of remote, an annotated assignment, or a function that publishes what it returns. */
  readonly node: Call | AnnAssign | FunctionNode;
  /** The decorator of a published function. */
  readonly decorator?: Expression;
  /** The variable that holds it, if it has one. */
  readonly variable: string | undefined;
}

/** The function around a node, dotted as CPython's __qualname__ would be without `<locals>`. */
function functionName(program: Program, module: AppModule, node: Node): string {
  const parts: string[] = [];
  for (const up of module.around(node)) {
    const component = program.componentOf(up);
    if (component) return [component.name, ...parts].join(".");
    if (isFunction(up) || up._ === "ClassDef") parts.unshift(up.name);
  }
  return parts.join(".");
}

const AT_IMPORT = "a memory component is made while the module is imported";

export class Memory {
  readonly sites: MemorySite[] = [];
  readonly #byNode = new Map<Node, MemorySite>();

  constructor(program: Program, findings: Findings) {
    const taken = new Map<string, AppModule>();
    for (const module of program.modules) this.#read(program, module, findings, taken);
  }

  at(node: Node): MemorySite | undefined {
    return this.#byNode.get(node);
  }

  #add(site: Omit<MemorySite, "name">, wish: string, taken: Map<string, AppModule>): void {
    const { module } = site;
    const elsewhere = taken.has(wish) && taken.get(wish) !== module;
    const base = elsewhere ? `${module.name}.${wish}` : wish;
    let name = base;
    for (let number = 2; taken.has(name); number++) name = `${base}_${number}`;
    taken.set(name, module);
    const made = { ...site, name };
    this.sites.push(made);
    this.#byNode.set(site.node, made);
  }

  #read(program: Program, module: AppModule, findings: Findings, taken: Map<string, AppModule>): void {
    walk(module.tree, (node) => {
      if (inMainGuard(module, node)) return false;
      if (isFunction(node)) this.#function(program, module, node, findings, taken);
      else if (node._ === "AnnAssign") this.#annotation(program, module, node, findings, taken);
      else if (node._ === "Name" || node._ === "Attribute") this.#use(program, module, node, findings, taken);
      return true;
    });
  }

  /** `@remote` on a function. */
  #function(
    program: Program,
    module: AppModule,
    node: FunctionNode,
    findings: Findings,
    taken: Map<string, AppModule>,
  ): void {
    const decorator = node.decorator_list.find((one) => program.decoratorMarker(module, one) === "remote");
    if (!decorator) return;
    const refuse = (message: string): void => findings.refuse(module.source, decorator, "remote-target", message);
    if (node === program.main) findings.refuse(module.source, decorator, "main-is-component", "@remote is on main");
    else if (decorator._ === "Call") refuse("@remote takes no arguments");
    else if (node._ === "AsyncFunctionDef" || yieldsIn(node))
      refuse(`@remote is on ${node.name}, which returns no value of its own`);
    else {
      const wish = `${functionName(program, module, node.body[0] ?? node)}.return`;
      this.#add({ module, origin: "published", node, decorator, variable: undefined }, wish, taken);
    }
  }

  /** `x: remote = value`. */
  #annotation(
    program: Program,
    module: AppModule,
    node: AnnAssign,
    findings: Findings,
    taken: Map<string, AppModule>,
  ): void {
    if (program.marker(module, node.annotation) !== "remote") return;
    if (!node.value) return findings.refuse(module.source, node, "remote-target", "a remote annotation needs a value");
    if (!module.inFunction(node)) return findings.refuse(module.source, node, "call-at-import", AT_IMPORT);
    // `x: remote = remote(value)` publishes once.
    if (node.value._ === "Call" && program.marker(module, node.value.func)?.startsWith("remote")) return;
    if (["Name", "Attribute", "Subscript"].includes(node.value._)) {
      const message = "the annotation makes a copy here and none under CPython: write remote(...) around the value";
      findings.warn(module.source, node, message);
    }
    const variable = node.target._ === "Name" ? node.target.id : undefined;
    this.#add({ module, origin: "remote", node, variable }, this.#wish(program, module, node, variable), taken);
  }

  /** `remote(value)`, `remote.empty(...)`, `remote.zeros(...)`; anything else that is done with the name is refused. */
  #use(
    program: Program,
    module: AppModule,
    node: Name | Attribute,
    findings: Findings,
    taken: Map<string, AppModule>,
  ): void {
    const marker = program.marker(module, node);
    if (!marker?.startsWith("remote")) return;
    const refuse = (message: string): void => findings.refuse(module.source, node, "remote-target", message);
    const up = module.parent(node);
    if (up?._ === "Attribute" && marker === "remote") return;
    if (marker === "remote.other") return refuse("there is only remote(value), remote.empty and remote.zeros");
    if (module.decorates(node) || (up?._ === "AnnAssign" && up.annotation === node)) return;
    if (up?._ !== "Call" || up.func !== node) return refuse("remote stands here without being called");
    if (module.decorates(up)) return;
    if (!module.inFunction(node)) return findings.refuse(module.source, up, "call-at-import", AT_IMPORT);
    const inText = [...module.around(node)].some((one) => one._ === "JoinedStr" || one._ === "TemplateStr");
    if (inText) return refuse("a memory component is made inside an f-string");
    const variable = this.#variable(module, up);
    const origin = marker === "remote.empty" || marker === "remote.zeros" ? marker : "remote";
    this.#add({ module, origin, node: up, variable }, this.#wish(program, module, up, variable), taken);
  }

  #wish(program: Program, module: AppModule, node: Call | AnnAssign, variable: string | undefined): string {
    return `${functionName(program, module, node)}.${variable ?? `remote${node.at[0]}`}`;
  }

  #variable(module: AppModule, call: Call): string | undefined {
    const up = module.parent(call);
    if (up?._ === "Assign" && up.targets.length === 1 && up.targets[0]?._ === "Name") return up.targets[0].id;
    if ((up?._ === "AnnAssign" || up?._ === "NamedExpr") && up.target._ === "Name") return up.target.id;
    return undefined;
  }
}

/** Refusals that need no more than names: the entry, reserved names, calls that stand where no run is. */
import { isFunction, parameters, walk, type Call } from "./ast.ts";
import type { AppModule } from "./names.ts";
import { checkSplitCall } from "./options.ts";
import { inMainGuard, yieldsIn, type Program } from "./program.ts";
import { rules, type Findings } from "./refusals.ts";

export function checkProgram(program: Program, findings: Findings): void {
  checkMain(program, findings);
  for (const module of program.modules) {
    checkNames(module, findings);
    checkStars(program, module, findings);
    walk(module.tree, (node) => {
      if (inMainGuard(module, node)) return false;
      if (node._ === "Call") checkCall(program, module, node, findings);
      return true;
    });
  }
}

function checkMain(program: Program, findings: Findings): void {
  const { entry, main } = program;
  if (!main)
    return findings.refuse(entry.source, undefined, "no-main", `${entry.source.path} has no top-level function main`);
  const { args } = main;
  const required = args.posonlyargs.length + args.args.length - args.defaults.length;
  const keywordOnly = args.kw_defaults.filter((one) => one === null).length;
  if (required !== 1 || keywordOnly > 0) {
    findings.refuse(
      entry.source,
      main,
      "no-main",
      "main must have exactly one required positional parameter: the event",
    );
  }
  if (main._ === "AsyncFunctionDef") findings.refuse(entry.source, main, "no-main", "main is async");
  else if (yieldsIn(main)) findings.refuse(entry.source, main, "no-main", "main yields: it must return its result");
  const bindings = entry.scope.bindings.get("main") ?? [];
  const again = bindings.find((one) => one.node !== main);
  if (again) findings.refuse(entry.source, again.node, "no-main", "main is bound more than once");
}

const RESERVED = /^(_sandloom|_sl(\d|_|$))/;

function checkNames(module: AppModule, findings: Findings): void {
  if (module.name === "sandloom" || module.name.startsWith("sandloom.") || module.name === "components") {
    findings.refuse(module.source, undefined, "reserved-name", `the module name ${module.name} is taken`);
  }
  walk(module.tree, (node) => {
    const name =
      node._ === "Name"
        ? node.id
        : node._ === "arg"
          ? node.arg
          : node._ === "alias"
            ? (node.asname ?? node.name)
            : isFunction(node) || node._ === "ClassDef"
              ? node.name
              : "";
    if (RESERVED.test(name) && "at" in node)
      findings.refuse(module.source, node, "reserved-name", `the name ${name} is reserved`);
  });
}

/** `from helpers import *` would hide which names are components. */
function checkStars(program: Program, module: AppModule, findings: Findings): void {
  walk(module.tree, (node) => {
    if (node._ !== "ImportFrom" || !node.names.some((alias) => alias.name === "*")) return;
    const target = program.names.modules.get(module.absolute(node.module, node.level) ?? "");
    if (!target) return;
    const hidden = program.components.filter((component) => {
      const meaning = program.names.global(target, component.node.name);
      return !component.entry && meaning.kind === "global" && meaning.module === component.module;
    });
    if (hidden.length === 0) return;
    const names = hidden.map((component) => component.node.name);
    const fix = `Write \`from ${node.module ?? "."} import ${names.join(", ")}\`.`;
    findings.refuse(module.source, node, "star-import", `this import hides the components ${names.join(", ")}`, fix);
  });
}

function checkCall(program: Program, module: AppModule, call: Call, findings: Findings): void {
  const { source } = module;
  const inFunction = module.inFunction(call);
  const component = program.componentAt(module, call.func);
  if (component) {
    if (!inFunction) {
      findings.refuse(
        source,
        call,
        "call-at-import",
        `component ${component.name} is called while the module is imported`,
      );
    }
    for (const up of module.around(call)) {
      if ("generators" in up && up.generators.some((one) => one.is_async)) {
        const message = `component ${component.name} is called in an asynchronous comprehension`;
        findings.refuse(
          source,
          call,
          "split-async",
          message,
          "Write a plain comprehension: its components run side by side.",
        );
      }
    }
    return;
  }
  if (program.marker(module, call.func) === "split" && !module.decorates(call)) {
    const [value] = call.args;
    const named = value && program.functionAt(module, value);
    if (value?._ === "Lambda" || named) {
      const what = named ? `function ${named.node.name}` : "a lambda";
      return findings.refuse(
        source,
        call,
        "split-not-top-level",
        `split is called with ${what}`,
        rules["split-not-top-level"],
      );
    }
    if (!inFunction) findings.refuse(source, call, "call-at-import", "split is called while the module is imported");
    checkSplitCall(call, source, findings);
    return;
  }
  const meaning = program.names.meaning(module, call.func);
  if (
    meaning.kind === "external" &&
    (meaning.path === "asyncio.run" || meaning.path === "os.fork" || meaning.path === "os.system")
  ) {
    const fix = "Call plain functions; work that is to run side by side is a component, marked with @split.";
    findings.refuse(source, call, "unsupported-module", `${meaning.path} cannot work in a sandbox`, fix);
  }
}

/** The signature as the graph shows it. */
export function signature(node: Parameters<typeof parameters>[0]): string[] {
  return parameters(node).map((arg) => arg.arg);
}

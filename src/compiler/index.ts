/**
 * The compiler: annotated Python → resource graph and low-level programs. It is a function of the sources alone; the parse is
 * handed in, since guest text is only ever read in a sandbox.
 */
import { createHash } from "node:crypto";
import { CompileRefused } from "../graph/errors.ts";
import { GRAPH_FORMAT } from "../graph/formats.ts";
import type { BaseKind, Component as GraphComponent, RequiredPackage, ResourceGraph } from "../graph/resource-graph.ts";
import type { Module } from "./ast.ts";
import { checkProgram, signature } from "./checks.ts";
import { componentProgram, programPath } from "./components.ts";
import { Effects } from "./effects.ts";
import type { Context } from "./fanout.ts";
import { Flow } from "./flow.ts";
import { checkImports } from "./imports.ts";
import { lowerModule, type CallSite } from "./lower.ts";
import { Memory } from "./memory.ts";
import { checkMutations } from "./mutations.ts";
import { AppModule } from "./names.ts";
import { Program, type Component } from "./program.ts";
import { Purity } from "./purity.ts";
import { Reach } from "./reach.ts";
import { Findings, type Refusal, type Warning } from "./refusals.ts";
import { communicateRelations, placeOf, triggerRelations } from "./relations.ts";
import { SourceText } from "./text.ts";
import { COMPILER_VERSION } from "./version.ts";

export type { Refusal, Rule, Warning } from "./refusals.ts";

export interface SourceFile {
  /** Relative to the application's folder, with `/`. */
  readonly path: string;
  readonly text: string;
}

/** One file as runtimes/python/sandloom_compiler/parse.py gives it. */
export type ParsedFile =
  | { readonly path: string; readonly tree: Module }
  | {
      readonly path: string;
      readonly error: { readonly line: number; readonly column: number; readonly message: string };
    };

/** Runs CPython's own `ast` over the sources, in a sandbox. */
export type Parse = (files: readonly SourceFile[]) => Promise<readonly ParsedFile[]>;

export interface Application {
  readonly name: string;
  readonly entryFile: string;
  readonly files: readonly SourceFile[];
}

export interface CompileOptions {
  /** The packages that can be imported besides the standard library; absent: any. */
  readonly packages?: readonly string[];
  /** The wheels that some of those come from. */
  readonly required?: readonly RequiredPackage[];
  /** The base image that the others come from. */
  readonly base?: BaseKind;
}

export interface CompiledApplication {
  readonly graph: ResourceGraph;
  /** Path in the compiled folder → text: `graph.json`, `components/*.py`, `modules/*.py`. */
  readonly files: ReadonlyMap<string, string>;
  readonly warnings: readonly Warning[];
}

/** @throws CompileRefused with `details.refusals`: {@link Refusal}[], in the order of files and lines. */
export async function compile(
  app: Application,
  parse: Parse,
  options: CompileOptions = {},
): Promise<CompiledApplication> {
  const files = app.files
    .filter((file) => file.path.endsWith(".py"))
    .map(({ path, text }) => ({ path, text: text.replace(/^\uFEFF/, "") }))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
  const findings = new Findings();
  const modules = readModules(files, await parse(files), findings);
  throwIfRefused(findings);
  const entry = modules.find((module) => module.source.path === app.entryFile);
  if (!entry) {
    findings.refuse(
      new SourceText(app.entryFile, ""),
      undefined,
      "no-main",
      `there is no file ${app.entryFile} in the application`,
    );
    throw refused(findings.refusals);
  }

  const program = new Program(modules, entry, findings);
  checkProgram(program, findings);
  const memory = new Memory(program, findings);
  const imports = checkImports(program, options.packages, findings);
  const flow = new Flow(program, memory);
  const effects = new Effects(program, flow);
  const reach = new Reach(program);
  checkMutations(program, reach, findings);
  throwIfRefused(findings);

  const context = { program, flow, effects, memory, purity: new Purity(program) };
  const lowered = modules.map((module) => ({ module, ...lowerModule(context, module) }));
  const sites = lowered.flatMap((one) => one.sites);
  warn(sites, findings);
  const graph: ResourceGraph = {
    format: GRAPH_FORMAT,
    application: applicationOf(app.name, files),
    imports,
    ...(options.base === undefined || options.base === "standard" ? {} : { base: options.base }),
    ...(options.required === undefined || options.required.length === 0 ? {} : { packages: [...options.required] }),
    modules: modules.map(({ name, source }) => ({ name, path: `modules/${source.path}`, source: source.path })),
    components: components(context),
    relations: [...triggerRelations(sites, reach), ...communicateRelations(context, sites, reach)],
  };
  const output = new Map([["graph.json", `${JSON.stringify(graph, undefined, 2)}\n`]]);
  for (const component of program.components) output.set(programPath(component), componentProgram(component));
  for (const { module, text } of lowered) output.set(`modules/${module.source.path}`, text);
  return { graph, files: output, warnings: findings.warnings };
}

function readModules(files: readonly SourceFile[], parsed: readonly ParsedFile[], findings: Findings): AppModule[] {
  const trees = new Map(parsed.map((one) => [one.path, one]));
  return files.flatMap((file) => {
    const source = new SourceText(file.path, file.text);
    const one = trees.get(file.path);
    if (one && "tree" in one) return [new AppModule(source, one.tree)];
    const { line, column, message } = one?.error ?? { line: 1, column: 1, message: "the file was not parsed" };
    findings.refuse(source, { at: [line, column - 1, line, column - 1] }, "syntax-error", message);
    return [];
  });
}

function components({ program, effects, memory }: Context & { memory: Memory }): GraphComponent[] {
  const compute = program.components.map((component: Component): GraphComponent => {
    const { node, module, name, entry, options } = component;
    return {
      kind: "compute",
      name,
      program: programPath(component),
      source: placeOf(module, node),
      entry,
      parameters: signature(node.args),
      writes: entry ? [] : effects.writes(node),
      caps: options.caps,
    };
  });
  const stored = memory.sites.map(({ name, module, node, origin }): GraphComponent => ({
    kind: "memory",
    name,
    source: placeOf(module, node),
    origin,
  }));
  return [...compute, ...stored];
}

function warn(sites: readonly CallSite[], findings: Findings): void {
  for (const { wasted, module, node, component, reason } of sites) {
    if (wasted) findings.warn(module.source, node, `calls of ${component.name} run one after the other: ${reason}`);
  }
}

function applicationOf(name: string, files: readonly SourceFile[]): ResourceGraph["application"] {
  const hash = createHash("sha256").update(COMPILER_VERSION);
  for (const { path, text } of files) hash.update(`\0${path}\0${Buffer.byteLength(text)}\0${text}`);
  return { name, hash: hash.digest("hex"), files: files.map(({ path, text }) => ({ path, sha256: sha256(text) })) };
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function throwIfRefused(findings: Findings): void {
  if (findings.refusals.length > 0) throw refused(findings.refusals);
}

function refused(found: readonly Refusal[]): Error {
  const refusals = [...found].sort((a, b) =>
    a.file === b.file ? a.line - b.line || a.column - b.column : a.file < b.file ? -1 : 1,
  );
  const lines = refusals.map(
    (one) => `${one.file}:${one.line}:${one.column}: ${one.message} [${one.rule}]\n  ${one.fix}`,
  );
  return new CompileRefused(lines.join("\n"), { refusals });
}

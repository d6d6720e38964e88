/** `sandloom compile` and `sandloom graph`. */
import type { CompiledApp } from "../../cluster/api.ts";
import type { Context } from "../context.ts";
import { EXIT, type ExitCode } from "../exit.ts";
import { resolveApp, resolveOut, resolveRequirements } from "../input/paths.ts";
import { Interrupt } from "../interrupt.ts";
import { folderText, writeCompiled } from "../output-folder.ts";
import { graphText } from "../text/graph.ts";

export interface CompileFlags {
  requirements?: string;
}

export async function compileCommand(
  context: Context,
  app: string,
  options: CompileFlags & { out: string },
): Promise<ExitCode> {
  const { terminal } = context;
  const path = resolveApp(app, terminal.cwd);
  const out = resolveOut(options.out, terminal.cwd, "-o");
  const compiled = await compile(context, path, options);
  writeCompiled(out, compiled);
  terminal.err.write(`${graphText(compiled.graph, terminal.err.paint)}\n\nwrote ${folderText(out, terminal.cwd)}\n`);
  return EXIT.ok;
}

export async function graphCommand(
  context: Context,
  app: string,
  options: CompileFlags & { json?: boolean },
): Promise<ExitCode> {
  const { out, cwd } = context.terminal;
  const { graph } = await compile(context, resolveApp(app, cwd), options);
  out.write(options.json ? `${JSON.stringify(graph, undefined, 2)}\n` : `${graphText(graph, out.paint)}\n`);
  return EXIT.ok;
}

async function compile(context: Context, path: string, flags: CompileFlags): Promise<CompiledApp> {
  const requirements = resolveRequirements(flags.requirements, context.terminal.cwd);
  const { err } = context.terminal;
  const say = (line: string): void => err.write(`${err.paint("dim", line)}\n`);
  using interrupt = new Interrupt(context.terminal, say);
  const { createCluster } = await context.loadApi();
  interrupt.check();
  await using cluster = await createCluster({ onProgress: say });
  interrupt.check();
  return await cluster.compile(path, { signal: interrupt.signal, ...requirements });
}

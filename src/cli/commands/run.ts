/** `sandloom run`: options in, one run, and what there is to see of it. */
import { basename, join } from "node:path";
import type { RunOptions } from "../../cluster/api.ts";
import type { Limits } from "../../graph/limits.ts";
import type { Context } from "../context.ts";
import { EXIT, type ExitCode } from "../exit.ts";
import { readEvent } from "../input/event.ts";
import { parseMounts, resolveApp, resolveOut, resolveRequirements } from "../input/paths.ts";
import { Interrupt } from "../interrupt.ts";
import { writeCompiled, writeResult } from "../output-folder.ts";
import { RunView } from "../run-view.ts";

/** As commander hands them over; durations, sizes and CPUs are parsed already. */
export interface RunFlags {
  event?: string;
  set?: string[];
  mount?: string[];
  requirements?: string;
  local?: boolean;
  timeout?: number;
  memory?: number;
  cpus?: number;
  json?: boolean;
  out?: string;
  keep?: boolean;
  quiet?: boolean;
}

export async function runCommand(context: Context, app: string, flags: RunFlags): Promise<ExitCode> {
  const { terminal } = context;
  const path = resolveApp(app, terminal.cwd);
  const mounts = parseMounts(flags.mount ?? [], terminal.cwd);
  const requirements = resolveRequirements(flags.requirements, terminal.cwd);
  const id = runId(path, new Date());
  const out = resolveOut(flags.out ?? join(".sandloom", "runs", id), terminal.cwd, "--out");
  const event = await readEvent(flags.event, flags.set ?? [], terminal);
  if (flags.local) {
    const { runLocally } = await import("./local.ts");
    return runLocally(context, { path, event, mounts, flags, out });
  }
  const options = { id, event, mounts, limits: limitsOf(flags), outDir: out, keep: flags.keep ?? false };
  return runOnCluster(context, { path, flags, id, out, options, requirements });
}

interface Job {
  readonly path: string;
  readonly flags: RunFlags;
  readonly id: string;
  readonly out: string;
  readonly options: RunOptions;
  readonly requirements: Pick<RunOptions, "requirements">;
}

async function runOnCluster(context: Context, job: Job): Promise<ExitCode> {
  const { json, quiet } = job.flags;
  using view = new RunView(context.terminal, {
    id: job.id,
    out: job.out,
    mode: json ? "json" : quiet ? "quiet" : "full",
  });
  using interrupt = new Interrupt(context.terminal, (text) => view.say(text));
  try {
    await watchRun(context, job, view, interrupt);
    return EXIT.ok;
  } catch (error) {
    view.failed(error);
    throw error;
  }
}

async function watchRun(context: Context, job: Job, view: RunView, interrupt: Interrupt): Promise<void> {
  const { path, flags, options, requirements } = job;
  const { createCluster } = await context.loadApi();
  interrupt.check();
  const started_ms = performance.now();
  await using cluster = await createCluster({
    onProgress: (line) => view.say(line),
    ...(flags.cpus === undefined ? {} : { cpus: flags.cpus }),
  });
  interrupt.check();
  const compiled = await cluster.compile(path, { signal: interrupt.signal, ...requirements });
  view.compiled(compiled, performance.now() - started_ms);
  writeCompiled(job.out, compiled);

  const run = cluster.run(compiled, { ...options, signal: interrupt.signal });
  // Handled from here on: it may reject while its events are still read.
  const settled = Promise.allSettled([run.result]);
  for await (const event of run.events) view.event(event);
  const [result] = await settled;
  if (result.status === "rejected") throw result.reason;
  writeResult(job.out, result.value.value);
  view.returned(result.value);
}

/** The time of a run has to hold for its components too: `main` is one of them. */
function limitsOf(flags: RunFlags): Partial<Limits> {
  return {
    ...(flags.timeout === undefined ? {} : { run_timeout_ms: flags.timeout, component_timeout_ms: flags.timeout }),
    ...(flags.memory === undefined ? {} : { memory_bytes: flags.memory }),
  };
}

/** `small-functions-20260131-142507-3f2a`: found by name and by time. */
function runId(path: string, now: Date): string {
  const file = basename(path, ".py");
  const name = file === "app" || file === "main" ? basename(join(path, "..")) : file;
  const time = now
    .toISOString()
    .replaceAll(/[-:]|\..*/g, "")
    .replace("T", "-");
  const random = Math.floor(Math.random() * 0x10000)
    .toString(16)
    .padStart(4, "0");
  return `${name.replaceAll(/[^\w.-]+/g, "_") || "app"}-${time}-${random}`;
}

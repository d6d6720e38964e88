/** The commands that talk to a server: deploy, invoke, functions, logs, top, remove. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { readApplication } from "../../cluster/application.ts";
import type { Deployment, LogLine, StoredInvocation } from "../../cluster/hosting/bundle.ts";
import type { HostStats } from "../../cluster/hosting/host.ts";
import { BadInput } from "../../graph/errors.ts";
import type { Context } from "../context.ts";
import { EXIT, type ExitCode } from "../exit.ts";
import { readEvent } from "../input/event.ts";
import { parseDistantMount, resolveApp, resolveRequirements } from "../input/paths.ts";
import { Interrupt } from "../interrupt.ts";
import { Client, errorOf, parseTarget, type ServerFlags } from "../remote/client.ts";
import { harmless, padEnd } from "../text/paint.ts";
import { bytesText, countText, durationText } from "../text/quantities.ts";

export interface DeployFlags extends ServerFlags {
  name: string;
  requirements?: string;
  env?: string[];
  secret?: string[];
  mount?: string[];
  memory?: number;
  timeout?: number;
  concurrency?: number;
  json?: boolean;
}

export async function deployCommand(context: Context, app: string, flags: DeployFlags): Promise<ExitCode> {
  const { terminal } = context;
  using session = new Session(context, flags);
  const { name } = parseTarget(flags.name);
  const { requirements: path } = resolveRequirements(flags.requirements, terminal.cwd);
  const { requirements, ...application } = readApplication(resolveApp(app, terminal.cwd), path);
  const environment = variables("--env", flags.env, terminal.cwd);
  const settings = {
    ...(flags.timeout === undefined ? {} : { timeout_ms: flags.timeout }),
    ...(flags.memory === undefined ? {} : { memory_bytes: flags.memory }),
    ...(flags.concurrency === undefined ? {} : { concurrency: flags.concurrency }),
    ...(flags.mount === undefined ? {} : { mounts: flags.mount.map((text) => parseDistantMount(text, terminal.cwd)) }),
    ...(Object.keys(environment).length === 0 ? {} : { environment }),
  };
  const answer = await session.client.request<{
    deployment: Deployment;
    unchanged: boolean;
    warnings: { file: string; line: number; column: number; message: string }[];
    output: string;
  }>("POST", `/v1/functions/${name}/versions`, {
    body: JSON.stringify({
      sources: {
        name: application.name,
        entry_file: application.entryFile,
        files: application.files,
        ...(requirements === undefined ? {} : { requirements }),
      },
      settings,
      secrets: variables("--secret", flags.secret, terminal.cwd),
    }),
  });
  const { deployment, unchanged, warnings, output } = answer;
  if (flags.json) {
    terminal.out.write(`${JSON.stringify(answer)}\n`);
    return EXIT.ok;
  }
  const { paint } = terminal.err;
  if (output !== "") terminal.err.write(harmless(output));
  for (const { file, line, column, message } of warnings)
    terminal.err.write(`${paint("yellow", `${file}:${line}:${column}`)} ${message}\n`);
  const packages = (deployment.packages ?? []).map((one) => `${one.name} ${one.version}`);
  if (packages.length > 0) terminal.err.write(`with ${packages.join(", ")}\n`);
  if (unchanged) terminal.err.write("nothing changed since the last version\n");
  terminal.out.write(`${deployment.name}@${deployment.version}\n`);
  return EXIT.ok;
}

export interface InvokeFlags extends ServerFlags {
  event?: string;
  set?: string[];
  async?: boolean;
  key?: string;
}

export async function invokeCommand(context: Context, target: string, flags: InvokeFlags): Promise<ExitCode> {
  const { terminal } = context;
  using session = new Session(context, flags);
  const { name, version } = parseTarget(target);
  const body = JSON.stringify(await readEvent(flags.event, flags.set ?? [], terminal));
  const path = `/v1/functions/${name}/invocations${version === undefined ? "" : `?version=${version}`}`;
  const keyed = flags.key === undefined ? {} : { "idempotency-key": flags.key };
  if (flags.async) {
    const headers = { prefer: "respond-async", ...keyed };
    const stored = await session.client.request<StoredInvocation>("POST", path, { body, headers });
    terminal.out.write(`${stored.id}\n`);
    return EXIT.ok;
  }
  if (flags.key !== undefined) {
    const result = await session.client.request<unknown>("POST", path, { body, headers: keyed });
    terminal.out.write(`${JSON.stringify(result, undefined, 2)}\n`);
    return EXIT.ok;
  }
  for await (const { event, data } of session.client.stream("POST", path, { body })) {
    if (event === "output") terminal.err.write(harmless((data as { text: string }).text));
    if (event === "error") throw errorOf(data as Parameters<typeof errorOf>[0]);
    if (event === "result") terminal.out.write(`${JSON.stringify(data, undefined, 2)}\n`);
  }
  return EXIT.ok;
}

export async function resultCommand(context: Context, id: string, flags: ServerFlags): Promise<ExitCode> {
  using session = new Session(context, flags);
  const stored = await session.client.request<StoredInvocation>("GET", `/v1/invocations/${encodeURIComponent(id)}`);
  if (stored.error) throw errorOf({ ...stored.error, detail: stored.error.message });
  const { out, err } = context.terminal;
  if (stored.state === "succeeded") out.write(`${JSON.stringify(stored.result, undefined, 2)}\n`);
  else err.write(`${stored.state}\n`);
  return EXIT.ok;
}

export async function functionsCommand(context: Context, flags: ServerFlags & { json?: boolean }): Promise<ExitCode> {
  const { out } = context.terminal;
  using session = new Session(context, flags);
  const { functions } = await session.client.request<{ functions: Deployment[] }>("GET", "/v1/functions");
  if (flags.json) {
    out.write(`${JSON.stringify(functions)}\n`);
    return EXIT.ok;
  }
  const rows = functions.map(({ name, version, created_at, settings }) => [
    `${name}@${version}`,
    created_at,
    durationText(settings.timeout_ms),
    bytesText(settings.memory_bytes),
  ]);
  out.write(table([["function", "deployed", "timeout", "memory"], ...rows]));
  return EXIT.ok;
}

export async function logsCommand(
  context: Context,
  target: string,
  flags: ServerFlags & { follow?: boolean; lines: number },
): Promise<ExitCode> {
  using session = new Session(context, flags);
  const { out } = context.terminal;
  const { name, version } = parseTarget(target);
  const show = (line: LogLine): void => {
    if (version !== undefined && line.version !== version) return;
    const head = out.paint("dim", `${line.at} ${line.invocation.slice(0, 8)}`);
    const text =
      line.stream === "report" ? out.paint("cyan", reportText(line.text)) : harmless(line.text.replace(/\n$/, ""));
    out.write(`${head} ${text}\n`);
  };
  const path = `/v1/functions/${name}/logs?limit=${flags.lines}`;
  if (!flags.follow) {
    const { lines } = await session.client.request<{ lines: LogLine[] }>("GET", path);
    lines.forEach(show);
    return EXIT.ok;
  }
  for await (const { event, data } of session.client.stream("GET", path)) if (event === "line") show(data as LogLine);
  return EXIT.ok;
}

function reportText(text: string): string {
  const { outcome, queue_ms, run_ms, cpu_ms, components } = JSON.parse(text) as Record<string, number> & {
    outcome: string;
  };
  const waited = queue_ms !== undefined && queue_ms >= 1 ? `, waited ${durationText(queue_ms)}` : "";
  return `${outcome} in ${durationText(run_ms ?? 0)}${waited}, ${durationText(cpu_ms ?? 0)} of CPU, ${countText(components ?? 0, "component")}`;
}

/** Refreshes until it is interrupted; without a terminal it shows the state once. */
export async function topCommand(context: Context, flags: ServerFlags & { json?: boolean }): Promise<ExitCode> {
  const { out } = context.terminal;
  using session = new Session(context, flags);
  for (;;) {
    const stats = await session.client.request<HostStats>("GET", "/v1/stats");
    if (flags.json) out.write(`${JSON.stringify(stats)}\n`);
    else out.write(`${out.isTTY ? "\u001B[H\u001B[2J" : ""}${topText(stats)}`);
    if (!out.isTTY) return EXIT.ok;
    await sleep(1000, undefined, { signal: session.signal });
  }
}

/** Of the last things that the pool did. */
const SHOWN_EVENTS = 5;

function topText({ running, waiting, workers, sandboxes, pool, functions }: HostStats): string {
  const rows = Object.entries(functions)
    .toSorted(([, a], [, b]) => b.running + b.waiting - a.running - a.waiting)
    .map(([name, of]) => [name, String(of.running), String(of.waiting)]);
  const memory = `${bytesText(pool.memory_bytes)} of ${bytesText(pool.bound_bytes)}`;
  const { made, discarded, refused, idle } = pool;
  const head =
    `${running} of ${workers} workers busy, ${waiting} waiting; ${sandboxes} sandboxes, ${idle} idle, ${memory}\n` +
    `sandboxes since the start: ${made} made, ${pool["let-go"]} let go, ${discarded} discarded, ${refused} refused\n`;
  const last = pool.recent
    .slice(-SHOWN_EVENTS)
    .map(
      ({ at, what, sandbox, reason }) => `  ${at} ${what}${sandbox === undefined ? "" : ` s${sandbox}`}: ${reason}\n`,
    );
  return `${head}${last.join("")}\n${table([["function", "running", "waiting"], ...rows])}`;
}

export async function removeCommand(context: Context, target: string, flags: ServerFlags): Promise<ExitCode> {
  using session = new Session(context, flags);
  const { name, version } = parseTarget(target);
  await session.client.request("DELETE", `/v1/functions/${name}${version === undefined ? "" : `?version=${version}`}`);
  return EXIT.ok;
}

/** A client that Ctrl-C ends. */
class Session implements Disposable {
  readonly #interrupt: Interrupt;
  readonly client: Client;

  constructor({ terminal }: Context, flags: ServerFlags) {
    this.#interrupt = new Interrupt(terminal, () => undefined);
    this.client = new Client(flags, this.signal);
  }
  get signal(): AbortSignal {
    return this.#interrupt.signal;
  }
  [Symbol.dispose](): void {
    this.#interrupt[Symbol.dispose]();
  }
}

/** `NAME=value` or `NAME=@file`, repeated. */
function variables(option: string, pairs: readonly string[] = [], cwd: string): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const [, name, value] = /^([A-Za-z_]\w*)=(.*)$/s.exec(pair) ?? [];
      if (name === undefined || value === undefined)
        throw new BadInput(`${option} ${pair.split("=")[0]}: write it as NAME=value, or NAME=@file`, { option });
      return [name, value.startsWith("@") ? readValue(option, resolve(cwd, value.slice(1))) : value];
    }),
  );
}

function readValue(option: string, path: string): string {
  try {
    return readFileSync(path, "utf8").replace(/\n$/, "");
  } catch (error) {
    throw new BadInput(`${option}: ${path} cannot be read: ${(error as Error).message}`, { path });
  }
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => (row[at] ?? "").length)));
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, at) => padEnd(cell, widths[at] ?? 0))
          .join("  ")
          .trimEnd()}\n`,
    )
    .join("");
}

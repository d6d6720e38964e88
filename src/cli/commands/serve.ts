/** `sandloom serve`: a function host on this machine, until it is interrupted. */
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import type { Context } from "../context.ts";
import { EXIT, type ExitCode } from "../exit.ts";
import { Interrupt } from "../interrupt.ts";
import { DEFAULT_PORT } from "../remote/client.ts";
import { durationText } from "../text/quantities.ts";

/** As commander hands them over; sizes, numbers and durations are parsed already. */
export interface ServeFlags {
  port?: number;
  address: string;
  workers?: number;
  memory?: number;
  minWarm?: number;
  data: string;
  tokens?: string;
  grace: number;
  allowMount?: string[];
}

/** An invocation that waits, for a timer say, holds a worker but no CPU. */
const WORKERS_PER_CPU = 2;

export async function serveCommand(context: Context, flags: ServeFlags): Promise<ExitCode> {
  const { terminal } = context;
  const started_ms = performance.now();
  const say = (line: string): void => terminal.err.write(`${line}\n`);
  using interrupt = new Interrupt(terminal, (text) => say(`${text}: no more invocations, waiting for those that run`));
  const { startServer } = await context.loadApi();
  const server = await startServer({
    port: flags.port ?? DEFAULT_PORT,
    address: flags.address,
    workers: flags.workers ?? availableParallelism() * WORKERS_PER_CPU,
    dataDir: resolve(terminal.cwd, flags.data),
    onProgress: say,
    ...(flags.memory === undefined ? {} : { memory_bytes: flags.memory }),
    ...(flags.minWarm === undefined ? {} : { min_warm: flags.minWarm }),
    ...(flags.allowMount === undefined
      ? {}
      : { allowed_mounts: flags.allowMount.map((folder) => resolve(terminal.cwd, folder)) }),
    ...(flags.tokens === undefined ? {} : { tokensPath: resolve(terminal.cwd, flags.tokens) }),
  });
  terminal.out.write(`${server.url}\n`);
  server.warm.then(
    () => say(`ready after ${durationText(performance.now() - started_ms)}`),
    () => undefined,
  );
  await new Promise<void>((end) => {
    if (interrupt.signal.aborted) end();
    interrupt.signal.addEventListener("abort", () => end(), { once: true });
  });
  await server.stop(flags.grace);
  return EXIT.ok;
}

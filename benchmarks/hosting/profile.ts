/**
 * `--profile`: where an executor's threads spend their time while functions are invoked. V8's own profiler is attached to the process, to
 * its dispatcher and to each sandbox's thread, by the inspector that Node opens on SIGUSR1.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Bench } from "../bench.ts";
import { flameGraph, type Profile } from "./flame-graph.ts";
import { type Handler, numpy, pandas } from "./handlers.ts";
import { Inspector } from "./inspector.ts";
import { deploy, invocationOf, openServer } from "./server.ts";

const IN_FLIGHT = 2;
const WARM_MS = 2000;
const PROFILED_MS = 5000;

/** @returns the file of the flame graph; beside it lies each thread's profile, for a tool that shows such */
export async function profileHosting(bench: Bench): Promise<string> {
  await using server = await openServer(bench);
  const handlers: readonly Handler[] = [numpy, pandas];
  for (const { name, source } of handlers) await deploy(await server.connect(), name, source);
  const stop = new AbortController();
  const client = async (first: number): Promise<void> => {
    const connection = await server.connect();
    for (let round = first; !stop.signal.aborted; round++) {
      const handler = handlers[round % handlers.length] as Handler;
      await connection.ask(invocationOf(handler.name, handler.event(round)));
    }
  };
  const clients = Array.from({ length: IN_FLIGHT }, (_, first) => client(first));
  try {
    await sleep(WARM_MS);
    await using inspector = await Inspector.attach(childOf(server.pid));
    await inspector.start();
    await sleep(PROFILED_MS);
    const threads = await inspector.stop();
    return write(bench.workspace.folder, threads);
  } finally {
    stop.abort();
    await Promise.all(clients);
  }
}

function write(folder: string, threads: ReadonlyMap<string, Profile>): string {
  for (const [thread, profile] of threads)
    writeFileSync(join(folder, `hosting-${thread}.cpuprofile`), JSON.stringify(profile));
  const path = join(folder, "hosting-flame.svg");
  const sandboxes = [...threads].filter(([thread]) => thread !== "dispatcher").map(([, profile]) => profile);
  const dispatcher = threads.get("dispatcher");
  const groups = { sandboxes, dispatcher: dispatcher ? [dispatcher] : [] };
  writeFileSync(path, flameGraph("Invocations of a NumPy and a pandas function: an executor's threads", groups));
  return path;
}

/** The executor is the server's only child. */
function childOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ")[0]);
}

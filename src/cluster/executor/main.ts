/** Entry of an executor process: holds the sandboxes of one tenant and obeys the cluster over IPC. */
import { BadInput, InternalError, SandloomError } from "../../graph/errors.ts";
import { store } from "../../fabric/store.ts";
import { SandboxCell } from "../../sandbox/cell.ts";
import { ENTRY_KIND } from "../../sandbox/messages.ts";
import { loadParts } from "../../sandbox/shell/parts.ts";
import { Dispatcher } from "./dispatcher.ts";
import type { FromExecutor, ToExecutor } from "./protocol.ts";

// A terminal's Ctrl-C reaches every process of the group: what it means is the cluster's decision.
process.on("SIGINT", () => undefined);
// Without its cluster an executor has no reason to live, and a guest's thread must not hold it.
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));

const send = (message: FromExecutor): void => {
  process.send?.(message);
};

let dispatcher: Dispatcher | undefined;
let baseImage = -1;
const basePrefix = process.argv[2] as string;
// What every boot needs, and nothing more, begins before the cluster has said a word: compiling, and the first thread.
const parts = loadParts(basePrefix);
parts.catch(() => undefined);
const firstCell = new SandboxCell(0);
const images = new Map<string, number>();

async function openApplication(hash: string, deltaPath: string): Promise<number> {
  const opened = images.get(hash);
  if (opened !== undefined) return opened;
  const { id } = await store.imageOpen(`${basePrefix}.img`, deltaPath);
  images.set(hash, id);
  return id;
}

/** The base alone is needed only to parse and to load applications: a cached application never opens it. */
async function openBase(): Promise<number> {
  if (baseImage < 0) baseImage = (await store.imageOpen(`${basePrefix}.img`, null)).id;
  return baseImage;
}

async function boot(message: Extract<ToExecutor, { type: "boot" }>): Promise<void> {
  store.storeConfigure({
    slab_bytes: 256 << 20,
    capacity_bytes: message.memory_bytes,
    idle_bytes: Math.min(512 << 20, message.memory_bytes),
  });
  const image = message.application
    ? openApplication(message.application.hash, message.application.deltaPath)
    : openBase();
  dispatcher = new Dispatcher({ parts, cpus: message.cpus, send });
  const { pool } = dispatcher;
  pool.image = await image;
  // The first alone, so that it is ready as early as can be; the others while it works.
  if (!(await pool.make(firstCell))) throw pool.failure ?? new InternalError("no sandbox could be made");
  send({ type: "ready", image_bytes: (await parts).record.data_bytes });
  pool.target = message.sandboxes;
  while (pool.size < pool.target && (await pool.make()));
}

async function handle(message: ToExecutor): Promise<void> {
  if (message.type === "boot") return boot(message);
  if (!dispatcher) throw new InternalError("the executor has not booted");
  switch (message.type) {
    case "run": {
      const image = images.get(message.application);
      if (image === undefined) throw new InternalError(`no image is open for ${message.application}`);
      dispatcher.start(message, image);
      return;
    }
    case "cancel":
      dispatcher.cancel(message.run, message.error);
      return;
    case "open":
      dispatcher.pool.image = await openApplication(message.hash, message.deltaPath);
      return reply(message.request, "{}");
    case "load": {
      const value = await dispatcher.task({
        kind: ENTRY_KIND.load,
        document: message.document,
        image: await openBase(),
        deltaPath: message.deltaPath,
      });
      dispatcher.pool.image = await openApplication(message.hash, message.deltaPath);
      return reply(message.request, value);
    }
    case "parse":
      return reply(
        message.request,
        await dispatcher.task({ kind: ENTRY_KIND.parse, document: message.document, image: await openBase() }),
      );
    case "stats": {
      const { regions, accounts, used_bytes } = store.storeStats();
      const { fds, mappings, pss_bytes } = store.processMemory();
      return reply(
        message.request,
        JSON.stringify({ regions, accounts, used_bytes, fds, mappings, pss_bytes, sandboxes: dispatcher.pool.size }),
      );
    }
    default:
      throw new BadInput(`an executor does not know ${JSON.stringify(message)}`);
  }
}

function reply(request: number, value: string): void {
  send({ type: "reply", request, value });
}

process.on("message", (message: ToExecutor) => {
  handle(message).catch((error: unknown) => {
    const report = SandloomError.from(error).toReport();
    if ("request" in message) send({ type: "failed", request: message.request, error: report });
    else if (message.type === "run") send({ type: "ended", run: message.run, error: report, splits: {} });
    else send({ type: "failed", request: -1, error: report });
  });
});

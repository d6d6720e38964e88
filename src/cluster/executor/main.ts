/** Entry of an executor process: holds the sandboxes of one tenant and obeys the cluster over IPC. */
import { rmSync } from "node:fs";
import { BadInput, InternalError, SandloomError } from "../../graph/errors.ts";
import { store } from "../../fabric/store.ts";
import { SandboxCell } from "../../sandbox/cell.ts";
import { Exchange } from "../../sandbox/exchange.ts";
import { ENTRY_KIND } from "../../sandbox/messages.ts";
import { compiledCodePath } from "../../sandbox/image/format.ts";
import { loadParts } from "../../sandbox/shell/parts.ts";
import { Dispatcher } from "./dispatcher.ts";
import { Images } from "./images.ts";
import { LOOK_MS } from "./pool.ts";
import { BASE } from "./protocol.ts";
import { Sessions } from "./sessions.ts";
import {
  BOOT_REQUEST,
  type ExecutorOptions,
  type ExecutorStats,
  type FromExecutor,
  type ToExecutor,
} from "./protocol.ts";

// A terminal's Ctrl-C reaches every process of the group: what it means is the cluster's decision.
process.on("SIGINT", () => undefined);
// Without its cluster an executor has no reason to live, and a guest's thread must not hold it.
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));

const send = (message: FromExecutor): void => {
  process.send?.(message);
};

const options = JSON.parse(process.argv[2] as string) as ExecutorOptions;
const basePrefix = options.basePrefix;
store.storeConfigure({
  slab_bytes: 256 << 20,
  capacity_bytes: options.memory_bytes,
  idle_bytes: Math.min(512 << 20, options.memory_bytes),
});

const images = new Images(`${basePrefix}.img`, async () => (await parts).record.content_hash);

// In this order: the image is read by threads of its own, the first sandbox's thread starts, and the modules compile on
// others still, while this thread reads what they are made of.
const { application } = options;
const firstImage = application ? images.add(application.hash, application) : images.using(BASE, async (id) => id);
firstImage.catch(() => undefined); // told by boot(), which needs it too
const exchange = new Exchange();
const firstCell = new SandboxCell(0, exchange);
const parts = loadParts(basePrefix);
const dispatcher = new Dispatcher({ parts, images, exchange, cpus: options.cpus, pool: options.pool, send });

const sessions = new Sessions(dispatcher.pool, images, send);

async function boot(): Promise<void> {
  const { pool } = dispatcher;
  if (application) pool.application = application.hash;
  await firstImage;
  // The first alone, so that it is ready as early as can be; the others while it works.
  if (!(await pool.start(firstCell))) throw pool.failure ?? new InternalError("no sandbox could be made");
  const { record, code } = await parts;
  send({ type: "ready", image_bytes: record.data_bytes });
  if (code.refused !== undefined) {
    // The next cluster makes it anew.
    rmSync(compiledCodePath(basePrefix), { force: true });
    const text = `the base's compiled code cannot be used (${code.refused}): this process starts more slowly, and it is made again`;
    send({ type: "note", text });
  }
  pool.tend();
  setInterval(() => dispatcher.look(), LOOK_MS);
}

async function handle(message: ToExecutor): Promise<void> {
  switch (message.type) {
    case "run": {
      const image = await images.hold(message.application);
      // What runs last is what new sandboxes are made with.
      dispatcher.pool.application = message.application;
      const packages = images.packagesOf(message.application);
      dispatcher.start(message, { image, packages }, () => images.release(message.application));
      return;
    }
    case "cancel":
      dispatcher.cancel(message.run, message.error);
      return;
    case "open":
      await images.add(message.hash, message);
      if (!message.snapshot) dispatcher.pool.application = message.hash;
      return reply(message.request, "{}");
    case "load": {
      const { document, deltaPath, hash, packPath } = message;
      const packages = packPath === undefined ? undefined : images.packs.open(packPath, hash);
      try {
        const { output } = await images.using(BASE, (image) =>
          dispatcher.task({ kind: ENTRY_KIND.load, document, image, deltaPath, ...(packages ? { packages } : {}) }),
        );
        await images.add(hash, message);
        dispatcher.pool.application = hash;
        return reply(message.request, output);
      } finally {
        if (packages) images.packs.close(packages);
      }
    }
    case "parse": {
      const { document } = message;
      const { document: parsed } = await images.using(BASE, (image) =>
        dispatcher.task({ kind: ENTRY_KIND.parse, document, image }),
      );
      return reply(message.request, parsed);
    }
    case "session-open": {
      await sessions.open(message.session, message.application, message.limits, message.environment);
      return reply(message.request, "{}");
    }
    case "session-task":
      return reply(message.request, await sessions.run(message.session, message));
    case "session-interrupt":
      sessions.interrupt(message.session);
      return;
    case "session-close":
      await sessions.close(message.session, message.busy);
      return reply(message.request, "{}");
    case "stats": {
      const { regions, accounts, used_bytes } = store.storeStats();
      const { fds, mappings, pss_bytes } = store.processMemory();
      const { size: sandboxes, idle, memory_bytes } = dispatcher.pool;
      const pool = { sandboxes, idle, memory_bytes };
      return reply(
        message.request,
        JSON.stringify({ regions, accounts, used_bytes, fds, mappings, pss_bytes, ...pool } satisfies ExecutorStats),
      );
    }
    default:
      throw new BadInput(`an executor does not know ${JSON.stringify(message)}`);
  }
}

function reply(request: number, value: string): void {
  send({ type: "reply", request, value });
}

function failed(error: unknown, request: number): void {
  send({ type: "failed", request, error: SandloomError.from(error).toReport() });
}

process.on("message", (message: ToExecutor) => {
  handle(message).catch((error: unknown) => {
    if ("request" in message) failed(error, message.request);
    else if (message.type === "run")
      send({
        type: "ended",
        run: message.run,
        error: SandloomError.from(error).toReport(),
        splits: {},
        usage: { components: 0, cpu_ms: 0 },
      });
    else failed(error, BOOT_REQUEST);
  });
});
boot().catch((error: unknown) => failed(error, BOOT_REQUEST));

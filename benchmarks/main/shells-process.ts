/** The process of `shells.ts`: answers one question at a time over IPC. */
import { setTimeout as sleep } from "node:timers/promises";
import { store } from "../../src/fabric/store.ts";
import { defaultLimits } from "../../src/graph/limits.ts";
import { SandboxCell } from "../../src/sandbox/cell.ts";
import { Exchange } from "../../src/sandbox/exchange.ts";
import { ENTRY_KIND, type FromSandbox, now_ms } from "../../src/sandbox/messages.ts";
import { loadParts } from "../../src/sandbox/shell/parts.ts";
import type { Answers, FirstResult, Images, Question } from "./shells.ts";

/** What a thread gives back after its work (compiled code that is not used again, for one) is given back by then. */
const SETTLE_MS = 1500;

const { basePrefix, deltaPath } = JSON.parse(process.argv[2] ?? "{}") as Images;
store.storeConfigure({ slab_bytes: 64 << 20, capacity_bytes: 1 << 30, idle_bytes: 0 });
const parts = await loadParts(basePrefix);
const base = (await store.imageOpen(`${basePrefix}.img`, null)).id;
const application = (await store.imageOpen(`${basePrefix}.img`, deltaPath)).id;
const { heap_bytes, file_bytes, message_bytes } = defaultLimits;
const settings = { run: 0, account: store.accountOpen(1 << 30), mounts: [], heap_bytes, file_bytes, message_bytes };
const exchange = new Exchange();
const kept: SandboxCell[] = [];
let made = 0;

/** A shell with the base image, on which nothing has run. */
async function shell(): Promise<SandboxCell> {
  const cell = new SandboxCell(made++, exchange);
  await cell.make(parts, base, { warm: true });
  return cell;
}

/** Resolves when the sandbox is back at its image. */
async function call(cell: SandboxCell, handler: string): Promise<FirstResult> {
  let ended = Number.NaN;
  const listener = (message: FromSandbox): void => {
    if (message.type === "print") console.error(message.text);
    if (message.type !== "ended") return;
    ended = message.at_ms;
    if (message.result.outcome !== "returned")
      throw new Error(`the handler ${handler} failed: ${message.result.report.message}`);
  };
  const payload = Buffer.from(JSON.stringify({ handler, x: 2 }));
  const { entry: kind } = ENTRY_KIND;
  if (!cell.take()) throw new Error("the sandbox is not idle");
  const started = now_ms();
  await cell.run({ type: "run", image: application, kind, name: "main", payload, regions: [], settings }, listener);
  return { result_ms: ended - started };
}

const answer: { [T in Question["type"]]: (question: Extract<Question, { type: T }>) => Promise<Answers[T]> } = {
  first: async ({ handler, count }) => {
    const results: FirstResult[] = [];
    for (let i = 0; i < count; i++) {
      const cell = await shell();
      results.push(await call(cell, handler));
      await cell.kill();
    }
    return results;
  },
  grow: async ({ count }) => {
    for (let i = 0; i < count; i++) {
      const cell = await shell();
      kept.push(cell);
      for (const handler of ["numpy", "pandas"]) await call(cell, handler);
    }
    await sleep(SETTLE_MS);
    return { sandboxes: kept.length, pss_bytes: store.processMemory().pss_bytes };
  },
};

process.on("disconnect", () => process.exit());
process.on("message", (question: Question) => {
  const work = question.type === "first" ? answer.first(question) : answer.grow(question);
  void work.then((value) => process.send?.(value));
});

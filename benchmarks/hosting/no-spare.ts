/** An invocation when every sandbox is held and none is being made: a thread, a shell and an image for it. */
import { setTimeout as sleep } from "node:timers/promises";
import { type Bench, expectEqual, figure, type Figure, type Row, takeTurns } from "../bench.ts";
import { type Connection, requestOf } from "./connection.ts";
import { emptyRoute, warm } from "./contenders.ts";
import { type Handler, numpy, pandas } from "./handlers.ts";
import { deploy, invocationOf, openServer, type Server } from "./server.ts";

const BOUND_MS = 100;
const HOLDER = "import time\ndef main(event):\n    time.sleep(event['s'])\n";
const HELD_S = 600;
const HELD_DEADLINE_MS = 10_000;
/** What holding the last one left to be done is done. */
const SETTLE_MS = 50;

export const noSpare: Row = {
  name: "no-spare",
  title: "Invocation over HTTP, above the empty route, when no sandbox stands idle and none was made ahead",

  async measure(bench): Promise<Figure[]> {
    const turns = bench.quick ? { warmups: 1, rounds: 4 } : { warmups: 2, rounds: 20 };
    const figures = [];
    for (const handler of [numpy, pandas]) figures.push(...(await measureOf(bench, handler, turns)));
    return figures;
  },
};

async function measureOf(
  bench: Bench,
  handler: Handler,
  turns: { readonly warmups: number; readonly rounds: number },
): Promise<Figure[]> {
  const held = 2 * (turns.warmups + turns.rounds);
  await using server = await openServer(bench, undefined, ["--min-warm", "0", "--workers", String(held)]);
  const connection = await server.connect();
  await deploy(connection, handler.name, handler.source);
  await deploy(connection, "holder", HOLDER, { timeout_ms: HELD_S * 1000 });
  const holders = { count: 0 };
  const ours = warm(connection, handler);
  const making: number[] = [];
  const contender = {
    name: handler.shown,
    trial: async (round: number): Promise<number> => {
      await holdIdle(server, connection, holders);
      const ms = await ours.trial(round);
      if (round >= 0) making.push(await lastMaking(connection));
      return ms;
    },
  };
  const empty = emptyRoute(await server.connect());
  const values = await takeTurns([contender, empty], turns);
  const nothing = values.get(empty) ?? [];
  const above = (values.get(contender) ?? []).map((ms, round) => ms - (nothing[round] ?? Number.NaN));
  return [
    figure(noSpare.name, { what: handler.shown, values: above, bound: BOUND_MS }),
    figure(noSpare.name, { what: "  of it making the sandbox", values: making }),
  ];
}

interface Pool {
  /** Those included that are being made. */
  readonly sandboxes: number;
  readonly idle: number;
  readonly recent: readonly { readonly what: string; readonly cause: string; readonly ms?: number }[];
}

async function stats(connection: Connection): Promise<{ running: number; pool: Pool }> {
  const { body } = await connection.ask(requestOf("GET", "/v1/stats"));
  return JSON.parse(body) as { running: number; pool: Pool };
}

/** Has every idle sandbox held by an invocation that sleeps. */
async function holdIdle(server: Server, connection: Connection, holders: { count: number }): Promise<void> {
  const deadline = performance.now() + HELD_DEADLINE_MS;
  for (;;) {
    const { running, pool } = await stats(connection);
    if (running === holders.count && pool.sandboxes === holders.count && holders.count > 0) break;
    if (performance.now() > deadline) throw new Error("the idle sandboxes could not be held");
    if (running === holders.count && pool.idle > 0) {
      const holding = await server.connect();
      holders.count++;
      // It is answered never: its connection is closed in the end.
      holding.ask(invocationOf("holder", JSON.stringify({ s: HELD_S }))).catch(() => undefined);
    }
    await sleep(SETTLE_MS);
  }
}

async function lastMaking(connection: Connection): Promise<number> {
  const made = (await stats(connection)).pool.recent.at(-1);
  expectEqual(made?.what, "made", "the pool's last event");
  expectEqual(made?.cause, "demand", "why a sandbox was made");
  return made?.ms ?? Number.NaN;
}

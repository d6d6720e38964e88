/** What it takes to put a sandbox back after a call, from the events of ordinary runs, and whether the call after it is slower. */
import { setTimeout as sleep } from "node:timers/promises";
import { type Bench, figure, type Figure, type Row, takeTurns } from "../bench.ts";
import { openRunner } from "../main/runner.ts";
import { median } from "../statistics.ts";
import { expectAnswer, expectAnswered, type Handler, numpy, pandas } from "./handlers.ts";
import { deploy, invocationOf, openServer } from "./server.ts";

/** Every sandbox is long put back. */
const PAUSE_MS = 20;
/** More than there are sandboxes: at the end of the burst each was put back just before. */
const BURST = 12;

export const reset: Row = {
  name: "reset",
  title: "Reset of a sandbox after a call (sandbox-reset events), and the call after it",

  async measure(bench): Promise<Figure[]> {
    const resets = [];
    for (const handler of [numpy, pandas]) resets.push(await resetsOf(bench, handler));
    return [...resets, ...(await nextCalls(bench))];
  },
};

async function resetsOf(bench: Bench, handler: Handler): Promise<Figure> {
  await using runner = await openRunner(bench, handler.module, "hosting");
  const pages: number[] = [];
  const contender = {
    name: handler.name,
    trial: async (round: number): Promise<number> => {
      const { value, events } = await runner.run<unknown>(JSON.parse(handler.event(round)));
      expectAnswer(JSON.stringify(value), handler, round, "the run");
      const [done] = events.filter((event) => event.type === "sandbox-reset");
      if (!done) throw new Error("the run has no sandbox-reset event");
      pages.push(done.dirty_pages);
      return done.ms;
    },
  };
  // Every sandbox of the pool has met the handler before it counts.
  const values = await takeTurns([contender], bench.quick ? { warmups: 8, rounds: 20 } : { warmups: 20, rounds: 200 });
  return figure(reset.name, {
    what: `${handler.shown} handler (${median(pages)} dirty pages)`,
    values: values.get(contender) ?? [],
    bound: 1.5,
  });
}

async function nextCalls(bench: Bench): Promise<Figure[]> {
  await using server = await openServer(bench);
  const connection = await server.connect();
  await deploy(connection, pandas.name, pandas.source);
  const call = async (round: number): Promise<number> => {
    const answer = await connection.ask(invocationOf(pandas.name, pandas.event(round)));
    expectAnswered(answer, pandas, round, "the invocation");
    return answer.ms;
  };
  const rested = {
    name: "after a pause",
    trial: async (round: number): Promise<number> => {
      await sleep(PAUSE_MS);
      return call(round);
    },
  };
  const atOnce = {
    name: "at once",
    trial: async (round: number): Promise<number> => {
      for (let i = 0; i < BURST; i++) await call(round);
      return call(round);
    },
  };
  const values = await takeTurns(
    [rested, atOnce],
    bench.quick ? { warmups: 4, rounds: 20 } : { warmups: 20, rounds: 200 },
  );
  const after = values.get(rested) ?? [];
  return [
    figure(reset.name, {
      what: `pandas over HTTP, at once after ${BURST} calls: the next call, in all`,
      values: values.get(atOnce) ?? [],
      peers: new Map([[`a call after a pause of ${PAUSE_MS} ms`, after]]),
    }),
    figure(reset.name, { what: `pandas over HTTP, after a pause of ${PAUSE_MS} ms, in all`, values: after }),
  ];
}

/** One invocation at a time, each in a pristine sandbox: what it takes beside what our HTTP server takes for nothing at all. */
import { type Bench, figure, type Figure, type Row, takeTurns } from "../bench.ts";
import { CPython } from "../peers/cpython.ts";
import { Connection, requestOf } from "./connection.ts";
import { answering, emptyRoute, warm } from "./contenders.ts";
import { appsFolder, type Handler, numpy, pandas } from "./handlers.ts";
import { deploy, openServer } from "./server.ts";

interface Bounds {
  readonly bound: number;
  readonly bound_p99: number;
}

export const invokeNumpy: Row = {
  name: "invoke-numpy",
  title: "Pristine invocation over HTTP, NumPy handler, 1 in flight, a sandbox with its image is free",
  measure: (bench) => measure(bench, invokeNumpy.name, numpy, { bound: 0.6, bound_p99: 5 }),
};

export const invokePandas: Row = {
  name: "invoke-pandas",
  title: "Pristine invocation over HTTP, pandas group-by handler, 1 in flight, a sandbox with its image is free",
  measure: (bench) => measure(bench, invokePandas.name, pandas, { bound: 2.5, bound_p99: 10 }),
};

async function measure(bench: Bench, row: string, handler: Handler, bounds: Bounds): Promise<Figure[]> {
  await using server = await openServer(bench);
  await using pool = await new CPython(bench.workspace.root).startPool(appsFolder);
  const connection = await server.connect();
  await deploy(connection, handler.name, handler.source);
  const ours = warm(connection, handler);
  const empty = emptyRoute(await server.connect());
  const poolConnection = await Connection.open(pool.url);
  const floor = answering("warm CPython pool", poolConnection, handler, (round) =>
    requestOf("POST", `/${handler.module}`, handler.event(round)),
  );
  try {
    const values = await takeTurns(
      [ours, empty, floor],
      bench.quick ? { warmups: 50, rounds: 100 } : { warmups: 200, rounds: 2000 },
    );
    const of = (contender: { name: string }): number[] =>
      [...values].find(([one]) => one.name === contender.name)?.[1] ?? [];
    const above = of(ours).map((ms, round) => ms - (of(empty)[round] ?? Number.NaN));
    const stages = ours.answers.map(({ head }) => stagesOf(head));
    const rest = above.map((ms, round) => ms - (stages[round]?.queue ?? 0) - (stages[round]?.run ?? 0));
    const shown = (what: string, list: readonly number[]): Figure => figure(row, { what, values: list });
    return [
      figure(row, { what: "above the empty route", values: above, ...bounds }),
      figure(row, {
        what: "in all",
        values: of(ours),
        peers: new Map([
          [floor.name, of(floor)],
          [empty.name, of(empty)],
        ]),
      }),
      shown(
        "of it queue (Server-Timing)",
        stages.map(({ queue }) => queue),
      ),
      shown(
        "of it run, to the result in the server",
        stages.map(({ run }) => run),
      ),
      shown("of it HTTP, above the empty route: the rest", rest),
      shown(
        "CPU time of the sandbox's thread",
        stages.map(({ cpu }) => cpu),
      ),
      shown("empty route (GET /health)", of(empty)),
      shown("warm CPython pool (not pristine)", of(floor)),
    ];
  } finally {
    poolConnection.close();
  }
}

/** Milliseconds, from the header Server-Timing. */
function stagesOf(head: string): { queue: number; run: number; cpu: number } {
  const [, queue, run, cpu] = /server-timing: queue;dur=([\d.]+), run;dur=([\d.]+), cpu;dur=([\d.]+)/.exec(head) ?? [];
  if (cpu === undefined) throw new Error(`the answer has no Server-Timing:\n${head}`);
  return { queue: Number(queue), run: Number(run), cpu: Number(cpu) };
}

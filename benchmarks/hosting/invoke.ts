/** One invocation at a time, each in a pristine sandbox: what it takes beside what our HTTP server takes for nothing at all. */
import { type Bench, type Contender, figure, type Figure, type Row, takeTurns } from "../bench.ts";
import { CPython } from "../peers/cpython.ts";
import { type Answer, Connection, requestOf } from "./connection.ts";
import { type Answering, answering, burst, emptyRoute, spaced, warm } from "./contenders.ts";
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

/** Requests one after the other in a turn. */
const BURST = 20;

async function measure(bench: Bench, row: string, handler: Handler, bounds: Bounds): Promise<Figure[]> {
  await using server = await openServer(bench);
  await using pool = await new CPython(bench.workspace.root).startPool(appsFolder);
  const connection = await server.connect();
  await deploy(connection, handler.name, handler.source);
  const emptyConnection = await server.connect();
  const poolConnection = await Connection.open(pool.url);
  const asked = (): Asked => ({
    ours: warm(connection, handler),
    empty: emptyRoute(emptyConnection),
    pool: answering("warm CPython pool", poolConnection, handler, (round) =>
      requestOf("POST", `/${handler.module}`, handler.event(round)),
    ),
  });
  try {
    return [
      ...(await backToBack(
        asked(),
        row,
        bounds,
        bench.quick ? { warmups: 5, rounds: 10 } : { warmups: 20, rounds: 100 },
      )),
      ...(await apart(
        asked(),
        row,
        bounds,
        bench.quick ? { warmups: 20, rounds: 100 } : { warmups: 100, rounds: 2000 },
      )),
    ];
  } finally {
    poolConnection.close();
  }
}

interface Asked {
  readonly ours: Answering;
  readonly empty: Contender;
  readonly pool: Contender;
}
type Turns = Parameters<typeof takeTurns>[1];

async function backToBack({ ours, empty, pool }: Asked, row: string, bounds: Bounds, turns: Turns): Promise<Figure[]> {
  const bursts = { ours: burst(ours, BURST), empty: burst(empty, BURST), pool: burst(pool, BURST) };
  await takeTurns(Object.values(bursts), turns);
  const times = { ours: bursts.ours.each, empty: bursts.empty.each, pool: bursts.pool.each };
  return figuresOf(row, `${BURST} one after the other`, ours.answers, times, bounds);
}

/** With a pause after each, and others between: the CPUs have gone to sleep and done something else meanwhile. */
async function apart({ ours, empty, pool }: Asked, row: string, bounds: Bounds, turns: Turns): Promise<Figure[]> {
  const single = { ours: spaced(ours), empty: spaced(empty), pool: spaced(pool) };
  const values = await takeTurns(Object.values(single), turns);
  const of = (contender: Contender): number[] => values.get(contender) ?? [];
  const times = { ours: of(single.ours), empty: of(single.empty), pool: of(single.pool) };
  return figuresOf(row, "now and then", ours.answers, times, bounds);
}

function figuresOf(
  row: string,
  pattern: string,
  answers: readonly Answer[],
  { ours, empty, pool }: Readonly<Record<"ours" | "empty" | "pool", readonly number[]>>,
  bounds: Bounds,
): Figure[] {
  const above = ours.map((ms, i) => ms - (empty[i] ?? Number.NaN));
  const stages = answers.map(({ head }) => stagesOf(head));
  const part = (name: "queue" | "run" | "cpu"): number[] => stages.map((stage) => stage[name]);
  const rest = above.map((ms, i) => ms - (stages[i]?.queue ?? Number.NaN) - (stages[i]?.run ?? Number.NaN));
  const peers = new Map([
    ["warm CPython pool", pool],
    ["empty route", empty],
  ]);
  const shown = (what: string, values: readonly number[]): Figure => figure(row, { what: `  ${what}`, values });
  return [
    figure(row, { what: `${pattern}: above the empty route`, values: above, ...bounds }),
    figure(row, { what: "  in all", values: ours, peers }),
    shown("of it queue (Server-Timing)", part("queue")),
    shown("of it run, to the result in the server", part("run")),
    shown("of it HTTP, above the empty route: the rest", rest),
    shown("CPU time of the sandbox's thread", part("cpu")),
    shown("empty route (GET /health)", empty),
    shown("warm CPython pool (not pristine)", pool),
  ];
}

/** Milliseconds, from the header Server-Timing. */
function stagesOf(head: string): { queue: number; run: number; cpu: number } {
  const [, queue, run, cpu] = /server-timing: queue;dur=([\d.]+), run;dur=([\d.]+), cpu;dur=([\d.]+)/.exec(head) ?? [];
  if (cpu === undefined) throw new Error(`the answer has no Server-Timing:\n${head}`);
  return { queue: Number(queue), run: Number(run), cpu: Number(cpu) };
}

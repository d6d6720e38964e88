/** Invocations in a second, with several in flight: clients that each ask again as soon as they are answered. */
import { type Contender, expectEqual, figure, type Figure, type Row, takeTurns } from "../bench.ts";
import { CPython } from "../peers/cpython.ts";
import { CPUS } from "../peers/start.ts";
import { Connection, requestOf } from "./connection.ts";
import { appsFolder, expectAnswered, numpy } from "./handlers.ts";
import { deploy, invocationOf, openServer } from "./server.ts";

const IN_FLIGHT = 8;

export const throughput: Row = {
  name: "throughput",
  title: `Pristine invocations a second over HTTP, NumPy handler, ${CPUS} CPUs which the client shares`,

  async measure(bench): Promise<Figure[]> {
    await using server = await openServer(bench);
    await using pool = await new CPython(bench.workspace.root).startPool(appsFolder);
    await deploy(await server.connect(), numpy.name, numpy.source);
    const connections = await Promise.all(Array.from({ length: IN_FLIGHT }, () => server.connect()));
    const toPool = await Promise.all(Array.from({ length: IN_FLIGHT }, () => Connection.open(pool.url)));
    const requests = bench.quick ? 400 : 2000;
    const invoke = (round: number): Buffer => invocationOf(numpy.name, numpy.event(round));
    const ours = window("Sandloom", connections, requests, invoke);
    const single = window("Sandloom, 1 in flight", connections.slice(0, 1), requests / 4, invoke);
    const floor = window("warm CPython pool", toPool, requests, (round) =>
      requestOf("POST", `/${numpy.module}`, numpy.event(round)),
    );
    const empty = window("empty route", connections, requests, () => requestOf("GET", "/health"), '{"status":"ok"}');
    try {
      const values = await takeTurns(
        [ours, single, floor, empty],
        bench.quick ? { warmups: 1, rounds: 3 } : { warmups: 2, rounds: 20 },
      );
      const of = (contender: Contender): number[] => values.get(contender) ?? [];
      const shown = (what: string, contender: Contender): Figure =>
        figure(throughput.name, { what, values: of(contender), unit: "/s" });
      return [
        figure(throughput.name, {
          what: `${IN_FLIGHT} in flight`,
          values: of(ours),
          unit: "/s",
          at_least: 800,
          peers: new Map([
            [floor.name, of(floor)],
            [empty.name, of(empty)],
          ]),
        }),
        shown("1 in flight, one after the other", single),
        shown(`warm CPython pool (not pristine), ${IN_FLIGHT} in flight`, floor),
        shown(`empty route (GET /health), ${IN_FLIGHT} in flight`, empty),
      ];
    } finally {
      for (const connection of toPool) connection.close();
    }
  },
};

/** One trial is a number of requests that the connections share; `body` is what each is answered with, if not the handler's answer. */
function window(
  name: string,
  connections: readonly Connection[],
  requests: number,
  request: (round: number) => Buffer,
  body?: string,
): Contender {
  return {
    name,
    trial: async (round: number): Promise<number> => {
      const bytes = request(round);
      let left = requests;
      const client = async (connection: Connection): Promise<void> => {
        while (left-- > 0) {
          const answer = await connection.ask(bytes);
          if (body === undefined) expectAnswered(answer, numpy, round, name);
          else expectEqual(answer.body, body, name);
        }
      };
      const started = performance.now();
      await Promise.all(connections.map(client));
      return (requests / (performance.now() - started)) * 1000;
    },
  };
}

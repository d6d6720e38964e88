/** A function that no sandbox has mapped: spare sandboxes have other images. */
import { figure, type Figure, type Row, takeTurns } from "../bench.ts";
import { deployedLongAgo, emptyRoute, justDeployed } from "./contenders.ts";
import { numpy, pandas } from "./handlers.ts";
import { openServer } from "./server.ts";

const BOUNDS = { numpy: 4, pandas: 12 };

export const cold: Row = {
  name: "cold",
  title:
    "First invocation of a function over HTTP, above the empty route: its image is in the page cache, no sandbox has it",

  async measure(bench): Promise<Figure[]> {
    const turns = bench.quick ? { warmups: 2, rounds: 6 } : { warmups: 4, rounds: 40 };
    await using server = await openServer(bench);
    const connection = await server.connect();
    const empty = emptyRoute(await server.connect());
    const trials = [];
    for (const handler of [numpy, pandas]) {
      const old = await deployedLongAgo(connection, handler, turns.warmups + turns.rounds);
      trials.push({ handler, contender: old }, { handler, contender: justDeployed(connection, handler) });
    }
    const values = await takeTurns([...trials.map(({ contender }) => contender), empty], turns);
    const nothing = values.get(empty) ?? [];
    return trials.map(({ handler, contender }) =>
      figure(cold.name, {
        what: contender.name,
        values: (values.get(contender) ?? []).map((ms, round) => ms - (nothing[round] ?? Number.NaN)),
        bound: BOUNDS[handler.name],
      }),
    );
  },
};

/** A function that no sandbox has mapped: those that are free have other images. */
import { type Bench, figure, type Figure, type Row, takeTurns } from "../bench.ts";
import { deployMany, emptyRoute, firstInvocations, spaced } from "./contenders.ts";
import { type Handler, numpy, pandas } from "./handlers.ts";
import { dataFolder, deploy, openServer } from "./server.ts";

const BOUNDS = { numpy: 4, pandas: 12 };

export const cold: Row = {
  name: "cold",
  title:
    "First invocation of a function over HTTP, above the empty route: image in the page cache, mapped by no sandbox",

  async measure(bench): Promise<Figure[]> {
    const turns = bench.quick ? { warmups: 2, rounds: 6 } : { warmups: 4, rounds: 40 };
    const count = turns.warmups + turns.rounds;
    using data = dataFolder(bench);
    const olds = await olderVersions(bench, data.path, count);
    await using server = await openServer(bench, data.path);
    const connection = await server.connect();
    const empty = spaced(emptyRoute(await server.connect()));
    const trials = [];
    for (const { handler, names } of olds) {
      const open = { names: await deployMany(connection, handler, count, "first") };
      trials.push(
        { handler, contender: spaced(firstInvocations(handler.shown, connection, handler, open)) },
        {
          handler,
          contender: spaced(
            firstInvocations(`${handler.shown}, image not open in the executor`, connection, handler, {
              names,
              version: 1,
            }),
          ),
        },
      );
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

/**
 * Functions whose version 1 has an image that a server that starts later finds in the page cache only: it opens those of the last
 * versions ahead. An executor keeps so many open that deploying others does not close them.
 */
async function olderVersions(
  bench: Bench,
  dataDir: string,
  count: number,
): Promise<{ handler: Handler; names: string[] }[]> {
  await using server = await openServer(bench, dataDir);
  const connection = await server.connect();
  const all = [];
  for (const handler of [numpy, pandas]) {
    const names = await deployMany(connection, handler, count, "older");
    for (const name of names) await deploy(connection, name, handler.source);
    all.push({ handler, names });
  }
  return all;
}

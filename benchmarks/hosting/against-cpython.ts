/** The other ways to be pristine: a CPython process for each request, and an interpreter of plain Pyodide for each. */
import { type Bench, type Contender, figure, type Figure, type Row, takeTurns } from "../bench.ts";
import { callInProcess } from "../peers/cpython.ts";
import { callInPyodide } from "../peers/pyodide.ts";
import { wheelDirectory } from "../../src/sandbox/runtime/paths.ts";
import { deployedLongAgo, justDeployed } from "./contenders.ts";
import { appsFolder, expectAnswer, type Handler, numpy, pandas } from "./handlers.ts";
import { openServer } from "./server.ts";

const AT_LEAST = { numpy: 20, pandas: 25 };

export const againstCpython: Row = {
  name: "against-cpython",
  title:
    "How many times faster a first invocation is than a new CPython process, and than plain Pyodide in a new thread",

  async measure(bench): Promise<Figure[]> {
    const turns = bench.quick ? { warmups: 2, rounds: 4 } : { warmups: 2, rounds: 30 };
    // Seconds each; there is nothing to warm up.
    const pyodideTurns = { warmups: 0, rounds: bench.quick ? 1 : 5 };
    await using server = await openServer(bench);
    const connection = await server.connect();
    const trials = [];
    for (const handler of [numpy, pandas]) {
      const old = await deployedLongAgo(connection, handler, turns.warmups + turns.rounds + pyodideTurns.rounds);
      trials.push({ handler, old, recent: justDeployed(connection, handler), peer: processPeer(bench, handler) });
    }
    const values = await takeTurns(
      trials.flatMap(({ old, recent, peer }) => [old, recent, peer]),
      turns,
    );
    const figures = trials.flatMap(({ handler, old, recent, peer }) => {
      const theirs = values.get(peer) ?? [];
      const times = (contender: Contender): Figure =>
        figure(againstCpython.name, {
          what: `${contender.name}: a CPython process / ours`,
          values: theirs.map((ms, round) => ms / (values.get(contender)?.[round] ?? Number.NaN)),
          unit: "x",
          at_least: AT_LEAST[handler.name],
        });
      const shown = [old, recent].map((contender) =>
        figure(againstCpython.name, { what: `${contender.name}, in all`, values: values.get(contender) ?? [] }),
      );
      return [
        times(old),
        times(recent),
        ...shown,
        figure(againstCpython.name, { what: `${handler.shown}, a CPython process`, values: theirs }),
      ];
    });
    const [{ old } = trials[0] as (typeof trials)[number]] = trials;
    const pyodide = pyodidePeer(numpy);
    const beside = await takeTurns<Contender>([old, pyodide], pyodideTurns);
    const [ours, theirs] = [beside.get(old) ?? [], beside.get(pyodide) ?? []];
    return [
      ...figures,
      figure(againstCpython.name, {
        what: `${old.name}: plain Pyodide / ours`,
        values: theirs.map((ms, round) => ms / (ours[round] ?? Number.NaN)),
        unit: "x",
      }),
      figure(againstCpython.name, { what: "NumPy, plain Pyodide in a new thread", values: theirs }),
    ];
  },
};

/** Without HTTP: only the process itself is timed, to the line with the answer. */
const processPeer = (bench: Bench, handler: Handler): Contender => ({
  name: `${handler.shown}, a CPython process`,
  trial: async (round: number): Promise<number> => {
    const { module } = handler;
    const called = { folder: appsFolder, module, event: handler.event(round) };
    const { answer, ms } = await callInProcess(bench.workspace.root, called);
    expectAnswer(answer, handler, round, "the CPython process");
    return ms;
  },
});

const pyodidePeer = (handler: Handler): Contender => ({
  name: `${handler.shown}, plain Pyodide`,
  trial: async (round: number): Promise<number> => {
    const { source, name } = handler;
    const called = { source, event: handler.event(round), packages: [name], wheels: `${wheelDirectory()}/` };
    const { answer, ms } = await callInPyodide(called);
    expectAnswer(answer, handler, round, "plain Pyodide");
    return ms;
  },
});

/** The other ways to be pristine: a CPython process for each request, and an interpreter of plain Pyodide for each. */
import { type Contender, figure, type Figure, type Row, takeTurns } from "../bench.ts";
import { CPython } from "../peers/cpython.ts";
import { callInPyodide } from "../peers/pyodide.ts";
import { wheelDirectories } from "../../src/sandbox/runtime/paths.ts";
import { deployMany, firstInvocations, spaced } from "./contenders.ts";
import { appsFolder, expectAnswer, type Handler, numpy, pandas } from "./handlers.ts";
import { openServer } from "./server.ts";

const AT_LEAST = { numpy: 20, pandas: 25 };

export const againstCpython: Row = {
  name: "against-cpython",
  title:
    "First invocation of a function over HTTP, beside a new CPython process and beside plain Pyodide in a new thread",

  async measure(bench): Promise<Figure[]> {
    const turns = bench.quick ? { warmups: 2, rounds: 4 } : { warmups: 2, rounds: 30 };
    // Seconds each; there is nothing to warm up.
    const pyodideTurns = { warmups: 0, rounds: bench.quick ? 1 : 5 };
    await using server = await openServer(bench);
    const connection = await server.connect();
    const python = new CPython(bench.workspace.root);
    const trials = [];
    for (const handler of [numpy, pandas]) {
      const names = await deployMany(connection, handler, turns.warmups + turns.rounds + pyodideTurns.rounds, "first");
      python.prepare({ folder: appsFolder, module: handler.module });
      const ours = spaced(firstInvocations(handler.shown, connection, handler, { names }));
      trials.push({ ours, theirs: cpythonPeer(python, handler), at_least: AT_LEAST[handler.name] });
    }
    const values = await takeTurns<Contender>(
      trials.flatMap(({ ours, theirs }) => [ours, theirs]),
      turns,
    );
    const [{ ours }] = trials as [(typeof trials)[number]];
    const pyodide = pyodidePeer(numpy);
    const beside = await takeTurns<Contender>([ours, pyodide], pyodideTurns);
    return [
      ...trials.flatMap((trial) => timesFaster(values, trial)),
      ...timesFaster(beside, { ours, theirs: pyodide }),
    ];
  },
};

function timesFaster(
  values: ReadonlyMap<Contender, readonly number[]>,
  { ours, theirs, at_least }: { ours: Contender; theirs: Contender; at_least?: number },
): Figure[] {
  const [our, their] = [values.get(ours) ?? [], values.get(theirs) ?? []];
  return [
    figure(againstCpython.name, {
      what: `${theirs.name}: its time / ours`,
      values: their.map((ms, round) => ms / (our[round] ?? Number.NaN)),
      unit: "x",
      ...(at_least === undefined ? {} : { at_least }),
    }),
    figure(againstCpython.name, { what: "its time", values: their }),
    figure(againstCpython.name, { what: "ours, in all", values: our }),
  ];
}

/** Without HTTP: the process itself is timed, from before its start to the line with the answer. */
const cpythonPeer = (python: CPython, handler: Handler): Contender => ({
  name: `${handler.shown}, a CPython process`,
  trial: async (round: number): Promise<number> => {
    const { module } = handler;
    const called = { folder: appsFolder, module, event: handler.event(round) };
    const { answer, ms } = await python.callInProcess(called);
    expectAnswer(answer, handler, round, "the CPython process");
    return ms;
  },
});

const pyodidePeer = (handler: Handler): Contender => ({
  name: `${handler.shown}, plain Pyodide in a new thread`,
  trial: async (round: number): Promise<number> => {
    const { source, name } = handler;
    const called = { source, event: handler.event(round), packages: [name], wheels: `${wheelDirectories().at(-1)}/` };
    const { answer, ms } = await callInPyodide(called);
    expectAnswer(answer, handler, round, "plain Pyodide");
    return ms;
  },
});

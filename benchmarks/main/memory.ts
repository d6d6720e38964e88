/** A large memory component: written by one component, read by four, against the same without components. */
import { setTimeout } from "node:timers/promises";
import { expectEqual, figure, type Figure, type Row, takeTurns } from "../bench.ts";
import { openRunner } from "./runner.ts";

const BYTES = 256 << 20;
const N = BYTES / 8;
/** Ones, and 0, 1, 2... at every 1024th place: a quarter that was read twice, or not at all, shows. */
const TOTAL = N - N / 1024 + ((N / 1024) * (N / 1024 - 1)) / 2;

/** Of Ray on such a machine; the ratio says it for this one. */
const RAY_MS = 134;
/** The same work in a sandbox that has no part in a run, where an array lies in the sandbox's own memory. */
const OWN_HEAP = "one sandbox, own heap";
const ALONE = `
from time import perf_counter
import numpy as np
started = perf_counter()
x = np.empty(${N})
x.fill(1.0)
x[::1024] = np.arange(len(x) // 1024)
total = sum(float(x[i * ${N / 4} : (i + 1) * ${N / 4}].sum()) for i in range(4))
wall_ms = (perf_counter() - started) * 1e3
del x
{"wall_ms": wall_ms, "total": total}
`;
/** Memory that the trial before gave back is zeroed by then. */
const SETTLE_MS = 50;

interface Answer {
  readonly wall_ms: number;
  readonly total: number;
}

export const memory: Row = {
  name: "memory",
  title: "256 MiB float64 memory component, written by one component, summed by four (recycled slabs)",

  async measure(bench): Promise<Figure[]> {
    await using runner = await openRunner(bench, "memory");
    const way = (
      name: string,
      run = async (): Promise<Answer> => (await runner.run<Answer>({ bytes: BYTES, way: name })).value,
    ): { name: string; trial: () => Promise<number> } => ({
      name,
      trial: async () => {
        await setTimeout(SETTLE_MS);
        const { wall_ms, total } = await run();
        expectEqual(total, TOTAL, name);
        return wall_ms;
      },
    });
    const components = way("components");
    const alone = [
      way("one sandbox, memory component"),
      way("one sandbox, block"),
      way(OWN_HEAP, () => runner.alone<Answer>(ALONE)),
    ];
    const peers = bench.peers
      .filter((peer) => peer.has("memory"))
      .map((peer) => ({
        name: peer.name,
        trial: async (): Promise<number> => {
          await setTimeout(SETTLE_MS);
          const { wall_ms, answer } = await peer.run({ trial: "memory", bytes: BYTES });
          expectEqual(answer, TOTAL, peer.name);
          return wall_ms;
        },
      }));
    const values = await takeTurns(
      [components, ...alone, ...peers],
      bench.quick ? { warmups: 2, rounds: 4 } : { warmups: 5, rounds: 40 },
    );
    const others = new Map([...alone, ...peers].map((contender) => [contender.name, values.get(contender) ?? []]));
    const ours = values.get(components) ?? [];
    const ratios = alone.map(({ name }) => ({
      name,
      values: ours.map((value, round) => value / ((others.get(name) as number[])[round] as number)),
    }));
    return [
      figure(memory.name, { what: "components: time in main", values: ours, bound: RAY_MS, peers: others }),
      ...ratios.map(({ name, values }) =>
        figure(memory.name, {
          what: `components / ${name}`,
          values,
          unit: "x",
          // The others have a memory component or a block (docs/fabric.md), too: what is left then is the machine's memory.
          ...(name === OWN_HEAP ? { bound: 1 } : {}),
        }),
      ),
      ...[...others].map(([name, values]) => figure(memory.name, { what: name, values })),
    ];
  },
};

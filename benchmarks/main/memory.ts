/** A large memory component: written by one component, read by four, against the same without components. */
import { expectEqual, figure, type Figure, type Row, takeTurns } from "../bench.ts";
import { openRunner } from "./runner.ts";

const BYTES = 256 << 20;
const N = BYTES / 8;
/** Ones, and 0, 1, 2... at every 1024th place: a quarter that was read twice, or not at all, shows. */
const TOTAL = N - N / 1024 + ((N / 1024) * (N / 1024 - 1)) / 2;

/** Of Ray on such a machine; the ratio says it for this one. */
const RAY_MS = 134;
/** The same program without components. */
const OWN_HEAP = "one sandbox, own heap";

export const memory: Row = {
  name: "memory",
  title: "256 MiB float64 memory component, written by one component, summed by four (recycled slabs)",

  async measure(bench): Promise<Figure[]> {
    await using runner = await openRunner(bench, "memory");
    const way = (name: string): { name: string; trial: () => Promise<number> } => ({
      name,
      trial: async () => {
        const { value } = await runner.run<{ wall_ms: number; total: number }>({ bytes: BYTES, way: name });
        expectEqual(value.total, TOTAL, name);
        return value.wall_ms;
      },
    });
    const components = way("components");
    const alone = [way("one sandbox, memory component"), way(OWN_HEAP)];
    const peers = bench.peers
      .filter((peer) => peer.has("memory"))
      .map((peer) => ({
        name: peer.name,
        trial: async (): Promise<number> => {
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
          // The other is one sandbox that has a memory component too: what is left then is the machine's memory, and two that share it.
          ...(name === OWN_HEAP ? { bound: 1 } : {}),
        }),
      ),
      ...[...others].map(([name, values]) => figure(memory.name, { what: name, values })),
    ];
  },
};

/** A chain of components that hand a 1 MiB array on: what one more component costs. */
import { expectEqual, figure, type Figure, type Row, takeTurns } from "../bench.ts";
import { expectResets, openRunner } from "./runner.ts";

const LINKS = 16;
const BYTES = 1 << 20;

interface Answer {
  readonly wall_ms: number;
  readonly first: number;
  readonly last: number;
}

export const chain: Row = {
  name: "chain",
  title: `Chain of ${LINKS} components, each in a pristine sandbox, 1 MiB float64 array handed on: overhead per component`,

  async measure(bench): Promise<Figure[]> {
    await using runner = await openRunner(bench, "chain");
    const runOf = async (way: string): Promise<{ inside: number; whole: number }> => {
      const { wall_ms, value, events } = await runner.run<Answer>({ links: LINKS, bytes: BYTES, way });
      expectEqual(value.first, LINKS, "the chain");
      expectEqual(value.last, LINKS, "the chain");
      expectResets(events);
      return { inside: value.wall_ms / LINKS, whole: wall_ms };
    };
    const ours = {
      name: "new array",
      whole: [] as number[],
      trial: async (round: number): Promise<number> => {
        const { inside, whole } = await runOf("new");
        const empty = await runner.run({ links: 0 });
        if (round >= 0) ours.whole.push((whole - empty.wall_ms) / LINKS);
        return inside;
      },
    };
    const inPlace = { name: "in place", trial: async (): Promise<number> => (await runOf("in place")).inside };
    const peers = bench.peers
      .filter((peer) => peer.has("chain"))
      .map((peer) => ({
        name: peer.name,
        trial: async (): Promise<number> => {
          const { wall_ms, answer } = await peer.run({ trial: "chain", links: LINKS, bytes: BYTES });
          expectEqual(answer, LINKS, peer.name);
          return wall_ms / LINKS;
        },
      }));
    const contenders = [ours, inPlace, ...peers];
    const values = await takeTurns(contenders, bench.quick ? { warmups: 3, rounds: 8 } : { warmups: 20, rounds: 100 });
    const of = (name: string): number[] => values.get(contenders.find((c) => c.name === name) ?? ours) ?? [];
    const theirs = new Map(peers.map(({ name }) => [name, of(name)]));
    return [
      figure(chain.name, { what: "x + 1: time in main / 16", values: of("new array"), bound: 0.8, peers: theirs }),
      figure(chain.name, {
        what: "x + 1: (whole run - an empty run) / 16",
        values: ours.whole,
        bound: 0.8,
        peers: theirs,
      }),
      figure(chain.name, { what: "x += 1 with writes=: time in main / 16", values: of("in place"), peers: theirs }),
      ...[...theirs].map(([name, values]) => figure(chain.name, { what: `${name}: time in its client / 16`, values })),
    ];
  },
};

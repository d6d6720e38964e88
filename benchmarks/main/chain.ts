/**
 * A chain of components that hand a 1 MiB array on: what one more component costs beside its work, which is `x + 1` here and is
 * measured in one sandbox in the same rounds.
 */
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
    const work: { inside: number; whole: number }[] = [];
    const inOneSandbox = {
      name: "in one sandbox",
      trial: async (round: number): Promise<number> => {
        const took = await runOf("one sandbox");
        if (round >= 0) work.push(took);
        return took.inside;
      },
    };
    const whole: number[] = [];
    const ours = {
      name: "new array",
      trial: async (round: number): Promise<number> => {
        const took = await runOf("new");
        if (round >= 0) whole.push(took.whole);
        return took.inside;
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
    const contenders = [ours, inOneSandbox, inPlace, ...peers];
    const values = await takeTurns(contenders, bench.quick ? { warmups: 3, rounds: 8 } : { warmups: 20, rounds: 100 });
    const of = (name: string): number[] => values.get(contenders.find((c) => c.name === name) ?? ours) ?? [];
    const theirs = new Map(peers.map(({ name }) => [name, of(name)]));
    const overhead = of("new array").map((inside, round) => inside - (work[round]?.inside ?? 0));
    const wholeOverhead = whole.map((took, round) => (took - (work[round]?.whole ?? 0)) / LINKS);
    return [
      figure(chain.name, { what: "overhead: (time in main - the work) / 16", values: overhead, bound: 0.8 }),
      figure(chain.name, { what: "overhead: (whole run - the work's) / 16", values: wholeOverhead, bound: 0.8 }),
      figure(chain.name, { what: "time in main / 16", values: of("new array"), peers: theirs }),
      figure(chain.name, { what: "the work: the same in one sandbox / 16", values: of("in one sandbox") }),
      figure(chain.name, { what: "x += 1 with writes=: time in main / 16", values: of("in place"), peers: theirs }),
      ...[...theirs].map(([name, values]) => figure(chain.name, { what: `${name}: time in its client / 16`, values })),
    ];
  },
};

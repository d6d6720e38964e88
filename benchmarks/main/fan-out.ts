/** Many short components at once: what the scheduler adds to the work itself. */
import { expectEqual, figure, type Figure, type Row, takeTurns } from "../bench.ts";
import { CPUS } from "../peers/start.ts";
import { expectResets, openRunner } from "./runner.ts";

const LEAVES = 64;
const LEAF_MS = 1;
const WORK_MS = (LEAVES * LEAF_MS) / CPUS;
const TOTAL = (LEAVES * (LEAVES - 1)) / 2;

const overhead = (wall_ms: number): number => (wall_ms - WORK_MS) / LEAVES;

export const fanOut: Row = {
  name: "fan-out",
  title: `Fan-out and fan-in of ${LEAVES} one-millisecond components on ${CPUS} CPUs: (wall - ${WORK_MS} ms) / ${LEAVES}`,

  async measure(bench): Promise<Figure[]> {
    await using runner = await openRunner(bench, "fan_out");
    const ours = {
      name: "Sandloom",
      inside: [] as number[],
      trial: async (round: number): Promise<number> => {
        const { wall_ms, value, events } = await runner.run<{ wall_ms: number; total: number }>({ leaves: LEAVES });
        expectEqual(value.total, TOTAL, "the fan-out");
        expectResets(events);
        if (round >= 0) ours.inside.push(overhead(value.wall_ms));
        return overhead(wall_ms);
      },
    };
    const peers = bench.peers
      .filter((peer) => peer.has("fan-out"))
      .map((peer) => ({
        name: peer.name,
        trial: async (): Promise<number> => {
          const { wall_ms, answer } = await peer.run({ trial: "fan-out", leaves: LEAVES });
          expectEqual(answer, TOTAL, peer.name);
          return overhead(wall_ms);
        },
      }));
    const values = await takeTurns(
      [ours, ...peers],
      bench.quick ? { warmups: 3, rounds: 8 } : { warmups: 20, rounds: 100 },
    );
    const theirs = new Map(peers.map((peer) => [peer.name, values.get(peer) ?? []]));
    return [
      figure(fanOut.name, {
        what: "whole run, all resets included",
        values: values.get(ours) ?? [],
        bound: 0.5,
        peers: theirs,
      }),
      figure(fanOut.name, { what: "time in main", values: ours.inside, peers: theirs }),
      ...[...theirs].map(([name, values]) => figure(fanOut.name, { what: `${name}: time in its client`, values })),
    ];
  },
};

/** What it takes to put a sandbox back to its image, from the events of runs. */
import { figure, type Figure, type Row, takeTurns } from "../bench.ts";
import { median } from "../statistics.ts";
import { openRunner } from "./runner.ts";

export const reset: Row = {
  name: "reset",
  title: "Reset of a sandbox, after each component (sandbox-reset events)",

  async measure(bench): Promise<Figure[]> {
    await using runner = await openRunner(bench, "handlers");
    const contenders = ["numpy", "pandas"].map((handler) => ({
      name: handler,
      pages: [] as number[],
      trial: async (): Promise<number> => {
        const { events } = await runner.run({ handler, x: 2 });
        const [done] = events.filter((event) => event.type === "sandbox-reset");
        if (!done) throw new Error("the run has no sandbox-reset event");
        const contender = contenders.find(({ name }) => name === handler);
        contender?.pages.push(done.dirty_pages);
        return done.ms;
      },
    }));
    // Every sandbox of the pool has met both handlers before it counts.
    const values = await takeTurns(contenders, bench.quick ? { warmups: 8, rounds: 20 } : { warmups: 20, rounds: 200 });
    return contenders.map((contender) =>
      figure(reset.name, {
        what: `${contender.name === "numpy" ? "NumPy" : "pandas group-by"} handler (${median(contender.pages)} dirty pages)`,
        values: values.get(contender) ?? [],
        bound: 2,
      }),
    );
  },
};

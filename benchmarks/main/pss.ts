/** What one more sandbox takes: proportional set size of the process before and after four more, a quarter of it. */
import { figure, type Figure, type Row } from "../bench.ts";
import { openShells } from "./shells.ts";

const STEP = 4;

export const pss: Row = {
  name: "pss",
  title: "One more sandbox with NumPy and pandas that has run both (PSS from /proc/<pid>/smaps_rollup)",

  async measure(bench): Promise<Figure[]> {
    await using shells = await openShells(bench);
    const steps = bench.quick ? 1 : 4;
    const values: number[] = [];
    let before = await shells.ask({ type: "grow", count: STEP });
    for (let i = 0; i < steps; i++) {
      const after = await shells.ask({ type: "grow", count: STEP });
      values.push((after.pss_bytes - before.pss_bytes) / STEP / 1e6);
      before = after;
    }
    return [figure(pss.name, { what: `(PSS with ${STEP} more - PSS) / ${STEP}`, values, unit: "MB", bound: 40 })];
  },
};

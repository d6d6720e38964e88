/** What one more idle sandbox takes: hosts have the same processes as clusters, so it is measured in the same way. */
import { figure, type Figure, type Row } from "../bench.ts";
import { pss as mainPss } from "../main/pss.ts";

export const pss: Row = {
  name: "pss",
  title: mainPss.title,

  async measure(bench): Promise<Figure[]> {
    const figures = await mainPss.measure(bench);
    return figures.map(({ what, values, unit }) => figure(pss.name, { what, values, unit, bound: 35 }));
  },
};

/** A shell that has never run anything gets an application's image and calls into it. */
import { figure, type Figure, type Row } from "../bench.ts";
import { openShells } from "./shells.ts";

export const firstResult: Row = {
  name: "first-result",
  title: "Shell -> application image mapped -> first result (fresh shells of a warm process)",

  async measure(bench): Promise<Figure[]> {
    await using shells = await openShells(bench);
    const count = bench.quick ? 3 : 24;
    await shells.ask({ type: "first", handler: "numpy", count: 1 });
    await shells.ask({ type: "first", handler: "pandas", count: 1 });
    const values = {
      numpy: [] as number[],
      pandas: [] as number[],
    };
    for (let i = 0; i < count; i++) {
      for (const handler of ["numpy", "pandas"] as const) {
        const [first] = await shells.ask({ type: "first", handler, count: 1 });
        values[handler].push(first?.result_ms ?? Number.NaN);
      }
    }
    return [
      figure(firstResult.name, {
        what: "NumPy: handed to the shell's thread -> result",
        values: values.numpy,
        bound: 3,
      }),
      figure(firstResult.name, {
        what: "pandas group-by: handed to the shell's thread -> result",
        values: values.pandas,
        bound: 12,
      }),
    ];
  },
};

/** Bytes of arrays that were copied on their way between components: none. */
import { expectEqual, figure, type Figure, type Row } from "../bench.ts";
import { type Finished, openRunner } from "./runner.ts";

const LINKS = 16;
const SMALL = 1 << 20;
const LARGE = 64 << 20;

export const copies: Row = {
  name: "copies",
  title: "Bytes copied between components (from the run's report)",

  async measure(bench): Promise<Figure[]> {
    await using runner = await openRunner(bench, "chain");
    const run = (bytes: number, way: string): Promise<Finished<unknown>> => runner.run({ links: LINKS, bytes, way });
    const small = await run(SMALL, "in place");
    const large = await run(LARGE, "in place");
    const published = await run(SMALL, "new");
    expectEqual(large.copied_bytes, 0, "publication of an array that lies in a memory component");
    expectEqual(published.copied_bytes, LINKS * SMALL, "publication of 16 new arrays");
    return [
      figure(copies.name, {
        what: "array bytes: messages of a chain over 64 MiB less those of one over 1 MiB",
        values: [large.message_bytes - small.message_bytes],
        unit: "bytes",
        bound: 0,
      }),
      figure(copies.name, {
        what: "message bytes a component (references, small values)",
        values: [large.message_bytes / LINKS],
        unit: "bytes",
      }),
      figure(copies.name, {
        what: "bytes published by x + 1, an array in the heap, a component",
        values: [published.copied_bytes / LINKS],
        unit: "bytes",
      }),
    ];
  },
};

import { describe, expect, test } from "vitest";
import { LARGEST_PART_BYTES, MOST_PARTS, SMALLEST_PART_BYTES, splitCount } from "../../src/materializer/split.ts";

const MiB = 1024 * 1024;

describe("split without n", () => {
  test("gives one part to each CPU: the free ones and the one that the splitting component gives back when it waits", () => {
    expect(splitCount({ rows: 100_000, row_bytes: 80, cpus: 4, free_cpus: 3 })).toEqual({
      n: 4,
      reason: "one part per CPU: 4 of 4 can run it",
    });
  });

  test("counts only CPUs that can run it when others hold the rest", () => {
    expect(splitCount({ rows: 100_000, row_bytes: 80, cpus: 16, free_cpus: 2 }).n).toBe(3);
    expect(splitCount({ rows: 100_000, row_bytes: 80, cpus: 16, free_cpus: 0 }).n).toBe(1);
  });

  test("never gives more parts than the server has CPUs, whatever is free", () => {
    expect(splitCount({ rows: 100_000, row_bytes: 80, cpus: 2, free_cpus: 2 }).n).toBe(2);
  });

  test("makes more parts, in whole rounds, when parts would be larger than 64 MiB", () => {
    const { n, reason } = splitCount({ rows: 1 << 20, row_bytes: 300, cpus: 2, free_cpus: 1 });
    expect(n).toBe(6);
    expect(reason).toBe("300.0 MiB in parts of at most 64 MiB, in whole rounds of 2 CPUs");
    expect((300 * MiB) / n).toBeLessThanOrEqual(LARGEST_PART_BYTES);
  });

  test("does not cut what is too little for a component", () => {
    const { n, reason } = splitCount({ rows: 100, row_bytes: 8, cpus: 4, free_cpus: 3 });
    expect(n).toBe(1);
    expect(reason).toBe("800 bytes is too little for 4 parts of at least 16 KiB; split(x, n) decides otherwise");
  });

  test("makes fewer parts when one for each CPU would be tiny", () => {
    expect(splitCount({ rows: 3 * (SMALLEST_PART_BYTES / 8), row_bytes: 8, cpus: 8, free_cpus: 7 }).n).toBe(3);
  });

  test("cuts a list, whose bytes nobody knows, by rows and CPUs alone", () => {
    expect(splitCount({ rows: 64, row_bytes: 0, cpus: 4, free_cpus: 3 }).n).toBe(4);
    expect(splitCount({ rows: 2, row_bytes: 0, cpus: 4, free_cpus: 3 }).n).toBe(2);
  });

  test("makes no more parts than rows", () => {
    expect(splitCount({ rows: 3, row_bytes: 50 * MiB, cpus: 8, free_cpus: 8 })).toEqual({
      n: 3,
      reason: "one part per row: only 3 rows",
    });
    expect(splitCount({ rows: 3, row_bytes: 500 * MiB, cpus: 2, free_cpus: 2 }).n).toBe(3);
  });

  test.each([0, 1])("an array of %i rows is one part", (rows) => {
    expect(splitCount({ rows, row_bytes: 8, cpus: 8, free_cpus: 8 }).n).toBe(1);
  });

  test("stays between 1 and the number of rows for every shape and load", () => {
    for (const rows of [0, 1, 2, 7, 1_000, 1 << 30]) {
      for (const row_bytes of [0, 1, 8, 4_096, 1 << 30]) {
        for (const cpus of [1, 2, 3, 96]) {
          for (const free_cpus of [0, 0.5, cpus]) {
            const { n, reason } = splitCount({ rows, row_bytes, cpus, free_cpus });
            expect(
              Number.isInteger(n) && n >= 1 && n <= Math.max(1, rows) && n <= MOST_PARTS,
              `${rows} ${row_bytes} ${cpus}`,
            ).toBe(true);
            expect(reason).not.toBe("");
          }
        }
      }
    }
  });
});

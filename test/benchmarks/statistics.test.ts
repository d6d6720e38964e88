import { describe, expect, test } from "vitest";
import { figure, takeTurns } from "../../benchmarks/bench.ts";
import { pairedRatio, quantile, rotated, summarize } from "../../benchmarks/statistics.ts";

describe("quantiles", () => {
  test("are interpolated between the two nearest values", () => {
    expect(quantile([4, 1, 3, 2], 0.5)).toBe(2.5);
    expect(quantile([10, 20, 30, 40, 50], 0.25)).toBe(20);
    expect(quantile([0, 100], 0.99)).toBeCloseTo(99);
  });

  test("at the ends are the least and the greatest value", () => {
    expect(quantile([5, 3, 9], 0)).toBe(3);
    expect(quantile([5, 3, 9], 1)).toBe(9);
  });

  test("of nothing do not exist", () => {
    expect(() => quantile([], 0.5)).toThrow("nothing was measured");
  });

  test("do not reorder the measurements", () => {
    const values = [3, 1, 2];
    summarize(values);
    expect(values).toEqual([3, 1, 2]);
  });
});

describe("a figure's targets", () => {
  test("are an upper bound of the p50, a lower one, and an upper one of the p99", () => {
    const values = [1, 1, 1, 9];
    const shown = { what: "w", values };
    expect(figure("row", { ...shown, bound: 1, bound_p99: 5 })).toMatchObject({
      target: { bound: 1, met: true },
      target_p99: { bound: 5, met: false },
    });
    expect(figure("row", { ...shown, at_least: 2 }).target).toEqual({ bound: 2, met: false, at_least: true });
    expect(figure("row", { ...shown, at_least: 1 }).target?.met).toBe(true);
  });
});

test("a summary of one value is that value", () => {
  expect(summarize([7])).toEqual({ n: 1, min: 7, p50: 7, p99: 7, max: 7 });
});

describe("a paired ratio", () => {
  test("is not moved by rounds that slow both contenders alike", () => {
    const theirs = [2, 4, 40, 6, 8];
    expect(
      pairedRatio(
        theirs.map((value) => value / 2),
        theirs,
      ),
    ).toBe(0.5);
  });

  test("needs as many rounds of one contender as of the other", () => {
    expect(() => pairedRatio([1, 2], [1])).toThrow("2 rounds cannot be paired with 1");
  });
});

test("a rotation keeps everyone and begins elsewhere", () => {
  expect(rotated(["a", "b", "c"], 1)).toEqual(["b", "c", "a"]);
  expect(rotated(["a", "b", "c"], 3)).toEqual(["a", "b", "c"]);
  expect(rotated([], 2)).toEqual([]);
});

test("contenders take turns, each round begins with another, and warm-ups are not counted", async () => {
  const order: string[] = [];
  const contender = (name: string): { name: string; trial: (round: number) => Promise<number> } => ({
    name,
    trial: async (round) => {
      order.push(`${name}${round}`);
      return round;
    },
  });
  const contenders = [contender("a"), contender("b")];
  const values = await takeTurns(contenders, { warmups: 1, rounds: 2 });
  expect(order).toEqual(["a-1", "b-1", "b0", "a0", "a1", "b1"]);
  expect(contenders.map((c) => values.get(c))).toEqual([
    [0, 1],
    [0, 1],
  ]);
});

test("a target is held against the median, and a missed one says so", () => {
  expect(figure("row", { what: "", values: [1, 2, 30], bound: 2 }).target).toEqual({ bound: 2, met: true });
  expect(figure("row", { what: "", values: [1, 3, 30], bound: 2 }).target).toEqual({ bound: 2, met: false });
  expect(figure("row", { what: "", values: [1] }).target).toBeUndefined();
});

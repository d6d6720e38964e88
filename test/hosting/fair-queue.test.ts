import { describe, expect, test } from "vitest";
import { FairQueue } from "../../src/cluster/hosting/fair-queue.ts";

const queue = (workers: number, waiting_per_function = 10, waiting = 15): FairQueue =>
  new FairQueue({ workers, waiting_per_function, waiting });

/** Notes who entered, in order. */
function enterAll(fair: FairQueue, names: readonly string[], concurrency = 100): string[] {
  const entered: string[] = [];
  for (const name of names) void fair.enter(name, concurrency).then(() => entered.push(name));
  return entered;
}
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("invocations", () => {
  test("run at once while there are workers", async () => {
    const fair = queue(2);
    const entered = enterAll(fair, ["a", "a", "a"]);
    await settled();
    expect(entered).toEqual(["a", "a"]);
    expect([fair.running, fair.waiting]).toEqual([2, 1]);
    fair.exit("a");
    await settled();
    expect(entered).toEqual(["a", "a", "a"]);
  });

  test("of several functions take turns, however many of one came first", async () => {
    const fair = queue(1);
    const entered = enterAll(fair, ["flood", "flood", "flood", "flood", "b", "c"]);
    for (let i = 0; i < 5; i++) {
      await settled();
      fair.exit(entered.at(-1) as string);
    }
    await settled();
    expect(entered).toEqual(["flood", "flood", "b", "c", "flood", "flood"]);
  });

  test("of one function are no more at a time than its concurrency, and do not hold up others", async () => {
    const fair = queue(3);
    const entered: string[] = [];
    for (const name of ["one", "one", "two"]) void fair.enter(name, 1).then(() => entered.push(name));
    await settled();
    expect(entered).toEqual(["one", "two"]);
    fair.exit("one");
    await settled();
    expect(entered).toEqual(["one", "two", "one"]);
  });

  test("are refused by name when too many wait, of one function and of all", async () => {
    const fair = queue(1, 2, 3);
    enterAll(fair, ["a", "a", "a"]);
    await expect(fair.enter("a", 100)).rejects.toMatchObject({
      code: "Overloaded",
      details: { limit: "waiting_per_function", bound: 2, value: 3, retry_after_ms: 1000 },
    });
    enterAll(fair, ["b"]);
    await expect(fair.enter("c", 100)).rejects.toMatchObject({
      code: "Overloaded",
      details: { limit: "waiting", bound: 3 },
    });
    void fair.enter("c", 100, { unbounded: true });
    await settled();
    expect(fair.waiting).toBe(4);
  });

  test("leave the line when their signal says so", async () => {
    const fair = queue(1);
    enterAll(fair, ["a"]);
    const stop = new AbortController();
    const waits = fair.enter("a", 100, { signal: stop.signal });
    stop.abort(new Error("gone"));
    await expect(waits).rejects.toThrow("gone");
    expect(fair.waiting).toBe(0);
    fair.exit("a");
    expect(fair.running).toBe(0);
  });
});

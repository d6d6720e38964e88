import { describe, expect, test } from "vitest";
import { eventsOf, useBench } from "../support/running.ts";

const NEST = `
import time
import numpy as np
from sandloom import split


@split
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


@split
def deep(n):
    return 0 if n == 0 else deep(n - 1) + 1


@split
def tree(n):
    return 1 if n == 0 else sum(tree(n - 1) for _ in range(2))


@split(timeout=0.4)
def slow(s):
    time.sleep(s)
    return s


@split(memory="200MiB")
def hungry(mib):
    return int(np.ones(mib << 20, "u1").sum()) >> 20


@split
def hold(n):
    return [hold(n - 1) for _ in range(3)] if n else 1


def main(event):
    return globals()[event["call"]](event["n"])
`;

describe("the limits of a run", () => {
  const bench = useBench();
  const call = (name: string, n: number, limits = {}) => bench.runSource(NEST, { call: name, n }, { limits });

  test("recursion nests deeper than there are CPUs, without deadlock", async () => {
    expect((await call("deep", 12)).value).toBe(12);
    expect((await call("fib", 7)).value).toBe(13);
    expect((await call("tree", 5)).value).toBe(32);
  });

  test("a deep tree ends too when few components may be alive, or fails by name: it never hangs", async () => {
    const { error, value } = await call("tree", 6, { components_alive: 9, run_timeout_ms: 30_000 });
    expect(error?.code ?? value).toBe(64);
  });

  test("deeper than the limit is ComponentLimitExceeded, with the bound and the value", async () => {
    const { error } = await call("deep", 12, { depth: 6 });
    expect(error?.code).toBe("ComponentLimitExceeded");
    expect(error?.details).toMatchObject({ limit: "depth", bound: 6, value: 7 });
    expect((await call("deep", 4, { depth: 6 })).value).toBe(4);
  });

  test("components that all wait for each other are ComponentLimitExceeded, not a deadlock", async () => {
    const { error } = await call("deep", 12, { components_alive: 5 });
    expect(error?.code).toBe("ComponentLimitExceeded");
    expect(error?.details).toMatchObject({ limit: "components_alive", bound: 5, value: 5 });
  });

  test("more triggers than the limit are ComponentLimitExceeded", async () => {
    const { error } = await call("hold", 5, { components_pending: 12 });
    expect(error?.code).toBe("ComponentLimitExceeded");
    expect(error?.details).toMatchObject({ limit: "components_pending", bound: 12 });
  });

  test("a component over its @split(timeout=) is TimedOut, and names itself", async () => {
    expect((await call("slow", 0)).value).toBe(0);
    const { error } = await call("slow", 30);
    expect(error?.code).toBe("TimedOut");
    expect(error?.details).toMatchObject({ component: "slow", limit: "component_timeout_ms", bound: 400 });
  });

  test("a run over its time is TimedOut", async () => {
    const { error } = await call("deep", 3, { run_timeout_ms: 1 });
    expect(error?.code).toBe("TimedOut");
    expect(error?.details).toMatchObject({ limit: "run_timeout_ms", bound: 1 });
  });

  test("a component's heap ends at its @split(memory=)", async () => {
    expect((await call("hungry", 20)).value).toBe(20);
    const { error } = await call("hungry", 300);
    expect(error?.code).toBe("HeapCapExceeded");
    expect(error?.details).toMatchObject({ limit: "heap_bytes", bound: 200 * 1024 * 1024, component: "hungry" });
  });

  test("a heap that is full can be met as an exception in the program, and the component goes on", async () => {
    const value = await bench.valueOf(`
import numpy as np
from sandloom import split


@split(memory="200MiB")
def careful():
    try:
        np.ones(300 << 20, "u1")
    except MemoryError:
        return "smaller"


@split(memory="200MiB")
def careless():
    return np.ones(300 << 20, "u1")


def main(event):
    try:
        careless()
    except MemoryError as e:
        return [careful(), type(e).__name__]
`);
    expect(value).toEqual(["smaller", "MemoryError"]);
  });

  test("a wrong limit is refused by name", async () => {
    const bad = await bench.runSource(NEST, {}, { limits: { depht: 1 } as never });
    expect(bad.error?.code).toBe("BadInput");
    expect(bad.error?.message).toMatch(/no limit depht/);
    expect((await bench.runSource(NEST, {}, { limits: { depth: 0 } })).error?.code).toBe("BadInput");
  });

  test("of two runs, the one at its limit does not keep the other from going on", async () => {
    const failing = call("deep", 30, { components_alive: 6 });
    const fine = call("fib", 6);
    expect((await failing).error?.code).toBe("ComponentLimitExceeded");
    const { value, error } = await fine;
    expect(error?.code ?? value).toBe(8);
    expect(eventsOf(await fine, "run-ended")).toMatchObject([{ outcome: "returned" }]);
  });
});

import { beforeAll, describe, expect, test } from "vitest";
import { MAILBOX_BYTES } from "../../src/sandbox/exchange.ts";
import { eventsOf, framesOf, outcomeOf, type Outcome, useBench } from "../support/running.ts";

const APP = `
import ctypes
import os
import sys
import time

import numpy as np
from sandloom import remote, split


class Odd(Exception):
    def __init__(self, n):
        super().__init__(n)
        self.n = n


class Last:
    """A stream; what it does, it does when the component has sent its result."""

    def __init__(self, does):
        self.does = does
        self.flushes = 0

    def flush(self):
        self.flushes += 1
        if self.flushes == 1:
            return
        if self.does == "exit":
            os._exit(3)
        while self.does == "loop":
            pass
        if self.does == "slow":
            time.sleep(0.3)


@split
def add(x, by):
    print("add", by)
    return x + by


@split
def echo(value):
    return value


@split
def bad(n):
    raise Odd(n)


@split
def twice(n, depth):
    return n if depth == 0 else twice(n, depth - 1) * 2


@split
def stray(x):
    ctypes.c_double.from_address(x.ctypes.data).value = 1.0


@split
def ends(how):
    if how == "loop at once":
        while True:
            pass
    sys.stdout = Last(how)
    return how


@split
def several(n, k):
    total = 0
    for i in range(n):
        total += echo(k + i)
    return total


def main(event):
    what = event["what"]
    if what == "chain":
        x = remote(np.zeros(1000))
        for i in range(event["n"]):
            x = add(x, i)
            print("main", i)
        return float(x[0])
    if what == "echo":
        lengths = []
        for n in event["sizes"]:
            lengths.append(len(echo("x" * n)))
        return lengths
    if what == "caught":
        try:
            bad(7)
        except Odd as odd:
            return [odd.n, echo("after")]
    if what == "raised":
        return bad(8)
    if what == "deep":
        return twice(3, 6)
    if what == "stray":
        try:
            stray(remote(np.zeros(10)))
        except BaseException:
            return "caught"
    if what == "ends":
        answer = ends(event["how"])
        return [answer, echo("after")]
    if what == "flood":
        ends("loop")
        for i in range(2000):
            print("x" * 1000)
    if what == "left behind":
        return ends("slow")
    if what == "beside":
        return [t for t in [several(20, 100 * k) for k in range(6)]]
    return None
`;

/** How many components were called directly. */
const direct = (outcome: Outcome): number =>
  eventsOf(outcome, "decided").filter(({ reason }) => reason.includes("hands it its CPU")).length;

describe("a component that is called and waited for", () => {
  const bench = useBench();

  // The first sandboxes come one by one; a direct call needs one that stands idle.
  beforeAll(async () => {
    for (let tries = 0; tries < 100; tries++)
      if (direct(await bench.runSource(APP, { what: "chain", n: 10 })) >= 9) return;
    throw new Error("no component was ever called directly");
  }, 60_000);

  test("goes straight to an idle sandbox, and what people see of it is in the program's order", async () => {
    const outcome = await bench.runSource(APP, { what: "chain", n: 20 });
    expect(outcome.value).toBe(190);
    expect(direct(outcome)).toBeGreaterThan(0);
    const told = eventsOf(outcome, "printed").map(({ text }) => text.trim());
    expect(told.join("\n").split("\n")).toEqual(Array.from({ length: 20 }, (_, i) => [`add ${i}`, `main ${i}`]).flat());
    const { events } = outcome;
    const waits = events.filter(({ type }) => type === "component-waiting" || type === "component-resumed");
    expect(waits.map(({ type }) => type)).toEqual(
      Array.from({ length: 20 }, () => ["component-waiting", "component-resumed"]).flat(),
    );
  });

  test("gets and gives messages of any length, through the mailbox or past it", async () => {
    const sizes = [0, 1, 10_000, 1_000_000];
    for (let size = MAILBOX_BYTES - 700; size <= MAILBOX_BYTES + 100; size += 41) sizes.push(size);
    const outcome = await bench.runSource(APP, { what: "echo", sizes });
    expect(outcome.value).toEqual(sizes);
    expect(direct(outcome)).toBeGreaterThan(0);
    expect(direct(outcome)).toBeLessThan(sizes.length);
  });

  test("raises where it was called, by type, and its run goes on; uncaught it fails the run with both places", async () => {
    expect(await bench.valueOf(APP, { what: "caught" })).toEqual([7, "after"]);
    const { error } = await bench.runSource(APP, { what: "raised" });
    expect(error?.message).toBe("Odd: 8");
    expect(framesOf(error).map(({ function: name }) => name)).toEqual(["main", "bad"]);
  });

  test("may call others in turn, and several at once may", async () => {
    expect(await bench.valueOf(APP, { what: "deep" })).toBe(3 * 2 ** 6);
    const expected = Array.from({ length: 6 }, (_, k) => 20 * 100 * k + 190);
    const both = await Promise.all([1, 2, 3].map(() => bench.valueOf(APP, { what: "beside" })));
    expect(both).toEqual([expected, expected, expected]);
  });

  test("keeps to the limit on components that are alive", async () => {
    const limits = { components_alive: 2 };
    expect(await bench.valueOf(APP, { what: "chain", n: 5 }, { limits })).toBe(10);
    const { error } = await bench.runSource(APP, { what: "deep" }, { limits });
    expect(error?.code).toBe("ComponentLimitExceeded");
  });

  test("fails its run when it writes what it may only read, though its caller catches everything", async () => {
    const { error } = await bench.runSource(APP, { what: "stray" });
    expect(error?.code).toBe("WroteReadOnlyComponent");
  });

  test.each([
    ["exit", "SandboxDied"],
    ["loop", "TimedOut"],
    ["loop at once", "TimedOut"],
  ])(
    "whose sandbox comes to harm (%s) fails its run by name, its result given or not, and no next one",
    async (how, code) => {
      const limits = { run_timeout_ms: 2000 };
      for (let i = 0; i < 3; i++) {
        const { error } = await bench.runSource(APP, { what: "ends", how }, { limits });
        expect(error?.code).toBe(code);
        expect(await bench.valueOf(APP, { what: "chain", n: 10 })).toBe(45);
      }
    },
  );

  test("that never ends when its caller has gone on does not keep the caller's output from being counted", async () => {
    const limits = { run_timeout_ms: 5000, output_bytes: 100_000 };
    const { error } = await bench.runSource(APP, { what: "flood" }, { limits });
    expect(error?.code).toBe("OutputLimitExceeded");
    expect(await bench.valueOf(APP, { what: "chain", n: 10 })).toBe(45);
  });

  test("that tidies up when its caller has returned holds up its run's end, and no other run", async () => {
    const app = bench.write({ "app.py": APP });
    await bench.run(app, { event: { what: "chain", n: 2 } });
    const slow = bench.cluster.run(app, { event: { what: "left behind" } });
    for await (const event of slow.events) if (event.type === "component-started" && event.component === 1) break;
    for (let i = 0; i < 8; i++) expect(await bench.valueOf(APP, { what: "chain", n: 5 })).toBe(10);
    const outcome = await outcomeOf(slow);
    expect(outcome.value).toBe("slow");
    expect(outcome.events.at(-1)?.type).toBe("run-ended");

    // The same, and the run is ended meanwhile.
    for (let i = 0; i < 3; i++) {
      const run = bench.cluster.run(app, { event: { what: "left behind" } });
      for await (const event of run.events) if (event.type === "component-started" && event.component === 1) break;
      run.cancel();
      expect((await outcomeOf(run)).error?.code).toBe("Cancelled");
      expect(await bench.valueOf(APP, { what: "chain", n: 10 })).toBe(45);
    }
  });

  test("ends with its run when that is cancelled, and leaves its sandbox's place to others", async () => {
    const app = bench.write({ "app.py": APP });
    for (let i = 0; i < 4; i++) {
      const run = bench.cluster.run(app, { event: { what: "ends", how: "loop at once" } });
      for await (const event of run.events) if (event.type === "component-started" && event.component === 1) break;
      run.cancel();
      expect((await outcomeOf(run)).error?.code).toBe("Cancelled");
      expect(await bench.valueOf(APP, { what: "chain", n: 10 })).toBe(45);
    }
    const { regions, sandboxes } = await bench.cluster.stats();
    expect(regions).toBe(0);
    expect(sandboxes).toBeLessThanOrEqual(6);
  });
});

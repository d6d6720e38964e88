import { readFileSync, readdirSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { eventsOf, outcomeOf, useBench } from "../support/running.ts";

const APP = readFileSync(join(import.meta.dirname, "hostile.py"), "utf8");
const MIB = 1024 * 1024;
const limits = {
  run_timeout_ms: 4000,
  heap_bytes: 400 * MIB,
  file_bytes: 50 * MIB,
  output_bytes: MIB,
  components_pending: 200,
};

const GOOD = `
import numpy as np
from sandloom import remote, split


@split
def total(x):
    return float(x.sum())


def main(event):
    x = remote(np.arange(100_000.0))
    return sum(total(p) for p in split(x, 8))
`;
const GOOD_VALUE = 4_999_950_000;

/** mode → the error's code, and what its text must say. */
const modes: readonly [string, readonly string[], RegExp?][] = [
  ["loop", ["TimedOut"], /4000 ms/],
  ["loop in C", ["TimedOut"], /4000 ms/],
  ["sleep", ["TimedOut"], /4000 ms/],
  ["recursion", ["GuestRaised"], /RecursionError/],
  ["recursion without a limit", ["GuestRaised", "SandboxDied"], /RecursionError|stack/],
  ["recursion in C", ["GuestRaised", "SandboxDied"], /RecursionError|stack/],
  ["memory", ["HeapCapExceeded"], /heap.*\d+ bytes.*memory=/],
  ["memory of NumPy", ["HeapCapExceeded"], /heap.*\d+ bytes/],
  ["exit", ["SandboxDied"], /exit status 3/],
  ["sys.exit", ["GuestRaised", "SandboxDied"], /SystemExit|exit/],
  ["abort", ["SandboxDied"]],
  ["wild write", ["SandboxDied", "WroteReadOnlyComponent"]],
  ["wild read", ["SandboxDied", "GuestRaised"]],
  ["bad call", ["SandboxDied", "GuestRaised"]],
  ["prints", ["OutputLimitExceeded"], /1048576 bytes/],
  ["files", ["GuestRaised"], /No space left/],
  ["sparse file", ["GuestRaised"], /No space left/],
  ["pipe", ["GuestRaised"], /No space left/],
  ["links", ["GuestRaised", "TimedOut"], /No space left|4000 ms/],
  ["synced mapping", ["GuestRaised"], /No space left/],
  ["terminal", ["OutputLimitExceeded"], /1048576 bytes/],
  ["small files", ["GuestRaised", "TimedOut"], /No space left|4000 ms/],
  ["open files", ["GuestRaised", "TimedOut", "HeapCapExceeded"], /open files|4000 ms|heap/],
  ["triggers", ["ComponentLimitExceeded"], /limit/],
  ["long message", ["BadHostCall"], /message of \d+ bytes/],
];

describe("a component that does harm", () => {
  const bench = useBench();

  test.each(modes)("%s: fails its run by name, within its limit, and no other run", async (mode, codes, text) => {
    const hostile = bench.runSource(APP, { mode }, { limits });
    const beside = bench.runSource(GOOD);
    const { error, value } = await hostile;
    expect(value, JSON.stringify(value)?.slice(0, 200)).toBeUndefined();
    expect(codes, `${error?.code}: ${error?.message.slice(0, 500)}`).toContain(error?.code);
    if (text) expect(error?.message).toMatch(text);
    expect((await beside).value).toBe(GOOD_VALUE);
    expect(await bench.valueOf(GOOD)).toBe(GOOD_VALUE);
  });

  test("garbage written to the host's device is answered, and changes nothing", async () => {
    const { value } = await bench.runSource(APP, { mode: "device" }, { limits });
    expect(value).toEqual({ r: 1, sum: 499_500 });
  });

  test("the cluster is as it was: no executor was lost, and it holds nothing", async () => {
    await expect.poll(() => bench.cluster.stats(), { timeout: 10_000 }).toMatchObject({ regions: 0, accounts: 0 });
  });

  test("errors of limits say which limit, its bound and the value", async () => {
    const details = async (mode: string): Promise<unknown> =>
      (await bench.runSource(APP, { mode }, { limits })).error?.details;
    expect(await details("prints")).toMatchObject({
      limit: "output_bytes",
      bound: MIB,
      value: expect.any(Number) as number,
    });
    expect(await details("memory")).toMatchObject({ limit: "heap_bytes", bound: 400 * MIB });
    expect(await details("sleep")).toMatchObject({ limit: "run_timeout_ms", bound: 4000 });
    expect(await details("triggers")).toMatchObject({
      limit: "components_pending",
      bound: 200,
      value: expect.any(Number) as number,
    });
    expect(await details("long message")).toMatchObject({
      limit: "message_bytes",
      bound: 64 * MIB,
      value: expect.any(Number) as number,
    });
  });
});

/** memfds that a process has open. */
function memfdsOf(pid: number): number {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).filter((fd) => {
    try {
      return readlinkSync(`${folder}/${fd}`).startsWith("/memfd:");
    } catch {
      return false; // closed this moment
    }
  }).length;
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function pidOf(bench: ReturnType<typeof useBench>): Promise<number> {
  return (await bench.cluster.stats()).executor_pid as number;
}

describe("an executor", () => {
  const bench = useBench();

  test("that is killed fails its runs with ExecutorDied, and the cluster's next run works", async () => {
    expect(await bench.valueOf(GOOD)).toBe(GOOD_VALUE);
    const pid = await pidOf(bench);
    const runs = [bench.runSource(APP, { mode: "sleep" }), bench.runSource(APP, { mode: "loop" })];
    // Both are running when it is killed.
    await new Promise((resolve) => setTimeout(resolve, 1500));
    process.kill(pid, "SIGKILL");
    for (const run of runs) expect((await run).error?.code).toBe("ExecutorDied");
    expect(await bench.valueOf(GOOD)).toBe(GOOD_VALUE);
    expect(await pidOf(bench)).not.toBe(pid);
  });

  test("cancels a run that it is told to, and keeps nothing of it: no component, no memory, no file", async () => {
    const app = bench.write({ "app.py": APP });
    await bench.run(app, { event: { mode: "nothing" } });
    expect(await bench.valueOf(GOOD)).toBe(GOOD_VALUE);
    const pid = await pidOf(bench);
    const before = memfdsOf(pid);
    for (const mode of ["sleep", "loop", "memory"]) {
      const controller = new AbortController();
      const run = bench.cluster.run(app, { event: { mode }, signal: controller.signal });
      for await (const event of run.events) {
        if (event.type === "component-started" && event.component === 1) controller.abort();
      }
      const outcome = await outcomeOf(run);
      expect(outcome.error?.code, mode).toBe("Cancelled");
      expect(eventsOf(outcome, "run-ended")).toMatchObject([{ outcome: "cancelled" }]);
      expect(eventsOf(outcome, "component-ended").map((event) => event.outcome)).toEqual(["cancelled", "cancelled"]);
    }
    await expect
      .poll(() => bench.cluster.stats(), { timeout: 10_000 })
      .toMatchObject({ regions: 0, accounts: 0, used_bytes: 0 });
    expect(await pidOf(bench)).toBe(pid);
    await expect.poll(() => memfdsOf(pid), { timeout: 10_000 }).toBeLessThanOrEqual(before);
    expect(await bench.valueOf(GOOD)).toBe(GOOD_VALUE);
  });

  test("is cancelled before it began when the signal has been given already", async () => {
    const { error, events } = await bench.runSource(GOOD, {}, { signal: AbortSignal.abort() });
    expect(error?.code).toBe("Cancelled");
    expect(events).toEqual([]);
  });

  test("ends with its cluster, whatever it does", async () => {
    const pid = await pidOf(bench);
    const running = bench.runSource(APP, { mode: "loop" });
    await new Promise((resolve) => setTimeout(resolve, 1000));
    await bench.cluster.close();
    expect(["Cancelled", "ExecutorDied"]).toContain((await running).error?.code);
    expect(alive(pid)).toBe(false);
    expect((await bench.runSource(GOOD)).error?.code).toBe("Cancelled");
  });
});

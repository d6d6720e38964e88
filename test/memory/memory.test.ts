import { describe, expect, test } from "vitest";
import { eventsOf, useBench } from "../support/running.ts";

const MIB = 1024 * 1024;

describe("memory components", () => {
  const bench = useBench();

  test("are one memory for writer and reader: what one component writes another reads, and nothing is copied", async () => {
    const outcome = await bench.runSource(`
import numpy as np
from sandloom import remote, split


@split(writes=("x",))
def write(x, at, value):
    x[at] = value


@split
def read(x, at):
    return float(x[at])


@split(writes=("x",))
def write_and_ask(x, y):
    x[7] = 7.0
    a = float(y[7])          # y is the same array
    write(x, 8, 8.0)         # a component below writes what this one has mapped
    return [a, float(y[8]), read(x, 7)]


def main(event):
    x = remote.empty(1_000_000)
    x[:] = 0.0
    write(x, 5, 5.0)
    seen = [float(x[5]), read(x, 5)]
    x[6] = 6.0
    seen += [read(x, 6)]
    return seen + write_and_ask(x, x)
`);
    expect(outcome.error).toBeUndefined();
    expect(outcome.value).toEqual([5, 5, 6, 7, 8, 7]);
    expect(
      eventsOf(outcome, "memory-made").map(({ name, bytes, copied_bytes }) => ({ name, bytes, copied_bytes })),
    ).toEqual([{ name: "main.x", bytes: 8_003_584, copied_bytes: 0 }]);
  });

  test("do not change under a reader's stray write through ctypes, which fails the run by name", async () => {
    const source = `
import ctypes
import numpy as np
from sandloom import remote, split


@split
def stray(x):
    ctypes.memset(x.__array_interface__["data"][0], 7, 64)
    return float(x[0])


@split
def total(x):
    return float(x.sum())


def main(event):
    x = remote(np.ones(1000))
    results = []
    try:
        results.append(stray(x))
    except Exception as e:
        results.append(str(e))
    results.append(total(x))
    print("unchanged", total(x))
    return results
`;
    const outcome = await bench.runSource(source);
    expect(outcome.error?.code).toBe("WroteReadOnlyComponent");
    expect(outcome.error?.details).toMatchObject({ component: "stray" });
    expect(outcome.error?.message).toMatch(/stray wrote into memory.*writes=/);
    // It cannot be caught: whoever read the array meanwhile may have seen anything.
    expect(eventsOf(outcome, "printed")).toEqual([]);
  });

  test("do not change under a stray write while others read them", async () => {
    const outcome = await bench.runSource(`
import ctypes
import numpy as np
from sandloom import remote, split


@split
def stray(x):
    ctypes.memset(x.__array_interface__["data"][0], 7, x.nbytes)
    for _ in range(50):
        np.ones(100_000).sum()
    return 0.0


@split
def total(x):
    for _ in range(50):
        np.ones(100_000).sum()
    print("total", float(x.sum()))
    return float(x.sum())


def main(event):
    x = remote(np.ones(1000))
    a = total(x)
    b = stray(x)
    return [a, b]
`);
    expect(outcome.error?.code).toBe("WroteReadOnlyComponent");
    for (const { text } of eventsOf(outcome, "printed")) expect(text).toBe("total 1000.0\n");
  });

  test.each([
    ["an item", "x[0] = 1.0"],
    ["all, in place", "np.add(x, 1.0, out=x)"],
    ["through a view", "y = x[1:]\n    y.sort()"],
    ["after setflags", "x.setflags(write=True)\n    x[0] = 1.0"],
  ])("are read-only for a component that was not declared to write: %s", async (_, body) => {
    // By way of exec the compiler does not see it.
    const code = JSON.stringify(body.replaceAll("\n    ", "\n"));
    const { error } = await bench.runSource(`
import numpy as np
from sandloom import remote, split


@split
def f(x):
    exec(${code})
    return 1


def main(event):
    return f(remote(np.zeros(10)))
`);
    expect(["WroteReadOnlyComponent", "GuestRaised"], `${error?.code}: ${error?.message}`).toContain(error?.code);
    expect(error?.message).toMatch(/read-only|cannot set WRITEABLE/);
  });

  test("are freed with their last reference, while the run goes on", async () => {
    const outcome = await bench.runSource(
      `
import numpy as np
from sandloom import remote, split


@split
def step(x):
    return x + 1.0


def main(event):
    x = remote(np.zeros(${MIB}))
    for _ in range(12):
        x = step(x)
    return float(x[0])
`,
      {},
      { limits: { memory_bytes: 40 * MIB } },
    );
    // 13 arrays of 8 MiB pass through a cap of 40.
    expect(outcome.error).toBeUndefined();
    expect(outcome.value).toBe(12);
    const made = eventsOf(outcome, "memory-made").filter(({ bytes }) => bytes >= MIB);
    const freed = new Set(eventsOf(outcome, "memory-freed").map(({ region }) => region));
    expect(made).toHaveLength(13);
    expect(made.filter(({ region }) => freed.has(region))).toHaveLength(13);
    const entry = eventsOf(outcome, "component-ended").find(({ component }) => component === 0);
    const before = eventsOf(outcome, "memory-freed").filter(({ t_ms }) => t_ms <= (entry?.t_ms ?? 0));
    expect(before.length).toBeGreaterThanOrEqual(11);
  });

  test("are freed while the run goes on also when the component that held them failed", async () => {
    const outcome = await bench.runSource(
      `
import numpy as np
from sandloom import remote, split


@split
def fail(n):
    x = remote(np.zeros(n))
    raise ValueError(len(x))


def main(event):
    caught = 0
    for _ in range(8):
        try:
            fail(${MIB})
        except ValueError as e:
            caught += 1
    return caught
`,
      {},
      { limits: { memory_bytes: 20 * MIB } },
    );
    expect(outcome.error).toBeUndefined();
    expect(outcome.value).toBe(8);
  });

  test("over the run's cap fail it with an error that names the bound and what was asked for", async () => {
    const source = `
import numpy as np
from sandloom import remote, split


@split
def hold(n):
    return remote.zeros(n)


def main(event):
    kept = [hold(${MIB}) for _ in range(event["n"])]
    return len(kept)
`;
    const options = { limits: { memory_bytes: 32 * MIB } };
    expect(await bench.valueOf(source, { n: 4 }, options)).toBe(4);
    const { error } = await bench.runSource(source, { n: 6 }, options);
    expect(error?.code).toBe("MemoryCapExceeded");
    expect(error?.message).toMatch(/\d/);
    expect(error?.details).toMatchObject({ limit: "memory_bytes", bound: 32 * MIB });
    // A run beside it has a cap of its own.
    expect(await bench.valueOf(source, { n: 4 }, options)).toBe(4);
  });

  test("over the cap can be met as an exception in the program", async () => {
    const value = await bench.valueOf(
      `
from sandloom import remote


def main(event):
    try:
        remote.zeros(${8 * MIB})
    except MemoryError as e:
        return type(e).__name__
`,
      {},
      { limits: { memory_bytes: 32 * MIB } },
    );
    expect(value).toBe("MemoryCapExceeded");
  });

  test("leave nothing behind: after runs that returned, failed and were cancelled the store is empty", async () => {
    const source = `
import time
import numpy as np
from sandloom import remote, split


@split
def work(x, mode):
    y = remote(x + 1.0)
    if mode == "raise":
        raise ValueError("no")
    if mode == "sleep":
        time.sleep(60)
    if mode == "exit":
        import os
        os._exit(1)
    return y


def main(event):
    x = remote(np.arange(100_000.0))
    return float(sum(work(x, event["mode"]) for _ in range(3)).sum())
`;
    expect(await bench.valueOf(source, { mode: "ok" })).toBe(3 * (4_999_950_000 + 100_000));
    const codes: (string | undefined)[] = [];
    for (const mode of ["raise", "exit"]) codes.push((await bench.runSource(source, { mode })).error?.code);
    codes.push((await bench.runSource(source, { mode: "sleep" }, { limits: { run_timeout_ms: 700 } })).error?.code);
    codes.push((await bench.runSource(source, { mode: "sleep" }, { signal: AbortSignal.timeout(500) })).error?.code);
    expect(codes).toEqual(["GuestRaised", "SandboxDied", "TimedOut", "Cancelled"]);
    // A failed run is answered before its threads are gone; its memory follows them.
    await expect
      .poll(() => bench.cluster.stats(), { timeout: 10_000 })
      .toMatchObject({ regions: 0, accounts: 0, used_bytes: 0 });
    expect(await bench.valueOf(source, { mode: "ok" })).toBe(3 * (4_999_950_000 + 100_000));
  });
});

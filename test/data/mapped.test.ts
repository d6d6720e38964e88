import { describe, expect, test } from "vitest";
import { eventsOf, useBench } from "../support/running.ts";

const MIB = 1024 * 1024;

describe("arrays and columns in memory components", () => {
  const bench = useBench();

  test("are mapped where they lie: two parameters of one component share the memory of one array", async () => {
    const value = await bench.valueOf(`
import numpy as np
import pandas as pd
from sandloom import remote, split


@split
def shared(a, b, f, g):
    columns = [c for c in f if f[c].dtype.kind in "ifbmM"]
    return [
        bool(np.shares_memory(a, b)),
        [bool(np.shares_memory(f[c].to_numpy(), g[c].to_numpy())) for c in columns],
        columns,
    ]


def main(event):
    x = remote(np.arange(1000.0))
    n = 1000
    frame = remote(pd.DataFrame({"i": np.arange(n, dtype="i8"), "f": np.ones(n), "b": np.zeros(n, bool), "t": pd.date_range("2020", periods=n), "s": ["x"] * n}))
    return [shared(x, x[::2], frame, frame), shared(x, x.reshape(10, 100).T, frame.iloc[10:], frame)]
`);
    const columns = ["i", "f", "b", "t"];
    expect(value).toEqual([
      [true, [true, true, true, true], columns],
      [true, [true, true, true, true], columns],
    ]);
  });

  test("are copied once, at publication, and never again on their way through components", async () => {
    const outcome = await bench.runSource(`
import numpy as np
import pandas as pd
from sandloom import remote, split


@split
def cut(f):
    return f.iloc[10:]


@split
def total(f):
    return float(f["v"].sum())


@split
def keep(x):
    return x[1:]


def main(event):
    f = remote(pd.DataFrame({"v": np.ones(${MIB / 8}), "s": ["ab"] * ${MIB / 8}}))
    x = remote(np.zeros(${MIB}))
    for _ in range(4):
        f = cut(f)
        x = keep(x)
    return [sum(total(p) for p in split(f, 4)), len(x)]
`);
    expect(outcome.error).toBeUndefined();
    expect(outcome.value).toEqual([MIB / 8 - 40, MIB - 4]);
    const made = eventsOf(outcome, "memory-made").filter((event) => event.copied_bytes > 4096);
    // v; offsets and bytes of s, and of the two columns' names; then x.
    expect(made.map(({ name, copied_bytes }) => ({ name, copied_bytes }))).toEqual([
      { name: "main.f", copied_bytes: MIB + (MIB + 8) + MIB / 4 + 24 + 2 },
      { name: "main.x", copied_bytes: 8 * MIB },
    ]);
    // References, names and shapes travel; arrays do not.
    expect(outcome.record?.report.message_bytes).toBeLessThan(16_384);
  });

  test("are not copied at all when they are made in place: remote.empty with out=", async () => {
    const outcome = await bench.runSource(`
import numpy as np
from sandloom import remote, split


@split
def made(n):
    x = remote.empty(n, np.float64)
    np.multiply(np.arange(float(n)), 2.0, out=x)
    return x


def main(event):
    x = made(100_000)
    z = remote.zeros((10, 10), "i4", order="F")
    return [float(x[-1]), int(z.sum()), bool(z.flags.f_contiguous)]
`);
    expect(outcome.error).toBeUndefined();
    expect(outcome.value).toEqual([199_998, 0, true]);
    expect(eventsOf(outcome, "memory-made").map(({ copied_bytes }) => copied_bytes)).toEqual([0, 0]);
    expect(outcome.record?.report.copied_bytes).toBe(0);
  });

  test("keep their aliasing: a view that a component returns is a view of the caller's array", async () => {
    const value = await bench.valueOf(`
import numpy as np
from sandloom import remote, split


@split
def middle(x):
    return x[2:5], x


@split(writes=("x",))
def fill(x, by):
    x[:] = by


def main(event):
    x = remote(np.arange(8.0))
    part, whole = middle(x)
    part[0] = 50.0
    fill(part[1:], 60.0)
    return [x.tolist(), whole.tolist(), bool(np.shares_memory(x, part))]
`);
    const x = [0, 1, 50, 60, 60, 5, 6, 7];
    expect(value).toEqual([x, x, true]);
  });

  test("of 2 GiB and more are refused with the advice to split", async () => {
    const { error } = await bench.runSource(`
import numpy as np
from sandloom import remote

def main(event):
    x = remote.empty((2**28 + 1,), np.float64)
`);
    expect(error?.code).toBe("BlockTooLarge");
    expect(error?.message).toMatch(/2 GiB.*row chunk/);
  });
});

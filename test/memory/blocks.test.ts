// Large arrays lie in blocks: what a component returns is handed on where it was made.
import { expect, test } from "vitest";
import { eventsOf, useBench } from "../support/running.ts";

const bench = useBench();
const HEAD = "import numpy as np\nfrom sandloom import remote, split\n";

test("a large result is not copied, whatever made the array; a small one, and a small part, is", async () => {
  const outcome = await bench.runSource(`${HEAD}
@split
def make(kind, n):
    a = np.arange(n, dtype=np.float64)
    if kind == "sum": return a + 1
    if kind == "zeros":
        z = np.zeros(n); z[-1] = 5; return z
    if kind == "two": return a, a * 2
    if kind == "views": return a, a[::-1], a[10:]
    if kind == "fortran": return np.asfortranarray(a.reshape(2, -1) * 3)
    if kind == "resized":
        a.resize(2 * n, refcheck=False); return a
    if kind == "shrunk":
        a = a + 0; a.resize(n // 2 + 1, refcheck=False); return a
    if kind == "part": return a[: n // 4]
    if kind == "locked":
        a.flags.writeable = False; return a
    if kind == "struct":
        s = np.zeros(n, dtype=[("i", "i4"), ("x", "f8")]); s["x"] = a; return s

def main(event):
    n = event["n"]
    out = {}
    for kind in event["kinds"]:
        got = make(kind, n)
        many = got if isinstance(got, tuple) else (got,)
        sums = [float(g["x"].sum() if g.dtype.fields else g.sum()) for g in many]
        out[kind] = [sums, [list(g.shape) for g in many], [g.flags.writeable for g in many]]
        if kind == "views":
            got[0][20] = -1
            out["aliases"] = [float(got[1][n - 21]), float(got[2][10])]
    return out
`, { n: 600_000, kinds: ["sum", "zeros", "two", "views", "fortran", "resized", "shrunk", "part", "locked", "struct"] }); // prettier-ignore
  expect(outcome.error).toBeUndefined();
  const n = 600_000;
  const total = (n * (n - 1)) / 2;
  expect(outcome.value).toEqual({
    sum: [[total + n], [[n]], [true]],
    zeros: [[5], [[n]], [true]],
    two: [
      [total, 2 * total],
      [[n], [n]],
      [true, true],
    ],
    views: [
      [total, total, total - 45],
      [[n], [n], [n - 10]],
      [true, true, true],
    ],
    aliases: [-1, -1],
    fortran: [[3 * total], [[2, n / 2]], [true]],
    resized: [[total], [[2 * n]], [true]],
    shrunk: [[((n / 2) * (n / 2 + 1)) / 2], [[n / 2 + 1]], [true]],
    part: [[((n / 4) * (n / 4 - 1)) / 2], [[n / 4]], [true]],
    locked: [[total], [[n]], [false]],
    struct: [[total], [[n]], [true]],
  });
  const copied = eventsOf(outcome, "memory-made").map(({ copied_bytes }) => copied_bytes);
  expect(copied.filter((bytes) => bytes > 0)).toEqual([(n / 4) * 8]);
  expect(copied).toHaveLength(11);
  const small = await bench.runSource(`${HEAD}
@split
def make(n):
    return np.ones(n)
def main(event):
    return float(make(1000).sum())
`);
  expect(small.value).toBe(1000);
  expect(eventsOf(small, "memory-made").map(({ copied_bytes }) => copied_bytes)).toEqual([8000]);
});

test("a frame's large columns are handed on in place", async () => {
  const outcome = await bench.runSource(`import pandas as pd
${HEAD}
@split
def make(n):
    return pd.DataFrame({"a": np.arange(n), "b": np.arange(n) * 0.5, "s": ["x"] * n})
def main(event):
    f = make(event["n"])
    return [int(f.a.sum()), float(f.b.sum()), int((f.s == "x").sum())]
`, { n: 300_000 }); // prettier-ignore
  expect(outcome.value).toEqual([44_999_850_000, 22_499_925_000, 300_000]);
  // The strings.
  const copied = eventsOf(outcome, "memory-made").reduce((sum, { copied_bytes }) => sum + copied_bytes, 0);
  expect(copied).toBeLessThan(2_000_000);
});

test("arguments stay by value: what is changed after the call does not reach the component, nor the other way round", async () => {
  const value = await bench.valueOf(`${HEAD}
@split
def keep(x):
    return x

@split
def total(x):
    return float(x.sum())

def main(event):
    a = np.ones(300_000)
    b = keep(a)
    a[0] = 100
    parts = []
    for i in range(3):
        a[1] = i
        parts.append(total(a))
    return [float(b[0]), b.flags.writeable, parts]
`); // prettier-ignore
  expect(value).toEqual([1, false, [300_098, 300_099, 300_100]]);
});

test("a freed block is used again within its component, and zeros are zero", async () => {
  const outcome = await bench.runSource(`${HEAD}
def main(event):
    places = set()
    for i in range(100):
        a = np.empty(300_000)
        places.add(a.__array_interface__["data"][0])
        a.fill(7)
        b = a * 2 + a
        del a
        z = np.zeros(300_000)
        assert z.sum() == 0, i
        assert b[5] == 21
    return len(places)
`);
  expect(outcome.error).toBeUndefined();
  expect(outcome.value).toBeLessThan(10);
  expect(eventsOf(outcome, "memory-made")).toEqual([]);
});

test("nothing of a component is in the blocks of the next", async () => {
  const plant = `${HEAD}
def main(event):
    a = [np.empty(300_000) for _ in range(20)]
    for x in a: x.fill(event["value"])
    return float(sum(x.sum() for x in a))
`;
  expect(await bench.valueOf(plant, { value: 1.5 })).toBe(9_000_000);
  const look = `${HEAD}
def main(event):
    return float(sum(np.abs(np.empty(300_000)).sum() for _ in range(100)))
`;
  // Within one it finds its own: blocks are kept. None of those has a value of another run.
  expect(await bench.valueOf(look)).toBe(0);
});

test("blocks count in the heap's limit, and what is handed on in the run's", async () => {
  const hoard = `${HEAD}
@split(memory="320MiB")
def hoard(n):
    kept = [np.ones(1_000_000) for _ in range(n)]
    return float(sum(k[0] for k in kept))
def main(event):
    return hoard(event["n"])
`;
  expect(await bench.valueOf(hoard, { n: 5 })).toBe(5);
  const { error } = await bench.runSource(hoard, { n: 40 });
  expect(error).toMatchObject({ code: "HeapCapExceeded" });
  const other = `${HEAD}
@split(memory="160MiB")
def change(n):
    a = np.ones(n)
    a = None
    kept = [bytearray(1_000_000) for _ in range(60)]
    return len(kept)
def main(event):
    return change(event["n"])
`;
  // A block that only waits for the next array is in nobody's way.
  expect(await bench.valueOf(other, { n: 7_500_000 })).toBe(60);
  const give = `${HEAD}
@split
def give(n):
    return np.ones(n)
def main(event):
    return float(give(event["n"]).sum())
`;
  expect(await bench.valueOf(give, { n: 1_000_000 }, { limits: { memory_bytes: 9 * 2 ** 20 } })).toBe(1_000_000);
  const refused = await bench.runSource(give, { n: 2_000_000 }, { limits: { memory_bytes: 9 * 2 ** 20 } });
  expect(refused.error).toMatchObject({ code: "MemoryCapExceeded" });
});

test("a component's heap has its own limit, whatever those before it in the sandbox made the memory grow to", async () => {
  const source = `${HEAD}
@split
def large(n):
    return len(bytearray(n))
@split(memory="100MiB")
def small(n):
    return len(bytearray(n))
@split(memory="160MiB")
def both(blocks, n):
    kept = [np.ones(1_000_000) for _ in range(blocks)]
    return len(kept) + len(bytearray(n))
def main(event):
    for _ in range(4):
        large(150_000_000)
    return {"small": small, "both": both}[event["which"]](*event["args"])
`;
  const MB = 1_000_000;
  for (let i = 0; i < 2; i++) {
    expect(await bench.valueOf(source, { which: "small", args: [20 * MB] })).toBe(20 * MB);
    expect(await bench.valueOf(source, { which: "both", args: [3, 50 * MB] })).toBe(50 * MB + 3);
    const refused = [
      { which: "small", args: [60 * MB] },
      { which: "small", args: [200 * MB] },
      { which: "both", args: [6, 60 * MB] },
      { which: "both", args: [8, 40 * MB] },
    ];
    for (const event of refused) {
      const { error } = await bench.runSource(source, event);
      expect(error, JSON.stringify(event)).toMatchObject({ code: "HeapCapExceeded" });
    }
  }
});

test("more arrays than there are blocks lie in the heap", async () => {
  const outcome = await bench.runSource(`${HEAD}
@split(memory="1GiB")
def many(n):
    kept = [np.full(300_000, i, dtype=np.float64) for i in range(n)]
    return kept[-1], [float(k[1]) for k in kept]
def main(event):
    last, firsts = many(event["n"])
    return [float(last.sum()), firsts == list(range(event["n"]))]
`, { n: 300 }); // prettier-ignore
  expect(outcome.value).toEqual([299 * 300_000, true]);
});

test("whoever calls the allocator's functions by hand gets at nothing", async () => {
  const outcome = await bench.runSource(`import ctypes
${HEAD}
@split
def attack(x):
    import sandloom.allocator as allocator
    table = allocator._handler.allocator
    size = ctypes.c_size_t
    free = ctypes.CFUNCTYPE(None, size, size, size)(table.free)
    malloc = ctypes.CFUNCTYPE(size, size, size)(table.malloc)
    calloc = ctypes.CFUNCTYPE(size, size, size, size)(table.calloc)
    realloc = ctypes.CFUNCTYPE(size, size, size, size)(table.realloc)
    # A parameter's region is no block; a block is taken back once.
    free(0, x.__array_interface__["data"][0], x.nbytes)
    block = malloc(0, 1 << 22)
    free(0, block + 4096, 1)
    free(0, block, 1 << 22)
    free(0, block, 1 << 22)
    again = [malloc(0, 1 << 22), malloc(0, 1 << 22)]
    grown = realloc(0, again[0], 1 << 23)
    huge = malloc(0, 0xffffffff)
    zeroed = (ctypes.c_ubyte * 2097152).from_address(calloc(0, 65536, 32))
    return float(x.sum()), len({block, again[1], grown}), again[0] != again[1], huge, any(zeroed)
def main(event):
    x = remote(np.ones(100_000))
    return [*attack(x), float(x.sum())]
`);
  expect(outcome.error).toBeUndefined();
  expect(outcome.value).toEqual([100_000, 3, true, 0, false, 100_000]);
  await expect
    .poll(() => bench.cluster.stats(), { timeout: 10_000 })
    .toMatchObject({ regions: 0, accounts: 0, used_bytes: 0 });
});

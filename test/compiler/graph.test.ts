import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { schemaFiles } from "../../scripts/schemas.mjs";
import type { CommunicateRelation, TriggerRelation } from "../../src/graph/resource-graph.ts";
import { compiled, parse } from "./compiling.ts";

const IMPORTS = "import numpy as np\nfrom sandloom import remote, split\n";

async function graphOf(text: string): Promise<Awaited<ReturnType<typeof compiled>>["graph"]> {
  return (await compiled({ "app.py": IMPORTS + text })).graph;
}

async function writesOf(body: string, parameters = "x, y=None"): Promise<readonly string[]> {
  const graph = await graphOf(`@split\ndef f(${parameters}):\n    ${body}\ndef main(event):\n    return 1\n`);
  return graph.components.flatMap((one) => (one.kind === "compute" && one.name === "f" ? one.writes : []));
}

test("the published JSON Schemas are those of the types", () => {
  for (const [name, text] of Object.entries(schemaFiles())) {
    expect(
      readFileSync(join(import.meta.dirname, "../../schema", name), "utf8"),
      `run \`node scripts/schemas.mjs\` (${name})`,
    ).toBe(text);
  }
});

test.each([
  ["a store", "x[0] = 1"],
  ["an augmented store", "x[0] += 1"],
  ["an augmented assignment", "x *= 2"],
  ["a store in an attribute", "x.T[0] = x.flat[1] = 1"],
  ["a column of a frame", "x['c'] = 1"],
  ["rows of a frame", "x.loc[x.a > 1, 'b'] = 0"],
  ["a dropped column", "del x['c']"],
  ["out=", "np.add(1, 2, out=x)"],
  ["out= as a tuple", "np.divmod(1, 2, out=(x, None))"],
  ["a third argument", "np.add(1, 2, x)"],
  ["a method", "x.sort()"],
  ["np.copyto", "np.copyto(x, 1)"],
  ["a ufunc's at", "np.add.at(x, [0], 1)"],
  ["inplace=True", "x.fillna(0, inplace=True)"],
  ["a shuffle", "np.random.default_rng(1).shuffle(x)"],
  ["a view of it", "v = x[1:]\n    v[0] = 1"],
  ["its parts", "for part in split(x):\n        part[0] = 1"],
  ["a rebinding after the write", "x[0] = 1\n    x = 2"],
  ["a nested function", "def g():\n        x[0] = 1\n    g()"],
])("a component that writes its parameter by %s is known to write it", async (_what, body) => {
  expect(await writesOf(body)).toEqual(["x"]);
});

test.each([
  ["a copy that is written", "x = x.copy()\n    x[0] = 1"],
  ["a rebinding that depends on a branch", "if y:\n        x = x.copy()\n    x[0] = 1"],
  ["a local of the same kind", "z = x + 1\n    z[0] = 1"],
  ["a view that may be something else", "v = x[1:]\n    v = np.zeros(3)\n    v[0] = 1"],
  ["reading", "return x[0] + x.sum() + np.sort(x)[0]"],
])("%s proves no write of the parameter", async (_what, body) => {
  expect(await writesOf(body)).toEqual([]);
});

test("writes pass through helpers, components and their parts to the callers", async () => {
  const graph = await graphOf(`
def helper(a):
    a[0] = 1
@split
def inner(b, n):
    helper(b[1:])
@split
def outer(c, d):
    [inner(part, 1) for part in split(c)]
    return d.sum()
def main(event):
    return 1
`);
  const writes = Object.fromEntries(
    graph.components.flatMap((one) => (one.kind === "compute" ? [[one.name, one.writes]] : [])),
  );
  expect(writes).toEqual({ main: [], inner: ["b"], outer: ["c"] });
});

test("every call site is a trigger relation from each component that may run it, with its mode and why", async () => {
  const graph = await graphOf(`
@split
def f(x):
    return x
def helper(x):
    return f(x)
@split
def g(x):
    return [f(y) for y in x] + [helper(1)]
def main(event):
    a = f(1)
    b = g([2])
    return helper(a), b, map(f, event)
`);
  const triggers = graph.relations.filter((one): one is TriggerRelation => one.kind === "trigger");
  expect(triggers.map(({ from, to, site, mode }) => `${from} -> ${to} ${site?.line} ${mode}`).sort()).toEqual([
    "g -> f 11 fan-out",
    "g -> f 8 sequential",
    "main -> f 13 parallel",
    "main -> f 15 sequential",
    "main -> f 8 sequential",
    "main -> g 14 parallel",
  ]);
  for (const { reason } of triggers) expect(reason).not.toBe("");
});

test("communicate relations follow arrays through splits, zips, views and nested components", async () => {
  const graph = await graphOf(`
@split
def leaf(a, out):
    out[:] = a
@split
def branch(p, q):
    [leaf(pi, qi) for pi, qi in zip(split(p), split(q))]
def main(event):
    x = remote(np.ones(4))
    y = remote.empty(4)
    branch(x, y)
    leaf(x[:2], np.zeros(2))
    return y[0]
`);
  const uses = graph.relations.filter((one): one is CommunicateRelation => one.kind === "communicate");
  const shown = uses.map(({ compute, memory, parameter, access, range }) =>
    [compute, memory, parameter ?? "-", access, range].join(" "),
  );
  expect(shown.sort()).toEqual([
    "branch main.x p read whole",
    "branch main.y q read-write whole",
    "leaf main.x a read unknown",
    "leaf main.y out write rows",
    "main main.x - write whole",
    "main main.y - read-write whole",
  ]);
});

test("caps are read from the decorator, in bytes and milliseconds", async () => {
  const graph = await graphOf(`
@split(cpu=0.5, memory="1.5GiB", timeout=2)
def f(x):
    return x
@split(memory=1000, timeout="250ms")
def g(x):
    return x
def main(event):
    return 1
`);
  const caps = graph.components.flatMap((one) => (one.kind === "compute" ? [one.caps] : []));
  expect(caps).toEqual([
    {},
    { cpu: 0.5, memory_bytes: 1.5 * 1024 ** 3, timeout_ms: 2000 },
    { memory_bytes: 1000, timeout_ms: 250 },
  ]);
});

test("a call that a comprehension cannot run beside the others is a warning that says why", async () => {
  const text = `${IMPORTS}@split\ndef f(x):\n    return x\ndef main(event):\n    return [f(x) if x else 0 for x in event]\n`;
  const { warnings } = await compiled({ "app.py": text });
  expect(warnings).toEqual([
    {
      file: "app.py",
      line: 7,
      column: 13,
      message:
        "calls of f run one after the other: the call stands under a condition of its own: write it as `if` of the comprehension",
    },
  ]);
});

test("the fan-out of a component that writes is sequential if arrays are read beside it", async () => {
  const graph = await graphOf(`LEAST = 0
@split
def make(n):
    return np.zeros(4)
@split
def f(x, n):
    x[n] = n
    return n
def main(event):
    x = remote(np.zeros(4))
    a = [f(x, n) for n in range(4)]
    b = [f(x[n:], n + 1) for n in range(4)]
    c = [f(x, x[n]) for n in range(4)]
    d = [f(x, n) + x[n] for n in range(4)]
    e = [f(x, n) for n in range(4) if x[n] > 0]
    w = x.copy()
    g = [f(x, w[n]) for n in range(4) if w[n] > LEAST * len(x)]
    r = make(1)
    h = [f(r, r[n]) for n in range(4)]
    held = []
    held.append(x)
    i = [f(x, held[0][n]) for n in range(4)]
    return a, b, c, d, e, g, h, i
`);
  const modes = graph.relations.flatMap((one) => (one.kind === "trigger" ? [`${one.site?.line} ${one.mode}`] : []));
  expect(modes).toEqual([
    "13 fan-out",
    "14 fan-out",
    "15 sequential",
    "16 sequential",
    "17 sequential",
    "19 fan-out",
    "20 sequential",
    "21 sequential",
    "24 sequential",
  ]);
});

test("the hash depends on every source and its path, and on nothing else", async () => {
  const main = "def main(event):\n    return 1\n";
  const hash = async (files: Record<string, string>): Promise<string> => (await compiled(files)).graph.application.hash;
  const one = await hash({ "app.py": main, "b.py": "x = 1\n" });
  expect(await hash({ "b.py": "x = 1\n", "app.py": main })).toBe(one);
  expect(await hash({ "app.py": main, "c.py": "x = 1\n" })).not.toBe(one);
  expect(await hash({ "app.py": main, "b.py": "x = 2\n" })).not.toBe(one);
});

test("an application without marks is left as it is", async () => {
  const text = "import json\r\n\r\ndef main(event):\r\n    return json.dumps(event)\r\n";
  const { files, graph } = await compiled({ "app.py": text, "notes.txt": "no module" });
  expect(files.get("modules/app.py")).toBe(text);
  expect(graph.components.map((one) => one.name)).toEqual(["main"]);
});

test("lines end as they ended, and a module of definitions alone gets its import at its end", async () => {
  const helpers = "from sandloom import split\n@split\ndef f(x):\n    return x\n";
  const text =
    "def main(event):\r\n    from helpers import f\r\n    return [\r\n        f(x)\r\n        for x in event]\r\n";
  const { files } = await compiled({ "app.py": text, "helpers.py": helpers });
  expect(files.get("modules/app.py")).toBe(
    "def main(event):\r\n    from helpers import f\r\n    return [_sl[0] for (), _sl in _sandloom.gather(((), (\r\n        f.defer(x),)) \r\n        for x in event)]\r\nfrom sandloom import lowlevel as _sandloom\n",
  );
});

test("a tree deeper than Python's recursion limit is parsed and compiled", async () => {
  const sum = Array.from({ length: 900 }, (_, index) => `a${index % 7}`).join("+");
  const [file] = await parse([{ path: "app.py", text: `def main(event):\n    return ${sum}\n` }]);
  expect(file).toHaveProperty("tree");
  const { graph } = await compiled({ "app.py": `def main(event):\n    return ${sum}\n` });
  expect(graph.components.length).toBe(1);
});

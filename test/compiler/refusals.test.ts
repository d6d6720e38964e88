import { expect, test } from "vitest";
import { rules } from "../../src/compiler/refusals.ts";
import type { Rule } from "../../src/compiler/index.ts";
import { compiled, refusals } from "./compiling.ts";

const MAIN = "from sandloom import remote, split\ndef main(event):\n    return 1\n";
const NUMBERS = "\n@split\ndef f(x):\n    return x\n";

/** What is wrong, where the first refusal must point to, and the program (the entry, or files by name). */
const cases: readonly [Rule, string, [line: number, column: number], string | Record<string, string>][] = [
  ["syntax-error", "an open parenthesis", [1, 5], "x = ("],
  ["syntax-error", "return outside of a function", [1, 1], "return 1\n"],
  ["no-main", "no main", [1, 1], "x = 1\n"],
  ["no-main", "main without a parameter", [1, 1], "def main():\n    pass\n"],
  ["no-main", "main with two required parameters", [1, 1], "def main(a, b):\n    pass\n"],
  ["no-main", "main with a required keyword", [1, 1], "def main(a, *, b):\n    pass\n"],
  ["no-main", "an async main", [1, 1], "async def main(event):\n    pass\n"],
  ["no-main", "main under a condition", [1, 1], "if True:\n    def main(event):\n        pass\n"],
  ["main-is-component", "@split on main", [2, 2], "from sandloom import split\n@split\ndef main(event):\n    pass\n"],
  [
    "main-is-component",
    "@remote on main",
    [2, 2],
    "from sandloom import remote\n@remote\ndef main(event):\n    pass\n",
  ],
  [
    "split-not-top-level",
    "a nested function",
    [6, 5],
    `${MAIN}def g():\n    @split\n    def f(x):\n        return x\n`,
  ],
  ["split-not-top-level", "a method", [6, 5], `${MAIN}class A:\n    @split\n    def f(self):\n        return 1\n`],
  ["split-not-top-level", "a class", [4, 2], `${MAIN}@split\nclass A:\n    pass\n`],
  ["split-not-top-level", "a lambda", [4, 5], `${MAIN}g = split(lambda x: x)\n`],
  [
    "split-not-top-level",
    "split(f) instead of the decorator",
    [6, 5],
    `${MAIN}def f(x):\n    return x\ng = split(f)\n`,
  ],
  ["split-async", "an async component", [5, 1], `${MAIN}@split\nasync def f(x):\n    return x\n`],
  [
    "split-async",
    "an asynchronous comprehension",
    [9, 13],
    `${MAIN}${NUMBERS}async def g(xs):\n    return [f(x) async for x in xs]\n`,
  ],
  ["split-generator", "yield in a component", [6, 5], `${MAIN}@split\ndef f(x):\n    yield x\n`],
  ["bad-split-option", "an unknown option", [4, 13], `${MAIN}@split(gpus=1)\ndef f(x):\n    return x\n`],
  ["bad-split-option", "an option that is no constant", [4, 12], `${MAIN}@split(cpu=n)\ndef f(x):\n    return x\n`],
  [
    "bad-split-option",
    "a memory size of the wrong form",
    [4, 15],
    `${MAIN}@split(memory="many")\ndef f(x):\n    return x\n`,
  ],
  ["bad-split-option", "no time at all", [4, 16], `${MAIN}@split(timeout=0)\ndef f(x):\n    return x\n`],
  ["bad-split-option", "writes= as one text", [4, 15], `${MAIN}@split(writes="x")\ndef f(x):\n    return x\n`],
  ["bad-split-option", "an option by position", [4, 8], `${MAIN}@split(2)\ndef f(x):\n    return x\n`],
  ["bad-split-option", "split into no parts", [5, 21], `${MAIN}def g(x):\n    return split(x, 0)\n`],
  ["bad-split-option", "split into half a part", [5, 21], `${MAIN}def g(x):\n    return split(x, 0.5)\n`],
  ["bad-split-option", "split with a keyword", [5, 12], `${MAIN}def g(x):\n    return split(x, n=2)\n`],
  [
    "writes-unknown-parameter",
    "a parameter that is not there",
    [4, 15],
    `${MAIN}@split(writes=("y",))\ndef f(x):\n    return x\n`,
  ],
  ["remote-target", "a remote annotation without a value", [5, 5], `${MAIN}def g():\n    x: remote\n`],
  ["remote-target", "remote as a value", [5, 16], `${MAIN}def g(xs):\n    return map(remote, xs)\n`],
  ["remote-target", "a constructor that is not there", [5, 12], `${MAIN}def g():\n    return remote.ones(3)\n`],
  ["remote-target", "remote inside an f-string", [5, 15], `${MAIN}def g(x):\n    return f"{remote(x)}"\n`],
  ["remote-target", "@remote on a generator", [4, 2], `${MAIN}@remote\ndef g():\n    yield 1\n`],
  ["remote-target", "@remote with arguments", [4, 2], `${MAIN}@remote()\ndef g():\n    return [1]\n`],
  ["duplicate-component", "a component defined twice", [9, 1], `${MAIN}${NUMBERS}@split\ndef f(y):\n    return y\n`],
  ["duplicate-component", "a component whose name is assigned", [8, 1], `${MAIN}${NUMBERS}f = 3\n`],
  [
    "conditional-definition",
    "a component under an if",
    [6, 5],
    `${MAIN}if True:\n    @split\n    def f(x):\n        return x\n`,
  ],
  [
    "conditional-definition",
    "a component in a try",
    [6, 5],
    `${MAIN}try:\n    @split\n    def f(x):\n        return x\nfinally:\n    pass\n`,
  ],
  ["component-decorated", "another decorator", [4, 2], `${MAIN}@print\n@split\ndef f(x):\n    return x\n`],
  ["component-decorated", "@split twice", [5, 2], `${MAIN}@split\n@split\ndef f(x):\n    return x\n`],
  ["call-at-import", "a component called at the top level", [8, 5], `${MAIN}${NUMBERS}y = f(1)\n`],
  ["call-at-import", "a component called in a default", [8, 9], `${MAIN}${NUMBERS}def g(x=f(1)):\n    return x\n`],
  ["call-at-import", "remote at the top level", [4, 5], `${MAIN}y = remote([1])\n`],
  ["call-at-import", "split at the top level", [4, 5], `${MAIN}y = split([1])\n`],
  [
    "star-import",
    "import * of a module with components",
    [1, 1],
    { "app.py": `from helpers import *\n${MAIN}`, "helpers.py": `from sandloom import split${NUMBERS}` },
  ],
  ["global-mutation", "a global that main assigns", [4, 5], "n = 0\ndef main(event):\n    global n\n    n = 1\n"],
  [
    "global-mutation",
    "a global list that a component extends",
    [8, 5],
    `${MAIN}G = []\n@split\ndef f(x):\n    x = 1\n    G.append(x)\n`,
  ],
  [
    "global-mutation",
    "a global that a helper changes",
    [6, 5],
    { "app.py": MAIN.replace("return 1", "return g()") + "G = {}\ndef g():\n    G['a'] = 1\n" },
  ],
  [
    "global-mutation",
    "a global of another module",
    [3, 5],
    { "app.py": "import helpers\ndef main(event):\n    helpers.n = 1\n", "helpers.py": "n = 0\n" },
  ],
  [
    "global-mutation",
    "an imported global",
    [3, 5],
    { "app.py": "from helpers import G as H\ndef main(event):\n    H.update(a=1)\n", "helpers.py": "G = {}\n" },
  ],
  ["global-mutation", "an attribute of a class", [5, 5], "class A:\n    n = 0\n\ndef main(event):\n    A.n += 1\n"],
  ["argument-mutation", "a list argument that grows", [6, 5], `${MAIN}@split\ndef f(x):\n    x.append(1)\n`],
  ["argument-mutation", "a dict inside an argument", [6, 5], `${MAIN}@split\ndef f(x):\n    x["a"].update(b=1)\n`],
  ["argument-mutation", "a list argument that is added to", [6, 5], `${MAIN}@split\ndef f(x):\n    x += [1]\n`],
  ["unsupported-module", "threads", [1, 1], `import threading\n${MAIN}`],
  ["unsupported-module", "process pools", [1, 1], `from concurrent.futures import ProcessPoolExecutor\n${MAIN}`],
  ["unsupported-module", "sockets inside a component", [6, 5], `${MAIN}@split\ndef f(x):\n    import socket\n`],
  ["unsupported-module", "asyncio.run", [3, 5], "import asyncio\ndef main(event):\n    asyncio.run(event)\n"],
  ["missing-module", "a package that is not available", [1, 1], `import torch\n${MAIN}`],
  ["import-beyond-folder", "two dots at the top", [1, 1], `from .. import x\n${MAIN}`],
  [
    "import-beyond-folder",
    "one dot in a file of no package",
    [1, 1],
    { "app.py": `from . import helpers\n${MAIN}`, "helpers.py": "" },
  ],
  ["reserved-name", "a name of the compiler's own", [1, 1], `_sandloom = 1\n${MAIN}`],
  ["reserved-name", "its loop variable", [2, 9], "def main(event):\n    for _sl in event:\n        pass\n"],
  ["reserved-name", "a module named sandloom", [1, 1], { "app.py": MAIN, "sandloom.py": "" }],
];

test.each(cases)(
  "%s: %s is refused with its place and what to write instead",
  async (rule, _what, [line, column], program) => {
    const found = await refusals(typeof program === "string" ? { "app.py": program } : program, {
      packages: ["numpy", "pandas"],
    });
    const first = found[0];
    expect(found.map((one) => one.rule)).toContain(rule);
    expect([first?.rule, first?.line, first?.column]).toEqual([rule, line, column]);
    expect(first?.message).not.toBe("");
    expect(first?.fix.length).toBeGreaterThan(20);
  },
);

test("every rule has a test", () => {
  expect(new Set(cases.map(([rule]) => rule))).toEqual(new Set(Object.keys(rules)));
});

test("all places are refused at once, in the order of files and lines, and the message names them", async () => {
  const files = { "app.py": "import socket\nx: int = 1\ndef main():\n    pass\n", "b.py": "import subprocess\n" };
  const found = await refusals(files);
  expect(found.map((one) => `${one.file}:${one.line} ${one.rule}`)).toEqual([
    "app.py:1 unsupported-module",
    "app.py:3 no-main",
    "b.py:1 unsupported-module",
  ]);
  await expect(compiled(files)).rejects.toThrow("app.py:1:1: socket cannot work in a sandbox [unsupported-module]");
});

test.each([
  [
    "what stands under `if __name__ == '__main__'`",
    `${MAIN}if __name__ == "__main__":\n    import argparse, threading\n    print(main({}))\n`,
  ],
  ["an import that a program can do without", `try:\n    import torch\nexcept ImportError:\n    torch = None\n${MAIN}`],
  ["an import for type checkers", `from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\n${MAIN}`],
  ["a global that the top level builds", `G = {}\nfor i in range(3):\n    G[i] = i\n${MAIN}`],
  ["a global that only unreachable code changes", `G = []\ndef unused():\n    G.append(1)\n${MAIN}`],
  ["a local that hides a global", "G = []\ndef main(event):\n    G = []\n    G.append(1)\n    return G\n"],
  ["an argument that is copied first", `${MAIN}@split\ndef f(x):\n    x = list(x)\n    x.append(1)\n    return x\n`],
  ["a list that a component makes", `${MAIN}@split\ndef f(n):\n    out = []\n    out.append(n)\n    return out\n`],
  ["import * of a module without components", ""],
  ["names that only begin like reserved ones", `_slice = _slots = 1\n${MAIN}`],
  ["a second parameter of main with a default", "def main(event, verbose=False):\n    return event\n"],
  ["a component that recurses", `${MAIN}@split\ndef f(n):\n    return n if n < 2 else f(n - 1) + f(n - 2)\n`],
])("%s is accepted", async (_what, program) => {
  const files =
    program === "" ? { "app.py": `from helpers import *\n${MAIN}`, "helpers.py": "K = 1\n" } : { "app.py": program };
  expect(await refusals(files, { packages: ["numpy"] })).toEqual([]);
});

/**
 * The lowered program means what the program means. Both run under CPython, the lowered one against a stand-in for the guest
 * that runs what was triggered as late as it may, and in the wrong order (test/compiler/python/sandloom/lowlevel.py).
 */
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { compiled, runPython } from "./compiling.ts";

type Flight = readonly number[];
type Outcome = readonly [result: string, printed: string, inFlight: Flight];

const PRELUDE = `from sandloom import remote, split

@split
def double(x, by=2):
    return x * by

@split
def check(x):
    if x < 0:
        raise ValueError(f"negative: {x}")
    return x + 1

@split
def total(xs):
    return sum(xs)

@split
def first(xs, ys):
    return [xs[0], ys[0]]

`;

/** name → body of main, how many components are in flight at each join, and the event. */
const programs: readonly [string, string, Flight, unknown?][] = [
  ["a list comprehension", "return [double(x) for x in event]", [3]],
  ["a set comprehension", "return {double(x) for x in event}", [3]],
  ["a dict comprehension, key and value", "return {str(x): double(x) + x for x in event}", [3]],
  ["a component in the key", "return {double(x): check(x) for x in event}", [6]],
  ["a generator that sum takes", "return sum(double(x) for x in event)", [3]],
  ["a generator beside an argument", "return sum((double(x) for x in event), 5)", [3]],
  ["max with a key", "return max((double(x) for x in event), key=lambda v: -v, default=0)", [3]],
  ["sorted with its options", "return sorted((double(x) for x in event), reverse=True)", [3]],
  ["text that is joined", "return ','.join(str(double(x)) for x in event)", [3]],
  ["a condition", "return [double(x) for x in event if x != 2]", [2]],
  ["two loops", "return [double(x * y) for x in event for y in range(x)]", [6]],
  ["an index and a pair", "return [(i, double(x)) for i, (x, *y) in enumerate(zip(event, event))]", [3]],
  ["several calls in one element", "return [double(x) + check(x) * x for x in event]", [6]],
  ["a call of a call", "return [double(check(x)) + x for x in event]", [3, 3]],
  ["a call of two calls", "return [first([double(x)], [check(x)]) for x in event]", [1, 1, 1, 1, 1, 1, 1, 1, 1]],
  ["a call of a call of a call", "return [double(double(check(x)), by=x) for x in event]", [3, 3, 3]],
  ["keyword and starred arguments", "return [double(*[x], **{'by': 3}) for x in event]", [3]],
  ["parentheses around everything", "return [((double)((x))) for x in (event)]", [3]],
  [
    "a comprehension over many lines",
    "return [  # one\n        double(  # two\n            x,\n            by=x,\n        )  # three\n        + x\n        # four\n        for x in event\n        if x\n    ]",
    [3],
  ],
  ["calls over many lines", "return [double(\n            x\n        ) + check(\n            x) for x in event]", [6]],
  [
    "a call of a call over many lines",
    "return [double(\n            check(\n                x\n            ),\n            by=3,\n        ) for x in event]",
    [3, 3],
  ],
  ["a nested comprehension", "return [sum(double(x + y) for y in event) for x in event]", [3, 3, 3]],
  ["components in the first iterable", "return [double(x) for x in [check(y) for y in event]]", [3, 3]],
  ["a split", "return sum(total(part) for part in split(event, 2))", [2]],
  ["slices", "return [total(event[i:]) for i in range(len(event))]", [3]],
  [
    "a generator before the call that is taken after it",
    "return [dict(zip((i * x for i in event), event), last=double(x)) for x in event]",
    [1, 1, 1],
  ],
  [
    "a generator before the call that is taken at once",
    "return [sum(i * x for i in event) + double(x) for x in event]",
    [3],
  ],
  ["a walrus", "return [double(y) + y for x in event if (y := x + 1)]", [1, 1, 1]],
  ["a walrus in the element", "return [(y := double(x)) + y for x in event]", [1, 1, 1]],
  ["a call under a condition of its own", "return [double(x) if x > 1 else 0 for x in event]", [1, 1]],
  ["and, or", "return [x and double(x) for x in event]", [1, 1, 1]],
  ["a chained comparison", "return [0 < double(x) < check(x) for x in event]", [1, 1, 1, 1, 1, 1]],
  ["any stops early", "return any(check(x) > 1 for x in [1, 2, -1])", [1]],
  [
    "a generator that is taken one by one",
    "out = []\n    for x in (check(x) for x in [1, -1]):\n        out.append(x)\n        break\n    return out",
    [1],
  ],
  [
    "a helper between the calls",
    "seen = []\n    def note(x):\n        seen.append(x)\n        return len(seen)\n    return [note(x) + double(note(x)) for x in event]",
    [1, 1, 1],
  ],
  [
    "an iterable with effects",
    "seen = []\n    def items():\n        for x in event:\n            seen.append(x)\n            yield seen\n    return [total(s) for s in items()]",
    [1, 1, 1],
  ],
  [
    "a generator held by a name",
    "seen = []\n    def items():\n        for x in event:\n            seen.append(x)\n            yield seen\n    g = items()\n    return [total(s) for s in g]",
    [1, 1, 1],
  ],
  [
    "map over a function with effects",
    "seen = []\n    def note(x):\n        seen.append(x)\n        return seen\n    return [total(s) for s in map(note, event)]",
    [1, 1, 1],
  ],
  ["a comprehension as a component's argument", "return total([double(x) for x in event])", [3, 1]],
  ["a lambda around a fan-out", "f = lambda xs: [double(x) for x in xs]\n    return f(event)", [3]],
  ["a component passed as a value", "return list(map(double, event))", [1, 1, 1]],
  ["an f-string around a component", "return f'{double(2)} {[double(x) for x in event]}'", [1, 1, 1, 1]],
  ["the first of several failures", "return [check(x) for x in [1, -2, -3]]", [3]],
  ["a failure of the element before a later failure", "return [1 // check(x) for x in [-1 + 1 - 1 + 1, 2, -5]]", [3]],
  ["an element that raises first", "return [x[0] + check(-1) for x in [[1], []]]", [1]],
  ["a key that raises before its value", "return {x['k']: check(-1) for x in [{}]}", []],
  ["a failure before an argument that raises", "return [check(x['k']) for x in [{'k': -1}, {}]]", [1]],
  ["an argument that raises alone", "return [check(x['k']) for x in [{'k': 1}, {}]]", [1]],
  ["names of the loop that hide others", "x = 5\n    y = [double(x) + x for x in event]\n    return x, y", [3]],
  ["two statements", "a = double(1)\n    b = check(2)\n    return a, b", [2]],
  [
    "three statements, one without a target",
    "a = double(1)\n    check(2)\n    b: int = check(3)\n    return a, b",
    [3],
  ],
  ["statements on one line", "a = double(1); b = check(2); return a, b", [2]],
  [
    "statements with comments and blank lines",
    "a = double(1)  # one\n\n    # two\n    b = check(\n        2\n    )  # three\n    return a, b",
    [2],
  ],
  ["a pair at the end of a group", "a = double(1)\n    b, c = first([1], [2])\n    return a, b, c", [2]],
  ["a pair in the middle", "b, c = first([1], [2])\n    a = double(1)\n    return a, b, c", [1, 1]],
  [
    "a statement that uses the one before",
    "a = double(1)\n    b = check(a)\n    c = check(3)\n    return a, b, c",
    [1, 2],
  ],
  ["a name that is bound again", "a = double(1)\n    a = check(2)\n    return a", [1, 1]],
  [
    "arguments that may raise",
    "a = double(event[0])\n    b = check(event[1])\n    c = check(event[2] // 2)\n    return a, b, c",
    [3],
  ],
  ["arguments that may raise, on one line", "a = double(event[0]); b = check(event[1]); return a, b", [2]],
  [
    "arguments that may raise, over lines",
    "a = double(\n        event[0]\n    )  # one; two\n    # three\n    check(event[1])\n    b: int = check(  # four\n        event[2])\n    return a, b",
    [3],
  ],
  [
    "a failure before an argument that raises, in statements",
    "a = check(-1)\n    b = check(event[7])\n    return a, b",
    [1],
  ],
  ["an argument that raises, in statements", "a = check(1)\n    b = check(event[7])\n    return a, b", [1]],
  [
    "a try around statements",
    "a = b = 0\n    try:\n        a = double(4)\n        b = check(-1)\n    except ValueError:\n        pass\n    return a, b",
    [1, 1],
  ],
  [
    "a try around a fan-out",
    "try:\n        a = [check(x) for x in [1, -1]]\n    except ValueError as error:\n        a = str(error)\n    return a",
    [2],
  ],
  ["a branch on the line of its if", "a = b = 0\n    if event: a = double(1); b = check(2)\n    return a, b", [1, 1]],
  [
    "statements in a loop and a branch",
    "out = []\n    for x in event:\n        if x > 1:\n            a = double(x)\n            b = check(x)\n            out.append((a, b))\n    return out",
    [2, 2],
  ],
  [
    "a target that a function sees",
    "def show():\n        return a\n    a = double(1)\n    b = check(2)\n    return show(), b",
    [1, 1],
  ],
  [
    "published values",
    "x = remote(event)\n    y: remote = [1, 2]\n    z: remote = 1, 2\n    e = remote.zeros(3)\n    g = remote(v for v in event)\n    return x, y, z, e, g",
    [],
  ],
  [
    "letters outside of ASCII before a call",
    "größe = 'ä🙂'; werte = [('🙂é', double(x), größe) for x in event]; return werte",
    [3],
  ],
  [
    "tabs",
    "if event:\n    \ta = double(1)\n    \tb = check(2)\n    \treturn [a, b, [double(x) for x in event]]",
    [2, 3],
  ],
];

const cases = programs.map(([name, body, inFlight, event = [1, 2, 3]]) => ({
  name,
  inFlight,
  event,
  text: `${PRELUDE}def main(event):\n    ${body}\n`,
}));
const outcomes = new Map<string, readonly [Outcome, Outcome]>();
const lowered = new Map<string, string>();

beforeAll(async () => {
  const input = [];
  for (const { name, text, event } of cases) {
    const result = await compiled({ "app.py": text });
    const module = result.files.get("modules/app.py") ?? "";
    lowered.set(name, module);
    input.push({ name, event, plain: { "app.py": text }, lowered: { "app.py": module } });
  }
  const answer = runPython([join(import.meta.dirname, "python/run.py")], JSON.stringify(input));
  const pairs = JSON.parse(answer) as (readonly [Outcome, Outcome])[];
  for (const [index, pair] of pairs.entries()) outcomes.set(cases[index]?.name ?? "", pair);
});

test.each(cases)("$name: the lowered program means the same", ({ name, inFlight, text }) => {
  const [plain, low] = outcomes.get(name) ?? [];
  const shown = lowered.get(name) ?? "";
  expect(low?.slice(0, 2), shown).toEqual(plain?.slice(0, 2));
  expect(low?.[2], shown).toEqual(inFlight);
  expect(shown.split("\n").length, shown).toBe(text.split("\n").length);
});

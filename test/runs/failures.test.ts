import { describe, expect, test } from "vitest";
import { eventsOf, framesOf, useBench } from "../support/running.ts";

describe("a component that raises", () => {
  const bench = useBench();

  test("fails the run with the user's file, line and text, through helpers, modules and nested components", async () => {
    const app = bench.write({
      "app.py": `from sandloom import split
from lib.deep import outer


def main(event):
    total = 0
    total += outer(event["n"])
    return total
`,
      "lib/__init__.py": "",
      "lib/deep.py": `from sandloom import split


def helper(n):
    if n == 2:
        raise ZeroDivisionError("two")  # here
    return n


@split
def inner(n):
    return [
        helper(i)
        for i in range(n)
    ]


@split
def outer(n):
    return sum(inner(n))
`,
    });
    const { error } = await bench.run(app, { event: { n: 5 } });
    expect(error?.code).toBe("GuestRaised");
    expect(error?.message).toBe("ZeroDivisionError: two");
    const frames = framesOf(error).map(({ file, line, function: name, text }) => [file, line, name, text]);
    expect(frames.filter(([, , name]) => name !== "<listcomp>")).toEqual([
      ["app.py", 7, "main", 'total += outer(event["n"])'],
      ["lib/deep.py", 20, "outer", "return sum(inner(n))"],
      ["lib/deep.py", 13, "inner", "helper(i)"],
      ["lib/deep.py", 6, "helper", 'raise ZeroDivisionError("two")  # here'],
    ]);
  });

  test("at the top level, when the application is loaded, fails the run alike", async () => {
    const { error } = await bench.runSource("x = 1\n\n\ndef main(event):\n    return 1\n\n\ny = {}['missing']\n");
    expect(error?.message).toMatch(/KeyError: 'missing'/);
    expect(error?.details).toMatchObject({ frames: [{ file: "app.py", line: 8 }] });
  });

  test("has its exception caught by type, with arguments and attributes, where it was called", async () => {
    const value = await bench.valueOf(`
import json
import numpy as np
from sandloom import split


class AppError(Exception):
    def __init__(self, code, *, hint):
        super().__init__(f"code {code}")
        self.code = code
        self.hint = hint


class Sub(AppError, KeyError):
    pass


KINDS = ["app", "sub", "key", "os", "unicode", "json", "linalg", "stop", "group", "notes", "chained", "assert", "memory"]


@split
def fail(kind):
    if kind == "app":
        raise AppError(7, hint="no")
    if kind == "sub":
        raise Sub(8, hint="yes")
    if kind == "key":
        return {}[("a", 1)]
    if kind == "os":
        open("/missing/file")
    if kind == "unicode":
        b"\\xff".decode()
    if kind == "json":
        json.loads("{")
    if kind == "linalg":
        raise np.linalg.LinAlgError("Singular matrix")
    if kind == "stop":
        raise StopIteration(3)
    if kind == "group":
        raise ExceptionGroup("many", [ValueError(1), TypeError(2)])
    if kind == "notes":
        e = ValueError("noted")
        e.add_note("a note")
        raise e
    if kind == "chained":
        try:
            1 / 0
        except ZeroDivisionError as e:
            raise RuntimeError("after") from e
    if kind == "assert":
        assert kind is None, "assertion"
    raise MemoryError("full")


def attempt(kind):
    try:
        fail(kind)
    except AppError as e:
        return [type(e).__name__, isinstance(e, KeyError), str(e), e.code, e.hint]
    except OSError as e:
        return [type(e).__name__, e.errno, e.filename]
    except Exception as e:
        notes = [n for n in getattr(e, "__notes__", []) if not n.startswith("in component")]
        return [type(e).__name__, str(e), notes, isinstance(e, ValueError)]


def main(event):
    return {kind: attempt(kind) for kind in KINDS}
`);
    expect(value).toEqual({
      app: ["AppError", false, "code 7", 7, "no"],
      sub: ["Sub", true, "'code 8'", 8, "yes"],
      key: ["KeyError", "('a', 1)", [], false],
      os: ["FileNotFoundError", 44, "/missing/file"],
      unicode: [
        "UnicodeDecodeError",
        "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
        [],
        true,
      ],
      json: [
        "JSONDecodeError",
        "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        [],
        true,
      ],
      linalg: ["LinAlgError", "Singular matrix", [], true],
      stop: ["StopIteration", "3", [], false],
      group: ["ComponentRaised", "fail raised ExceptionGroup: many (2 sub-exceptions)", [], false],
      notes: ["ValueError", "noted", ["a note"], true],
      chained: ["RuntimeError", "after", [], false],
      assert: ["AssertionError", "assertion", [], false],
      memory: ["MemoryError", "full", [], false],
    });
  });

  test("of several in one fan-out is reported first in program order, not in time", async () => {
    const { error } = await bench.runSource(`
import time
from sandloom import split


@split
def fail(i):
    time.sleep(0.5 if i == 1 else 0)
    if i > 0:
        raise ValueError(f"number {i}")
    return i


def main(event):
    return [fail(i) for i in range(6)]
`);
    expect(error?.message).toBe("ValueError: number 1");
    expect(error?.details).toMatchObject({
      type: "ValueError",
      message: "number 1",
      frames: [{ line: 15 }, { line: 10, function: "fail" }],
    });
  });

  test("of consecutive statements is reported first in program order too, and what the argument of a later one raises comes after", async () => {
    const source = `
import time
from sandloom import split


@split
def fail(i, ms):
    time.sleep(ms / 1000)
    raise ValueError(f"number {i}")


def main(event):
    xs = []
    a = fail(1, 300)
    b = fail(2, 0)
    c = fail(xs[3], 0)
    return [a, b, c]
`;
    expect((await bench.runSource(source)).error?.message).toBe("ValueError: number 1");
  });

  test("cancels nothing of other runs, and what it printed before is shown", async () => {
    const outcome = await bench.runSource(`
from sandloom import split


@split
def f(i):
    print("working on", i)
    raise ValueError("no")


def main(event):
    print("begin")
    return f(1)
`);
    expect(eventsOf(outcome, "printed").map(({ component, text }) => [component, text])).toEqual([
      [0, "begin\n"],
      [1, "working on 1\n"],
    ]);
    const ends = eventsOf(outcome, "component-ended").toSorted((a, b) => a.t_ms - b.t_ms);
    expect(ends.map(({ component, outcome: how }) => [component, how])).toEqual([
      [1, "raised"],
      [0, "raised"],
    ]);
    expect(eventsOf(outcome, "run-ended")).toMatchObject([
      { outcome: "failed", error: { code: "GuestRaised", message: "ValueError: no" } },
    ]);
  });

  test.each([
    ["an argument by value", "xs.append(1)", "MutatedByValue", /f \(app\.py:\d+\) changed its parameter xs/],
    ["a module global", "G.append(1)", "MutatedGlobal", /changed the global G \(app\.py\)/],
  ])("changes %s: the run fails, whoever catches it", async (_, body, code, text) => {
    const { error } = await bench.runSource(`
from sandloom import split

G = []


@split
def f(xs):
    exec(${JSON.stringify(body)})
    return 1


def main(event):
    try:
        return f([0])
    except Exception:
        return "caught"
`);
    expect(error?.code).toBe(code);
    expect(error?.message).toMatch(text);
  });
});

import { describe, expect, test } from "vitest";
import { useBench } from "../support/running.ts";

const APP = `
import array, collections, io
import numpy as np
import pandas as pd
from dataclasses import dataclass
from sandloom import remote, split


class Plain:
    def __init__(self):
        self.x = 1


class Array(np.ndarray):
    pass


class Numbers(list):
    pass


def numbers():
    yield 1


def local():
    def inside(x):
        return x
    return inside


CASES = {
    "object array": lambda: np.array([{}, None], object),
    "masked array": lambda: np.ma.array([1, 2], mask=[True, False]),
    "matrix": lambda: np.asmatrix(np.eye(2)),
    "array subclass": lambda: np.zeros(3).view(Array),
    "structured array with objects": lambda: np.zeros(2, [("a", "O")]),
    "strings of any length": lambda: np.array(["a", "bb"], np.dtypes.StringDType()),
    "lambda": lambda: (lambda x: x),
    "local function": local,
    "built-in function": lambda: len,
    "method": lambda: [].append,
    "generator": numbers,
    "open file": lambda: open("/tmp/f", "w"),
    "memory file": lambda: io.StringIO("a"),
    "iterator": lambda: iter([1]),
    "memoryview": lambda: memoryview(b"ab"),
    "array.array": lambda: array.array("d", [1.0]),
    "deque": lambda: collections.deque([1]),
    "defaultdict": lambda: collections.defaultdict(int),
    "class of the application": Plain,
    "list subclass": lambda: Numbers([1]),
    "module": lambda: np,
    "random generator": lambda: np.random.default_rng(1),
    "exception": lambda: ValueError("x"),
    "objects in a column": lambda: pd.DataFrame({"bad": pd.Series([1, {}], dtype=object)}),
    "sparse column": lambda: pd.DataFrame({"s": pd.arrays.SparseArray([0, 1])}),
    "periods": lambda: pd.period_range("2020", periods=2, freq="M"),
    "intervals": lambda: pd.interval_range(0, 2),
    "frame with attrs": lambda: _with_attrs(),
    "list that holds itself": lambda: _endless(),
}


def _with_attrs():
    frame = pd.DataFrame({"a": [1]})
    frame.attrs["x"] = 1
    return frame


def _endless():
    made = []
    made.append(made)
    return made


@split
def take(v):
    return 1


@split
def give(name):
    return CASES[name]()


def attempt(work):
    try:
        work()
    except Exception as e:
        return [type(e).__name__, str(e)]
    return None


def main(event):
    made = {}
    for name, make in CASES.items():
        v = make()
        made[name] = [attempt(lambda: take(v)), attempt(lambda: take({"k": [v]})), attempt(lambda: give(name))]
    made["copies of object arrays"] = [attempt(lambda: remote(CASES["object array"]())), attempt(lambda: remote.empty(3, object)), attempt(lambda: remote(CASES["masked array"]()))]
    return made
`;

describe("a value that cannot be handed between components", () => {
  const bench = useBench();

  test("is refused by name, with its place and what to write instead, wherever it is met", async () => {
    const made = (await bench.valueOf(APP)) as Record<string, ([string, string] | null)[]>;
    for (const [name, attempts] of Object.entries(made)) {
      for (const attempt of attempts) {
        expect(attempt, name).not.toBeNull();
        expect(attempt?.[0], `${name}: ${attempt?.[1]}`).toBe("UnsupportedValue");
      }
    }
    const text = (name: string, at = 0): string => made[name]?.[at]?.[1] ?? "";
    expect(text("object array")).toMatch(/^v: an array of Python objects \(dtype object\).*fixed-size dtype/);
    expect(text("object array", 1)).toMatch(/^v\["?'?k'?"?\]\[0\]: /);
    expect(text("object array", 2)).toMatch(/^the result of give: /);
    expect(text("masked array")).toMatch(/MaskedArray.*a\.data and a\.mask/);
    expect(text("matrix")).toMatch(/np\.asarray/);
    expect(text("array subclass")).toMatch(/np\.asarray/);
    expect(text("lambda")).toMatch(/lambda.*define it with def/);
    expect(text("generator")).toMatch(/generator.*make it a list/);
    expect(text("open file")).toMatch(/open the file in the component/);
    expect(text("random generator")).toMatch(/Generator.*seed/);
    expect(text("objects in a column")).toMatch(/column 'bad': it holds a value of type int/);
    expect(text("frame with attrs")).toMatch(/attrs/);
  });

  test("fails the run as an error of the program, with the user's line, when nothing catches it", async () => {
    const { error } = await bench.runSource(
      "from sandloom import split\n\n@split\ndef f(x):\n    return x\n\ndef main(event):\n    return f(lambda: 1)\n",
    );
    expect(error?.code).toBe("UnsupportedValue");
    expect(error?.details).toMatchObject({
      type: "UnsupportedValue",
      frames: [{ file: "app.py", line: 8, function: "main" }],
    });
  });
});

"""Values of every kind that may be handed between components, and a description of each that shows every difference."""

import datetime
import decimal
import enum
import fractions
import pathlib
import uuid
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd


class Colour(enum.Enum):
    RED = 1
    GREEN = "g"


class Right(enum.Flag):
    READ = 1
    WRITE = 2


class Point(NamedTuple):
    x: float
    y: object


@dataclass
class Box:
    name: str
    content: object


@dataclass(frozen=True, slots=True)
class Pair:
    left: object
    right: object


def square(x):
    return x * x


_ints = np.arange(12)
_dates = np.array(["2020-02-29", "NaT", "1969-12-31"], "M8[s]")
_record = np.dtype([("id", "<i4"), ("at", "<M8[s]"), ("name", "U3"), ("v", "<f8", (2,)), ("in", [("a", "i1"), ("b", ">u2")])])


def _records():
    made = np.zeros(3, _record)
    made["id"] = [1, 2, 3]
    made["at"] = _dates
    made["name"] = ["a", "bé", "ccc"]
    made["v"] = [[0.5, -0.0], [np.inf, np.nan], [1, 2]]
    made["in"]["b"] = [1, 258, 65535]
    return made


def _typed(dtype):
    return lambda: np.array([0, 1, 2, 100, 3, 5]).astype(dtype)


DTYPES = "? i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8 c8 c16 S5 U5 m8[ns] M8[D] M8[ns] M8[us] M8[Y] >i2 >i4 >i8 >u4 >f4 >f8 >c16 >U3 >M8[s]".split()

ARRAYS = {
    **{f"dtype {d}": _typed(d) for d in DTYPES},
    "void": lambda: np.frombuffer(b"abcdefgh", "V4"),
    "float16 with inf and nan": lambda: np.array([np.inf, -np.inf, np.nan, 65504, 6e-8], "f2"),
    "negative zero": lambda: np.array([-0.0, 0.0]),
    "C order, two dimensions": lambda: _ints.astype("f8").reshape(3, 4),
    "Fortran order": lambda: np.asfortranarray(_ints.astype("f8").reshape(3, 4)),
    "three dimensions, transposed": lambda: _ints.astype("i4").reshape(2, 3, 2).transpose(1, 2, 0),
    "every second row": lambda: _ints.astype("f8").reshape(6, 2)[::2],
    "one column": lambda: _ints.astype("f8").reshape(6, 2)[:, 1],
    "negative strides": lambda: _ints.astype("i8")[::-1],
    "negative strides in both dimensions": lambda: _ints.astype("i2").reshape(3, 4)[::-1, ::-2],
    "broadcast": lambda: np.broadcast_to(np.array([1.0, 2.0]), (3, 2)),
    "broadcast of a scalar": lambda: np.broadcast_to(np.float32(7), (2, 2)),
    "0-d": lambda: np.array(3.5),
    "0-d datetime": lambda: np.array("2020-01-01", "M8[D]"),
    "zero-size": lambda: np.zeros((0, 3), "f4"),
    "zero-size in the last dimension": lambda: np.zeros((2, 0), "i8", order="F"),
    "zero-size strings": lambda: np.array([], "U7"),
    "items of no bytes": lambda: np.zeros(3, "S0"),
    "read-only": lambda: np.frombuffer(b"12345678", "f8"),
    "many dimensions": lambda: np.ones((1,) * 20),
    "structured": _records,
    "structured, one field": lambda: _records()["v"],
    "structured, several fields": lambda: _records()[["at", "id"]],
    "structured, aligned": lambda: np.zeros(2, np.dtype([("a", "i1"), ("b", "f8")], align=True)),
    "structured, with offsets": lambda: np.ones(2, np.dtype({"names": ["a"], "formats": ["<u2"], "offsets": [6], "itemsize": 16})),
    "structured, 0-d": lambda: _records()[1:2].reshape(()),
    "unaligned": lambda: np.frombuffer(b"x" + np.arange(3.0).tobytes(), "u1")[1:].view("f8"),
    "big": lambda: np.arange(300_000.0),
}

FRAMES = {
    "numbers": lambda: pd.DataFrame({"i": np.arange(4, dtype="i8"), "f": [0.5, np.nan, -0.0, np.inf], "u": np.arange(4, dtype="u1")}),
    "booleans": lambda: pd.DataFrame({"b": [True, False], "c": [False, True]}),
    "dates with missing": lambda: pd.DataFrame({"at": pd.to_datetime(["2020-02-29 12:00", None, "1969-07-20 00:00"])}),
    "dates in seconds": lambda: pd.DataFrame({"at": pd.Series(np.array(["2020-01-01", "NaT"], "M8[s]"))}),
    "time zone": lambda: pd.DataFrame({"at": pd.date_range("2020-03-28", periods=4, tz="UTC")}),
    "time zone of a place": lambda: pd.DataFrame({"at": pd.date_range("2020-03-28", periods=4, tz="Europe/Berlin")}),
    "fixed offset": lambda: pd.DataFrame({"at": pd.to_datetime(["2020-01-01T00:00:00+05:30"])}),
    "time spans": lambda: pd.DataFrame({"d": pd.to_timedelta([1, None, 86400], unit="s")}),
    "strings": lambda: pd.DataFrame({"s": ["a", "", "ü€😀", "long " * 50]}),
    "strings with missing": lambda: pd.DataFrame({"s": ["a", None, "z", np.nan]}),
    "nullable strings": lambda: pd.DataFrame({"s": pd.array(["a", pd.NA, "z"], dtype="string")}),
    "objects that are strings": lambda: pd.DataFrame({"s": pd.Series(["a", None, np.nan, "ü"], dtype=object)}),
    "nullable numbers": lambda: pd.DataFrame({"i": pd.array([1, None, 3], "Int64"), "f": pd.array([0.5, None, 1], "Float32"), "b": pd.array([True, None, False], "boolean")}),
    "categories": lambda: pd.DataFrame({"c": pd.Categorical(["b", None, "a", "b"], ["a", "b", "x"], ordered=True)}),
    "categories of numbers": lambda: pd.DataFrame({"c": pd.Categorical([3, 1, 3])}),
    "all at once": lambda: pd.DataFrame({"i": np.arange(3), "s": ["x", None, "z"], "f": [1.5, np.nan, 2], "at": pd.date_range("2020", periods=3), "g": [1.0, 2.0, 3.0]}).astype({"i": "int64"}),
    "named index": lambda: pd.DataFrame({"v": [1.0, 2.0]}, index=pd.Index(["p", "q"], name="key")),
    "date index with a frequency": lambda: pd.DataFrame({"v": [1.0, 2.0, 3.0]}, index=pd.date_range("2020", periods=3, freq="D")),
    "several index levels": lambda: pd.DataFrame({"v": [1.0, 2.0, 3.0]}, index=pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)], names=["k", None])),
    "several column levels": lambda: pd.DataFrame([[1.0, 2.0]], columns=pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")])),
    "columns that are numbers": lambda: pd.DataFrame(np.eye(2), columns=[10, 20]),
    "the same column name twice": lambda: pd.DataFrame([[1.0, "a"], [2.0, "b"]], columns=["x", "x"]),
    "no rows": lambda: pd.DataFrame({"i": np.array([], "i8"), "s": pd.Series([], dtype="str")}),
    "no columns": lambda: pd.DataFrame(index=pd.RangeIndex(2, 8, 3)),
    "nothing at all": pd.DataFrame,
    "rows that were cut": lambda: pd.DataFrame({"i": np.arange(9, dtype="i8"), "s": list("abcdefghi")}).iloc[2:7:2],
    "rows that were filtered": lambda: pd.DataFrame({"i": np.arange(9, dtype="i8"), "s": list("abcdefghi")}).query("i % 2 == 1"),
    "a column that was added": lambda: pd.DataFrame({"a": [1.0, 2.0]}).assign(b=[3.0, 4.0]),
    "Series": lambda: pd.Series([1.5, np.nan], name="v", index=["a", "b"]),
    "Series of strings": lambda: pd.Series(["a", None], name=("x", 1)),
    "Series of dates": lambda: pd.Series(pd.date_range("2020", periods=3, freq="ME")),
    "Series of categories": lambda: pd.Series(["a", "b"], dtype="category"),
    "Series from groups": lambda: pd.DataFrame({"k": list("aab"), "v": [1.0, 2.0, 3.0]}).groupby("k")["v"].sum(),
    "Index of strings": lambda: pd.Index(["a", None, "b"], name="n"),
    "Index of numbers": lambda: pd.Index([1.5, np.nan]),
    "Index of dates": lambda: pd.date_range("2020", periods=3, freq="h", tz="UTC"),
    "Index of time spans": lambda: pd.timedelta_range("1D", periods=2),
    "Index of categories": lambda: pd.CategoricalIndex(["a", "b", "a"]),
    "RangeIndex": lambda: pd.RangeIndex(1, 9, 3, name="r"),
    "MultiIndex": lambda: pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["x", "y"]),
}

PLAIN = {
    "None": lambda: None,
    "booleans": lambda: [True, False],
    "large integers": lambda: [0, -1, 2**31, -(2**63), 10**40],
    "floats": lambda: [0.1, -0.0, float("inf"), float("-inf"), float("nan"), 5e-324],
    "complex": lambda: 1 - 2j,
    "text": lambda: ["", "ü€😀", "a\x00b", "x" * 10_000],
    "bytes": lambda: [b"", b"\x00\xff", bytearray(b"ab")],
    "containers": lambda: ({"k": [1, (2, "x"), {3, 4}, frozenset({"a"})]}, (), [], {}),
    "a tuple that begins with an ellipsis": lambda: (..., 1, (..., ...), [...]),
    "keys that are no strings": lambda: {1: "a", (2, 3): "b", None: "c", 1.5: "d", True: "e"},
    "keys of dates": lambda: {datetime.date(2020, 1, 1): 1},
    "range and slice": lambda: [range(1, 9, 3), slice(1, None, -1)],
    "dates": lambda: [datetime.date(2020, 2, 29), datetime.datetime(2020, 1, 1, 2, 3, 4, 5), datetime.time(1, 2, 3), datetime.timedelta(-1, 2, 3)],
    "dates with zones": lambda: [
        datetime.datetime(2020, 7, 1, tzinfo=datetime.timezone.utc),
        datetime.datetime(2020, 10, 25, 2, 30, fold=1, tzinfo=datetime.timezone(datetime.timedelta(hours=-3), "X")),
    ],
    "exact numbers": lambda: [decimal.Decimal("1.10"), decimal.Decimal("NaN"), fractions.Fraction(1, 3)],
    "uuid and path": lambda: [uuid.UUID(int=7), pathlib.PurePosixPath("/a/b"), pathlib.Path("c")],
    "enumerations": lambda: [Colour.RED, Colour.GREEN, Right.READ | Right.WRITE, Right(0)],
    "named tuple": lambda: Point(1.0, [Point(2.0, None)]),
    "data classes": lambda: [Box("a", Pair((1,), {"k": None})), Pair(Box("b", []), 2)],
    "types and functions": lambda: [int, dict, np.float32, Box, square],
    "NumPy scalars": lambda: [np.float32(1.5), np.int8(-3), np.bool_(True), np.datetime64("2020-01-01"), np.complex64(1j), np.str_("ü"), np.bytes_(b"x")],
    "dtypes": lambda: [np.dtype("<f4"), np.dtype([("a", "i4")]), pd.CategoricalDtype(["a"], True), pd.Int64Dtype(), pd.StringDtype(na_value=np.nan)],
    "pandas scalars": lambda: [pd.Timestamp("2020-01-01 12:00", tz="UTC"), pd.Timestamp("1999", unit="s"), pd.Timedelta("1h"), pd.NaT, pd.NA],
    "arrays inside": lambda: {"a": [np.arange(3.0), (np.ones(2), {"x": np.zeros((2, 2))})], "box": Box("b", np.arange(2.0))},
    "the same array twice": lambda: [_ints.astype("f8")] * 2,
    "pandas arrays": lambda: [pd.array([1, None], "Int8"), pd.Categorical(["a"]), pd.array(["x"], "string"), pd.date_range("2020", periods=2).array],
}

CASES = {
    **{f"array: {k}": v for k, v in ARRAYS.items()},
    **{f"pandas: {k}": v for k, v in FRAMES.items()},
    **{f"plain: {k}": v for k, v in PLAIN.items()},
}


def describe(v):
    """Everything about a value that a program may see, as text and lists."""
    kind = type(v).__name__
    if isinstance(v, np.ndarray):
        return [kind, str(v.dtype), str(v.dtype.descr if v.dtype.names else v.dtype.str), list(v.shape), _bytes(v)]
    if isinstance(v, pd.MultiIndex):
        return [kind, [describe(level) for level in v.levels], [c.tolist() for c in v.codes], list(map(repr, v.names))]
    if isinstance(v, pd.RangeIndex):
        return [kind, repr(v)]
    if isinstance(v, pd.Index):
        return [kind, str(v.dtype), repr(v.name), describe(v.array), str(getattr(v, "freq", None))]
    if isinstance(v, pd.Series):
        return [kind, str(v.dtype), repr(v.name), describe(v.array), describe(v.index)]
    if isinstance(v, pd.DataFrame):
        return [kind, describe(v.columns), describe(v.index), [describe(v.iloc[:, i].array) for i in range(v.shape[1])]]
    if isinstance(v, pd.api.extensions.ExtensionArray):
        return [kind, repr(v.dtype), [_item(x) for x in v], list(map(bool, v.isna()))]
    if isinstance(v, (list, tuple)):
        return [kind, [describe(x) for x in v]]
    if isinstance(v, dict):
        return [kind, [[describe(k), describe(x)] for k, x in v.items()]]
    if isinstance(v, (set, frozenset)):
        return [kind, sorted(repr(x) for x in v)]
    if isinstance(v, Box):
        return [kind, v.name, describe(v.content)]
    if kind in ("function", "type"):
        return [kind, v.__qualname__]
    return _item(v)


def _bytes(v):
    if v.size > 10_000:
        return float(v.sum())
    data = v.copy(order="C")
    if data.dtype.names:  # what lies between fields is nobody's
        return repr(data.tolist())
    return data.tobytes().hex()


def _item(x):
    return [type(x).__name__, repr(x), str(getattr(x, "tzinfo", None)), str(getattr(x, "unit", None))]

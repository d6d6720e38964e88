import dataclasses
import datetime as dt
import decimal
import fractions
import math
import pathlib
import random
import unittest
import uuid

from guest_case import GuestCase

import numpy as np

APP = """
import collections, dataclasses, enum, itertools
import numpy as np

class Color(enum.Enum):
    RED = 1
    BLUE = "b"

class Bits(enum.Flag):
    A = 1
    B = 2

Pair = collections.namedtuple("Pair", "left right")

@dataclasses.dataclass(frozen=True)
class Point:
    x: float
    y: object = None
    def __post_init__(self):
        next(calls)

class Plain:
    pass

calls = itertools.count()

def helper():
    pass

@_sandloom.component("identity")
def identity(value):
    return value

given = []

def main(event):
    return check(identity)

check = None
"""


def same(a, b):
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        if a.dtype != b.dtype or a.shape != b.shape:
            return False
        # The bytes between the fields of a structured dtype are nobody's.
        return a.tobytes() == b.tobytes() if a.dtype.names is None else bool((a == b).all())
    if isinstance(a, float):
        return a == b and math.copysign(1, a) == math.copysign(1, b) or (a != a and b != b)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(map(same, a.values(), b.values()))
    if dataclasses.is_dataclass(a):
        return same(vars(a), vars(b))
    return a == b


class Values(GuestCase):
    def inside(self, check):
        """Runs `check(identity)` as the entry, where `identity` is a component that returns its argument."""
        app = self.load(APP)
        outcome = []

        def entry(identity):
            check(app, identity)
            outcome.append(True)

        from sandloom import globals_guard

        app.check = entry
        globals_guard.snapshot([app])
        self.run_main()
        self.assertEqual(outcome, [True])

    def each(self, values):
        def check(app, identity):
            for value in values(app) if callable(values) else values:
                with self.subTest(value=repr(value)):
                    back = identity(value)
                    self.assertTrue(same(value, back), f"{value!r} came back as {back!r}")

        self.inside(check)

    def refused(self, value, *texts):
        from sandloom.errors import UnsupportedValue

        def check(app, identity):
            given = value(app) if callable(value) else value
            with self.assertRaises(UnsupportedValue) as caught:
                identity(given)
            for text in texts:
                self.assertIn(text, str(caught.exception))

        self.inside(check)

    def test_plain_values_come_back_as_they_went(self):
        self.each([None, True, 0, -1, 2**200, 1.5, -0.0, math.inf, math.nan, 1 - 2j, "", "é\udc80\0", b"\0\xff", bytearray(b"ab"), ...])
        self.each([(), (1, (2,)), (..., 1), (..., (..., 2)), [...], [[], {}], {"a": {1: [2.0]}, (1, 2): b""}, {"z": 1, "a": 2}])
        self.each([{1, 2}, frozenset("ab"), {(1, (2, 3))}, slice(1, None, 2), range(2, 9, 3), {frozenset({1}): 1}])

    def test_values_of_the_standard_library_come_back(self):
        zone = dt.timezone(dt.timedelta(hours=-3), "X")
        self.each([dt.date(2020, 2, 29), dt.time(1, 2, 3, 4, fold=1), dt.timedelta(-1, 5, 7), zone, dt.timezone.utc])
        self.each([dt.datetime(2020, 1, 1, 5, tzinfo=zone), dt.datetime(1, 1, 1, tzinfo=dt.timezone.utc, fold=1)])
        self.each([decimal.Decimal("-0.10"), fractions.Fraction(3, 7), uuid.UUID(int=5), pathlib.PurePosixPath("/a/b"), pathlib.Path("c")])

    def test_numpy_scalars_and_dtypes_keep_their_type(self):
        self.each([np.float64(-0.0), np.float32(1.5), np.int8(-3), np.bool_(True), np.complex64(1j), np.datetime64("2020-01-01", "D")])
        self.each([np.str_("é"), np.bytes_(b"a\0b"), np.dtype(">i4"), np.dtype([("a", "i1"), ("b", "f8", (2,))]), np.float32, int, np.float16(2)])

    def test_objects_of_the_applications_own_classes_come_back_without_running_their_code(self):
        def check(app, identity):
            point = app.Point(1.0, [app.Pair(1, app.Color.RED)])
            made = repr(app.calls)
            for value in (point, app.Color.BLUE, app.Bits.A | app.Bits.B, app.Pair(1, {"a": app.Color.RED}), app.helper, app.Point, app.identity):
                self.assertTrue(same(value, identity(value)))
            self.assertEqual(repr(app.calls), made)

        self.inside(check)

    def test_generated_nests_of_values_come_back(self):
        rng = random.Random(20240701)

        def atom():
            return rng.choice([None, True, 7, -(2**70), 0.1, 2j, "k", b"k", ..., np.float32(2), np.arange(3), dt.date(2020, 1, 1)])

        def key():
            return rng.choice([1, "k", 2.5, None, (1, "a"), np.int64(4), dt.date(2021, 1, 1), (..., 2)])

        def nest(depth):
            if depth == 0 or rng.random() < 0.2:
                return atom()
            parts = [nest(depth - 1) for _ in range(rng.randrange(4))]
            return rng.choice([list, tuple, lambda p: {key(): v for v in p}])(parts)

        self.each([nest(5) for _ in range(200)])

    def test_what_cannot_be_handed_over_is_refused_by_name_with_its_place(self):
        self.refused([{"k": object()}], "value[0]['k']", "object")
        self.refused(lambda app: app.Plain(), "app.Plain", "dataclass")
        self.refused({"f": lambda: 1}, "value['f']", "lambda", "top-level")
        self.refused(np.random.default_rng(1), "seed")
        self.refused((x for x in "a"), "generator", "list")
        self.refused(np.ma.array([1]), "MaskedArray", ".mask")
        self.refused(np.matrix([[1]]), "matrix", "np.asarray")
        self.refused(np.array([object()]), "object")
        self.refused(np.array(["a"], dtype="T"), "StringDType", "astype")
        self.refused(memoryview(b"a"), "memoryview")
        self.refused(iter([1]), "list_iterator")

    def test_a_cycle_and_a_too_deep_nest_are_refused(self):
        cycle = []
        cycle.append(cycle)
        deep = []
        for _ in range(300):
            deep = [deep]
        self.refused(cycle, "contain themselves")
        self.refused(deep, "200 levels")

    def test_arrays_of_every_fixed_size_dtype_come_back(self):
        dtypes = ["?", "i1", ">i2", "u4", "i8", "f2", ">f4", "f8", "g", "c8", "c16", "M8[ns]", "M8[25s]", "m8[D]", ">M8[us]", "S3", "U2", ">U2", "V5"]
        structured = [
            np.dtype([("a", "i1"), ("b", ">f8", (2, 2)), ("c", [("d", "U3")])]),
            np.dtype({"names": ["x", "y"], "formats": ["i4", "f4"], "offsets": [4, 12], "itemsize": 32}),
            np.dtype("i1,f8", align=True),
            np.dtype([(("title", "name"), "i4")]),
        ]
        rng = np.random.default_rng(5)
        arrays = []
        for dtype in [np.dtype(d) for d in dtypes] + structured:
            raw = rng.integers(0, 100, 24 * dtype.itemsize, np.uint8)
            if dtype.kind == "?" or dtype.kind == "b":
                raw %= 2
            if dtype.kind == "U":
                raw = np.array(["ab", "é", ""] * 8, dtype).view(np.uint8)
            whole = np.ndarray((2, 3, 4), dtype, raw.tobytes())
            arrays += [whole, np.asfortranarray(whole), whole[:, ::-1], whole[:, :0], whole[0, 0, 0:1].reshape(()), whole.transpose(1, 2, 0), whole[1, ::2, ::-2]]
        self.each(arrays)

    def test_an_array_keeps_its_memory_order(self):
        def check(app, identity):
            c = np.arange(24.0).reshape(2, 3, 4)
            self.assertTrue(identity(c).flags.c_contiguous)
            self.assertTrue(identity(np.asfortranarray(c)).flags.f_contiguous)
            self.assertEqual(identity(c.transpose(1, 0, 2)).strides, np.copy(c.transpose(1, 0, 2), order="K").strides)
            self.assertTrue(identity(np.empty((0, 3), order="F")).flags.f_contiguous)

        self.inside(check)


if __name__ == "__main__":
    unittest.main()

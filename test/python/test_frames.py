import unittest

from guest_case import GuestCase

import numpy as np

try:
    import pandas as pd
except ModuleNotFoundError:
    raise unittest.SkipTest("pandas is not here") from None
if int(pd.__version__.split(".")[0]) < 3:
    raise unittest.SkipTest("sandboxes have pandas 3")

APP = """
import numpy as np
import pandas as pd

@_sandloom.component("identity")
def identity(x):
    return x

@_sandloom.component("places")
def places(x):
    return [b.values.__array_interface__["data"][0] for b in x._mgr.blocks if b.values.dtype != object and type(b.values) is np.ndarray]

@_sandloom.component("look")
def look(x):
    x.describe(), x.values, x.sum(numeric_only=True), x.dropna(), x.sort_values(list(x.columns)[0])
    return float(x.iloc[:, 0].sum())

@_sandloom.component("change")
def change(kind, x):
    if kind == "column": x["new"] = 1
    if kind == "cell": x.iloc[0, 0] = 9
    if kind == "text": x.loc[0, "s"] = "other"
    if kind == "name": x.index.name = "i"
    if kind == "columns": x.columns = list(range(len(x.columns)))
    if kind == "rows": x.drop(0, inplace=True)
    return kind

@_sandloom.component("writes", writes=("x",))
def writes(x):
    pass

def main(event):
    return check()

check = None
"""

FRAME = pd.DataFrame(
    {
        "i": [1, 2, 3, 4],
        "f": [1.0, np.nan, 3, -0.0],
        "b": [True, False, True, True],
        "s": ["x", None, "é\0", ""],
        "o": pd.Series(["a", None, np.nan, "b"], dtype=object),
        "S": pd.array(["é", None, "b", ""], dtype="string"),
        "d": pd.to_datetime(["2020-01-01", None, "2021-01-01", "2020-01-01"]),
        "z": pd.date_range("2020", periods=4, tz="UTC", unit="ns"),
        "t": pd.to_timedelta([1, 2, None, 3], unit="s"),
        "c": pd.Categorical(["p", None, "q", "p"], ["q", "p"], ordered=True),
        "I": pd.array([1, None, 3, 4], dtype="Int16"),
        "F": pd.array([1, None, 3, 4], dtype="Float64"),
        "B": pd.array([True, None, False, True], dtype="boolean"),
        "i2": [5, 6, 7, 8],
    }
)


def assert_same(a, b):
    assert type(a) is type(b), f"{a!r} came back as {b!r}"
    if isinstance(a, pd.DataFrame):
        pd.testing.assert_frame_equal(a, b, check_freq=True)
        assert [v.values.shape for v in a._mgr.blocks] == [v.values.shape for v in b._mgr.blocks]
        for name in a.columns[a.dtypes == object]:
            assert [type(x) for x in a[name]] == [type(x) for x in b[name]]
    elif isinstance(a, pd.Series):
        pd.testing.assert_series_equal(a, b, check_freq=True)
    elif isinstance(a, pd.Index):
        pd.testing.assert_index_equal(a, b, exact=True)
        assert a.identical(b) and getattr(a, "freq", None) == getattr(b, "freq", None)
    elif a is pd.NaT or a is pd.NA:
        assert a is b
    else:
        assert a == b and getattr(a, "unit", None) == getattr(b, "unit", None), f"{a!r} came back as {b!r}"


class Frames(GuestCase):
    def inside(self, check):
        app = self.load(APP)
        from sandloom import globals_guard

        app.check = lambda: check(app)
        globals_guard.snapshot([app])
        return self.run_main()

    def each(self, values):
        def check(app):
            for value in values:
                with self.subTest(value=repr(value)):
                    assert_same(value, app.identity(value))
                    assert_same(value, app.identity([{"k": value}])[0]["k"])

        self.inside(check)

    def test_frames_with_every_kind_of_column_come_back(self):
        double = FRAME[["i", "s", "i"]]
        named = FRAME.set_index(["s", "d"]).rename_axis(columns="names")
        self.each([FRAME, FRAME.iloc[1:3], FRAME.iloc[::-1], FRAME.iloc[:0], double, named, FRAME.set_index("z"), pd.DataFrame()])
        self.each([pd.DataFrame(np.arange(12).reshape(4, 3)), pd.DataFrame(np.arange(12.0).reshape(4, 3)), FRAME.T.iloc[:2, :0]])

    def test_series_and_indexes_come_back(self):
        self.each([FRAME[c] for c in FRAME.columns] + [pd.Series(dtype=float), pd.Series([1], name=("a", 1))])
        self.each([pd.RangeIndex(3, 9, 2, name="n"), pd.Index([1.5, 2]), pd.Index([True, False]), pd.Index(["a", None]), pd.Index(["a", "b"], dtype=object)])
        self.each([pd.date_range("2020", periods=3, freq="D", tz="UTC"), pd.timedelta_range(0, periods=3, freq="h"), pd.CategoricalIndex(["a", "b"])])
        self.each([pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["p", None]), pd.Index(pd.array([1, None], dtype="Int64"))])

    def test_scalars_and_dtypes_of_pandas_come_back(self):
        self.each([pd.Timestamp("2020-01-01 10:00", tz="UTC"), pd.Timestamp(5, unit="ns"), pd.Timedelta(5, "s"), pd.NaT, pd.NA])
        self.each([FRAME[c].dtype for c in "cIFBSzs"])

    def test_numeric_columns_are_mapped_and_not_copied(self):
        def check(app):
            from sandloom import lowlevel

            remote = lowlevel.publish("main.x", FRAME)
            assert_same(FRAME, remote)
            here = [b.values.__array_interface__["data"][0] for b in remote._mgr.blocks if b.values.dtype != object and type(b.values) is np.ndarray]
            before = self.host.copied_bytes
            self.assertEqual(app.places(remote), here)
            back = app.identity(remote.iloc[1:])
            assert_same(FRAME.iloc[1:], back)
            for c in ("i", "f", "b"):
                self.assertTrue(np.shares_memory(back[c].to_numpy(), remote[c].to_numpy()))
            # The strings too: what came from the fabric goes as it is.
            self.assertEqual(self.host.copied_bytes, before)

        self.inside(check)

    def test_a_frame_may_be_changed_by_who_got_it_as_a_result(self):
        def check(app):
            frame = app.identity(FRAME[["i", "s"]])
            frame.loc[0, "s"] = "new"
            frame.loc[0, "i"] = 70
            frame["more"] = 1
            self.assertEqual(app.identity(frame).iloc[0].tolist(), [70, "new", 1])

            from sandloom import lowlevel

            remote = lowlevel.publish("main.x", FRAME[["i", "s"]])
            part, series = app.identity([remote.iloc[:2], remote["i"]])
            part.loc[0, "i"], part.loc[0, "s"], series.iloc[1] = 80, "x2", 81
            self.assertEqual((remote["i"].tolist(), remote["s"].iloc[0]), ([1, 2, 3, 4], "x"))
            remote.loc[0, "i"] = 90
            self.assertEqual(app.identity(remote).iloc[0, 0], 90)

        self.inside(check)

    def test_looking_at_a_frame_is_no_change_of_it(self):
        def check(app):
            frame = FRAME[["i", "f"]].copy()
            frame["j"] = [1, 2, 3, 4]
            frame["g"] = frame.f * 2
            return app.look(frame)

        self.assertEqual(self.inside(check), 10.0)

    def test_a_changed_frame_is_an_error(self):
        for kind in ("column", "cell", "text", "name", "columns", "rows"):
            with self.subTest(kind=kind):
                app = self.load(APP)
                from sandloom import globals_guard

                app.check = lambda kind=kind, app=app: app.change(kind, FRAME[["i", "s"]].copy())
                globals_guard.snapshot([app])
                document = self.failure()
                self.assertEqual(document["code"], "MutatedByValue")
                self.assertIn("parameter x", document["message"])

    def test_what_pandas_holds_beyond_that_is_refused_by_name(self):
        from sandloom.errors import UnsupportedValue, WritesNeedRemote

        tagged = pd.DataFrame({"a": [1]})
        tagged.attrs["k"] = 1
        cases = [
            (pd.DataFrame({"p": pd.period_range("2020", periods=2, freq="M")}), "column 'p': values of dtype period"),
            (pd.DataFrame({"a": [1], "o": pd.Series([{}], dtype=object)}), "column 'o': it holds a value of type dict"),
            (pd.Series(pd.arrays.SparseArray([0, 1])), "Sparse"),
            (pd.interval_range(0, 2), "IntervalIndex"),
            (tagged, "attrs"),
            (FRAME.groupby("i"), "DataFrameGroupBy"),
        ]

        def check(app):
            for value, text in cases:
                with self.assertRaises(UnsupportedValue) as caught:
                    app.identity({"k": value})
                self.assertIn("x['k']: ", str(caught.exception))
                self.assertIn(text, str(caught.exception))
            with self.assertRaises(WritesNeedRemote):
                app.writes(FRAME)

        self.inside(check)


if __name__ == "__main__":
    unittest.main()

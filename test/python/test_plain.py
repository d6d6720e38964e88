import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = str(ROOT / "runtimes" / "python")
if PACKAGE not in sys.path:
    sys.path.insert(0, PACKAGE)

try:
    import numpy as np
except ModuleNotFoundError:
    raise unittest.SkipTest("NumPy is not here") from None

from sandloom import remote, split
from sandloom.errors import ResultNotJson, UnsupportedValue
from sandloom.result import document


class Plain(unittest.TestCase):
    def test_split_gives_views_of_row_ranges_the_first_of_which_are_longer(self):
        x = np.arange(20).reshape(10, 2)
        parts = split(x, 4)
        self.assertEqual([len(p) for p in parts], [3, 3, 2, 2])
        self.assertTrue(all(np.shares_memory(p, x) for p in parts))
        self.assertEqual(split(range(5), 2), [range(3), range(3, 5)])
        self.assertEqual(split([1, 2], 9), [[1], [2]])
        self.assertEqual(len(split(x[:0], 3)), 1)

    def test_split_without_n_takes_the_recorded_choice_or_one_part_a_cpu(self):
        os.environ["SANDLOOM_SPLITS"] = '{"10": 3}'
        try:
            self.assertEqual([len(p) for p in split(np.zeros(10))], [4, 3, 3])
            self.assertEqual(len(split(np.zeros(1000))), min(1000, os.cpu_count()))
        finally:
            del os.environ["SANDLOOM_SPLITS"]

    def test_split_refuses_what_has_no_rows(self):
        for value, n, error in ((5, 1, TypeError), (np.float64(1), 1, TypeError), ("abc", 1, TypeError), ([1], 0, ValueError), ([1], 1.5, TypeError)):
            with self.assertRaises(error):
                split(value, n)

    def test_the_decorators_check_their_options_and_change_nothing(self):
        def f(x):
            return x

        self.assertIs(split(f), f)
        self.assertIs(split(cpu=2, memory="1GiB", timeout="3s", writes=("x",))(f), f)
        for options in ({"cpus": 1}, {"cpu": 0}, {"writes": "x"}, {"timeout": -1}, {"cpu": True}):
            with self.assertRaises(TypeError):
                split(**options)(f)
        with self.assertRaisesRegex(TypeError, "no parameter of f"):
            split(writes=("y",))(f)

    def test_remote_copies(self):
        x = np.asfortranarray(np.arange(6).reshape(2, 3))
        y = remote(x)
        self.assertTrue(y.flags.f_contiguous and not np.shares_memory(x, y))
        self.assertEqual(remote({"a": [x, 1]})["a"][0].tolist(), x.tolist())

        @remote
        def f():
            return x

        self.assertFalse(np.shares_memory(f(), x))
        self.assertEqual((remote.zeros((2, 2), "i4").dtype.str, remote.empty(3, order="F").shape), ("<i4", (3,)))
        for wrong in (np.array([None]), np.ma.array([1])):
            with self.assertRaises(UnsupportedValue):
                remote(wrong)


class Documents(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.out = Path(folder.name)

    def test_json_goes_as_it_is_and_numpy_scalars_as_plain_numbers(self):
        value = {"a": [1, 2.5, None, True, (3,)], "n": [np.int64(4), np.float32(0.5), np.bool_(True), np.str_("s")]}
        self.assertEqual(document(value, self.out), {"a": [1, 2.5, None, True, [3]], "n": [4, 0.5, True, "s"]})

    def test_arrays_and_frames_become_files_with_numbered_names(self):
        (self.out / "result-1.npy").write_text("the program's own")
        made = document([np.arange(3, dtype="<i8"), {"x": np.zeros((0, 2), ">f4")}], self.out)
        self.assertEqual(made[0]["$array"], {"file": "result.npy", "dtype": "<i8", "shape": [3]})
        self.assertEqual(made[1]["x"]["$array"], {"file": "result-2.npy", "dtype": ">f4", "shape": [0, 2]})
        self.assertEqual(np.load(self.out / "result.npy").tolist(), [0, 1, 2])

    def test_a_frame_is_written_as_csv(self):
        try:
            import pandas as pd
        except ModuleNotFoundError:
            self.skipTest("pandas is not here")
        made = document([pd.DataFrame({"a": [1, 2], "b": ["x", None]}), pd.Series([1.5], index=["k"], name="v")], self.out)
        self.assertEqual(made[0]["$frame"], {"file": "result.csv", "rows": 2, "columns": ["a", "b"], "index": False})
        self.assertEqual((self.out / "result.csv").read_text(), "a,b\n1,x\n2,\n")
        self.assertEqual((self.out / "result-1.csv").read_text(), ",v\nk,1.5\n")

    def test_what_is_no_json_is_refused_with_its_place_and_what_to_write(self):
        import datetime

        cases = [
            ({"a": [float("nan")]}, "result['a'][0] is nan"),
            (np.float32("inf"), "inf"),
            ({1: 2}, "str(k)"),
            ({"s": {1}}, "sorted(s)"),
            (b"", "/out"),
            (1j, "z.real"),
            (datetime.date(2020, 1, 1), "isoformat"),
            (np.datetime64("2020"), "str(v)"),
            (np.timedelta64(1, "s"), "str(v)"),
            (np.array([None]), "tolist"),
            (object(), "plain data"),
        ]
        for value, text in cases:
            with self.subTest(value=value), self.assertRaises(ResultNotJson) as caught:
                document(value, self.out)
            self.assertIn(text, str(caught.exception))


APP = """
import os, pathlib
import numpy as np
from helper import double
from sandloom import remote, split

@split(writes=("x",))
def add(x):
    x += 1

def main(event):
    x = remote(np.load("/data/x.npy"))
    for part in split(x, 2):
        add(part)
    with open("/out/note.txt", "w") as file:
        file.write(event["text"])
    seen = sorted(str(p) for p in pathlib.Path("/data").rglob("*"))
    walked = [(folder, files) for folder, _, files in os.walk("/data")]
    try:
        open("/data/new", "w")
    except OSError as error:
        refused = error.errno
    return {"x": double(x).tolist(), "seen": seen, "walked": walked, "refused": refused, "there": os.path.exists("/data/x.npy"), "event": event}
"""


@unittest.skipIf(sys.platform == "emscripten", "no processes here")
class Local(unittest.TestCase):
    def test_a_program_runs_with_its_mounts_and_leaves_the_same_document(self):
        with tempfile.TemporaryDirectory() as folder:
            top = Path(folder)
            (top / "d" / "deep").mkdir(parents=True)
            np.save(top / "d" / "x.npy", np.arange(3))
            (top / "app.py").write_text(APP)
            (top / "helper.py").write_text("def double(x):\n    return 2 * x\n")
            (top / "event.json").write_text('{"a": 1}')
            command = [sys.executable, "-m", "sandloom.local", "app.py", "--event", "@event.json", "--set", "text=hello", "--set", "n=3"]
            command += ["--mount", "d:/data", "--out", "o"]
            environment = {**os.environ, "PYTHONPATH": PACKAGE}
            done = subprocess.run(command, cwd=top, env=environment, capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 0, done.stderr)
            answer = json.loads(done.stdout)
            self.assertEqual(answer["x"], [2, 4, 6])
            self.assertEqual(answer["seen"], ["/data/deep", "/data/x.npy"])
            self.assertEqual(answer["walked"], [["/data", ["x.npy"]], ["/data/deep", []]])
            self.assertEqual((answer["refused"], answer["there"]), (30, True))
            self.assertEqual(answer["event"], {"a": 1, "text": "hello", "n": 3})
            self.assertEqual((top / "o" / "note.txt").read_text(), "hello")

    def test_a_failing_program_shows_its_traceback_and_fails(self):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "app.py").write_text("def main(event):\n    return 1 / event['n']\n")
            command = [sys.executable, "-m", "sandloom.local", folder, "--set", "n=0", "--out", folder + "/o"]
            done = subprocess.run(command, env={**os.environ, "PYTHONPATH": PACKAGE}, capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 1)
            self.assertIn("app.py", done.stderr)
            self.assertIn("line 2, in main", done.stderr)


if __name__ == "__main__":
    unittest.main()

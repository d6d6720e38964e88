import errno
import unittest

from guest_case import GuestCase

ARRAYS = """
import numpy as np

@_sandloom.component("alias")
def alias(a, b):
    return [bool(np.shares_memory(a, b)), a.flags.writeable, b.flags.writeable, b.base is not None]

@_sandloom.component("identity")
def identity(x):
    return x

@_sandloom.component("fill", writes=("x",))
def fill(x, v, y=None):
    x[...] = v
    return [x.flags.writeable, None if y is None else y.flags.writeable]

@_sandloom.component("total")
def total(x):
    return float(x.sum())

@_sandloom.component("unlock")
def unlock(x):
    try:
        x.setflags(write=True)
    except ValueError:
        return "refused"

@_sandloom.component("boom")
def boom(n, x=None):
    if n in event_bad:
        raise KeyError("boom", n)
    return n

@_sandloom.component("boom_writes", writes=("x",))
def boom_writes(x, n):
    x[...] = n
    if n in event_bad:
        raise KeyError("boom", n)
    return n

event_bad = {2, 4}
"""


class Arrays(GuestCase):
    def test_arguments_that_share_memory_share_it_in_the_component(self):
        self.load(ARRAYS + """
def main(event):
    x = _sandloom.publish("main.x", np.arange(10))
    y = np.arange(5)
    return [alias(x[2:], x[:5]), alias(x[::-1], x[4:5]), alias(x[:5], x[5:]), alias(y, y)]
""")
        self.assertEqual([r[:3] for r in self.run_main()], [[True, False, False], [True, False, False], [False, False, False], [True, False, False]])

    def test_an_array_in_the_window_is_handed_over_and_back_without_a_copy(self):
        self.load(ARRAYS + """
def main(event):
    x = _sandloom.publish("main.x", np.arange(10.0))
    y = identity(x[3:][::-2])
    y[0] = 70
    return [x[9], bool(np.shares_memory(x, y)), y.tolist(), y.flags.writeable]
""")
        self.assertEqual(self.run_main(), [70.0, True, [70.0, 7.0, 5.0, 3.0], True])
        self.assertEqual((self.host.allocated, self.host.copied_bytes), (["main.x"], 80))

    def test_arrays_of_one_message_are_copied_once_into_one_region(self):
        self.load(ARRAYS + """
def main(event):
    a, b = np.ones(3), np.ones((2, 2), order="F")
    return identity([a, b, a, {"k": b.T}])[3]["k"].tolist()
""")
        self.assertEqual(self.run_main(), [[1.0, 1.0], [1.0, 1.0]])
        self.assertEqual((self.host.allocated, self.host.copied_bytes), (["identity(arguments)"], 24 + 32 + 32))

    def test_a_region_is_let_go_of_when_its_last_view_dies(self):
        self.load(ARRAYS + """
import gc
def main(event):
    x = _sandloom.empty("main.x", 1000)
    view = x[10:20].reshape(2, 5)
    del x
    before = len(host.freed)
    del view
    after = len(host.freed)
    y = identity(np.arange(9))
    kept = y[1:]
    del y
    inside = list(host.freed)
    return [before, after, inside, kept.tolist()]
""")
        import sys

        sys.modules["app"].__dict__["host"] = self.host
        from sandloom import globals_guard

        globals_guard.snapshot([sys.modules["app"]])
        self.assertEqual(self.run_main(), [0, 1, ["main.x"], list(range(1, 9))])
        self.assertEqual(sorted(self.host.freed), ["identity(arguments)", "main.x"])

    def test_parameters_are_read_only_and_cannot_be_unlocked(self):
        self.load(ARRAYS + """
def main(event):
    return [unlock(_sandloom.publish("main.x", np.arange(3))), unlock(np.arange(3))]
""")
        self.assertEqual(self.run_main(), ["refused", "refused"])

    def test_a_write_to_a_read_only_parameter_names_the_line_and_the_way_out(self):
        self.load("""
@_sandloom.component("bad")
def bad(x):
    x[0] = 1
def main(event):
    import numpy as np
    bad(np.arange(3))
""")
        document = self.failure()
        self.assertEqual(document["code"], "WroteReadOnlyComponent")
        self.assertIn("writes=", document["message"])
        self.assertEqual([(f["file"], f["line"], f["text"]) for f in document["frames"]], [("app.py", 8, "bad(np.arange(3))"), ("app.py", 5, "x[0] = 1")])

    def test_a_writes_parameter_changes_the_callers_array(self):
        self.load(ARRAYS + """
def main(event):
    x = _sandloom.publish("main.x", np.zeros(6))
    modes = [fill(part, i, y=x[:1]) for i, part in enumerate(_sandloom.split(x, 3))]
    return [x.tolist(), modes]
""")
        self.assertEqual(self.run_main(), [[0, 0, 1, 1, 2, 2], [[True, False]] * 3])

    def test_a_writes_parameter_needs_a_writable_array_of_a_memory_component(self):
        self.load(ARRAYS + """
@_sandloom.component("outer")
def outer(x):
    return caught(x)

def caught(x):
    try:
        fill(x, 1)
    except TypeError as error:
        return [type(error).__name__, str(error)]

def main(event):
    return [caught(np.zeros(3)), caught([1]), caught({"k": 5}), outer(_sandloom.publish("main.x", np.zeros(3)))]
""")
        answers = self.run_main()
        self.assertEqual({name for name, _ in answers}, {"WritesNeedRemote"})
        for (_, text), part in zip(answers, ["remote(...)", "int", "int", "read-only here"], strict=True):
            self.assertIn(part, text)
            self.assertIn("fill writes its parameter x", text)

    def test_a_result_keeps_the_callers_own_mode(self):
        self.load(ARRAYS + """
@_sandloom.component("through")
def through(x):
    return identity(x).flags.writeable

def main(event):
    x = _sandloom.publish("main.x", np.zeros(4))
    locked = np.broadcast_to(x[:1], (3,))
    kept = identity.defer(_sandloom.publish("main.y", np.zeros(4))).join()
    copied = identity(np.zeros(3))
    return [through(x), identity(x).flags.writeable, identity(locked).flags.writeable, kept.flags.writeable, copied.flags.writeable]
""")
        # What went by value and comes back is no longer the caller's own array: it is locked, so that no write is lost.
        self.assertEqual(self.run_main(), [False, True, False, True, False])

    def test_remote_empty_and_zeros_copy_nothing(self):
        self.load(ARRAYS + """
@_sandloom.published("main.f")
def f():
    return {"a": np.ones(2), "b": [3]}

def main(event):
    a, b = _sandloom.empty("main.a", (2, 3), "i4", "F"), _sandloom.zeros("main.b", 4)
    c = f()
    return [a.flags.f_contiguous, b.tolist(), _sandloom.empty("main.e", (0, 3)).shape, c["a"].tolist(), total(c["a"])]
""")
        self.assertEqual(self.run_main(), [True, [0, 0, 0, 0], [0, 3], [1, 1], 2.0])
        self.assertEqual((self.host.allocated, self.host.copied_bytes), (["main.a", "main.b", "main.f"], 16))

    def test_a_refused_allocation_is_a_memory_error_of_its_own_name(self):
        from sandloom.device import ALLOCATE

        self.load(ARRAYS + """
def main(event):
    try:
        identity(np.zeros(3))
    except MemoryError as error:
        return [type(error).__name__, str(error)]
""")
        self.host.refuse[ALLOCATE] = ("MemoryCapExceeded", "the cap is 1 MiB")
        self.assertEqual(self.run_main(), ["MemoryCapExceeded", "the cap is 1 MiB"])

    def test_two_gibibytes_are_refused_before_the_host_is_asked(self):
        self.load(ARRAYS + "\ndef main(event):\n    _sandloom.empty('main.x', (1 << 20, 1 << 10), 'f8')\n")
        document = self.failure()
        self.assertEqual(document["code"], "BlockTooLarge")


class FanOut(GuestCase):
    def test_a_fan_out_triggers_everything_before_it_joins(self):
        for when in ("trigger", "join"):
            self.load(ARRAYS + """
def main(event):
    w = np.ones(3)
    return [_sl[0] * 10 + i for (i,), _sl in _sandloom.gather(((i,), (boom.defer(i, w),)) for i in (0, 1, 3))]
""", when=when)
            self.assertEqual(self.run_main(), [0, 11, 33])
            # The array was published once for all three.
            self.assertEqual((self.host.allocated, self.host.copied_bytes), (["boom(arguments)"], 24))

    def test_an_array_that_changes_within_a_fan_out_is_published_again(self):
        self.load(ARRAYS + """
def step(w):
    w += 1
    return w

def main(event):
    w = np.zeros(3)
    return [_sl[0] for (), _sl in _sandloom.gather(((), (total.defer(step(w)),)) for _ in range(3))]
""", when="join")
        self.assertEqual(self.run_main(), [3.0, 6.0, 9.0])

    def test_the_first_failure_in_program_order_is_raised_and_the_rest_is_joined(self):
        self.load(ARRAYS + """
def main(event):
    seen = []
    try:
        [seen.append(_sl[0]) for (i,), _sl in _sandloom.gather(((i,), (boom.defer(i),)) for i in range(6))]
    except KeyError as error:
        return [seen, list(error.args), boom(5)]
""", when="join")
        self.assertEqual(self.run_main(), [[0, 1], ["boom", 2], 5])
        self.assertEqual(self.host.tickets, {})

    def test_a_failure_of_an_argument_comes_after_the_failures_of_what_was_triggered(self):
        self.load(ARRAYS + """
def main(event):
    answers = []
    for start in (0, 3):
        try:
            list(_sandloom.gather(((i,), (boom.defer(i if i < 5 else 1 // 0),)) for i in range(start, 6)))
        except (KeyError, ZeroDivisionError) as error:
            answers.append([type(error).__name__, str(error.args[-1])])
    event_free = [_sl[0] for _, _sl in _sandloom.gather(((), (boom.defer(i),)) for i in (5, 6))]
    try:
        list(_sandloom.gather(((i,), (boom.defer(i if i < 7 else 1 // 0),)) for i in (5, 6, 7)))
    except ZeroDivisionError as error:
        answers.append("own")
    return answers
""", when="join")
        self.assertEqual(self.run_main(), [["KeyError", "2"], ["KeyError", "4"], "own"])
        self.assertEqual(self.host.tickets, {})

    def test_a_trigger_that_overlaps_one_in_flight_waits_for_it(self):
        self.load(ARRAYS + """
def main(event):
    x = _sandloom.publish("main.x", np.zeros(4))
    a = total.defer(x[:2])
    b = fill.defer(x[:2], 5)
    c = total.defer(x[1:])
    d = fill.defer(x[3:], 9)
    e = fill.defer(x[:1], 2)
    return [_sandloom.join(a, c), x.tolist(), _sandloom.join(b, d, e) and x.tolist()]
""", when="join")
        self.assertEqual(self.run_main(), [[0.0, 5.0], [5, 5, 0, 0], [2, 5, 0, 9]])

    def test_a_failure_before_a_later_write_ends_the_run_even_if_it_is_caught(self):
        self.load(ARRAYS + """
def main(event):
    x = _sandloom.publish("main.x", np.zeros(6))
    try:
        list(_sandloom.gather(((), (boom_writes.defer(x[i : i + 1], i),)) for i in range(4)))
    except KeyError:
        return "went on"
""")
        document = self.failure()
        self.assertEqual((document["type"], document["fatal"]), ("KeyError", True))

    def test_a_caught_failure_of_readers_does_not_end_the_run(self):
        self.load(ARRAYS + """
def main(event):
    try:
        list(_sandloom.gather(((), (boom.defer(i),)) for i in range(4)))
    except KeyError:
        return "went on"
""")
        self.assertEqual(self.run_main(), "went on")

    def test_what_is_still_in_flight_at_the_end_is_joined_and_its_failure_shows(self):
        self.load(ARRAYS + "\ndef main(event):\n    boom.defer(1)\n    boom.defer(2)\n    return 1\n", when="join")
        self.assertEqual(self.failure()["type"], "KeyError")
        self.assertEqual(self.host.tickets, {})

    def test_components_nest_and_recurse(self):
        self.load("""
@_sandloom.component("fib")
def fib(n):
    if n < 2:
        return n
    a = fib.defer(n - 1)
    b = fib.defer(n - 2)
    a, b = _sandloom.join(a, b)
    return a + b
def main(event):
    return fib(n=event)
""")
        self.assertEqual(self.run_main(8), 21)

    def test_arguments_bind_as_in_python(self):
        self.load("""
@_sandloom.component("f")
def f(a, b=2, c=3):
    return [a, b, c]
def main(event):
    answers = [f(1), f(1, c=5), f(b=0, a=9), f(1, 2, 3)]
    for wrong in (lambda: f(), lambda: f(1, a=1), lambda: f(1, 2, 3, 4)):
        try:
            wrong()
        except TypeError as error:
            answers.append(str(error)[:4])
    return answers
""")
        self.assertEqual(self.run_main(), [[1, 2, 3], [1, 2, 5], [9, 0, 3], [1, 2, 3], "f() ", "f() ", "f() "])

    def test_split_asks_the_host_once_for_one_number_of_rows(self):
        self.load("""
import numpy as np
def main(event):
    x = _sandloom.publish("main.x", np.arange(10))
    y = list(range(10))
    return [[p.tolist() for p in _sandloom.split(x)], _sandloom.split(y), len(_sandloom.split(x, 50)), _sandloom.split((), 3), bool(np.shares_memory(x, _sandloom.split(x, 2)[1]))]
""", parts=4)
        parts = [[0, 1, 2], [3, 4, 5], [6, 7], [8, 9]]
        self.assertEqual(self.run_main(), [parts, parts, 10, [[]], True])


class Failures(GuestCase):
    def test_an_exception_keeps_its_class_arguments_attributes_and_notes(self):
        self.load("""
import json
class Odd(ValueError):
    def __init__(self, a, b):
        super().__init__(a)
        self.b = b
@_sandloom.component("fail")
def fail(kind):
    if kind == 0: raise Odd("x", {"k": [1]})
    if kind == 1: open("/does/not/exist")
    if kind == 2: json.loads("{")
    if kind == 3:
        error = StopIteration(7); error.add_note("mind"); raise error
    if kind == 4: raise KeyError(object())
    if kind == 5:
        class Local(Exception): pass
        raise Local("in here")
    if kind == 6: raise SystemExit(3)
    if kind == 7: raise KeyboardInterrupt
    if kind == 8: b"\\xff".decode()
def main(event):
    answers = []
    for kind in range(9):
        try:
            fail(kind)
        except BaseException as e:
            more = [getattr(e, n, None) for n in ("b", "errno", "pos", "value", "code", "reason")]
            answers.append([type(e).__name__, isinstance(e, Odd), [m for m in more if m is not None], [n for n in e.__notes__ if n == "mind"]])
    return answers
""")
        answers = self.run_main()
        self.assertEqual(
            answers[:4],
            [["Odd", True, [{"k": [1]}], []], ["FileNotFoundError", False, [errno.ENOENT], []], ["JSONDecodeError", False, [1], []], ["StopIteration", False, [7], ["mind"]]],
        )
        self.assertEqual([a[0] for a in answers[4:]], ["KeyError", "ComponentRaised", "SystemExit", "KeyboardInterrupt", "UnicodeDecodeError"])

    def test_the_users_frames_of_all_components_are_shown_and_the_childs_traceback_is_a_note(self):
        self.load("""
@_sandloom.component("inner")
def inner(n):
    return 1 // n
@_sandloom.component("outer")
def outer(n):
    return inner(n)
def main(event):
    try:
        outer(0)
    except ZeroDivisionError as error:
        if not error.__notes__[0].startswith('in component inner:\\n  File "app.py", line 5'):
            raise RuntimeError(error.__notes__)
        raise
""")
        document = self.failure()
        self.assertEqual([(f["line"], f["function"]) for f in document["frames"]], [(11, "main"), (8, "outer"), (5, "inner")])
        self.assertEqual(document["type"], "ZeroDivisionError")

    def test_nothing_escapes_a_run(self):
        self.load("""
class Hostile(BaseException):
    def __str__(self): raise SystemExit
@_sandloom.component("f")
def f(x): return x
def deep(n): return deep(n + 1)
def main(event):
    if event == 0: raise SystemExit
    if event == 1: raise Hostile
    if event == 2: deep(0)
    if event == 3: raise MemoryError
    if event == 4: return {1}
    if event == 5: raise KeyboardInterrupt
""")
        types = [self.failure(i)["type"] for i in range(6)]
        self.assertEqual(types, ["SystemExit", "Hostile", "RecursionError", "MemoryError", "ResultNotJson", "KeyboardInterrupt"])
        self.assertLessEqual(len(self.failure(2)["frames"]), 60)

    def test_a_changed_argument_is_an_error_that_names_parameter_and_line(self):
        self.load("""
@_sandloom.component("change")
def change(kind, x):
    if kind == "list": x[0].append(1)
    if kind == "dict": x["new"] = 1
    if kind == "bytes": x[0] = 1
    if kind == "object": x["f"] = lambda: 0
    return kind
def main(event):
    kind, x = event
    return change(kind, bytearray(b"ab") if kind == "bytes" else x)
""")
        for kind, x in (("list", [[]]), ("dict", {}), ("bytes", None), ("object", {})):
            document = self.failure([kind, x])
            self.assertEqual(document["code"], "MutatedByValue")
            self.assertIn("change (app.py:4) changed its parameter x", document["message"])
        self.assertEqual(self.run_main(["none", [[1], {"a": 2}]]), "none")

    def test_a_changed_global_is_an_error_that_names_it(self):
        self.load("""
import numpy as np
count = 0
table = {"a": [1]}
array = np.zeros(3)
class Config:
    level = 1
@_sandloom.component("change")
def change(kind):
    global count, fresh
    if kind == 0: count += 1
    if kind == 1: table["a"].append(2)
    if kind == 2: Config.level = 2
    if kind == 3: fresh = 1
    if kind == 4: array[0] = 1
    return kind
def main(event):
    if event == 6:
        table["a"] = [3]
    else:
        change(event)
""")
        import sys

        app = sys.modules["app"]
        for kind, name in ((0, "count"), (1, "table"), (2, "Config.level"), (3, "fresh"), (6, "table")):
            document = self.failure(kind)
            self.assertEqual(document["code"], "MutatedGlobal")
            self.assertIn(f"the global {name} (app.py)", document["message"])
            app.count, app.table["a"], app.Config.level = 0, [1], 1
            app.__dict__.pop("fresh", None)
            from sandloom import globals_guard

            globals_guard.snapshot([app])
        self.assertEqual(self.failure(4)["code"], "WroteReadOnlyComponent")
        self.assertIsNone(self.run_main(5))

    def test_random_state_is_fresh_in_every_component(self):
        self.load("""
import random
import numpy as np
@_sandloom.component("draw")
def draw():
    return [random.random(), float(np.random.random())]
def main(event):
    random.seed(1), np.random.seed(1)
    return [draw(), draw()]
""")
        first, second = self.run_main()
        self.assertNotEqual(first[0], second[0])
        self.assertNotEqual(first[1], second[1])


class LowLevel(GuestCase):
    def test_hand_written_programs_use_transports_and_triggers(self):
        self.load("import numpy as np", low_level={
            "main": """
                from sandloom import lowlevel
                import numpy as np
                def main(params, action):
                    x = lowlevel.empty("main.x", 8, "u1")
                    x[...] = np.arange(8)
                    ticket = action.trigger("child", x, scale=3)
                    answer = ticket.join()
                    return [answer, x.tolist(), action.get_transport("event").value(), params]
            """,
            "child": """
                PARAMETERS = ("x", "scale")
                WRITES = ("x",)
                def main(params, action):
                    x = action.get_transport("x")
                    attached = len(action.device._leases)
                    data = x.read(2, 3, 1)
                    x.write(b"\\x09\\x09", 0, 6)
                    return [attached, list(data), len(x.buf), params["scale"], sorted(map(str, params)), x.value().flags.writeable]
            """,
        })
        answer, x, *event = self.run_main({"e": 1})
        self.assertEqual(answer[:4], [0, [4, 5], 8, 3])
        self.assertTrue(answer[5])
        self.assertEqual(x, [0, 1, 2, 3, 4, 5, 9, 9])
        self.assertEqual(event, [{"e": 1}, {"e": 1}])

    def test_a_read_only_transport_cannot_be_written(self):
        self.load("import numpy as np", low_level={
            "main": "import numpy as np\ndef main(params, action):\n    return action.trigger('child', x=np.arange(3)).join()\n",
            "child": """
                def main(params, action):
                    x = action.get_transport("x")
                    try:
                        x.write(b"a")
                    except TypeError as error:
                        return [type(error).__name__, x.buf.readonly]
            """,
        })
        self.assertEqual(self.run_main(), ["WritesNeedRemote", True])


if __name__ == "__main__":
    unittest.main()

"""Runs programs twice, as written and as lowered: `[{"name", "plain", "lowered", "event"}]` on stdin, outcomes on stdout."""

import contextlib
import io
import json
import sys
import types

from sandloom import lowlevel


def outcome(files, event):
    """[result or failure, what was printed, how many components were in flight at each join]"""
    for name in [name for name in sys.modules if name in ("app", "helpers")]:
        del sys.modules[name]
    lowlevel.log.clear()
    lowlevel._inflight.clear()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            for name in sorted(files, reverse=True):
                module = types.ModuleType(name.removesuffix(".py"))
                sys.modules[module.__name__] = module
                exec(compile(files[name], name, "exec", dont_inherit=True), module.__dict__)
            result = repr(sys.modules["app"].main(event))
        except Exception as error:
            result = f"{type(error).__name__}: {error}"
    return [result, printed.getvalue(), lowlevel.log[:]]


cases = json.load(sys.stdin)
json.dump([[outcome(case["plain"], case["event"]), outcome(case["lowered"], case["event"])] for case in cases], sys.stdout)

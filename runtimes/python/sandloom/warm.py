"""Runs the guest's own paths while the base image is built.

CPython specializes bytecode as it runs, and a pristine sandbox forgets what it learned: without this every component would
run on code that never ran before. What is specialized here stays so in the image. The host is in this process; regions lie in
the window, which is not part of the image.
"""

import ctypes
import json
import sys
import types

import numpy as np
import pandas as pd
from sandloom_compiler import parse

from . import action as _action
from . import device, lowlevel, runner, sandbox
from .device import PAIR, REQUEST, WORD

# CPython specializes after 2 to 16 runs of an instruction, and looks again later.
_ROUNDS = 40
_MAIN, _PART = "components.sandloom_warm_main", "components.sandloom_warm_part"


class _Host:
    """Answers every call at once; a child runs when it is triggered."""

    def __init__(self):
        self.regions = {}
        self.next_address = device.window.address
        self.last = 0
        self.turn = 0


class _Transport:
    def __init__(self, host, entry, name, start):
        self.host = host
        self.start = WORD.pack(entry) + WORD.pack(len(name)) + name + WORD.pack(0) + start
        self.reply = b""
        self.result = b""
        self.tickets = {}

    def write(self, frame):
        op, a, b, _ = REQUEST.unpack_from(frame)
        body = bytes(frame[REQUEST.size :])
        host = self.host
        answer = b""
        if op == device.START:
            answer = self.start
        elif op == device.ALLOCATE:
            host.last += 1
            host.regions[host.last] = (host.next_address, a)
            answer = PAIR.pack(host.last, host.next_address)
            host.next_address += -(-a // 4096) * 4096
        elif op == device.PUBLISH:
            host.last += 1
            host.regions[host.last] = (host.next_address, a)
            at = 4 + WORD.unpack_from(body)[0]
            for _ in range(WORD.unpack_from(body, at)[0]):
                address, size, offset = device.PIECE.unpack_from(body, at + 4)
                ctypes.memmove(host.next_address + offset, address, size)
                at += device.PIECE.size
            answer = WORD.pack(host.last)
            host.next_address += -(-a // 4096) * 4096
        elif op == device.ATTACH:
            answer = PAIR.pack(*host.regions[a])
        elif op in (device.TRIGGER, device.CALL):
            (size,) = WORD.unpack_from(body)
            child = _Transport(host, 0, body[4 : 4 + size], self.mapped(body[4 + size :], 0))
            made = host.last
            runner.run(child)
            result = self.mapped(child.result, made)
            number = len(self.tickets) + 1
            self.tickets[number] = result
            answer = WORD.pack(number) if op == device.TRIGGER else WORD.pack(0) + result
        elif op == device.JOIN:
            answer = WORD.pack(0) + self.tickets[a]
        elif op == device.SPLIT:
            answer = WORD.pack(2)
        elif op == device.RESULT:
            self.result = body
            return len(frame)
        elif op == device.RAISE:
            raise RuntimeError(f"the warm-up raised: {body[:2000]!r}")
        elif op == device.DETACH:
            return len(frame)
        self.reply = PAIR.pack(0, len(answer)) + answer
        return len(frame)

    def mapped(self, message, older):
        """A message of the guest as it arrives: two times in three its regions are mapped, but for the older ones."""
        (count,) = WORD.unpack_from(message)
        end = WORD.size + count * PAIR.size
        regions = [PAIR.unpack_from(message, at)[0] for at in range(WORD.size, end, PAIR.size)]
        self.host.turn = (self.host.turn + 1) % 3
        some = [region for region in regions if region > older] if self.host.turn else []
        places = b"".join([device.MAPPED.pack(region, *self.host.regions[region]) for region in some])
        return message[:end] + WORD.pack(len(some)) + places + message[end:]

    def read(self, size):
        return self.reply

    def close(self):
        pass


def _part(x, scale, options):
    return x * scale if options["array"] else float(x.sum()) * scale


def _frame(table):
    return table.assign(total=table["a"] + table["b"])


def _main(event):
    x = lowlevel.publish("warm.x", np.arange(64.0))
    y = lowlevel.empty("warm.y", (8, 8))
    y[:] = x.reshape(8, 8)
    for _ in range(3):
        x = part(x, 1.5, {"array": True})
    sums = sum(r for _, (r,) in lowlevel.gather(((), (part.defer(p, 2.0, {"array": False}),)) for p in lowlevel.split(y)))
    table = frame(pd.DataFrame({"a": [1.0, 2.0], "b": [3, 4], "s": ["x", None]}))
    return {"sum": float(np.sum(sums)), "rows": len(table), "event": event, "x": x.tolist()[:2]}


_APPLICATION = """
from dataclasses import dataclass
import numpy as np
import pandas as pd
from sandloom import lowlevel as _sandloom
TABLE = {"k": [1, 2.5, "s"]}


@dataclass
class Point:
    x: float = 0.0


@_sandloom.component("step", writes=("x",))
def step(x, by=1.0):
    x += by
    return [v for v in x if v > 0]


def main(event):
    return step(np.zeros(event["n"]))
"""
_PROGRAMS = {
    "main": "from sandloom_warm_app import main as application\ndef main(params, action):\n    return application(action.get_transport('event').value())\n",
    "step": "from sandloom_warm_app import step\ndef main(params, action):\n    return step.body(action.get_transport('x').value())\n",
}


def _load():
    """Loads an application and parses its source, as the host asks for it, and forgets it again."""
    file = "sandloom_warm_app.py"
    modules = [{"name": "sandloom_warm_app", "file": file, "text": _APPLICATION, "source": _APPLICATION}]
    components = [{"name": "components", "file": "components/__init__.py", "text": "", "package": True}]
    components += [{"name": f"components.{n}", "file": f"components/{n}.py", "text": t} for n, t in _PROGRAMS.items()]
    document = {"modules": modules, "components": components}
    sandbox.load_application(json.loads(json.dumps(document)))
    parse.parse_files(json.dumps([{"path": file, "text": _APPLICATION}]))
    for module in modules + components:
        del sys.modules[module["name"]]
    sandbox.forget_application()


def _first(params, action):
    x = np.full(8, 2.0)
    y = np.arange(64.0).reshape(8, 8)
    z = np.dot(y, np.full(8, 2.0))
    return {"sum": float(z.sum() + (y * x + 1).mean()), "list": [1, 2.5, None, "s"], "shape": list(z.shape)}


def run():
    """Leaves nothing behind but specialized code."""
    global part, frame
    part = lowlevel.component("sandloom_warm_part")(_part)
    frame = lowlevel.component("sandloom_warm_frame")(_frame)
    programs = {
        _MAIN: lambda params, action: _main(action.get_transport("event").value()),
        _PART: lambda params, action: part.body(*[action.get_transport(n).value() for n in ("x", "scale", "options")]),
        "components.sandloom_warm_frame": lambda params, action: frame.body(action.get_transport("table").value()),
    }
    for name, program in programs.items():
        module = sys.modules[name] = types.ModuleType(name)
        module.main = program
    for _ in range(_ROUNDS):
        _load()
    host = _Host()
    empty = PAIR.pack(0, 0)
    for _ in range(_ROUNDS):
        runner.run(_Transport(host, 1, b"sandloom_warm_main", empty + b'{"k": [1, 2.5, "s"]}'))
    for name in programs:
        del sys.modules[name]
    # The host runs it in every new sandbox, ahead of the first component.
    first = sys.modules["components.sandloom_first"] = types.ModuleType("components.sandloom_first")
    first.main = _first
    part = frame = None
    lowlevel.components.clear()
    _action.current = None

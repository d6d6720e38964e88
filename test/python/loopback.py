"""A host for the guest package in one process: the ops of /dev/sandloom over an anonymous mapping that stands for the window.

Every component gets a transport of its own, and all share the window: a region lies at the same place for everyone, and is
filled with a pattern when its last reference goes, so that a use after that shows.
"""

import ctypes
import json
import mmap
import re
import sys
import textwrap

from sandloom import device, lowlevel, runner, sandbox, values
from sandloom.device import PAIR, PIECE, REQUEST, WORD

WINDOW_BYTES = 256 << 20
# Addresses are 32 bits in the sandbox: MAP_32BIT (0x40) puts the mapping where they fit.
_window = mmap.mmap(-1, WINDOW_BYTES, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40)
ADDRESS = ctypes.addressof(ctypes.c_char.from_buffer(_window))
device.configure(ADDRESS, WINDOW_BYTES)


class Raised(Exception):
    """The entry ended with RAISE; `document` is its JSON."""

    def __init__(self, document):
        super().__init__(f"{document['type']}: {document['message']}")
        self.document = document


class Region:
    def __init__(self, start, nbytes, name):
        self.start, self.nbytes, self.name, self.holds = start, nbytes, name, 0


class Host:
    """`when`: "trigger" runs a child when it is triggered, "join" when it is joined."""

    def __init__(self, when="trigger", parts=4, out=None):
        self.when, self.parts, self.out = when, parts, out
        self.regions = {}
        self.next_region, self.next_start = 1, 0
        self.tickets = {}
        self.allocated, self.freed, self.copied_bytes, self.attached, self.detached = [], [], 0, 0, 0
        self.triggers = []
        self.environment = {}
        self.refuse = {}  # op -> (code, message)

    def run(self, event=None, entry="main"):
        end = Transport(self, entry, True, {}, json.dumps(event).encode())
        runner.run(end, self.out)
        kind, body = end.outcome
        if kind == "raised":
            raise Raised(body)
        return json.loads(body[4:].decode())

    def hold(self, region, by=1):
        kept = self.regions[region]
        kept.holds += by
        if kept.holds == 0:
            self.freed.append(kept.name)
            _window[kept.start : kept.start + kept.nbytes] = b"\xdd" * kept.nbytes
            del self.regions[region]


class Transport:
    def __init__(self, host, name, entry, regions, payload):
        self.host, self.name, self.entry = host, name, entry
        self.start = (regions, payload)
        self.mapped = {}
        self.reply = b""
        self.outcome = None
        self.arrived = {}

    # what the guest calls

    def write(self, frame):
        op, a, b, c = REQUEST.unpack_from(frame)
        body = bytes(frame[REQUEST.size :])
        if op not in (device.ATTACH, device.DETACH):
            self.release_arrived()
        refused = self.host.refuse.get(op)
        if refused:
            text = json.dumps({"code": refused[0], "message": refused[1]}).encode()
            self.reply = PAIR.pack(1, len(text)) + text
            return len(frame)
        answer = (None, self.allocate, self.attach, self.detach, self.trigger, self.join, self.split, self.result, self.raised, self.started, self.wait, self.call, self.publish)[op](a, b, body)
        if answer is not None:
            self.reply = PAIR.pack(0, len(answer)) + answer
        return len(frame)

    def read(self, size):
        data, self.reply = self.reply[: min(size, 1000)], self.reply[min(size, 1000) :]
        return data

    def close(self):
        self.release_arrived()
        for region in self.mapped:
            self.host.hold(region, -1)
        self.mapped = {}

    # ops

    def allocate(self, nbytes, copied, body):
        host = self.host
        region, host.next_region = host.next_region, host.next_region + 1
        start, host.next_start = host.next_start, host.next_start + -(-max(nbytes, 1) // 4096) * 4096
        assert host.next_start <= WINDOW_BYTES, "the test's window is full"
        _window[start : start + nbytes] = bytes(nbytes)
        host.regions[region] = Region(start, nbytes, body.decode())
        host.allocated.append(body.decode())
        host.copied_bytes += copied
        host.hold(region)
        self.mapped[region] = True
        return PAIR.pack(region, ADDRESS + start)

    def publish(self, nbytes, copied, body):
        at = 4 + WORD.unpack_from(body)[0]
        region, start = PAIR.unpack(self.allocate(nbytes, copied, body[4:at]))
        for _ in range(WORD.unpack_from(body, at)[0]):
            address, size, offset = PIECE.unpack_from(body, at + 4)
            ctypes.memmove(start + offset, address, size)
            at += PIECE.size
        return WORD.pack(region)

    def attach(self, region, writable, body):
        assert region not in self.mapped
        self.host.hold(region)
        self.host.attached += 1
        self.mapped[region] = bool(writable)
        kept = self.host.regions[region]
        return PAIR.pack(ADDRESS + kept.start, kept.nbytes)

    def detach(self, region, b, body):
        del self.mapped[region]
        self.host.detached += 1
        self.host.hold(region, -1)

    def trigger(self, a, line, body):
        host = self.host
        (size,) = WORD.unpack_from(body)
        name = body[4 : 4 + size].decode()
        regions, payload = self.message(body, 4 + size)
        host.triggers.append((name, line))
        number = len(host.triggers)
        child = Transport(host, name, False, regions, payload)
        host.tickets[number] = child
        if host.when == "trigger":
            runner.run(child, host.out)
        return WORD.pack(number)

    def join(self, number, b, body):
        child = self.host.tickets.pop(number)
        if child.outcome is None:
            runner.run(child, self.host.out)
        for region in child.start[0]:
            self.host.hold(region, -1)
        kind, answer = child.outcome
        if kind == "raised":
            return WORD.pack(1) + PAIR.pack(0, 0) + child.payload
        self.arrived = child.result_regions
        at = 4 + 8 * len(child.result_regions)
        return WORD.pack(0) + answer[:at] + WORD.pack(0) + answer[at:]

    def call(self, a, line, body):
        (number,) = WORD.unpack(self.trigger(a, line, body))
        return self.join(number, 0, b"")

    def release_arrived(self):
        """What a JOIN brought is held until the joiner's next call that is neither ATTACH nor DETACH."""
        for region in self.arrived:
            self.host.hold(region, -1)
        self.arrived = {}

    def wait(self, count, b, body):
        for i in range(count):
            child = self.host.tickets[WORD.unpack_from(body, 4 * i)[0]]
            if child.outcome is None:
                runner.run(child, self.host.out)
        return b""

    def split(self, rows, row_bytes, body):
        return WORD.pack(self.host.parts)

    def result(self, a, b, body):
        self.result_regions = {} if self.entry else self.message(body, 0)[0]
        self.outcome = ("returned", body)

    def raised(self, a, b, body):
        (size,) = WORD.unpack_from(body)
        self.payload = body[4 + size :]
        self.outcome = ("raised", json.loads(body[4 : 4 + size]))

    def started(self, a, b, body):
        regions, payload = self.start
        table = WORD.pack(len(regions)) + b"".join(PAIR.pack(r, w) for r, w in regions.items()) + WORD.pack(0)
        name = self.name.encode()
        environment = json.dumps(self.host.environment).encode() if self.host.environment else b""
        return PAIR.pack(self.entry, len(name)) + name + WORD.pack(len(environment)) + environment + table + payload

    def message(self, body, at):
        """(region table, payload): every region of the payload is in the table, and is one that the sender holds."""
        (count,) = WORD.unpack_from(body, at)
        regions = {}
        for i in range(count):
            region, writable = PAIR.unpack_from(body, at + 4 + 8 * i)
            assert region in self.mapped, f"region {region} is named but not held"
            assert self.mapped[region] or not writable or self.name, "no right to hand on"
            regions[region] = bool(writable)
            self.host.hold(region)
        payload = body[at + 4 + 8 * count :]
        own, *trees = values.loads(payload)
        for region, _, _ in values.references(trees):
            assert (own if region is None else region) in regions
        return regions, payload


def application(source, name="app", low_level=None):
    """Loads one module, lowered by hand (`_sandloom` is there), and the programs of its components."""
    text = "from sandloom import lowlevel as _sandloom\n" + textwrap.dedent(source)
    file = f"{name}.py"
    programs = dict(low_level or {})
    lowlevel.components.clear()
    for known in [m for m in sys.modules if m == name or m == "components" or m.startswith("components.")]:
        del sys.modules[known]
    declared = re.findall(r'component\("(\w+)".*?\)\ndef (\w+)\((.*?)\)', text)
    for component, function, parameters in declared:
        names = [p.split("=")[0].split(":")[0].strip() for p in parameters.split(",") if p.strip()]
        binds = ", ".join(f'action.get_transport("{n}").value()' for n in names)
        programs.setdefault(component, f"from {name} import {function}\ndef main(params, action):\n    return {function}.body({binds})\n")
    if "def main(event)" in text:
        programs.setdefault("main", f"from {name} import main as entry\ndef main(params, action):\n    return entry(params)\n")
    sandbox.load_application(
        {
            "modules": [{"name": name, "file": file, "text": text, "source": text}],
            "components": [{"name": "components", "file": "components/__init__.py", "text": "", "package": True}]
            + [{"name": f"components.{n}", "file": f"components/{n}.py", "text": textwrap.dedent(t)} for n, t in programs.items()],
        }
    )
    return sys.modules.get(name)

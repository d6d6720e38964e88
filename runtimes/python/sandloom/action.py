"""A component's run as its program sees it: parameters, transports, triggers and tickets.

Hand-written component programs use this directly; compiled ones through `lowlevel`.
"""

import json
import os
import sys

from . import exceptions
from .device import CALL, JOIN, MAPPED, PAIR, SPLIT, TRIGGER, WAIT, WORD
from .dtypes import make_dtype
from .errors import UnsupportedValue, WritesNeedRemote
from .unchanged import Snapshot
from .values import ARRAY, IMMUTABLE, Decoder, Encoder, dumps, extent, loads, np

#: the action of the run in progress
current = None


def table(regions, written=()):
    """A region table: what the message holds, and whether it may be written where it arrives."""
    return WORD.pack(len(regions)) + b"".join([PAIR.pack(r, r in written) for r in regions])


def read_table(device, body, at):
    """(region -> writable, region -> lease of those that are mapped already, offset of the payload)."""
    (count,) = WORD.unpack_from(body, at)
    at += 4
    regions = {}
    for _ in range(count):
        region, writable = PAIR.unpack_from(body, at)
        regions[region] = bool(writable)
        at += 8
    (count,) = WORD.unpack_from(body, at)
    at += 4
    leases = {}
    for _ in range(count):
        region, address, nbytes = MAPPED.unpack_from(body, at)
        leases[region] = device.mapped(region, address, nbytes, regions[region])
        at += 12
    return regions, leases, at


class Transport:
    """A parameter, bound late: nothing is attached or decoded before the first access."""

    __slots__ = ("_action", "_buf", "_decoded", "_mode", "_tree", "_value", "name")

    def __init__(self, action, name, tree, mode):
        self._action = action
        self._tree = tree
        self._mode = mode
        self._decoded = False
        self._value = None
        self._buf = None
        self.name = name

    def value(self):
        """The parameter's value. Arrays and frames are read-only unless `writes=` names the parameter."""
        if not self._decoded:
            value = self._value = self._action.decoder.decode(self._tree, self._mode)
            self._decoded = True
            if type(value) not in IMMUTABLE:
                self._action.guarded.append((self.name, Snapshot(value)))
        return self._value

    @property
    def buf(self):
        """The bytes of an array parameter, in place (from its first byte to its last, for strided ones too)."""
        if self._buf is None:
            tree = self._tree
            if not (type(tree) is tuple and len(tree) > 1 and tree[0] is ... and tree[1] == ARRAY):
                raise UnsupportedValue(f"parameter {self.name} is no array: use .value()")
            _, _, region, offset, descriptor, shape, strides, _ = tree
            low, high = extent(offset, shape, strides, make_dtype(descriptor).itemsize)
            exporter = self._action.decoder.lease(region)
            view = memoryview(exporter)[low:high]
            self._buf = view if self._mode == "w" else view.toreadonly()
        return self._buf

    def read(self, size, addr=0, offset=0):
        """`size` bytes from byte `addr + offset` of the array, copied."""
        return bytes(self.buf[addr + offset : addr + offset + size])

    def write(self, data, addr=0, offset=0):
        """Writes bytes at byte `addr + offset` of the array; the parameter must be named in `writes=`."""
        if self._mode != "w":
            raise WritesNeedRemote(f"parameter {self.name} is read-only: name it in writes=")
        data = memoryview(data).cast("B")
        at = addr + offset
        self.buf[at : at + data.nbytes] = data
        return data.nbytes


class Ticket:
    """A component that was triggered. `join()` waits for it and gives its result, or raises what it raised."""

    __slots__ = ("_action", "_error", "_kept", "_result", "name", "number", "reads", "settled", "writes")

    def __init__(self, action, number, name, reads, writes, kept):
        self._action = action
        self.settled = False
        # What the arguments refer to stays mapped as it is, so that a result that refers to it has our own mode.
        self._kept = kept
        self._error = None
        self._result = None
        self.number = number
        self.name = name
        self.reads = reads
        self.writes = writes

    def settle(self):
        """Waits, and raises nothing: the exception that the component ended with, or None."""
        if self.settled:
            return self._error
        self.settled = True
        action = self._action
        inflight = action.inflight
        # Out of the list first: whatever the call raises, it is not joined twice.
        at = inflight.index(self)
        del inflight[at]
        if self.writes:
            action.writers -= 1
        try:
            self._error, self._result = action.outcome(action.device.call(JOIN, self.number), self.name)
        except Exception as error:
            self._error = error
        self._kept = None
        if self._error is not None and any(t.writes for t in inflight[at:]):
            action.spoil(self._error)
        return self._error

    def join(self):
        error = self.settle()
        if error is not None:
            raise error
        return self._result


class Action:
    """One run of one component."""

    def __init__(self, device, start):
        entry, size = PAIR.unpack_from(start)
        self.device = device
        self.name = str(start[8 : 8 + size], "utf-8")
        self.entry = bool(entry)
        at = 8 + size
        (size,) = WORD.unpack_from(start, at)
        at += 4
        if size:
            os.environ.update(json.loads(str(start[at : at + size], "utf-8")))
        regions, leases, at = read_table(device, start, at + size)
        self.inflight = []  # tickets in program order
        self.writers = 0  # how many of them write
        self.guarded = []  # (parameter, snapshot) of by-value parameters that could be mutated
        self.shared = None  # arrays that the fan-out in progress has published
        self.fatal = None  # an error after which memory may differ from the sequential meaning
        self._transports = {}
        self._parts = {}
        if self.entry:
            self.params = json.loads(str(start[at:], "utf-8") or "null")
            self._trees = {}
            self._writes = ()
            self.decoder = None
            return
        own, args, kwargs, self._writes = loads(start[at:])
        self.decoder = Decoder(device, own, regions, leases)
        self._trees = dict(enumerate(args))
        names = _program_attribute(self.name, "PARAMETERS")
        self._trees.update(zip(names, args, strict=False))
        self._trees.update(kwargs)
        if self._writes:
            for name, tree in self._trees.items():
                if name not in self._writes:
                    self.decoder.close(tree)
        self.params = Params(self)

    def get_transport(self, name):
        """The parameter of this name (or this position, for what was handed over without a name). Never blocks."""
        transport = self._transports.get(name)
        if transport is None:
            if self.entry:
                transport = _Event(name, self.params)
            elif name in self._trees:
                transport = Transport(self, name, self._trees[name], "w" if name in self._writes else "r")
            else:
                raise KeyError(f"component {self.name} was triggered without parameter {name!r}")
            self._transports[name] = transport
        return transport

    def trigger(self, name, /, *args, **kwargs):
        """Starts component `name` and returns its ticket at once."""
        names = _program_attribute(name, "PARAMETERS")
        kwargs.update(zip(names, args, strict=False))
        writes = _program_attribute(name, "WRITES")
        return self.start(name, args[len(names) :], kwargs, writes, Encoder(self.device, shared=self.shared), sys._getframe(1).f_lineno)

    def start(self, name, args, kwargs, writes, encoder, line):
        """Encodes the arguments and triggers. What goes wrong here comes after the failures of what is in flight."""
        try:
            body, write_ranges = self._message(name, args, kwargs, writes, encoder)
            reads = encoder.reads
            encoder.reads = []
            self._settle_conflicts(reads, write_ranges)
            (number,) = WORD.unpack(self.device.call(TRIGGER, 0, line, 0, body))
        except BaseException as error:
            raise self.first_failure(error)
        kept = [encoder.regions[region] for region, _, _ in reads]
        ticket = Ticket(self, number, name, reads, write_ranges, kept)
        self.inflight.append(ticket)
        if write_ranges:
            self.writers += 1
        return ticket

    def call(self, name, kwargs, writes, line):
        """Triggers and joins, in one exchange with the host unless something is in flight that must be looked at first."""
        encoder = Encoder(self.device, shared=self.shared)
        if self.inflight:
            return self.start(name, (), kwargs, writes, encoder, line).join()
        body, _ = self._message(name, (), kwargs, writes, encoder)
        reply = self.device.call(CALL, 0, line, 0, body)
        # As in a ticket: what the arguments refer to stays mapped as it is, and what was copied for the call does not.
        kept = [encoder.regions[region] for region, _, _ in encoder.reads]
        del encoder
        error, result = self.outcome(reply, name)
        del kept
        if error is not None:
            raise error
        return result

    def outcome(self, reply, name):
        """(what the component raised or None, its result) of a JOIN's reply."""
        (raised,) = WORD.unpack_from(reply)
        regions, leases, at = read_table(self.device, reply, 4)
        if raised:
            return exceptions.rebuild(loads(reply[at:]), name), None
        # Decoded at once: the message holds its regions no longer than to the next call.
        own, tree = loads(reply[at:])
        return None, Decoder(self.device, own, regions, leases).decode(tree, "lease")

    def _message(self, name, args, kwargs, writes, encoder):
        written = ()
        write_ranges = ()
        trees = {}
        if writes:
            for parameter in writes:
                if parameter in kwargs:
                    _require_writable(kwargs[parameter], name, parameter, self.device)
                    trees[parameter] = encoder.encode(kwargs[parameter], parameter)
            write_ranges = tuple(encoder.reads)
            written = {region for region, _, _ in write_ranges}
        positional = [encoder.encode(v, f"args[{i}]") for i, v in enumerate(args)] if args else ()
        for k, v in kwargs.items():
            if k not in trees:
                trees[k] = encoder.encode(v, k)
        lease = encoder.finish(f"{name}(arguments)")
        payload = dumps((lease and lease.region, positional, trees, tuple(writes)))
        encoded = name.encode()
        body = b"".join((WORD.pack(len(encoded)), encoded, table(encoder.regions, written), payload))
        return body, write_ranges

    def _settle_conflicts(self, reads, writes):
        """Joins what is in flight and touches the same bytes, so that the meaning stays that of one after the other."""
        if not self.inflight or not (writes or self.writers):
            return
        for ticket in list(self.inflight):
            if _overlap(writes, ticket.reads) or _overlap(writes, ticket.writes) or _overlap(reads, ticket.writes):
                error = ticket.settle()
                if error is not None:
                    raise error

    def wait(self, tickets):
        """Waits for several tickets at once: the CPU is given back once, not for each."""
        tickets = [t for t in tickets if not t.settled]
        if len(tickets) > 1:
            self.device.call(WAIT, len(tickets), body=b"".join([WORD.pack(t.number) for t in tickets]))

    def first_failure(self, error):
        """Joins everything in flight; the first failure in program order, or else `error`, which came after them."""
        for ticket in list(self.inflight):
            failure = ticket.settle()
            if failure is not None:
                for rest in list(self.inflight):
                    rest.settle()
                return failure
        return error

    def spoil(self, error):
        if self.fatal is None:
            self.fatal = error

    def parts(self, rows, row_bytes):
        """How many parts the host wants `rows` rows cut into: one answer a run for one number of rows."""
        n = self._parts.get(rows)
        if n is None:
            (n,) = WORD.unpack(self.device.call(SPLIT, rows, row_bytes))
            self._parts[rows] = n
        return n


class Params:
    """The parameters by name; each is decoded when it is looked up."""

    __slots__ = ("_action",)

    def __init__(self, action):
        self._action = action

    def __getitem__(self, name):
        return self._action.get_transport(name).value()

    def __contains__(self, name):
        return name in self._action._trees

    def __iter__(self):
        return iter(self._action._trees)

    def __len__(self):
        return len(self._action._trees)

    keys = __iter__


class _Event(Transport):
    """The entry's parameter: the event."""

    __slots__ = ()

    def __init__(self, name, event):
        self.name = name
        self._decoded = True
        self._value = event
        self._tree = None
        self._buf = None


def _program_attribute(name, attribute):
    """PARAMETERS or WRITES of a hand-written component program."""
    module = sys.modules.get(f"components.{name}")
    return getattr(module, attribute, ()) if module is not None else ()


def _overlap(some, others):
    for region, low, high in some:
        for other, start, end in others:
            if region == other and low < end and start < high:
                return True
    return False


def _require_writable(value, component, parameter, device):
    """`writes=` needs arrays that lie in a memory component and that we may write ourselves."""
    kind = type(value)
    if kind is np.ndarray:
        if value.size == 0:
            return
        what = None
        if device.lease_at(value.__array_interface__["data"][0]) is None:
            what = "an array outside the memory components: make it one with remote(...) or remote.empty(...)"
        elif not value.flags.writeable:
            what = f"an array that is read-only here: name it in writes= of {_name_of(current)} too, or hand over remote(...) of it"
        if what is None:
            return
    elif kind in (list, tuple):
        for x in value:
            _require_writable(x, component, parameter, device)
        return
    elif kind is dict:
        for x in value.values():
            _require_writable(x, component, parameter, device)
        return
    else:
        what = f"a value of type {kind.__name__}, which cannot be shared: hand over an array made by remote(...), or return the new value"
    raise WritesNeedRemote(f"{component} writes its parameter {parameter}, and it was given {what}")


def _name_of(action):
    return action.name if action is not None else "this component"

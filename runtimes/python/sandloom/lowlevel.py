"""What compiled code calls. The compiler replaces `@split`, `remote` and fan-outs by these names."""

import functools
import sys

from . import action as _action
from .action import Action, Ticket
from .device import MAX_BLOCK_BYTES
from .dtypes import Refused, describe_dtype
from .errors import BlockTooLarge, InternalError, UnsupportedValue
from .rows import checked_parts, cut, rows_of
from .values import Decoder, Encoder, np

#: component name -> Component
components = {}


def action() -> Action:
    """The action of the run in progress."""
    if _action.current is None:
        raise InternalError("components can be called only while a component runs, not at the top level of a module")
    return _action.current


class Component:
    """A compute component as its module sees it: calling it triggers and joins."""

    def __init__(self, name, body, writes):
        functools.update_wrapper(self, body)
        self.name = name
        self.body = body
        self.writes = writes
        code = getattr(body, "__wrapped__", body).__code__
        # The quick way to bind arguments: all by position, and nothing but plain parameters.
        plain = not code.co_kwonlyargcount and not code.co_flags & 0x0C
        self._names = code.co_varnames[: code.co_argcount] if plain else None
        self._signature = None

    def __call__(self, *args, **kwargs):
        run = action()
        bound = self._bound(run, args, kwargs)
        return run.call(self.name, bound, self.writes, sys._getframe(1).f_lineno)

    def defer(self, *args, **kwargs) -> Ticket:
        """Triggers, and gives the ticket at once."""
        run = action()
        bound = self._bound(run, args, kwargs)
        return run.start(self.name, (), bound, self.writes, Encoder(run.device, shared=run.shared), sys._getframe(1).f_lineno)

    def _bound(self, run, args, kwargs):
        """The arguments by name."""
        names = self._names
        if not kwargs and names is not None and len(args) == len(names):
            return dict(zip(names, args, strict=True))
        if self._signature is None:
            import inspect

            self._signature = inspect.signature(self.body)
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise run.first_failure(TypeError(f"{self.name}() {error}")) from None
        bound.apply_defaults()
        return bound.arguments

    def __get__(self, owner, kind=None):
        return self if owner is None else functools.partial(self, owner)

    def __repr__(self):
        return f"<component {self.name}>"


def component(name, writes=(), **caps):
    """`@split` as compiled: the function becomes a compute component. The caps are the graph's business."""

    def decorate(body):
        made = components[name] = Component(name, body, tuple(writes))
        return made

    return decorate


def publish(name, value):
    """`remote(value)`: a copy of the value whose arrays lie in one memory component."""
    run = action()
    encoder = Encoder(run.device, copy_all=True)
    tree = encoder.encode(value, name)
    lease = encoder.finish(name)
    region = lease and lease.region
    return Decoder(run.device, region, {region: True}).decode(tree, "w")


def published(name):
    """`@remote` on a function as compiled: `remote()` around what it returns."""

    def decorate(function):
        if isinstance(function, Component):  # the component publishes what it returns, where it runs
            function.body = decorate(function.body)
            return function

        @functools.wraps(function)
        def publishing(*args, **kwargs):
            return publish(name, function(*args, **kwargs))

        return publishing

    return decorate


def empty(name, shape, dtype=float, order="C"):
    """`remote.empty(shape, dtype)`: an array in a memory component of its own. Nothing is copied."""
    dtype = np.dtype(dtype)
    try:
        describe_dtype(dtype, dtype)
    except Refused as refused:
        raise UnsupportedValue(f"{name}: {refused.reason}") from None
    shape = (shape,) if np.ndim(shape) == 0 else tuple(shape)
    nbytes = dtype.itemsize
    for n in shape:
        nbytes *= int(n)
    if nbytes <= 0:
        return np.empty(shape, dtype, order)
    if nbytes > MAX_BLOCK_BYTES:
        raise BlockTooLarge(f"{name} would take {nbytes} bytes; one array is under 2 GiB here: make one array for each row chunk")
    return np.ndarray(shape, dtype, action().device.allocate(nbytes, 0, name), 0, None, order)


#: a new region is zero
zeros = empty


def split(value, n=None):
    """The value as n row ranges that are views; without n the materializer chooses."""
    rows = rows_of(value)
    if n is None:
        n = action().parts(rows, _row_bytes(value, rows)) if rows else 1
    return cut(value, checked_parts(n))


def _row_bytes(value, rows):
    nbytes = getattr(value, "nbytes", None)
    if nbytes is None and hasattr(value, "memory_usage"):
        nbytes = int(value.memory_usage(index=False).sum())
    return int(nbytes or 0) // rows


def gather(items):
    """Runs a fan-out: triggers everything first, then yields `(captured, results)` in program order.

    If evaluating an argument raises, the failures of what was triggered before come first.
    """
    run = action()
    outer, run.shared = run.shared, {}
    try:
        pending = [(captured, tickets) for captured, tickets in items]
    except BaseException as error:
        raise run.first_failure(error)
    finally:
        run.shared = outer
    return _joined(run, pending)


def _joined(run, pending):
    tickets = [t for _, several in pending for t in several]
    try:
        run.wait(tickets)
        for captured, several in pending:
            yield captured, tuple([t.join() for t in several])
    finally:
        # Left early, by a failure of a component or of the expression around it: what is in flight still ends first.
        left = [t for t in tickets if not t.settled]
        if any(t.writes for t in left):
            run.spoil(sys.exception() or RuntimeError("a fan-out whose components write was left before its end"))
        for ticket in left:
            ticket.settle()


def join(*values):
    """The results of tickets, in order; of one ticket its result."""
    action().wait([v for v in values if type(v) is Ticket])
    results = tuple([v.join() if type(v) is Ticket else v for v in values])
    return results[0] if len(results) == 1 else results

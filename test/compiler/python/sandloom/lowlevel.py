"""A stand-in for the guest's low-level API that is as late and as out of order as it may be.

A triggered component takes a copy of its arguments and runs when somebody joins anything, the last triggered first. `log`
holds how many were in flight at each join.
"""

import copy

from . import copied, split  # noqa: F401

log = []
_inflight = []


class Ticket:
    def __init__(self, body, args, kwargs):
        self.call = (body, copy.deepcopy(args), copy.deepcopy(kwargs))
        self.error = self.result = None
        self.done = False
        _inflight.append(self)

    def run(self):
        body, args, kwargs = self.call
        self.done = True
        try:
            self.result = body(*args, **kwargs)
        except Exception as error:
            self.error = error

    def join(self):
        if not self.done:
            settle()
        if self.error is not None:
            raise self.error
        return self.result


def settle():
    """Ends everything in flight; the first failure in program order, if any."""
    if _inflight:
        log.append(len(_inflight))
    batch = _inflight[:]
    _inflight.clear()
    for ticket in reversed(batch):
        ticket.run()
    return next((ticket.error for ticket in batch if ticket.error is not None), None)


class Component:
    def __init__(self, name, body):
        self.name = name
        self.body = body

    def __call__(self, *args, **kwargs):
        return self.defer(*args, **kwargs).join()

    def defer(self, *args, **kwargs):
        return Ticket(self.body, args, kwargs)


def component(name, writes=()):
    return lambda body: Component(name, body)


def publish(name, value):
    return copied(value)


def empty(name, n):
    return [0] * n


zeros = empty


def published(name):
    return lambda function: lambda *args, **kwargs: publish(name, function(*args, **kwargs))


def gather(items):
    pending, failure = [], None
    try:
        for item in items:
            pending.append(item)
    except Exception as error:
        failure = error

    def joined():
        for captured, tickets in pending:
            yield captured, tuple([ticket.join() for ticket in tickets])
        if failure is not None:
            raise settle() or failure

    return joined()


def join(self):
        if not self.done:
            settle()
        if self.error is not None:
            raise self.error
        return self.result


def settle():
    """Ends everything in flight; the first failure in program order, if any."""
    if _inflight:
        log.append(len(_inflight))
    batch = _inflight[:]
    _inflight.clear()
    for ticket in reversed(batch):
        ticket.run()
    return next((ticket.error for ticket in batch if ticket.error is not None), None)


class Component:
    def __init__(self, name, body):
        self.name = name
        self.body = body

    def __call__(self, *args, **kwargs):
        return self.defer(*args, **kwargs).join()

    def defer(self, *args, **kwargs):
        return Ticket(self.body, args, kwargs)


def component(name, writes=()):
    return lambda body: Component(name, body)


def publish(name, value):
    return copied(value)


def empty(name, n):
    return [0] * n


zeros = empty


def published(name):
    return lambda function: lambda *args, **kwargs: publish(name, function(*args, **kwargs))


def gather(items):
    try:
        pending = list(items)
    except Exception as error:
        raise (settle() or error)
    return ((captured, tuple([ticket.join() for ticket in tickets])) for captured, tickets in pending)


def join(*values):
    results = tuple([value.join() if isinstance(value, Ticket) else value for value in values])
    return results[0] if len(results) == 1 else results

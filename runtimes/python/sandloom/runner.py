"""Runs one component: the host calls `run_once()` through the C API, and everything else goes through the device."""

import importlib
import json
import sys

from . import action as _action
from . import exceptions, globals_guard, lowlevel, result
from .action import Action, table
from .device import RAISE, RESULT, START, WORD, Device, FdTransport
from .errors import MutatedByValue, MutatedGlobal
from .values import Encoder, dumps

OUT = "/out"


def run_once():
    """The entry of the image. Nothing escapes it: what cannot even be reported leaves the host without an answer."""
    try:
        run(FdTransport())
    except BaseException as error:
        try:
            print(f"sandloom: the run could not be reported: {type(error).__name__}", file=sys.stderr)
        except BaseException:
            pass


def run(transport, out=OUT):
    device = Device(transport)
    outer = _action.current
    try:
        _run(device, out)
    finally:
        _action.current = outer
        device.close()


def _run(device, out):
    action = None
    try:
        action = _action.current = Action(device, device.call(START))
        value = _body(action)
        message = _message(action, value, out)
    except BaseException as error:
        failure = error
        if action is not None and action.inflight:
            failure = action.first_failure(error)
        _report(device, failure, action is not None and action.fatal is not None)
        return
    if action.fatal is not None:
        _report(device, action.fatal, True)
    else:
        # Whoever waits for the result goes on with it at once: what the component does of itself is done before.
        _flush()
        device.send(RESULT, body=message)
    _flush()


def _body(action):
    program = importlib.import_module(f"components.{action.name}")
    value = program.main(action.params, action)
    failure = action.first_failure(None) if action.inflight else None
    if failure is not None:
        raise failure
    _check_arguments(action)
    globals_guard.check()
    return value


def _check_arguments(action):
    for name, snapshot in action.guarded:
        if snapshot.changed():
            component = lowlevel.components.get(action.name)
            where = f" ({_place(component.body)})" if component is not None else ""
            raise MutatedByValue(
                f"component {action.name}{where} changed its parameter {name}, which it got by value: its caller would not see "
                f"that. Work on a copy and return it, or name an array parameter in @split(writes=...)"
            )


def _place(body):
    """file:line of the function's `def`."""
    import linecache

    code = getattr(body, "__wrapped__", body).__code__
    line = code.co_firstlineno
    for at in range(line, line + 50):
        if linecache.getline(code.co_filename, at).lstrip().startswith(("def ", "async def ")):
            line = at
            break
    return f"{code.co_filename}:{line}"


def _message(action, value, out):
    if action.entry:
        text = json.dumps(result.document(value, out), allow_nan=False, ensure_ascii=True)
        return WORD.pack(0) + text.encode()
    encoder = Encoder(action.device, result=f"{action.name}(result)")
    tree = encoder.encode(value, f"the result of {action.name}")
    lease = encoder.hand_over()
    regions = encoder.regions
    # The message must hold its regions before the leases here end; RESULT is sent while `encoder` lives.
    action.kept = encoder
    written = {r for r, held in regions.items() if held.writable}
    return table(regions, written) + dumps((lease and lease.region, tree))


def _report(device, error, fatal):
    """RAISE, with as much of the exception as can be had."""
    _flush()
    # Caught by a caller, these would leave a wrong answer.
    fatal = fatal or isinstance(error, (MutatedByValue, MutatedGlobal))
    try:
        document = exceptions.describe(error, fatal)
        payload = dumps(exceptions.encode(error, document))
        text = json.dumps(document).encode()
    except BaseException as second:
        name = type(error).__name__
        document = {"type": name, "message": f"<not to be had: {type(second).__name__}>", "frames": []}
        payload = dumps(("sandloom.errors", "ComponentRaised", (name,), {}, [], name, []))
        text = json.dumps(document).encode()
    device.send(RAISE, body=WORD.pack(len(text)) + text + payload)


def _flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:
            pass

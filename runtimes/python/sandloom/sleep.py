"""``time.sleep`` that leaves the CPU to others.

Emscripten's own, in a build without threads, looks at the clock until it is time (``emscripten_thread_sleep`` in its
``libc/pthread/library_pthread_stub.c``): a function that sleeps would take a whole CPU from those that do not.
"""

import os
import time

from .device import DEVICE, REQUEST, SLEEP

#: what is shorter is slept as it was: a call of the host takes some 50 us
_LEAST_S = 0.002
#: a longer one is left to the interpreter, which knows what it refuses
_MOST_S = 1e9
#: of a reply without a body
_REPLY_BYTES = 8
#: in one call
_SLICE_MS = 60_000

_spin = time.sleep


def sleep(seconds, /):
    """Suspends the component for a number of seconds."""
    if not isinstance(seconds, int | float) or not _LEAST_S <= seconds <= _MOST_S:
        return _spin(seconds)
    end = time.monotonic() + seconds
    # A signal ends the host's part early: its handler runs between two turns, and may raise.
    while (left := end - time.monotonic()) >= _LEAST_S:
        os.write(DEVICE, REQUEST.pack(SLEEP, min(int(left * 1000), _SLICE_MS), 0, 0))
        os.read(DEVICE, _REPLY_BYTES)
    return _spin(max(0.0, left))


def install():
    """Before anything is imported that takes a reference to the interpreter's own."""
    sleep.__module__ = "time"
    time.sleep = sleep

"""The sandboxed world: where the window lies, the application's modules, and the host's own tasks.

Imported by the base image only. The host configures the window while it builds the base; an application image is made by
``load_application`` in a sandbox that has the base mapped.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import json
import linecache
import os
import sys

from sandloom_compiler import parse

from . import device as _device
from . import exceptions, globals_guard, lowlevel, session
from . import sleep as _sleep
from .device import PAIR, RAISE, RESULT, START, WORD, Device, FdTransport
from .errors import BadInput

WORLD = "sandbox"

#: file name as tracebacks show it -> source text, of the application's own modules
sources = {}
#: module name -> (file name, code text, is package)
_modules = {}


def configure(window_address, window_bytes):
    """Tells the guest where regions are mapped: bytes ``[window_address, window_address + window_bytes)``."""
    import sandloom

    _device.configure(window_address, window_bytes)
    _sleep.install()
    sandloom._world = WORLD


class _ApplicationFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the application's modules in the texts that the host sent: they lie in no file."""

    def find_spec(self, name, path=None, target=None):
        found = _modules.get(name)
        if found is None:
            return None
        return importlib.machinery.ModuleSpec(name, self, origin=found[0], is_package=found[2])

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        file, text, _ = _modules[module.__name__]
        module.__file__ = file
        exec(compile(text, file, "exec", dont_inherit=True), module.__dict__)


_finder = _ApplicationFinder()


def load_application(document):
    """Imports the application's modules and component programs, top level included.

    ``document``: ``{"modules": [{"name", "file", "text", "source", "package"}], "components": [...same...], "packages"?}``;
    ``source`` is the user's text, which tracebacks quote; ``packages`` is the folder of the application's own wheels, which comes
    after all else in the path.
    """
    _modules.clear()
    sources.clear()
    for module in document["modules"]:
        _refuse_taken(module["name"], module["file"])
    for module in document["modules"] + document["components"]:
        _modules[module["name"]] = (module["file"], module["text"], module.get("package", False))
        source = module.get("source", module["text"])
        sources[module["file"]] = source
        linecache.cache[module["file"]] = (len(source), None, source.splitlines(True), module["file"])
    packages = document.get("packages")
    if packages is not None and packages not in sys.path:
        sys.path.append(packages)
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    for module in document["components"]:
        importlib.import_module(module["name"])
    globals_guard.snapshot([sys.modules[m["name"]] for m in document["modules"] if m["name"] in sys.modules])


def _refuse_taken(name, file):
    """An import finds what is loaded already: the application's module would never be."""
    taken = sys.modules.get(name.partition(".")[0])
    if taken is not None:
        where = getattr(taken, "__file__", None) or "a part of Python"
        raise BadInput(f"{file} has the name of a module that every sandbox has loaded already ({where}): rename it")


def forget_application():
    """As if none had been loaded, but for what Python remembers of the code that did it."""
    for module in _modules.values():
        linecache.cache.pop(module[0], None)
    _modules.clear()
    sources.clear()
    sys.meta_path.remove(_finder)
    lowlevel.components.clear()
    globals_guard.snapshot([])


def run_task():
    """A task of the host that is no component: START's first word is 2 (load an application), 3 (parse sources) or 4 (a session's)."""
    device = Device(FdTransport())
    try:
        start = device.call(START)
        kind, at = PAIR.unpack_from(start)
        at += PAIR.size
        (env_bytes,) = WORD.unpack_from(start, at)
        at += WORD.size
        if env_bytes:
            os.environ.update(json.loads(str(start[at : at + env_bytes], "utf-8")))
        text = str(start[at + env_bytes + PAIR.size :], "utf-8")  # behind two empty tables
        if kind == 2:
            load_application(json.loads(text))
            freeze()
            answer = "{}"
        elif kind == 4:
            answer = json.dumps(session.carry_out(json.loads(text), device), allow_nan=False)
        else:
            answer = parse.parse_files(text)
        device.send(RESULT, body=WORD.pack(0) + answer.encode())
    except BaseException as error:
        if type(error) is BadInput:
            error.__traceback__ = None  # of this file; the message says it all
        document = json.dumps(exceptions.describe(error, False)).encode()
        device.send(RAISE, body=WORD.pack(len(document)) + document)
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        device.close()


# Include/internal/pycore_refcount and Include/refcount.h of CPython 3.14, for 32-bit systems.
_IMMORTAL = 5 << 28


def freeze():
    """Makes all that lives immortal and permanent: reading an object then writes nothing, and its page stays shared.

    Counting references would dirty (and so copy, and at every reset copy back) a page for each object that is looked at, a
    collection one for each container.
    """
    import gc
    import random
    import tempfile

    import numpy as np

    # Not what they draw (the host fills the states for every component), but what they keep beside: the second of two normals.
    random.seed(0)
    np.random.seed(0)
    tempfile._name_sequence = None
    gc.collect()
    immortalize(gc.get_objects())
    gc.freeze()


def random_states():
    """Where the two Mersenne twisters of the process lie: ``[[address of 624 words, address of the position], ...]``.

    They are in the image: every component would draw the same numbers. The host writes fresh words before each one and sets
    the position to 624, "all used" (Modules/_randommodule.c of CPython, mt19937.h of NumPy); a seed from here takes 0.2 ms.
    """
    import random

    import numpy as np

    head_bytes, index_bytes = 8, 4
    inside = id(random._inst) + head_bytes
    words = np.random.mtrand._rand._bit_generator.ctypes.state_address
    return json.dumps([[inside + index_bytes, inside], [words, words + 4 * 624]])


def immortalize(pending):
    import ctypes
    import gc

    is_immortal = sys._is_immortal
    count_at = ctypes.c_int32.from_address
    own = {id(pending), id(sys._getframe())}
    while pending:
        found = pending.pop()
        if is_immortal(found) or id(found) in own:
            continue
        count_at(id(found)).value = _IMMORTAL
        pending.extend(gc.get_referents(found))

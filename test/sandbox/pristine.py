"""Plants state wherever a program can, and looks whether any of it is there."""

import atexit
import builtins
import ctypes
import decimal
import fcntl
import gc
import glob
import importlib
import io
import json
import os
import random
import shutil
import signal
import sys
import uuid
import warnings

import numpy as np
import pandas as pd
from sandloom import split


class Planted:
    def __del__(self):
        pass


def attempts():
    """Name -> what plants it; each must work in a sandbox, or be refused there."""
    return {
        "environment": lambda: os.environ.update(PLANTED="1"),
        "module": lambda: sys.modules.update(planted=sys),
        "module lost": lambda: sys.modules.pop("json"),
        "path": lambda: sys.path.append("/planted"),
        "meta path": lambda: sys.meta_path.append(None),
        "builtin": lambda: setattr(builtins, "planted", 1),
        "builtin replaced": lambda: setattr(builtins, "ascii", lambda x: ""),
        "numpy attribute": lambda: setattr(np, "planted", 1),
        "numpy function": lambda: setattr(np, "sum", lambda x: 0),
        "json function": lambda: setattr(json, "loads", lambda *a, **k: 0),
        "guest package": lambda: setattr(sys.modules["sandloom"], "planted", 1),
        "standard output": lambda: setattr(sys, "stdout", io.StringIO()),
        "files": _files,
        "folder": lambda: os.chdir("/tmp"),
        "open files": lambda: [os.open("/tmp", os.O_RDONLY) for _ in range(5)],
        "closed standard input": lambda: os.close(0),
        "duplicated output": lambda: os.dup2(1, 30),
        "flags of open files": lambda: [fcntl.fcntl(fd, fcntl.F_SETFL, 0x40000) for fd in (1, 2)],
        "half a character": lambda: os.write(1, "\u20ac".encode()[:2]),
        "at exit": lambda: atexit.register(print, "planted at exit"),
        "garbage": _garbage,
        "no collector": gc.disable,
        "warnings": lambda: warnings.simplefilter("error"),
        "numpy errors": lambda: np.seterr(all="raise"),
        "numpy printing": lambda: np.set_printoptions(precision=2),
        "pandas option": lambda: pd.set_option("display.max_rows", 3),
        "decimal context": lambda: setattr(decimal.getcontext(), "prec", 3),
        "recursion limit": lambda: sys.setrecursionlimit(200),
        "mask of modes": lambda: os.umask(0o77),
        "random seeds": lambda: (random.seed(1), np.random.seed(1)),
        "trace": lambda: sys.setprofile(lambda *a: None),
        "excepthook": lambda: setattr(sys, "excepthook", None),
        "signal": lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        "late imports": lambda: [importlib.import_module(m) for m in ("numpy.polynomial.chebyshev", "pandas.plotting", "xml.dom.minidom", "sqlite3")],
        "callback": _callback,
        "another function's place": _place,
        "heap": lambda: bytearray(300 << 20)[::4096],
        "interned": lambda: [sys.intern(f"planted{i}") for i in range(1000)],
    }


def _files():
    for folder in ("/tmp", "/out", "/home/pyodide"):
        os.makedirs(f"{folder}/planted/deep", exist_ok=True)
        with open(f"{folder}/planted/deep/file", "w") as file:
            file.write("planted")


def _garbage():
    made = Planted()
    made.self = made
    builtins.planted_object = Planted()


def _late_library():
    """Opens a native library that is not in the image: all that come with the packages are, but not under this name."""
    path = next(glob.iglob(f"{os.path.dirname(np.__file__)}/**/*.so", recursive=True))
    ctypes.CDLL(shutil.copy(path, "/tmp/late.so"))


def _callback():
    seen = []
    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)
    called = kind(lambda x: seen.append(x) or x + 1)
    assert called(3) == 4 and seen == [3]
    builtins.planted_callback = called


def _place():
    """Gives a place in the function table back that it never had, and gets it for a callback: that of `abs`."""
    libc = ctypes.PyDLL(None)
    libc.malloc.restype = ctypes.c_uint32
    libc.ffi_closure_free_js.argtypes = [ctypes.c_uint32]
    libc.ffi_closure_free_js.restype = None
    method = ctypes.c_uint32.from_address(id(abs) + 8).value
    place = ctypes.c_uint32.from_address(method + 4).value
    closure = libc.malloc(64)
    ctypes.c_uint32.from_address(closure).value = place
    libc.ffi_closure_free_js(closure)
    called = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int)(lambda a, b: 0)
    builtins.planted_place = called
    if ctypes.c_uint32.from_address(ctypes.addressof(called)).value != place:
        raise RuntimeError("the callback stands elsewhere")


REFUSED_FILES = ["/planted", "/lib/planted", "/usr/planted", "/dev/planted", "/dev/shm/planted", "/proc/planted", "/proc/self/planted", os.path.join(os.path.dirname(np.__file__), "planted.py"), os.__file__]

REFUSED_CHANGES = {
    "/ folder": lambda: os.mkdir("/dev/folder"),
    "/ link": lambda: os.symlink("/tmp", "/dev/link"),
    "/ removed": lambda: os.unlink("/dev/null"),
    "/ renamed": lambda: os.rename("/dev/zero", "/dev/one"),
    "/ mode": lambda: os.chmod("/dev/null", 0),
    "/ mode of a file": lambda: os.chmod(os.__file__, 0),
    "/ folder removed": lambda: os.rmdir("/home"),
    "/ library opened": _late_library,
}


@split
def plant():
    return sow()


def sow():
    done = {}
    for name, work in attempts().items():
        try:
            work()
            done[name] = "planted"
        except BaseException as e:
            done[name] = f"{type(e).__name__}: {e}"
    for name, work in REFUSED_CHANGES.items():
        try:
            work()
            done[name] = "changed"
        except OSError as e:
            done[name] = type(e).__name__
    for path in REFUSED_FILES:
        try:
            with open(path, "w"):
                done[path] = "written"
        except OSError as e:
            done[path] = type(e).__name__
    return done


def _tree(folder):
    return sorted(os.path.join(at, name) for at, folders, files in os.walk(folder) for name in folders + files)


def _open_files():
    found = []
    for fd in range(64):
        try:
            os.fstat(fd)
            found.append(fd)
        except OSError:
            pass
    return found


@split
def look(n):
    return see()


def see():
    import json as parsed

    return {
        "environment": dict(os.environ),
        "modules": sorted(sys.modules),
        "path": sys.path,
        "meta path": [type(x).__name__ for x in sys.meta_path],
        "builtins": sorted(vars(builtins)),
        "ascii": ascii("x"),
        "numpy": sorted(vars(np)),
        "sum": int(np.sum([1, 2])),
        "json": parsed.loads("[1]"),
        "guest package": sorted(vars(sys.modules["sandloom"])),
        "standard output": type(sys.stdout).__name__,
        "files": [_tree("/tmp"), _tree("/out"), _tree("/home")],
        "root": [sorted(os.listdir("/")), sorted(os.listdir("/dev")), sorted(os.listdir("/dev/shm"))],
        "folder": os.getcwd(),
        "open files": _open_files(),
        "at exit": atexit._ncallbacks(),
        "garbage": sum(type(x).__name__ == "Planted" for x in gc.get_objects()),
        "collector": gc.isenabled(),
        "warnings": repr(warnings.filters),
        "numpy errors": np.geterr(),
        "numpy printing": np.get_printoptions()["precision"],
        "pandas option": pd.get_option("display.max_rows"),
        "decimal context": decimal.getcontext().prec,
        "recursion limit": sys.getrecursionlimit(),
        "mask of modes": os.umask(0o22),
        "profile": sys.getprofile() is None,
        "excepthook": sys.excepthook is sys.__excepthook__,
        "signal": repr(signal.getsignal(signal.SIGINT)),
        "callback still makes": _makes_callback(),
        "flags of open files": [fcntl.fcntl(fd, fcntl.F_GETFL) for fd in range(4)],
        "abs": abs(-3),
    }


def _makes_callback():
    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)
    return kind(lambda x: x + 1)(1)


@split
def draw(n):
    return [random.random(), float(np.random.random()), float(np.random.default_rng().random()), str(uuid.uuid4()), os.urandom(8).hex()]


def main(event):
    if event["do"] == "look":
        return [see(), *[look(i) for i in range(8)]]
    if event["do"] == "draw":
        return [draw(i) for i in range(12)]
    if event["do"] == "plant here":
        return sow()
    first = [look(i) for i in range(8)]
    done = [plant() for _ in range(4)]
    then = [look(i) for i in range(8)]
    return [first, done, then]

"""Exceptions as data: how a failure crosses from one component to another, and what the host is told of it.

No user code runs when an exception is rebuilt: only classes that are loaded already, and no `__init__` of theirs.
"""

import builtins
import linecache
import sys

from .errors import ComponentRaised, SandloomError, UnsupportedValue
from .values import ATOMS, Decoder, Encoder

_PACKAGE = __name__.rpartition(".")[0]
_MAX_FRAMES = 60
_MAX_TEXT = 20000
_READ_ONLY = ("assignment destination is read-only", "output array is read-only")


def text_of(error):
    """str(error), whatever its __str__ does."""
    try:
        text = str(error)
    except BaseException as second:
        return f"<the text of this {type(error).__name__} is not to be had: {type(second).__name__}>"
    return text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + "..."


def _own(path):
    return path.replace("\\", "/").find(f"/{_PACKAGE}/") >= 0


def frames_of(error):
    """The frames of the user's files, outermost first, followed by those that came from the component that failed."""
    from . import sandbox

    known = getattr(sandbox, "sources", {})
    every = []
    step = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        every.append((code.co_filename, step.tb_lineno, code.co_name))
        step = step.tb_next
    # Compiled component programs (components/*.py) are ours as much as the package is.
    users = [f for f in every if f[0] in known and not f[0].startswith("components/")]
    chosen = users or [f for f in every if not _own(f[0])] or every
    if len(chosen) > _MAX_FRAMES:
        chosen = chosen[: _MAX_FRAMES // 2] + chosen[-_MAX_FRAMES // 2 :]
    own = [{"file": f, "line": n, "function": name, "text": linecache.getline(f, n).strip()} for f, n, name in chosen]
    return own + list(_crossed(error))


def _crossed(error):
    try:
        return error.__dict__.get("_sandloom_frames", ())
    except AttributeError:
        return ()


def describe(error, fatal=False):
    """The JSON document of RAISE."""
    document = {"type": type(error).__name__, "message": text_of(error), "frames": frames_of(error)}
    if isinstance(error, SandloomError):
        document["code"] = error.code
        details = getattr(error, "details", None)
        if type(details) is dict:
            document["details"] = details
    elif isinstance(error, ValueError) and document["message"] in _READ_ONLY:
        document["code"] = "WroteReadOnlyComponent"
        document["message"] += ": parameters are read-only in a component; name the parameter in @split(writes=(...)), or copy the array"
    notes = [n for n in getattr(error, "__notes__", ()) if type(n) is str and not n.startswith("in component ")]
    if notes:
        document["message"] = "\n".join([document["message"], *notes])
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        document["cause"] = f"{type(cause).__name__}: {text_of(cause)}"
    if fatal:
        document["fatal"] = True
    return document


def encode(error, document):
    """An exception as plain data: class, arguments, attributes, notes, and where it came from."""
    cls = type(error)
    args = _plain(getattr(error, "args", ()))
    if args is None:
        args = (document["message"],)
    if isinstance(error, OSError) and len(args) == 2 and type(error.filename) in (str, bytes):
        args += (error.filename,)  # the constructor takes it, and does not keep it among args
    state = {}
    for key, value in getattr(error, "__dict__", {}).items():
        plain = None if key == "_sandloom_frames" else _plain((value,))
        if plain is not None:
            state[key] = plain[0]
    notes = [n for n in state.pop("__notes__", ()) if type(n) is str]
    return (cls.__module__, cls.__qualname__, args, state, notes, document["message"], document["frames"])


def _plain(values):
    encoder = Encoder()
    try:
        return tuple([v if type(v) in ATOMS else encoder.encode(v, "args") for v in values])
    except (UnsupportedValue, RecursionError):
        return None


def rebuild(data, component):
    """The exception that a component ended with, as it can be raised here."""
    module, name, args, state, notes, text, frames = data
    error = None
    cls = _class_of(module, name)
    if cls is not None:
        try:
            decoder = Decoder(None, None, {})
            error = _make(cls, tuple([decoder.decode(a, "r") for a in args]))
            for key, value in state.items():
                error.__dict__[key] = decoder.decode(value, "r")
        except Exception:
            error = None
    if error is None:
        error = ComponentRaised(f"{component} raised {name}: {text}")
    error.__dict__["_sandloom_frames"] = frames
    for note in notes:
        error.add_note(note)
    lines = [f'  File "{f["file"]}", line {f["line"]}, in {f["function"]}\n    {f["text"]}' for f in frames]
    error.add_note("\n".join([f"in component {component}:", *lines]))
    return error


def _class_of(module, name):
    owner = builtins if module == "builtins" else sys.modules.get(module)
    found = getattr(owner, "__dict__", {}).get(name)
    return found if isinstance(found, type) and issubclass(found, BaseException) else None


def _make(cls, args):
    if cls.__module__ == "builtins":
        return cls(*args)
    for base in cls.__mro__:
        if base.__module__ == "builtins" and issubclass(base, BaseException):
            try:
                made = base.__new__(cls, *args)
            except TypeError:
                continue  # of two bases, the other one's is the layout: (SandloomError, MemoryError)
            made.args = args[:2] if base is OSError or issubclass(base, OSError) else args
            return made
    return None

"""`split` and `remote` under plain CPython: options are checked, arrays copied, and nothing else happens."""

import functools
import json
import os

_OPTIONS = ("cpu", "memory", "timeout", "writes")


def split(value=None, n=None, /, **options):
    """`@split`, `@split(cpu=, memory=, timeout=, writes=)`: each call is a compute component.

    `split(x)`, `split(x, n)`: `x` (array, frame, list, tuple or range) as n row ranges that are views. The first `rows % n`
    parts have one row more. Without n the system chooses: here the recorded choice (`SANDLOOM_SPLITS`), or one part a CPU.
    """
    if value is None or options:
        if value is not None or n is not None:
            raise TypeError("@split takes its options by name: cpu=, memory=, timeout=, writes=")
        _check_options(options)
        return lambda function: _decorated(function, options)
    if callable(value) and not hasattr(value, "shape"):
        return _decorated(value, {})
    from .rows import checked_parts, cut, rows_of

    if n is None:
        n = _recorded_parts(rows_of(value))
    return cut(value, checked_parts(n))


def _recorded_parts(rows):
    recorded = json.loads(os.environ.get("SANDLOOM_SPLITS") or "{}")
    return recorded.get(str(rows)) or os.cpu_count() or 1


def _decorated(function, options):
    if not callable(function):
        raise TypeError(f"@split decorates functions, not {type(function).__name__}")
    code = getattr(getattr(function, "__wrapped__", function), "__code__", None)
    if code is not None:
        known = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        for name in options.get("writes", ()):
            if name not in known:
                raise TypeError(f"@split(writes=...) names {name!r}, which is no parameter of {function.__name__}")
    return function


def _check_options(options):
    for name, given in options.items():
        if name not in _OPTIONS:
            raise TypeError(f"@split has no option {name!r}: there are {', '.join(_OPTIONS)}")
        if name == "writes":
            if not isinstance(given, (tuple, list)) or not all(isinstance(w, str) for w in given):
                raise TypeError("@split(writes=...) takes a tuple of parameter names, such as writes=('x',)")
        elif name in ("memory", "timeout") and isinstance(given, str):
            continue
        elif isinstance(given, bool) or not isinstance(given, (int, float)) or not given > 0:
            raise TypeError(f"@split({name}=...) takes a positive number, not {given!r}")


class _Remote:
    """`remote(value)`: a copy of the value in a memory component. Also an annotation and a decorator."""

    def __call__(self, value):
        if type(value).__name__ in ("function", "Component"):
            return _around(value)
        return _copied(value)

    def empty(self, shape, dtype=float, order="C"):
        """An array in a memory component of its own, its contents arbitrary."""
        return self.zeros(shape, dtype, order)

    def zeros(self, shape, dtype=float, order="C"):
        """An array of zeros in a memory component of its own."""
        import numpy as np

        dtype = np.dtype(dtype)
        _refuse_objects(dtype)
        return np.zeros(shape, dtype, order)

    def __repr__(self):
        return "sandloom.remote"


remote = _Remote()


def _around(function):
    @functools.wraps(function)
    def publishing(*args, **kwargs):
        return _copied(function(*args, **kwargs))

    return publishing


def _refuse_objects(dtype):
    if dtype.hasobject:
        from .errors import UnsupportedValue

        raise UnsupportedValue(f"an array of Python objects (dtype {dtype}) cannot lie in a memory component: use a fixed-size dtype")


def _copied(value):
    kind = type(value)
    if kind in (list, tuple):
        return kind([_copied(v) for v in value])
    if kind is dict:
        return {k: _copied(v) for k, v in value.items()}
    if hasattr(value, "iloc"):
        return value.copy(deep=True)
    import numpy as np

    if isinstance(value, np.ndarray):
        if kind is not np.ndarray:
            from .errors import UnsupportedValue

            raise UnsupportedValue(f"remote() of a {kind.__name__}: use np.asarray(v) first")
        _refuse_objects(value.dtype)
        return np.array(value, copy=True, order="K")
    return value

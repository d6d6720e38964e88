"""The result document of a run: what the entry returned, as JSON, with arrays and frames as files beside it."""

import math
import os
import sys

from .errors import ResultNotJson


def document(value, out):
    """The JSON value for a result; arrays are written to `out` as .npy, frames as .csv."""
    return _Writer(out).convert(value, "result", 0)


def plain(value):
    """The JSON value for a result that needs no file."""
    return _Writer(None).convert(value, "the value", 0)


class _Writer:
    def __init__(self, out):
        self._out = out

    def convert(self, value, path, depth):
        kind = type(value)
        if value is None or kind in (bool, int, str):
            return value
        if kind is float:
            return self._number(value, path)
        if depth > 200:
            raise ResultNotJson(f"{path}: the result nests deeper than 200 levels, or contains itself")
        if kind in (list, tuple):
            return [self.convert(v, f"{path}[{i}]", depth + 1) for i, v in enumerate(value)]
        if kind is dict:
            made = {}
            for key, v in value.items():
                if not isinstance(key, str):
                    raise ResultNotJson(f"{path}: a key of a JSON object is a string, not {key!r}: write {{str(k): v for k, v in d.items()}}")
                made[str(key)] = self.convert(v, f"{path}[{key!r}]", depth + 1)
            return made
        return self._other(value, path)

    def _number(self, value, path):
        if not math.isfinite(value):
            raise ResultNotJson(f"{path} is {value}, which JSON cannot hold: return None or a string instead")
        return value

    def _other(self, value, path):
        np = sys.modules.get("numpy")
        if np is not None:
            if isinstance(value, np.bool_):
                return bool(value)
            if isinstance(value, np.integer) and not isinstance(value, np.timedelta64):
                return int(value)
            if isinstance(value, np.floating):
                return self._number(float(value), path)
            if isinstance(value, np.str_):
                return str(value)
            if type(value) is np.ndarray and self._out is not None:
                return self._array(np, value, path)
        pd = sys.modules.get("pandas")
        if pd is not None and self._out is not None and type(value) in (pd.DataFrame, pd.Series):
            return self._frame(pd, value)
        name = type(value).__name__
        raise ResultNotJson(f"{path} is a {name}, which is no JSON value: {_ADVICE.get(name, 'return plain data, an array or a frame')}")

    def _array(self, np, array, path):
        if array.dtype.hasobject:
            raise ResultNotJson(f"{path} is an array of Python objects: return v.tolist(), or convert it with astype()")
        name = self._file(".npy")
        with open(os.path.join(self._out, name), "wb") as file:
            np.lib.format.write_array(file, array, allow_pickle=False)
        return {"$array": {"file": name, "dtype": array.dtype.str, "shape": list(array.shape)}}

    def _frame(self, pd, frame):
        name = self._file(".csv")
        # A default index says nothing: it is left out.
        plain = type(frame.index) is pd.RangeIndex and frame.index.start == 0 and frame.index.step == 1 and frame.index.name is None
        frame.to_csv(os.path.join(self._out, name), index=not plain)
        columns = [str(c) for c in frame.columns] if frame.ndim == 2 else [str(frame.name)]
        return {"$frame": {"file": name, "rows": len(frame), "columns": columns, "index": not plain}}

    def _file(self, end):
        """result.npy, then result-1.npy and so on; files that the program wrote keep their names."""
        number = 0
        while True:
            name = f"result-{number}{end}" if number else f"result{end}"
            if not os.path.exists(os.path.join(self._out, name)):
                return name
            number += 1


_ADVICE = {
    "set": "write sorted(s)",
    "frozenset": "write sorted(s)",
    "range": "write list(r)",
    "bytes": "write it to a file under /out",
    "bytearray": "write it to a file under /out",
    "complex": "write [z.real, z.imag]",
    "complex128": "write [z.real, z.imag]",
    "complex64": "write [z.real, z.imag]",
    "datetime": "write v.isoformat()",
    "date": "write v.isoformat()",
    "time": "write v.isoformat()",
    "Timestamp": "write v.isoformat()",
    "timedelta": "write v.total_seconds()",
    "Timedelta": "write v.total_seconds()",
    "datetime64": "write str(v)",
    "timedelta64": "write str(v)",
    "Decimal": "write str(v) or float(v)",
    "Fraction": "write str(v) or float(v)",
    "generator": "write list(v)",
    "Index": "write v.tolist()",
}

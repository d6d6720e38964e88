"""How `split` cuts values into row ranges: the same in both worlds."""

import operator


def row_ranges(rows, n):
    """The boundaries of n parts of `rows` rows: the first rows % n parts get one row more."""
    n = max(1, min(n, rows))
    size, more = divmod(rows, n)
    at = 0
    for i in range(n):
        end = at + size + (i < more)
        yield at, end
        at = end


def rows_of(value):
    """How many rows `split` sees in a value."""
    shape = getattr(value, "shape", None)
    if shape is not None:
        if len(shape) == 0:
            raise TypeError("split() needs rows: a 0-d array has none")
        return shape[0]
    if isinstance(value, (list, tuple, range)):
        return len(value)
    raise TypeError(f"split() cuts arrays, frames, lists, tuples and ranges, not {type(value).__name__}")


def cut(value, n):
    """The parts of a value: views of arrays and frames, slices of the rest."""
    rows = getattr(value, "iloc", value)
    return [rows[a:b] for a, b in row_ranges(rows_of(value), n)]


def checked_parts(n):
    n = operator.index(n)
    if n < 1:
        raise ValueError(f"split() into {n} parts: n must be at least 1")
    return n

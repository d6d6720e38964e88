"""pandas objects as data: blocks by reference, strings as offsets and bytes.

A frame travels block by block, as pandas holds it, so that both sides do the same arithmetic in the same order. Numbers,
booleans, dates and codes are mapped; strings are Python objects here, and are made from offsets and UTF-8 bytes on arrival.
Imported only when a pandas object is met. Some of what is used has no public name: pandas is pinned.
"""

import weakref
from operator import is_

import numpy as np
import pandas as pd
from pandas._libs.arrays import NDArrayBacked
from pandas.api.internals import create_dataframe_from_blocks
from pandas.core.arrays import DatetimeArray, TimedeltaArray
from pandas.tseries.frequencies import to_offset

from . import values
from .values import PANDAS, Refused

_MASKED = {c.__name__: c for c in (pd.arrays.IntegerArray, pd.arrays.FloatingArray, pd.arrays.BooleanArray)}
_DATES = {"DatetimeArray": DatetimeArray, "TimedeltaArray": TimedeltaArray}
_INDEXES = {c.__name__: c for c in (pd.Index, pd.DatetimeIndex, pd.TimedeltaIndex, pd.CategoricalIndex)}
_STRING_TYPES = {"str": pd.StringDtype("python", na_value=np.nan), "string": pd.StringDtype("python", na_value=pd.NA)}

# What stands where no string is.
_MISSING = [None, None, np.nan, pd.NA, pd.NaT]
_NONE, _NAN, _NA, _NAT = 1, 2, 3, 4

#: object arrays that were made from strings in the fabric: id -> (reference, pointers or None, offsets, bytes, mask)
_arrived = {}


def _tree(kind, *rest):
    return (..., PANDAS, kind, *rest)


# encoding


def _frame(e, v):
    if e.fingerprint:
        return e.shadow(v, v.copy(deep=False))
    _plain(v)
    blocks = []
    for block in v._mgr.blocks:
        places = block.mgr_locs.as_array.tolist()
        blocks.append((_column_of(e, block.values, v, places), places))
    return _tree("frame", e.node(v.index), e.node(v.columns), blocks, v.flags.allows_duplicate_labels)


def _series(e, v):
    if e.fingerprint:
        return e.shadow(v, v.copy(deep=False))
    _plain(v)
    return _tree("series", _column_of(e, v._mgr.blocks[0].values, v), e.node(v.index), e.node(v.name), v.flags.allows_duplicate_labels)


def _plain(v):
    if v.attrs:
        raise Refused(v, f"a {type(v).__name__} with attrs: clear them with v.attrs.clear(), and hand their values over beside it")


def _index(e, v):
    if e.fingerprint:
        return e.shadow(v, v.copy(deep=False))
    return _tree("index", type(v).__name__, _column_of(e, v._data, v), e.node(v.name))


def _range_index(e, v):
    return _tree("range", v.start, v.stop, v.step, e.node(v.name))


def _multi_index(e, v):
    if e.fingerprint:
        return e.shadow(v, v.copy(deep=False))
    levels = [e.node(level) for level in v.levels]
    codes = [e.array(np.asarray(c)) for c in v.codes]
    return _tree("multi", levels, codes, [e.node(n) for n in v.names])


def _column_of(e, v, owner, places=()):
    """A column; what is refused in it is refused of its owner, which has a place in the message."""
    try:
        return column(e, v)
    except Refused as refused:
        names = ", ".join([repr(owner.columns[i]) for i in places])
        raise Refused(owner, f"column {names}: {refused.reason}" if names else refused.reason) from None


def column(e, v):
    """The values of a column: a NumPy array, or one of pandas's own arrays."""
    kind = type(v)
    if kind is np.ndarray:
        return e.array(v) if v.dtype != object else _strings(e, v, "object")
    known = _COLUMNS.get(kind)
    if known is None:
        raise Refused(v, f"values of dtype {v.dtype} cannot be handed between components: convert them with astype()")
    return known(e, v)


def _string_array(e, v):
    return _strings(e, v._ndarray, "str" if v.dtype.na_value is np.nan else "string")


def _dates(e, v):
    zone = values._zone(v.tz, v) if type(v) is DatetimeArray else None
    freq = v.freq
    return _tree("dates", type(v).__name__, e.array(v._ndarray), zone, freq.freqstr if freq is not None else None)


def _masked(e, v):
    return _tree("masked", type(v).__name__, e.array(v._data), e.array(v._mask))


def _categorical(e, v):
    return _tree("categorical", e.array(v._ndarray), e.node(v.categories), v.ordered)


_COLUMNS = {
    pd.arrays.NumpyExtensionArray: lambda e, v: column(e, v._ndarray),
    pd.arrays.StringArray: _string_array,
    pd.Categorical: _categorical,
    **dict.fromkeys(_DATES.values(), _dates),
    **dict.fromkeys(_MASKED.values(), _masked),
}


def _dtype(e, v):
    if type(v) is pd.CategoricalDtype:
        return _tree("dtype", "category", None if v.categories is None else e.node(v.categories), v.ordered)
    if type(v) is pd.StringDtype and v.storage != "python":
        raise Refused(v, f"dtype {v!r}: use 'str'")
    if type(v) is pd.StringDtype:
        return _tree("dtype", "string", "str" if v.na_value is np.nan else "string")
    if type(v) is pd.DatetimeTZDtype:
        return _tree("dtype", "zone", v.unit, values._zone(v.tz, v))
    return _tree("dtype", "name", v.name)


def _timestamp(e, v):
    return _tree("timestamp", int(v.asm8.view("i8")), v.unit, values._zone(v.tz, v))


def _timedelta(e, v):
    return _tree("timedelta", int(v.asm8.view("i8")), v.unit)


_ENCODERS = {
    pd.DataFrame: _frame,
    pd.Series: _series,
    pd.RangeIndex: _range_index,
    pd.MultiIndex: _multi_index,
    **dict.fromkeys(_INDEXES.values(), _index),
    **_COLUMNS,
    **dict.fromkeys((pd.CategoricalDtype, pd.StringDtype, pd.DatetimeTZDtype), _dtype),
    **dict.fromkeys((pd.Int8Dtype, pd.Int16Dtype, pd.Int32Dtype, pd.Int64Dtype, pd.Float32Dtype, pd.Float64Dtype), _dtype),
    **dict.fromkeys((pd.UInt8Dtype, pd.UInt16Dtype, pd.UInt32Dtype, pd.UInt64Dtype, pd.BooleanDtype), _dtype),
    pd.Timestamp: _timestamp,
    pd.Timedelta: _timedelta,
    type(pd.NaT): lambda e, v: _tree("missing", _NAT),
    type(pd.NA): lambda e, v: _tree("missing", _NA),
}


def encoder_of(kind):
    """The encoder of a pandas type, or None."""
    return _ENCODERS.get(kind)


# strings


def _strings(e, a, kind):
    address, strides = a.__array_interface__["data"][0], a.strides
    if e.fingerprint:
        return ("strings", address, a.shape, strides)
    known = _in_fabric(a, address) if not e.copy_all else None
    if known is None:
        key = ("strings", address, a.shape, strides)
        shared = e.shared.get(key)
        if shared is not None and all(map(is_, a.ravel(), shared[1])):
            known = shared[2]
        else:
            known = _packed(a)
            # The array itself is kept too, so that its address stays its own.
            e.shared[key] = (a, a.ravel().copy(), known)
    offsets, data, mask = known
    return _tree("strings", kind, a.shape, e.array(offsets), e.array(data), None if mask is None else e.array(mask))


def _in_fabric(a, address):
    """Offsets, bytes and mask in the fabric of what arrived from there and is unchanged; of a range of rows too."""
    if a.ndim == 2 and a.shape[0] == 1:  # how a frame holds an object column
        a = a[0]
    root = a if a.base is None else a.base
    arrived = _arrived.get(id(root))
    if arrived is None or arrived[0]() is not root or a.ndim != 1 or (a.size > 1 and a.strides[0] != a.itemsize):
        return None
    _, pointers, offsets, data, mask = arrived
    first = (address - root.__array_interface__["data"][0]) // a.itemsize
    end = first + a.size
    if pointers is not None and not all(map(is_, a, pointers[first:end])):
        return None
    # What arrived may be a range of rows itself: its bytes begin where its first string does.
    base, low, high = int(offsets[0]), int(offsets[first]), int(offsets[end])
    return offsets[first : end + 1], data[low - base : high - base], None if mask is None else mask[first:end]


def _packed(a):
    """Offsets, UTF-8 bytes and mask (None if nothing is missing) of an array of strings."""
    items = a.ravel().tolist()
    mask = None
    if not {str}.issuperset(map(type, items)):
        mask = np.array([_missing(x) for x in items], np.uint8)
        items = [x if type(x) is str else "" for x in items]
    text = "".join(items)
    data = text.encode("utf-8", "surrogatepass")
    if len(data) != len(text):
        items = [x.encode("utf-8", "surrogatepass") for x in items]
    offsets = np.zeros(len(items) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, items), np.int64, len(items)), out=offsets[1:])
    return offsets, np.frombuffer(data, np.uint8), mask


def _missing(x):
    if type(x) is str:
        return 0
    if x is None:
        return _NONE
    if x is pd.NA:
        return _NA
    if x is pd.NaT:
        return _NAT
    if type(x) is float and x != x:
        return _NAN
    raise Refused(x, f"it holds a value of type {type(x).__name__}, and object columns may hold strings only: convert it with astype()")


def _make_strings(d, t, mode):
    _, _, _, kind, shape, offsets, data, mask = t
    offsets, data = d.decode(offsets, "r"), d.decode(data, "r")
    mask = None if mask is None else d.decode(mask, "r")
    made = np.empty(len(offsets) - 1, object)
    made[:] = _texts(offsets, data)
    if mask is not None:
        for code in (_NONE, _NAN, _NA, _NAT):
            made[mask == code] = _MISSING[code]
    if mode == "r":
        made.flags.writeable = False
    key = id(made)
    # A later message may send the fabric's copy again; where the array may be written, its pointers tell whether it was.
    pointers = made.copy() if mode != "r" else None
    _arrived[key] = (weakref.ref(made, lambda _: _arrived.pop(key, None)), pointers, offsets, data, mask)
    if kind == "object":
        return made if len(shape) == 1 else made.reshape(shape)
    # Past the constructor, which looks at every string again and wants to write.
    array = pd.arrays.StringArray.__new__(pd.arrays.StringArray)
    NDArrayBacked.__init__(array, made, _STRING_TYPES[kind])
    return array


def _texts(offsets, data):
    """The strings between the offsets."""
    ends = offsets.tolist()
    base = ends[0]
    raw = data.tobytes()
    if raw.isascii():
        text = raw.decode("ascii")
        return [text[a - base : b - base] for a, b in zip(ends, ends[1:], strict=False)]
    return [raw[a - base : b - base].decode("utf-8", "surrogatepass") for a, b in zip(ends, ends[1:], strict=False)]


# decoding


def _make_frame(d, t, mode):
    _, _, _, index, columns, blocks, duplicates = t
    made = [(d.decode(values_, mode), np.array(places, np.intp)) for values_, places in blocks]
    frame = create_dataframe_from_blocks(made, d.decode(index, "r"), d.decode(columns, "r"))
    frame.flags.allows_duplicate_labels = duplicates
    return _shared(frame, mode)


def _make_series(d, t, mode):
    _, _, _, data, index, name, duplicates = t
    array = d.decode(data, mode)
    dtype = object if array.dtype == object else None
    series = pd.Series(array, d.decode(index, "r"), dtype, d.decode(name, "r"), copy=False)
    series.flags.allows_duplicate_labels = duplicates
    return _shared(series, mode)


def _shared(v, mode):
    """A result may refer to bytes that another frame holds too: pandas then has to copy before it writes, as it would have if
    both had been made here. It does so while a second object shares the blocks."""
    if mode == "lease":
        object.__setattr__(v, "_sandloom_shared", v.copy(deep=False))
    return v


def _make_index(d, t, mode):
    return _INDEXES[t[3]]._simple_new(d.decode(t[4], "r"), d.decode(t[5], "r"))


def _make_range(d, t, mode):
    return pd.RangeIndex(t[3], t[4], t[5], name=d.decode(t[6], mode))


def _make_multi(d, t, mode):
    _, _, _, levels, codes, names = t
    names = [d.decode(n, "r") for n in names]
    return pd.MultiIndex([d.decode(x, "r") for x in levels], [d.decode(c, "r") for c in codes], names=names, verify_integrity=False)


def _make_dates(d, t, mode):
    _, _, _, kind, data, zone, freq = t
    data = d.decode(data, mode)
    dtype = data.dtype
    if zone is not None:
        dtype = pd.DatetimeTZDtype(np.datetime_data(dtype)[0], values._make_zone(zone))
    return _DATES[kind]._simple_new(data, freq=to_offset(freq), dtype=dtype)


def _make_dtype(d, t, mode):
    kind = t[3]
    if kind == "category":
        return pd.CategoricalDtype(d.decode(t[4], "r"), t[5])
    if kind == "string":
        return _STRING_TYPES[t[4]]
    if kind == "zone":
        return pd.DatetimeTZDtype(t[4], values._make_zone(t[5]))
    return pd.api.types.pandas_dtype(t[4])


def _make_timestamp(d, t, mode):
    made = pd.Timestamp(np.datetime64(t[3], t[4]))
    return made if t[5] is None else made.tz_localize("UTC").tz_convert(values._make_zone(t[5]))


_DECODERS = {
    "frame": _make_frame,
    "series": _make_series,
    "index": _make_index,
    "range": _make_range,
    "multi": _make_multi,
    "strings": _make_strings,
    "dates": _make_dates,
    "masked": lambda d, t, m: _MASKED[t[3]](d.decode(t[4], m), d.decode(t[5], m), copy=False),
    "categorical": lambda d, t, m: pd.Categorical._simple_new(
        d.decode(t[3], m), pd.CategoricalDtype(d.decode(t[4], "r"), t[5])
    ),
    "dtype": _make_dtype,
    "timestamp": _make_timestamp,
    "timedelta": lambda d, t, m: pd.Timedelta(np.timedelta64(t[3], t[4])),
    "missing": lambda d, t, m: _MISSING[t[3]],
}


def decode(d, t, mode):
    return _DECODERS[t[2]](d, t, mode)


# comparing


def same(v, kept):
    """Whether a frame, series or index still is what its shallow copy kept."""
    if isinstance(v, pd.Index):
        return v.identical(kept) and list(v.names) == list(kept.names)
    if v.attrs or not v.index.identical(kept.index):
        return False
    if v.ndim == 1:
        if v.name is not kept.name and v.name != kept.name:
            return False
    elif not v.columns.identical(kept.columns):
        return False
    blocks, before = v._mgr.blocks, kept._mgr.blocks
    # Nobody wrote: pandas would have copied what both share. It may have merged blocks without being asked to.
    if len(blocks) == len(before) and all(_place(a.values) == _place(b.values) for a, b in zip(blocks, before, strict=True)):
        return True
    kinds = (v.dtype == kept.dtype) if v.ndim == 1 else (list(v.dtypes) == list(kept.dtypes))
    return bool(kinds and v.equals(kept))


def _place(v):
    if type(v) is np.ndarray:
        parts = [v]
    elif hasattr(v, "_mask"):
        parts = [v._data, v._mask]
    else:
        parts = [v._ndarray]
    dtype = v.dtype
    return [dtype] + [(p.__array_interface__["data"][0], p.shape, p.strides) for p in parts]

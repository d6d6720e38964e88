"""NumPy dtypes as data, and which of them may lie in a memory component."""

import numpy as np


class Refused(Exception):
    """A value that cannot be encoded, before its place is known."""

    def __init__(self, value, reason):
        self.value = value
        self.reason = reason


def describe_dtype(dtype, a):
    """A dtype as data: its string, or the fields of a structured one."""
    if dtype.hasobject and dtype.kind in "OV":
        raise Refused(a, f"an array of Python objects (dtype {dtype}) cannot lie in a memory component: use a fixed-size dtype")
    if dtype.kind not in "biufcmMSUV" or dtype.isbuiltin == 2:
        raise Refused(a, f"dtype {dtype} has no fixed layout here: convert with astype() to a dtype of NumPy's own, such as 'U20'")
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return ("sub", describe_dtype(base, a), shape)
    if dtype.fields is None:
        return dtype.str
    names = dtype.names
    fields = [dtype.fields[n] for n in names]
    formats = tuple([describe_dtype(f[0], a) for f in fields])
    offsets = tuple([f[1] for f in fields])
    titles = tuple([f[2] if len(f) > 2 else None for f in fields])
    record = dtype.type is np.record
    return ("struct", names, formats, offsets, titles, dtype.itemsize, dtype.isalignedstruct, record)


def make_dtype(descriptor):
    if type(descriptor) is str:
        return np.dtype(descriptor)
    if descriptor[0] == "sub":
        return np.dtype((make_dtype(descriptor[1]), descriptor[2]))
    _, names, formats, offsets, titles, itemsize, aligned, record = descriptor
    fields = {"names": list(names), "formats": [make_dtype(f) for f in formats], "offsets": list(offsets), "itemsize": itemsize}
    if any(t is not None for t in titles):
        fields["titles"] = list(titles)
    made = np.dtype(fields, align=aligned)
    return np.dtype((np.record, made)) if record else made

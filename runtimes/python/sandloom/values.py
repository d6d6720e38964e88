"""Values as data: what a message between components holds.

A payload is `marshal` version 2 of plain data (never code): `(own, tree...)`. In a tree, a tuple whose first element is
`Ellipsis` is a node: `(..., code, ...)`; a real tuple that begins so is escaped. `own` is the region that holds the arrays
which were copied for this message; references into it have region None.

`marshal` takes any buffer for bytes, and a float subclass for a buffer: the encoder therefore goes by exact types.
"""

import datetime
import decimal
import enum
import fractions
import marshal
import pathlib
import sys
import types
import uuid

import numpy as np

from .device import Published, Reader, in_window
from .dtypes import Refused, describe_dtype, make_dtype
from .errors import UnsupportedValue

ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes, type(...)})
# A message holds none of these by itself, so no mutation of them can go unseen (an array is read-only there).
IMMUTABLE = ATOMS | {np.ndarray}
MAX_DEPTH = 200

# Node codes. Never renumbered while a compiled application may hold an encoded value.
(TUPLE, ARRAY, EMPTY, BYTEARRAY, DICT, SET, FROZENSET, SLICE, RANGE, DATETIME, DATE, TIME, TIMEDELTA, TIMEZONE, ZONEINFO,
 DECIMAL, FRACTION, UUID, PATH, SCALAR, NPSTR, NPBYTES, DTYPE, TYPE, GLOBAL, ENUM, FLAG, NAMEDTUPLE, DATACLASS, PANDAS) = range(30)  # fmt: skip

#: names of the application's modules: classes and functions of theirs cross by name
application_modules = set()

# allow_code came with Python 3.13.
if sys.version_info >= (3, 13):

    def dumps(tree):
        return marshal.dumps(tree, 2, allow_code=False)

    def loads(data):
        return marshal.loads(data, allow_code=False)

else:

    def dumps(tree):
        return marshal.dumps(tree, 2)

    loads = marshal.loads


class Encoder:
    """Encodes the values of one message.

    `regions`: region -> lease of every region that the message names. `reads`: (region, first byte, end) of every array.
    Arrays outside the window wait in `pending` until `finish` copies them into one region. `result`: the name of the memory
    component, of a message after which nobody here looks at the arrays; what lies in a block is then handed on as it is.
    """

    __slots__ = ("copy_all", "depth", "device", "own_bytes", "pending", "reads", "regions", "result", "shared")

    fingerprint = False

    def __init__(self, device=None, copy_all=False, shared=None, result=None):
        self.device = device
        self.copy_all = copy_all
        self.result = result
        self.depth = 0
        self.regions = {}
        self.reads = []
        self.pending = []
        self.own_bytes = 0
        # Arrays that were copied already, by place: for this message, or for all of one fan-out.
        self.shared = {} if shared is None else shared

    def encode(self, value, path):
        """The tree of a value; `path` names it in errors."""
        try:
            kind = type(value)
            return value if kind in ATOMS else _encoder_of(kind, value)(self, value)
        except Refused as refused:
            self.depth = 0
            where = locate(value, refused.value, path) or path
            raise UnsupportedValue(f"{where}: {refused.reason}") from None

    def node(self, value):
        kind = type(value)
        if kind in ATOMS:
            return value
        if self.depth >= MAX_DEPTH:
            raise Refused(value, f"values nest deeper than {MAX_DEPTH} levels here (or contain themselves): hand over flat data")
        self.depth += 1
        tree = _encoder_of(kind, value)(self, value)
        self.depth -= 1
        return tree

    # arrays

    def array(self, a):
        dtype = a.dtype
        descriptor = dtype.str if dtype.fields is None and dtype.kind in "biufcmMSU" else describe_dtype(dtype, a)
        interface = a.__array_interface__
        shape = interface["shape"]
        if a.size == 0 or dtype.itemsize == 0:
            return (..., EMPTY, descriptor, shape, a.flags.f_contiguous and not a.flags.c_contiguous)
        address = interface["data"][0]
        strides = interface["strides"]
        device = self.device
        if device is None:
            raise Refused(a, "an array cannot be part of this message")
        lease = device.lease_at(address)
        if lease is not None and not self.copy_all:
            region = lease.region
            self.regions[region] = lease
            offset = address - lease.address
            low, high = extent(offset, shape, strides, dtype.itemsize)
            self.reads.append((region, low, high))
            # Read-only for its own sake (a broadcast, a setflags), not because this component got it so.
            locked = not a.flags.writeable and (lease_open(lease, low, high) or (strides is not None and 0 in strides))
            return (..., ARRAY, region, offset, descriptor, shape, strides, locked)
        if self.result is not None and in_window(address):
            low, high = extent(0, shape, strides, dtype.itemsize)
            region, start = device.adopt(address, high - low, self.result)
            if region:
                self.regions[region] = Published(region, a)
                return (..., ARRAY, region, address - start, descriptor, shape, strides, not a.flags.writeable)
        return self.copied(a, address, descriptor, shape, strides)

    def copied(self, a, address, descriptor, shape, strides):
        """A place for an array outside the window in the message's own region; the same array gets one place."""
        flags = a.flags
        key = (address, descriptor, shape, strides, flags.writeable)
        known = self.shared.get(key)
        if known is not None:
            _, node, lease = known
            if lease is None:
                return node
            # It was copied for an earlier message of the same fan-out; it may have been changed since.
            if _same_bytes(a, np.ndarray(shape, a.dtype, lease, node[3], node[6])):
                self.regions[lease.region] = lease
                return node
        offset = -(-self.own_bytes // 64) * 64
        if strides is not None and not flags.forc:
            strides = np.empty_like(a, order="K").strides
        locked = not flags.writeable and not self.copy_all
        node = (..., ARRAY, None, offset, descriptor, shape, strides, locked)
        self.own_bytes = offset + a.nbytes
        self.pending.append((key, a, offset, strides))
        self.shared[key] = (a, node, None)
        return node

    def hand_over(self):
        """As `finish`, of a result: the host copies what lies in one piece."""
        name = self.result
        if not all([a.flags.forc for _, a, _, _ in self.pending]):
            return self.finish(name)
        if not self.pending:
            return None
        copied = sum([a.nbytes for _, a, _, _ in self.pending])
        pieces = [(key[0], a.nbytes, offset) for key, a, offset, _ in self.pending]
        held = self.device.publish(self.own_bytes, copied, pieces, name)
        self.regions[held.region] = held
        self.pending = []
        return held

    def finish(self, name):
        """Copies what waits into a region of its own (each array once): that region's lease, or None."""
        if not self.pending:
            return None
        copied = sum([a.nbytes for _, a, _, _ in self.pending])
        lease = self.device.allocate(self.own_bytes, copied, name)
        region = lease.region
        for key, a, offset, strides in self.pending:
            np.copyto(np.ndarray(a.shape, a.dtype, lease, offset, strides), a)
            node = self.shared[key][1]
            self.shared[key] = (a, (..., ARRAY, region, *node[3:]), lease)
        self.regions[region] = lease
        self.pending = []
        return lease


def _same_bytes(a, b):
    if not a.flags.forc:
        a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    # By way of bytes: items may be of a length that eight does not divide.
    a, b = a.ravel("K").view(np.uint8), b.ravel("K").view(np.uint8)
    if a.size % 8 == 0:
        a, b = a.view(np.uint64), b.view(np.uint64)
    return bool((a == b).all())


def extent(offset, shape, strides, itemsize):
    """The bytes [low, high) that an array touches at most."""
    if strides is None:
        for n in shape:
            itemsize *= n
        return offset, offset + itemsize
    low = offset
    high = offset + itemsize
    for n, stride in zip(shape, strides, strict=True):
        if stride < 0:
            low += (n - 1) * stride
        else:
            high += (n - 1) * stride
    return low, high


def lease_open(lease, low, high):
    """Whether these bytes of a lease may be written here."""
    if not lease.writable:
        return False
    closed = lease.closed_ranges
    return closed is None or not any(low < end and start < high for start, end in closed)


# encoding, by exact type


def _list(e, v):
    if ATOMS.issuperset(map(type, v)):
        return v
    return [e.node(x) for x in v]


def _tuple(e, v):
    if ATOMS.issuperset(map(type, v)):
        return (..., TUPLE, *v) if v and v[0] is ... else v
    tree = tuple([e.node(x) for x in v])
    return (..., TUPLE, *tree) if v[0] is ... else tree


def _dict(e, v):
    if ATOMS.issuperset(map(type, v)):
        if ATOMS.issuperset(map(type, v.values())):
            return v
        return {k: e.node(x) for k, x in v.items()}
    return (..., DICT, [(e.node(k), e.node(x)) for k, x in v.items()])


def _set(e, v):
    return v if ATOMS.issuperset(map(type, v)) else (..., SET, [e.node(x) for x in v])


def _frozenset(e, v):
    return v if ATOMS.issuperset(map(type, v)) else (..., FROZENSET, tuple([e.node(x) for x in v]))


def _zone(v, owner):
    if v is None:
        return None
    if type(v) is datetime.timezone:
        offset, *name = v.__getinitargs__()
        return (..., TIMEZONE, offset.days, offset.seconds, offset.microseconds, *name)
    if type(v).__module__ in ("zoneinfo", "zoneinfo._zoneinfo") and v.key:
        return (..., ZONEINFO, v.key)
    raise Refused(owner, f"a time zone of type {type(v).__module__}.{type(v).__name__}: use datetime.timezone or zoneinfo")


def _datetime(e, v):
    return (..., DATETIME, v.year, v.month, v.day, v.hour, v.minute, v.second, v.microsecond, _zone(v.tzinfo, v), v.fold)


def _time(e, v):
    return (..., TIME, v.hour, v.minute, v.second, v.microsecond, _zone(v.tzinfo, v), v.fold)


def _timedelta(e, v):
    return (..., TIMEDELTA, v.days, v.seconds, v.microseconds)


def _scalar(e, v):
    return (..., SCALAR, describe_dtype(v.dtype, v), v.tobytes())


def application_name(v):
    """(module, name) of a top-level function or class of the application's modules, or None."""
    module = getattr(v, "__module__", None)
    name = getattr(v, "__qualname__", None)
    if module not in application_modules or type(name) is not str or "." in name:
        return None
    return (module, name) if getattr(sys.modules.get(module), name, None) is v else None


def _global(e, v):
    name = application_name(v)
    if name is None:
        what = f"function {getattr(v, '__qualname__', v)}" if not isinstance(v, type) else f"class {v.__qualname__}"
        raise Refused(v, f"{what} is no top-level name of the application's modules: define it with def or class at top level")
    return (..., GLOBAL, *name)


_TYPES = {t.__name__: t for t in (bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset, object, range, slice)}


def _type(e, v):
    if _TYPES.get(v.__name__) is v:
        return (..., TYPE, "", v.__name__)
    if v.__module__ == "numpy" and issubclass(v, np.generic) and getattr(np, v.__name__, None) is v:
        return (..., TYPE, "numpy", v.__name__)
    return _global(e, v)


def _bytes_of(e, v):
    return (..., BYTEARRAY, bytes(v))


def _path(e, v):
    return (..., PATH, type(v).__name__, str(v))


_ENCODERS = {
    list: _list,
    tuple: _tuple,
    dict: _dict,
    set: _set,
    frozenset: _frozenset,
    bytearray: _bytes_of,
    slice: lambda e, v: (..., SLICE, e.node(v.start), e.node(v.stop), e.node(v.step)),
    range: lambda e, v: (..., RANGE, v.start, v.stop, v.step),
    datetime.datetime: _datetime,
    datetime.date: lambda e, v: (..., DATE, v.year, v.month, v.day),
    datetime.time: _time,
    datetime.timedelta: _timedelta,
    datetime.timezone: lambda e, v: _zone(v, v),
    decimal.Decimal: lambda e, v: (..., DECIMAL, str(v)),
    fractions.Fraction: lambda e, v: (..., FRACTION, v.numerator, v.denominator),
    uuid.UUID: lambda e, v: (..., UUID, v.int),
    pathlib.PurePosixPath: _path,
    pathlib.PureWindowsPath: _path,
    pathlib.PosixPath: _path,
    np.ndarray: lambda e, v: e.array(v),
    np.str_: lambda e, v: (..., NPSTR, str(v)),
    np.bytes_: lambda e, v: (..., NPBYTES, bytes(v)),
    types.FunctionType: _global,
    type: _type,
}  # fmt: skip

_ADVICE = {
    "MaskedArray": "hand over a.data and a.mask as two arrays",
    "matrix": "use np.asarray(m)",
    "recarray": "use a.view(np.ndarray)",
    "memmap": "use np.array(m), or remote(np.array(m))",
    "Generator": "hand over a seed and make the generator in the component with np.random.default_rng(seed)",
    "RandomState": "hand over a seed and make the generator in the component with np.random.default_rng(seed)",
    "generator": "make it a list first",
    "memoryview": "use bytes(v) or np.frombuffer(v)",
    "array": "use np.array(v)",
    "deque": "use list(v)",
    "defaultdict": "use dict(v)",
    "OrderedDict": "use dict(v)",
    "Counter": "use dict(v)",
    "dict_keys": "use list(v)",
    "dict_values": "use list(v)",
    "dict_items": "use list(v)",
    "method": "hand over the object's data, and call a top-level function on it",
    "builtin_function_or_method": "call it inside a top-level function of the application",
    "module": "import it in the component",
    "TextIOWrapper": "open the file in the component",
    "BufferedReader": "open the file in the component",
}


def _encoder_of(kind, value):
    known = _ENCODERS.get(kind)
    if known is None:
        known = _find_encoder(kind, value)
    return known


def _find_encoder(kind, value):
    """The encoder of a type that is not in the table; types whose encoder never changes are added to it."""
    if kind.__module__.partition(".")[0] == "pandas":
        from . import frames

        found = frames.encoder_of(kind)
        if found is not None:
            _ENCODERS[kind] = found
            return found
    elif isinstance(value, np.generic) and kind.__module__ == "numpy":
        _ENCODERS[kind] = _scalar
        return _scalar
    elif isinstance(value, np.dtype):
        return lambda e, v: (..., DTYPE, describe_dtype(v, v))
    elif isinstance(value, enum.Enum) and application_name(kind):
        return _enum
    elif issubclass(kind, tuple) and hasattr(kind, "_fields") and application_name(kind):
        return lambda e, v: (..., NAMEDTUPLE, *application_name(kind), tuple([e.node(x) for x in tuple(v)]))
    elif "__dataclass_fields__" in kind.__dict__ and application_name(kind) and kind.__base__ is not None:
        return _dataclass
    elif isinstance(value, type):
        return _type
    elif application_name(value):  # what a decorator made of a top-level function: a component, a cached function
        return _global
    name = f"{kind.__module__}.{kind.__qualname__}" if kind.__module__ != "builtins" else kind.__qualname__
    advice = _ADVICE.get(kind.__name__)
    if advice is None:
        if issubclass(kind, np.ndarray):
            advice = "use np.asarray(v)"
        elif kind.__module__ in application_modules:
            advice = "make it a dataclass at top level, or hand over its fields"
        else:
            advice = "hand over plain data (numbers, strings, lists, dicts), arrays or frames"
    raise Refused(value, f"a value of type {name} cannot be handed between components: {advice}")


def _enum(e, v):
    cls = type(v)
    if cls._member_map_.get(v._name_) is v:
        return (..., ENUM, *application_name(cls), v._name_)
    return (..., FLAG, *application_name(cls), e.node(v._value_))


def dataclass_state(v):
    """Attribute -> value of a dataclass's instance: its fields, and what else it holds."""
    state = dict(getattr(v, "__dict__", ()))
    for name in v.__dataclass_fields__:
        if name not in state and hasattr(v, name):
            state[name] = getattr(v, name)
    return state


def _dataclass(e, v):
    cls = type(v)
    for base in cls.__mro__:
        if base is not object and not base.__flags__ & 0x200:  # a type written in C holds state that fields do not show
            raise Refused(v, f"dataclass {cls.__qualname__} derives from {base.__qualname__}: hand over its fields")
    return (..., DATACLASS, *application_name(cls), tuple([(k, e.node(x)) for k, x in dataclass_state(v).items()]))


# decoding


class Decoder:
    """Decodes the trees of one payload over the regions of one device."""

    __slots__ = ("_leases", "closed", "device", "own", "regions")

    def __init__(self, device, own, regions, leases=None):
        self.device = device
        self.own = own
        self.regions = regions  # region -> writable, from the message's region table
        # Of this payload: no region is let go of and mapped again while it is decoded.
        self._leases = {} if leases is None else leases
        self.closed = None  # region -> byte ranges that stay read-only although the region is writable

    def decode(self, tree, mode):
        """`mode`: what arrays are: "r" read-only, "w" writable, "lease" as this sandbox holds their region."""
        kind = type(tree)
        if kind in ATOMS:
            return tree
        if kind is tuple:
            if tree and tree[0] is ...:
                return self.array(tree, mode) if tree[1] == ARRAY else _DECODERS[tree[1]](self, tree, mode)
            if ATOMS.issuperset(map(type, tree)):
                return tree
            return tuple([self.decode(x, mode) for x in tree])
        if kind is list:
            return tree if ATOMS.issuperset(map(type, tree)) else [self.decode(x, mode) for x in tree]
        if kind is dict and not ATOMS.issuperset(map(type, tree.values())):
            return {k: self.decode(x, mode) for k, x in tree.items()}
        return tree

    def lease(self, region):
        if region is None:
            region = self.own
        lease = self._leases.get(region)
        if lease is None:
            lease = self._leases[region] = self.device.attach(region, self.regions[region])
        if self.closed is not None and region in self.closed:
            lease.closed_ranges = self.closed[region]
        return lease

    def array(self, tree, mode):
        _, _, region, offset, descriptor, shape, strides, locked = tree
        lease = self.lease(region)
        dtype = np.dtype(descriptor) if type(descriptor) is str else make_dtype(descriptor)
        exporter = lease
        if lease.writable:
            if mode == "r":
                exporter = Reader(lease)
            elif mode == "lease" and (locked or lease.closed_ranges):
                low, high = extent(offset, shape, strides, dtype.itemsize)
                if locked or not lease_open(lease, low, high):
                    exporter = Reader(lease)
        elif mode == "w":
            raise UnsupportedValue("an array to be written arrived without the right to write it")
        return np.ndarray(shape, dtype, exporter, offset, strides)

    def close(self, tree):
        """Keeps the bytes of a read-only parameter closed where its region is writable for the sake of another."""
        for region, low, high in references(tree):
            region = self.own if region is None else region
            if self.regions[region]:
                self.closed = self.closed or {}
                self.closed.setdefault(region, []).append((low, high))


def references(tree):
    """(region, first byte, end) of every array in a tree."""
    if type(tree) is tuple and len(tree) > 1 and tree[0] is ...:
        if tree[1] == ARRAY:
            _, _, region, offset, descriptor, shape, strides, _ = tree
            yield (region, *extent(offset, shape, strides, make_dtype(descriptor).itemsize))
            return
    if type(tree) in (tuple, list):
        for x in tree:
            yield from references(x)
    elif type(tree) is dict:
        for x in tree.values():
            yield from references(x)


def _find(module, name):
    if module not in application_modules or "." in name:
        raise UnsupportedValue(f"{module}.{name} is no top-level name of the application's modules")
    return getattr(sys.modules[module], name)


def _make_empty(d, t, mode):
    made = np.empty(t[3], make_dtype(t[2]), "F" if t[4] else "C")
    made.flags.writeable = mode != "r"
    return made


def _make_zone(t):
    if t is None:
        return None
    if t[1] == ZONEINFO:
        import zoneinfo

        return zoneinfo.ZoneInfo(t[2])
    return datetime.timezone(datetime.timedelta(*t[2:5]), *t[5:])


def _make_type(d, t, mode):
    if t[2] == "":
        return _TYPES[t[3]]
    found = getattr(np, t[3])
    if not (isinstance(found, type) and issubclass(found, np.generic)):
        raise UnsupportedValue(f"numpy.{t[3]} is no scalar type")
    return found


def _make_flag(d, t, mode):
    cls = _find(t[2], t[3])
    return cls._value2member_map_.get(t[4]) or cls(t[4])


def _make_dataclass(d, t, mode):
    made = object.__new__(_find(t[2], t[3]))
    for name, x in t[4]:
        object.__setattr__(made, name, d.decode(x, mode))
    return made


_PATHS = {p.__name__: p for p in (pathlib.PurePosixPath, pathlib.PureWindowsPath, pathlib.PosixPath)}


def _make_pandas(d, t, mode):
    from . import frames

    return frames.decode(d, t, mode)


_DECODERS = {
    TUPLE: lambda d, t, m: tuple([d.decode(x, m) for x in t[2:]]),
    EMPTY: _make_empty,
    BYTEARRAY: lambda d, t, m: bytearray(t[2]),
    DICT: lambda d, t, m: {d.decode(k, m): d.decode(x, m) for k, x in t[2]},
    SET: lambda d, t, m: {d.decode(x, m) for x in t[2]},
    FROZENSET: lambda d, t, m: frozenset([d.decode(x, m) for x in t[2]]),
    SLICE: lambda d, t, m: slice(*[d.decode(x, m) for x in t[2:]]),
    RANGE: lambda d, t, m: range(*t[2:]),
    DATETIME: lambda d, t, m: datetime.datetime(*t[2:9], _make_zone(t[9]), fold=t[10]),
    DATE: lambda d, t, m: datetime.date(*t[2:]),
    TIME: lambda d, t, m: datetime.time(*t[2:6], _make_zone(t[6]), fold=t[7]),
    TIMEDELTA: lambda d, t, m: datetime.timedelta(*t[2:]),
    TIMEZONE: lambda d, t, m: _make_zone(t),
    DECIMAL: lambda d, t, m: decimal.Decimal(t[2]),
    FRACTION: lambda d, t, m: fractions.Fraction(t[2], t[3]),
    UUID: lambda d, t, m: uuid.UUID(int=t[2]),
    PATH: lambda d, t, m: _PATHS[t[2]](t[3]),
    SCALAR: lambda d, t, m: np.ndarray((), make_dtype(t[2]), t[3])[()].copy(),
    NPSTR: lambda d, t, m: np.str_(t[2]),
    NPBYTES: lambda d, t, m: np.bytes_(t[2]),
    DTYPE: lambda d, t, m: make_dtype(t[2]),
    TYPE: _make_type,
    GLOBAL: lambda d, t, m: _find(t[2], t[3]),
    ENUM: lambda d, t, m: _find(t[2], t[3])._member_map_[t[4]],
    FLAG: _make_flag,
    NAMEDTUPLE: lambda d, t, m: tuple.__new__(_find(t[2], t[3]), [d.decode(x, m) for x in t[4]]),
    DATACLASS: _make_dataclass,
    PANDAS: _make_pandas,
}  # fmt: skip


def locate(root, target, path, depth=0):
    """Where `target` is in `root`, as an expression such as args[0]["k"]; None if it is not found."""
    if root is target:
        return path
    if depth > MAX_DEPTH:
        return None
    if isinstance(root, (list, tuple)):
        inner = ((f"{path}[{i}]", x) for i, x in enumerate(root))
    elif isinstance(root, dict):
        inner = ((f"{path}[{k!r}]", x) for pair in root.items() for k, x in ((pair[0], pair[0]), pair))
    elif isinstance(root, (set, frozenset)):
        inner = ((f"an element of {path}", x) for x in root)
    elif hasattr(type(root), "__dataclass_fields__"):
        inner = ((f"{path}.{k}", x) for k, x in dataclass_state(root).items())
    else:
        return None
    for where, x in inner:
        found = locate(x, target, where, depth + 1)
        if found is not None:
            return found
    return None

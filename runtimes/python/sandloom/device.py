"""The guest's end of /dev/sandloom: frames, and the regions that are mapped into the window.

A region stays mapped while its `Lease` lives; the lease is the buffer at the base of every array over the region, so the
last view that dies detaches it. Nothing here knows how values look.
"""

import json
import os
from bisect import bisect_right
from struct import Struct
from weakref import ref

from . import errors

ALLOCATE, ATTACH, DETACH, TRIGGER, JOIN, SPLIT, RESULT, RAISE, START, WAIT, CALL, PUBLISH, SLEEP, HEAR, ADOPT = range(1, 16)

REQUEST = Struct("<B3xIII")
PAIR = Struct("<II")
MAPPED = Struct("<III")
WORD = Struct("<I")
PIECE = Struct("<QII")

# One read fetches most replies whole.
_READ_BYTES = 16384
# np.intp has 32 bits in the sandbox.
MAX_BLOCK_BYTES = 2**31 - 1


#: /dev/sandloom, which is open when a component starts
DEVICE = 3


class FdTransport:
    """Frames over the device's file descriptor. Tests give an object of their own with the same three methods."""

    __slots__ = ()

    def write(self, frame):
        return os.write(DEVICE, frame)

    def read(self, size):
        return os.read(DEVICE, size)

    def close(self):
        pass


class Window:
    """The range of this process's memory where regions are mapped."""

    __slots__ = ("_bytes_type", "address", "end")

    def __init__(self, address, size):
        import ctypes

        self.address = address
        self.end = address + size
        # One ctypes type for all regions: a type per length would never be freed. A memoryview is under 2 GiB.
        self._bytes_type = ctypes.c_ubyte * min(size, MAX_BLOCK_BYTES)

    def view(self, address, size):
        return memoryview(self._bytes_type.from_address(address)).cast("B")[:size]


# Set once when the base image is built: the window is part of the image.
window = None


def configure(window_address, window_bytes):
    global window
    window = Window(window_address, window_bytes)


def in_window(address):
    return window.address <= address < window.end


class Lease:
    """A region that is mapped here. It exports the region's bytes, writable if the mapping is."""

    __slots__ = ("__weakref__", "address", "closed_ranges", "device", "nbytes", "region", "view", "writable")

    def __init__(self, device, region, address, nbytes, writable):
        view = window.view(address, nbytes)
        self.device = device
        self.region = region
        self.address = address
        self.nbytes = nbytes
        self.writable = writable
        self.view = view if writable else view.toreadonly()
        # Byte ranges that were handed to us read-only although another parameter may write to this region.
        self.closed_ranges = None

    def __buffer__(self, flags):
        return self.view

    def __del__(self):
        self.device.detach(self)


class Published:
    """A region that is a result's, and of which nothing here is a lease; `kept`: what holds its pages until the result is sent."""

    __slots__ = ("kept", "region")

    writable = True

    def __init__(self, region, kept=None):
        self.region = region
        self.kept = kept


class Reader:
    """Exports a writable lease's bytes read-only: two parameters of one region may differ in mode."""

    __slots__ = ("lease",)

    def __init__(self, lease):
        self.lease = lease

    def __buffer__(self, flags):
        return self.lease.view.toreadonly()


class Device:
    """One open device: the calls of one component's run."""

    def __init__(self, transport):
        self._transport = transport
        self._leases = {}  # region -> weak reference to its lease
        self._starts = []  # sorted addresses of the mapped regions, and beside them the region numbers
        self._regions = []
        self.names = {}  # region -> name of the memory component, for those made here

    # frames

    def send(self, op, a=0, b=0, c=0, body=b""):
        """A call without a reply."""
        frame = REQUEST.pack(op, a, b, c) + body
        if self._transport.write(frame) != len(frame):
            raise errors.InternalError(f"the host took only part of a frame of {len(frame)} bytes")

    def call(self, op, a=0, b=0, c=0, body=b""):
        """A call with a reply: the reply's body."""
        transport = self._transport
        frame = REQUEST.pack(op, a, b, c) + body
        if transport.write(frame) != len(frame):
            raise errors.InternalError(f"the host took only part of a frame of {len(frame)} bytes")
        data = transport.read(_READ_BYTES)
        status, size = PAIR.unpack_from(data)
        missing = size + 8 - len(data)
        if missing > 0:
            parts = [data]
            while missing > 0:
                part = transport.read(missing)
                if not part:
                    raise errors.InternalError("the host's reply ended early")
                parts.append(part)
                missing -= len(part)
            data = b"".join(parts)
        if status:
            reply = json.loads(data[8 : 8 + size])
            raise errors.from_host(reply.get("code", "InternalError"), reply.get("message", ""), reply.get("details"))
        return memoryview(data)[8 : 8 + size]

    def close(self):
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    # regions

    def allocate(self, nbytes, copied, name):
        """A new region of `nbytes`, mapped writable; `copied` of them will be copied into it."""
        self._refuse_large(nbytes, name)
        region, address = PAIR.unpack(self.call(ALLOCATE, nbytes, copied, 0, name.encode()))
        self.names[region] = name
        return self._add(Lease(self, region, address, nbytes, True))

    def publish(self, nbytes, copied, pieces, name):
        """A new region of `nbytes` that is not mapped here; the host copies `pieces`, (address, bytes, offset in the region)."""
        self._refuse_large(nbytes, name)
        encoded = name.encode()
        places = [PIECE.pack(*piece) for piece in pieces]
        body = b"".join((WORD.pack(len(encoded)), encoded, WORD.pack(len(places)), *places))
        (region,) = WORD.unpack(self.call(PUBLISH, nbytes, copied, 0, body))
        return Published(region)

    def adopt(self, address, nbytes, name):
        """The block in which these bytes lie becomes a region: (region, its address); (0, 0) if they are a small part of one, or in none."""
        return PAIR.unpack(self.call(ADOPT, address, nbytes, 0, name.encode()))

    def _refuse_large(self, nbytes, name):
        if nbytes > MAX_BLOCK_BYTES:
            raise errors.BlockTooLarge(
                f"{name} would take {nbytes} bytes; one array or frame block is under 2 GiB here: build it as row chunks and "
                "use split(...)"
            )

    def attach(self, region, writable):
        """The lease of a region; a region that is mapped already keeps its mode."""
        known = self._leases.get(region)
        lease = known() if known is not None else None
        if lease is None:
            address, nbytes = PAIR.unpack(self.call(ATTACH, region, 1 if writable else 0))
            lease = self._add(Lease(self, region, address, nbytes, bool(writable)))
        return lease

    def mapped(self, region, address, nbytes, writable):
        """The lease of a region that the host has mapped with the message that names it."""
        return self._add(Lease(self, region, address, nbytes, writable))

    def _add(self, lease):
        self._leases[lease.region] = ref(lease)
        at = bisect_right(self._starts, lease.address)
        self._starts.insert(at, lease.address)
        self._regions.insert(at, lease.region)
        return lease

    def lease_at(self, address):
        """The lease of the region that holds this address, or None: it lies in the heap, or in a block."""
        if not in_window(address):
            return None
        at = bisect_right(self._starts, address) - 1
        lease = self._leases[self._regions[at]]() if at >= 0 else None
        return lease if lease is not None and address < lease.address + lease.nbytes else None

    def detach(self, lease):
        """Lets go of a region; called when its lease dies, at any time."""
        region = lease.region
        known = self._leases.get(region)
        if known is None or known() not in (None, lease):
            return
        del self._leases[region]
        at = self._regions.index(region)
        del self._regions[at], self._starts[at]
        # Late finalizers may run when the device is closed: the host has let go of everything by then.
        if self._transport is not None:
            self.send(DETACH, region)

"""Whether a value is still what it was: a fingerprint taken before, and compared after.

A fingerprint is the value's encoding with arrays as their addresses (their bytes are protected by other means). A frame's
is a shallow copy: pandas copies on write, so that the copy keeps what the frame held, at no cost while nobody writes.
"""

from .values import Encoder, dumps


class _Fingerprint(Encoder):
    __slots__ = ("frames",)

    fingerprint = True

    def __init__(self):
        super().__init__()
        self.frames = []

    def array(self, a):
        return (a.__array_interface__["data"][0] if a.size else 0, a.dtype.str, a.shape, a.strides)

    def shadow(self, frame, kept):
        self.frames.append((frame, kept))
        return ("frame", id(frame))


class Snapshot:
    """Keeps the fingerprint of one value."""

    __slots__ = ("_bytes", "_frames", "value")

    def __init__(self, value):
        mark = _Fingerprint()
        self.value = value
        self._bytes = dumps(mark.encode(value, "value"))
        self._frames = mark.frames

    @property
    def nbytes(self):
        return len(self._bytes)

    def changed(self):
        try:
            mark = _Fingerprint()
            now = dumps(mark.encode(self.value, "value"))
        except (TypeError, ValueError):
            return True  # it holds something now that it could not have come with
        if now != self._bytes:
            return True
        if self._frames:
            from .frames import same

            return any(not same(frame, kept) for frame, kept in self._frames)
        return False

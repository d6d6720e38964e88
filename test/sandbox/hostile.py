"""Components that do what harms: one each mode."""

import ctypes
import os
import struct
import sys
import time

import numpy as np
from sandloom import remote, split


def publish(nbytes, address, size, offset, pieces=1):
    """A PUBLISH frame (docs/architecture.md)."""
    return struct.pack("<B3xIIIIIQII", 12, nbytes, 0, 0, 0, pieces, address, size, offset)


#: addresses past the memory and past 4 GiB, a piece that does not fit its region, more pieces than there are, no bytes at all
PUBLISHED = [publish(64, 2**32 - 8, 64, 0), publish(64, 2**63, 64, 0), publish(64, 4096, 2**31, 0), publish(64, 4096, 64, 2**32 - 1), publish(64, 4096, 8, 0, 2**31), publish(0, 4096, 8, 0)]


@split
def bad(mode, x):
    if mode == "loop":
        while True:
            pass
    if mode == "loop in C":
        return sum(range(10**12))
    if mode == "recursion":
        return bad_depth(0)
    if mode == "recursion without a limit":
        sys.setrecursionlimit(10**9)
        return bad_depth(0)
    if mode == "recursion in C":
        made = []
        for _ in range(10**6):
            made = [made]
        return repr(made)[:3]
    if mode == "memory":
        kept = []
        while True:
            kept.append(bytearray(50_000_000))
    if mode == "memory of NumPy":
        return float(np.ones((1 << 30,), "u1").sum())
    if mode == "exit":
        os._exit(3)
    if mode == "sys.exit":
        sys.exit(2)
    if mode == "abort":
        os.abort()
    if mode == "wild write":
        ctypes.memset(0, 255, 60_000_000)
    if mode == "wild read":
        return ctypes.string_at(2**32 - 100, 1000)
    if mode == "bad call":
        return ctypes.CFUNCTYPE(ctypes.c_int)(12345678)()
    if mode == "prints":
        while True:
            print("x" * 10000)
    if mode == "files":
        with open("/tmp/x", "wb") as file:
            while True:
                file.write(b"x" * 10_000_000)
    if mode == "sparse file":
        with open("/tmp/x", "wb") as file:
            file.truncate(1 << 31)
    if mode == "pipe":
        _, end = os.pipe()
        while True:
            os.write(end, b"x" * 1_000_000)
    if mode == "links":
        for i in range(10**9):
            os.symlink("x" * 4000, f"/tmp/{i}")
    if mode == "synced mapping":
        # As munmap does it, and at an offset that no mapping was made at.
        file = os.open("/tmp/x", os.O_RDWR | os.O_CREAT)
        sync = ctypes.CDLL(None)._msync_js
        sync.argtypes = [ctypes.c_uint32, ctypes.c_uint32, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int64]
        failed = sync(4096, 4096, 3, 1, file, 1 << 30)
        if failed:
            raise OSError(-failed, os.strerror(-failed))
        return os.fstat(file).st_size
    if mode == "terminal":
        end = os.open("/dev/tty", os.O_WRONLY)
        while True:
            os.write(end, b"x" * 10_000)
    if mode == "small files":
        for i in range(10**9):
            open(f"/tmp/{i}", "w").close()
    if mode == "open files":
        kept = [open("/tmp/x", "w") for _ in range(10**6)]
        return len(kept)
    if mode == "sleep":
        time.sleep(1000)
    if mode == "triggers":
        return sum(bad("nothing", x) for _ in range(10**6))
    if mode == "long message":
        return "x" * (80 << 20)
    if mode == "device":
        with open("/dev/sandloom", "r+b", buffering=0) as device:
            for frame in (b"", b"\x01", bytes(16), bytes([99]) + bytes(40), bytes([1]) + b"\xff" * 60, bytes([4]) + bytes(3) + b"\xff" * 40, bytes([7, 0, 0, 0]) + bytes(12) + b"\xff\xff\xff\x7f", bytes([2, 0, 0, 0]) + b"\x63\x00\x00\x00" + bytes(8), *PUBLISHED, bytes([11, 0, 0, 0]) + bytes(12) + b"\xff" * 8):
                try:
                    device.write(frame)
                    device.read(100)
                except OSError:
                    pass
        return 1.0
    return float(x.sum())


def bad_depth(n):
    return bad_depth(n + 1) + 1


def main(event):
    x = remote(np.arange(1000.0))
    r = bad(event["mode"], x)
    return {"r": r, "sum": float(x.sum())}

"""The peer that everyone has: CPython's process pool, and shared memory where an array is large."""

import platform
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context, shared_memory
from time import perf_counter

import numpy as np
import work


def fill(name, size):
    block = _block(name)
    work.write(np.ndarray(size // 8, np.float64, block.buf))


def part(name, size, index):
    block = _block(name)
    return work.part(np.ndarray(size // 8, np.float64, block.buf), index)


_blocks = {}


def _block(name):
    if name not in _blocks:
        _blocks[name] = shared_memory.SharedMemory(name)
    return _blocks[name]


def main():
    from serve import serve

    # Workers are started once and kept, as an application would.
    pool = ProcessPoolExecutor(int(sys.argv[1]), mp_context=get_context("forkserver"))
    shared = {}

    def chain(links, bytes):
        x = np.zeros(bytes // 8)
        started = perf_counter()
        for _ in range(links):
            x = pool.submit(work.link, x).result()
        return x[0], (perf_counter() - started) * 1e3

    def fan_out(leaves):
        # One task a message: with larger chunks fewer tasks would be scheduled than were asked for.
        return sum(pool.map(work.leaf, range(leaves), chunksize=1))

    def memory(bytes):
        # Recycled, as the slabs are.
        block = shared.get(bytes)
        if block is None:
            block = shared[bytes] = shared_memory.SharedMemory(create=True, size=bytes)
        pool.submit(fill, block.name, bytes).result()
        return sum(pool.map(partial(part, block.name, bytes), range(work.PARTS)))

    try:
        serve({"CPython": platform.python_version()}, {"chain": chain, "fan-out": fan_out, "memory": memory})
    finally:
        for block in shared.values():
            block.close()
            block.unlink()
        pool.shutdown()


if __name__ == "__main__":
    main()

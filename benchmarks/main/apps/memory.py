"""One memory component, written by one component and summed by four; and the same without components."""

from time import perf_counter

import numpy as np
from sandloom import remote, split


def write(x):
    x.fill(1.0)
    x[::1024] = np.arange(len(x) // 1024)


@split(writes=("x",))
def fill(x):
    write(x)


@split
def part(x):
    return float(x.sum())


def main(event):
    n = event["bytes"] // 8
    way = event["way"]
    started = perf_counter()
    if way == "components":
        x = remote.empty(n)
        fill(x)
        total = sum([part(p) for p in split(x, 4)])
    else:
        x = np.empty(n) if way == "one sandbox, block" else remote.empty(n)
        write(x)
        total = sum(float(p.sum()) for p in split(x, 4))
    return {"wall_ms": (perf_counter() - started) * 1e3, "total": total}

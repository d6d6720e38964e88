"""What the components do, the same for every peer (main/apps does it in the sandboxes)."""

from time import perf_counter

import numpy as np

PARTS = 4


def link(x):
    return x + 1


def leaf(number):
    until = perf_counter() + 1e-3
    while perf_counter() < until:
        pass
    return number


def write(x):
    x.fill(1.0)
    x[::1024] = np.arange(len(x) // 1024)


def part(x, index):
    rows = len(x) // PARTS
    return float(x[index * rows : (index + 1) * rows].sum())

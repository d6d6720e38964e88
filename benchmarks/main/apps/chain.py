"""A chain of components that hand one array on; each makes a new one of it."""

from time import perf_counter

import numpy as np
from sandloom import remote, split


@split
def link(x):
    return x + 1


@split(writes=("x",))
def link_in_place(x):
    x += 1
    return x


def plain(x):
    return x + 1


def main(event):
    links = event["links"]
    step = {"new": link, "in place": link_in_place, "one sandbox": plain}[event["way"]]
    x = remote.zeros(event["bytes"] // 8)
    started = perf_counter()
    for _ in range(links):
        x = step(x)
    wall_ms = (perf_counter() - started) * 1e3
    return {"wall_ms": wall_ms, "first": float(x[0]), "last": float(x[-1])}

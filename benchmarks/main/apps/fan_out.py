"""A fan-out of components that each keep a CPU busy for one millisecond."""

from time import perf_counter

from sandloom import split


@split
def leaf(number):
    until = perf_counter() + 1e-3
    while perf_counter() < until:
        pass
    return number


def main(event):
    started = perf_counter()
    total = sum([leaf(i) for i in range(event["leaves"])])
    return {"wall_ms": (perf_counter() - started) * 1e3, "total": total}

# Every line stays where it is.
"""Docstring,
over lines."""
from __future__ import annotations

import sandloom as sl


@sl.split(
    cpu=1,
    writes=[
        "out",
    ],
)
def fill(out, value=1, /, *rest, key, **options):
    out[:] = value


@sl.split
@sl.remote
def größe(params, action):
    return [params, action]


@sl.remote
def table(n):
    return [n] * n


def main(event):
    s = "ä🙂"; a = größe(s, 1); b = größe(s, 2)  # side by side
    c = größe(
        event["c"],  # may raise
        3,
    )
    größe("🙂", 4)
    values = {  # one
        # two
        str(k): größe(  # three
            k,
            (v),
        )[0]  # four
        + 1
        for k, v in event["items"]  # five
        if k
    }  # six
    return sum(
        größe(
            größe(x, y),
            2,
        )[0]
        for x in sl.split(
            table(3),
            2,
        )
        for y in x
    ), a, b, c, values

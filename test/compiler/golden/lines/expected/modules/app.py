# Every line stays where it is.
"""Docstring,
over lines."""
from __future__ import annotations

from sandloom import lowlevel as _sandloom; import sandloom as sl


@_sandloom.component("fill", writes=("out",)




)
def fill(out, value=1, /, *rest, key, **options):
    out[:] = value


@_sandloom.component("gr_uf6__udf_e")
@_sandloom.published("gr_uf6__udf_e.return")
def größe(params, action):
    return [params, action]


@_sandloom.published("table.return")
def table(n):
    return [n] * n


def main(event):
    s = "ä🙂"; a, b, c, _sl_3 = (_sl[1][0] for _sl in _sandloom.gather(((), (_sl(),)) for _sl in (lambda: größe.defer(s, 1), lambda: größe.defer(s, 2),  # side by side
    lambda: größe.defer(
        event["c"],  # may raise
        3,
    ),
    lambda: größe.defer("🙂", 4)))); del _sl_3
    values = {_sl_0: _sl[0][0]  + 1 for (_sl_0,), _sl in _sandloom.gather(((str(k),), (

 größe.defer(  # three
            k,
            (v),
        ),)) 

        for k, v in event["items"]  # five
        if k
    )}  # six
    return sum(_sl[0][0] for (), _sl in _sandloom.gather(((), (größe.defer( _sl[0], 2, ),)) for (), _sl in _sandloom.gather(((), (

            größe.defer(x, y),)) 


        for x in _sandloom.split(
            table(3),
            2,
        )
        for y in x
    ))), a, b, c, values

from sandloom import lowlevel as _sandloom; import numpy as np
from sandloom import remote, split


@_sandloom.component("read")
def read(x):
    return x.sum()


@_sandloom.component("fill", writes=("out",))
def fill(out, value):
    out[:] = value


@_sandloom.component("nested", writes=("out",))
def nested(x, out):
    [_sl[0] for (), _sl in _sandloom.gather(((), (fill.defer(part, 1),)) for part in _sandloom.split(out))]
    return [_sl[0] for (), _sl in _sandloom.gather(((), (read.defer(part),)) for part in _sandloom.split(x))]


@_sandloom.published("load.return")
def load(path):
    return np.load(path)


def main(event):
    a = _sandloom.empty("main.a", 10, np.float64)
    b = _sandloom.zeros("main.b", (3, 4), dtype=np.int32)
    c = load("/data/c.npy")
    _sl_0 = fill.defer(a, 0.5)
    _sl_0, _sl_1 = _sandloom.join(_sl_0, fill.defer(b, 1)); del _sl_0, _sl_1
    if event:
        a = _sandloom.publish("main.a_2", np.ones(3))
    view = c[1:].reshape(-1)
    total = read(_sandloom.publish("main.remote35", np.arange(3))) + read(view)
    for i, row in enumerate(_sandloom.split(c, 3)):
        total += read(row)
    return total, nested(c, b), read(np.zeros(3))

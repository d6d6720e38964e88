import numpy as np
from sandloom import remote, split


@split
def read(x):
    return x.sum()


@split
def fill(out, value):
    out[:] = value


@split
def nested(x, out):
    [fill(part, 1) for part in split(out)]
    return [read(part) for part in split(x)]


@remote
def load(path):
    return np.load(path)


def main(event):
    a = remote.empty(10, np.float64)
    b = remote.zeros((3, 4), dtype=np.int32)
    c = load("/data/c.npy")
    fill(a, 0.5)
    fill(b, 1)
    if event:
        a = remote(np.ones(3))
    view = c[1:].reshape(-1)
    total = read(remote(np.arange(3))) + read(view)
    for i, row in enumerate(split(c, 3)):
        total += read(row)
    return total, nested(c, b), read(np.zeros(3))

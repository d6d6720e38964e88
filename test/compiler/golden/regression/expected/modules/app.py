"""Logistic regression by gradient descent."""

from sandloom import lowlevel as _sandloom; import numpy as np
from sandloom import remote, split


@_sandloom.component("gradient")  # each call is a compute component
def gradient(x, y, w):
    p = 1 / (1 + np.exp(-(x @ w)))
    return x.T @ (p - y)


@_sandloom.component("scale", writes=("x",))
def scale(x, *, by=1):
    x *= by


def main(event):
    x = _sandloom.publish("main.x", np.load("/data/x.npy"))  # this array lives in a memory component
    y: remote = _sandloom.publish("main.y", (x[:, 0] > 0).astype(np.float64))
    w = np.zeros(x.shape[1])
    for _ in range(event["rounds"]):
        w -= 1e-3 * sum(_sl[0] for (), _sl in _sandloom.gather(((), (gradient.defer(xi, yi, w),)) for xi, yi in zip(_sandloom.split(x), _sandloom.split(y))))
    [_sl[0] for (), _sl in _sandloom.gather(((), (scale.defer(part, by=2),)) for part in _sandloom.split(x, 4))]
    return {"w": w.tolist()}


if __name__ == "__main__":
    print(main({"rounds": 10}))

"""Logistic regression by gradient descent."""

import numpy as np
from sandloom import remote, split


@split  # each call is a compute component
def gradient(x, y, w):
    p = 1 / (1 + np.exp(-(x @ w)))
    return x.T @ (p - y)


@split(cpu=2, memory="256MiB", timeout="10s")
def scale(x, *, by=1):
    x *= by


def main(event):
    x = remote(np.load("/data/x.npy"))  # this array lives in a memory component
    y: remote = (x[:, 0] > 0).astype(np.float64)
    w = np.zeros(x.shape[1])
    for _ in range(event["rounds"]):
        w -= 1e-3 * sum(gradient(xi, yi, w) for xi, yi in zip(split(x), split(y)))
    [scale(part, by=2) for part in split(x, 4)]
    return {"w": w.tolist()}


if __name__ == "__main__":
    print(main({"rounds": 10}))

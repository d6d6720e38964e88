"""Logistic regression by gradient descent: every round, one gradient component per row range."""

import numpy as np
from rows import breast_cancer, synthetic
from sandloom import split


@split
def column_sums(x):
    return x.sum(axis=0)


@split
def squared_deviations(x, mean):
    return ((x - mean) ** 2).sum(axis=0)


@split(writes=("x",))
def standardise(x, mean, deviation):
    """In place: every column gets mean 0 and deviation 1."""
    x -= mean
    x /= deviation


@split
def gradient(x, y, weights, bias):
    """Gradient of the log loss for the weights and the bias, then the loss itself, as one array."""
    z = x @ weights + bias
    error = 1 / (1 + np.exp(-z)) - y
    loss = np.logaddexp(0, z) - y * z
    return np.append(x.T @ error, (error.sum(), loss.sum()))


@split
def hits(x, y, weights, bias):
    return int(((x @ weights + bias > 0) == (y > 0)).sum())


def main(event):
    if event.get("rows"):
        x, y = synthetic(event["rows"], event.get("cols", 30), event.get("seed", 1))
    else:
        x, y = breast_cancer(event["data"])
    rows, cols = x.shape

    mean = sum(column_sums(part) for part in split(x)) / rows
    variance = sum(squared_deviations(part, mean) for part in split(x)) / rows
    [standardise(part, mean, np.sqrt(variance)) for part in split(x)]

    weights, bias = np.zeros(cols), 0.0
    rounds = event["rounds"]
    for done in range(1, rounds + 1):
        total = sum(gradient(xi, yi, weights, bias) for xi, yi in zip(split(x), split(y))) / rows
        weights = weights - event["rate"] * total[:cols]
        bias = bias - event["rate"] * float(total[cols])
        if done == 1 or done % 20 == 0:
            print(f"round {done}: loss {total[cols + 1]:.4f}")

    right = sum(hits(xi, yi, weights, bias) for xi, yi in zip(split(x), split(y)))
    print(f"{right:,} of {rows:,} rows are classified right")
    return {"weights": weights.tolist(), "bias": bias, "accuracy": right / rows}

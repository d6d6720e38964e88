"""Where the rows come from: scikit-learn's breast cancer data, or a seeded generator."""

import numpy as np
from sandloom import remote, split

# A block has its own seed, so that the data does not depend on how many components make it.
BLOCK_ROWS = 50_000


def breast_cancer(data):
    """569 rows of 30 measurements; label 1 is benign."""
    table = np.loadtxt(f"{data}/breast_cancer.csv", delimiter=",", skiprows=1)
    return remote(table[:, :-1]), remote(table[:, -1])


@split(writes=("x", "y"))
def fill(x, y, seed, block):
    """Writes one block of rows straight into the memory components."""
    # The same separating plane in every block, then rows that are this block's own.
    plane = np.random.default_rng(seed).standard_normal(x.shape[1])
    random = np.random.default_rng([seed, block])
    random.standard_normal(out=x)
    noise = random.standard_normal(len(x))
    y[:] = x @ plane + noise > 0
    print(f"block {block}: {len(x):,} rows")


def synthetic(rows, cols, seed):
    x = remote.empty((rows, cols), np.float64)
    y = remote.empty(rows, np.float64)
    [
        fill(x[first : first + BLOCK_ROWS], y[first : first + BLOCK_ROWS], seed, first // BLOCK_ROWS)
        for first in range(0, rows, BLOCK_ROWS)
    ]
    return x, y

"""Prints a line as soon as it runs."""

import numpy as np


def main(event):
    print("first line of main")
    return float(np.zeros(4).sum())

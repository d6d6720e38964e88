"""A small pandas handler, over a frame that the top level of the module makes."""

import numpy as np
import pandas as pd

FRAME = pd.DataFrame({"key": np.arange(1000) % 7, "value": np.arange(1000, dtype=np.float64)})


def main(event):
    return FRAME.groupby("key")["value"].sum().mul(event["x"]).tolist()

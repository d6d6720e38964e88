"""Does not end by itself: it computes, or it waits."""

import time


def main(event):
    if event["way"] == "sleeps":
        time.sleep(60)
    while True:
        pass

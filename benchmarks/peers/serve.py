"""The benchmark's end of a peer: one trial a line of standard input, one answer a line of standard output."""

import json
import os
import sys
from time import perf_counter


def serve(versions, trials):
    """`trials`: name -> function of the trial's parameters that does the work and gives its answer, a number."""
    for line in _messages({"versions": versions, "trials": list(trials)}):
        trial = trials[line.pop("trial")]
        try:
            started = perf_counter()
            answer = trial(**line)
            wall_ms = (perf_counter() - started) * 1e3
            if isinstance(answer, tuple):  # the trial timed itself: what comes before and after is not its work
                answer, wall_ms = answer
            reply({"wall_ms": wall_ms, "answer": float(answer)})
        except Exception as error:
            reply({"error": f"{type(error).__name__}: {error}"})


# Frameworks print: what they print must not get between the answers.
_answers = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)


def reply(value):
    _answers.write(json.dumps(value) + "\n")


def _messages(hello):
    reply(hello)
    for line in sys.stdin:
        yield json.loads(line)

"""Runs applications under plain CPython through `sandloom.local`, each in a fork of one interpreter that has NumPy and
pandas loaded: importing them takes longer than most programs run.

A line in is `[arguments of sandloom.local, environment]`; a line out is the outcome as JSON.
"""

import json
import os
import sys
import tempfile
import traceback
import warnings

import numpy
import pandas
from sandloom import local

warnings.simplefilter("ignore")


def outcome(arguments, folder):
    document = os.path.join(folder, "document.json")
    out = os.path.join(folder, "out")
    try:
        local.main([*arguments, "--document", document, "--out", out])
    except BaseException as error:
        return {"error": {"type": type(error).__name__, "message": str(error)}, "trace": traceback.format_exc()}
    with open(document, encoding="utf-8") as file:
        return {"value": json.load(file)}


def main():
    print(json.dumps({"python": sys.version.split()[0], "numpy": numpy.__version__, "pandas": pandas.__version__}), flush=True)
    for line in sys.stdin:
        arguments, environment = json.loads(line)
        with tempfile.TemporaryDirectory() as folder:
            answer = os.path.join(folder, "answer.json")
            pid = os.fork()
            if pid == 0:
                os.environ.update(environment)
                os.chdir(folder)
                os.dup2(os.open(os.path.join(folder, "stdout.txt"), os.O_CREAT | os.O_WRONLY), 1)
                with open(answer, "w", encoding="utf-8") as file:
                    json.dump(outcome(arguments, folder), file)
                os._exit(0)
            os.waitpid(pid, 0)
            with open(answer, encoding="utf-8") as file:
                print(file.read(), flush=True)


main()

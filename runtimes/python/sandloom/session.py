"""A session: code that is run cell by cell in one sandbox and keeps its state, as in a notebook.

The host asks by documents: ``{"op": "run", "code", "cell"}``, ``{"op": "write", "path", "data"}``, ``{"op": "read", "path"}``,
``{"op": "snapshot"}``; bytes are base64.
"""

import ast
import base64
import linecache
import os
import sys
import types

from . import result
from .device import HEAR
from .errors import ResultNotJson

#: the module in which cells run; made by the first one
_module = None


def carry_out(document, device):
    """What a document asks for, as a JSON value."""
    op = document["op"]
    if op == "run":
        return _run(document["code"], document["cell"], device)
    if op == "write":
        folder = os.path.dirname(document["path"])
        if folder:
            os.makedirs(folder, exist_ok=True)
        with open(document["path"], "wb") as file:
            file.write(base64.b64decode(document["data"]))
    elif op == "read":
        with open(document["path"], "rb") as file:
            return {"data": base64.b64encode(file.read()).decode()}
    return {}


def _run(code, cell, device):
    """Runs a cell, which may be interrupted; what is around it may not."""
    device.send(HEAR, 1)
    try:
        return _evaluate(code, cell)
    finally:
        device.send(HEAR, 0)


def _evaluate(code, cell):
    """The value of a cell's last statement, if that is an expression, is the cell's."""
    namespace = _namespace()
    name = f"<cell {cell}>"
    linecache.cache[name] = (len(code), None, code.splitlines(True), name)
    tree = ast.parse(code, name)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, name, "exec"), namespace)
    if last is None:
        return {}
    value = eval(compile(ast.Expression(last.value), name, "eval"), namespace)
    if value is None:
        return {}
    namespace["_"] = value
    answer = {"repr": repr(value)}
    try:
        answer["value"] = result.plain(value)
    except ResultNotJson:
        pass
    return answer


def _namespace():
    global _module
    if _module is None:
        _module = types.ModuleType("__main__")
        sys.modules["__main__"] = _module
    return _module.__dict__

"""Sandloom: mark a plain program with `@split` and `remote`, and run it as a graph of components.

Under CPython the names do nearly nothing; inside a sandbox the compiler puts the fabric behind them. Both give the same
results: that is the point.
"""

from .plain import remote, split

__all__ = ["__version__", "remote", "split"]
__version__ = "0.1.0"

#: "plain" under CPython; a base image sets "sandbox"
_world = "plain"

"""Globals of the application's modules are the same in every component: a change of one is an error, not a difference."""

import types
from operator import is_

from . import values
from .errors import MutatedGlobal, UnsupportedValue
from .unchanged import Snapshot
from .values import IMMUTABLE, np

#: a container whose fingerprint is longer is checked by identity only
MAX_FINGERPRINT_BYTES = 1 << 20
_FIXED = IMMUTABLE | {types.FunctionType, types.ModuleType, types.BuiltinFunctionType, type}

_modules = []


class _Names:
    """The names of one namespace, and what they stood for."""

    __slots__ = ("file", "names", "namespace", "snapshots", "title", "values")

    def __init__(self, title, file, namespace):
        self.title = title
        self.file = file
        self.namespace = namespace
        self.names = tuple(namespace)
        self.values = tuple(namespace.values())
        self.snapshots = []

    def guard_values(self):
        for name, value in self.namespace.items():
            if _private(name):
                continue
            if type(value) is np.ndarray:
                value.flags.writeable = False
            elif type(value) not in _FIXED and values.application_name(value) is None:
                try:
                    snapshot = Snapshot(value)
                except UnsupportedValue:
                    continue
                if snapshot.nbytes <= MAX_FINGERPRINT_BYTES:
                    self.snapshots.append((name, snapshot))

    def check(self):
        space = self.namespace
        if len(space) != len(self.values) or not all(map(is_, space.values(), self.values)):
            self._compare()
        for name, snapshot in self.snapshots:
            if snapshot.changed():
                self._refuse(name)

    def _compare(self):
        before = dict(zip(self.names, self.values, strict=True))
        for name, value in self.namespace.items():
            if _private(name) or (name in before and before[name] is value):
                continue
            # Importing inside a function may add a submodule to its package.
            if name not in before and isinstance(value, types.ModuleType):
                continue
            self._refuse(name)
        for name in before:
            if name not in self.namespace:
                self._refuse(name)

    def _refuse(self, name):
        raise MutatedGlobal(
            f"a component changed the global {self.title}{name} ({self.file}): other components would not see that. "
            "Hand the value over as a parameter and return the new one"
        )


def _private(name):
    return name.startswith("__") and name.endswith("__")


def snapshot(modules):
    """Takes down the globals of these modules, and the attributes of their classes."""
    _modules.clear()
    values.application_modules.clear()
    values.application_modules.update(m.__name__ for m in modules)
    for module in modules:
        file = getattr(module, "__file__", None) or module.__name__
        names = _Names("", file, module.__dict__)
        names.guard_values()
        _modules.append(names)
        for value in module.__dict__.values():
            if isinstance(value, type) and value.__module__ == module.__name__:
                _modules.append(_Names(f"{value.__qualname__}.", file, value.__dict__))


def check():
    """Raises MutatedGlobal if a component changed one."""
    for names in _modules:
        names.check()

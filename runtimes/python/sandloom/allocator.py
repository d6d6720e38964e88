"""NumPy's memory handler: where the data of arrays lies.

The host's functions stand in the function table (`allocator-module.ts`): a large array gets a block in the window, a smaller one what
NumPy's own handler has for it. Set once, when the base image is built.
"""

import ctypes
import json

import numpy as np

# numpy/__multiarray_api.h
_SET_HANDLER, _GET_HANDLER = 304, 305
_CAPSULE_NAME = ctypes.c_char_p(b"mem_handler")


class _Allocator(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in ("context", "malloc", "calloc", "realloc", "free")]


class _Handler(ctypes.Structure):
    """PyDataMem_Handler of numpy/ndarraytypes.h."""

    _fields_ = [("name", ctypes.c_char * 127), ("version", ctypes.c_uint8), ("allocator", _Allocator)]


_handler = _Handler(b"sandloom", 1)


def _pointer_of(capsule, name):
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return get(capsule, name)


def _api(index, *arguments):
    table = _pointer_of(np._core._multiarray_umath._ARRAY_API, None)
    address = ctypes.c_size_t.from_address(table + index * ctypes.sizeof(ctypes.c_size_t)).value
    return ctypes.PYFUNCTYPE(ctypes.py_object, *[ctypes.py_object] * len(arguments))(address)(*arguments)


def defaults():
    """The context and the functions, as slots of the table, of the handler that is in force: a JSON object."""
    allocator = _Handler.from_address(_pointer_of(_api(_GET_HANDLER), _CAPSULE_NAME)).allocator
    return json.dumps({name: getattr(allocator, name) for name, _ in _Allocator._fields_})


def install(slot):
    """From now on arrays are made by the functions at `slot` and the three slots that follow it."""
    from .sandbox import immortalize

    _handler.allocator = _Allocator(0, slot, slot + 1, slot + 2, slot + 3)
    make = ctypes.pythonapi.PyCapsule_New
    make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    capsule = make(ctypes.addressof(_handler), _CAPSULE_NAME, None)
    # Each array counts a reference to it: its page would be every component's own.
    immortalize([capsule])
    _api(_SET_HANDLER, capsule)

# SPDX-License-Identifier: MIT OR Apache-2.0
"""The driver, with the first device's primary context current on every thread that calls it; streams."""

import ctypes
import types

_library = ctypes.CDLL("libcuda.so.1")
_context = None
_current = 1


def driver(name, *arguments):
    global _context
    if _context is None:
        device, _context = ctypes.c_int(), ctypes.c_void_p()
        for step in (("cuInit", 0), ("cuDeviceGet", ctypes.byref(device), 0), ("cuDevicePrimaryCtxRetain", ctypes.byref(_context), device)):
            check(step[0], getattr(_library, step[0])(*step[1:]))
    check("cuCtxSetCurrent", _library.cuCtxSetCurrent(_context))
    check(name, getattr(_library, name)(*arguments))


def check(name, code):
    if code != 0:
        raise RuntimeError(f"{name} failed: {code}")


def current():
    """The handle of the stream that arrays name."""
    return _current


class Stream:
    """A stream of its own; in a `with` block it is the one that arrays name."""

    def __init__(self):
        place = ctypes.c_void_p()
        driver("cuStreamCreate", ctypes.byref(place), 1)
        self.ptr = place.value

    def __enter__(self):
        global _current
        self.before, _current = _current, self.ptr
        return self

    def __exit__(self, *_):
        global _current
        _current = self.before

    def synchronize(self):
        driver("cuStreamSynchronize", ctypes.c_void_p(self.ptr))


def get_current_stream(_device=0):
    return types.SimpleNamespace(ptr=_current)

# SPDX-License-Identifier: MIT OR Apache-2.0
"""torch and CuPy as far as uncopy asks them: arrays by the exchange table and by DLPack, and their current streams.

They stand in for the real ones where the driver is the stand-in, on which those can't run. `tests/gpu/python` has the
real ones.
"""

import ctypes
import sys
import threading
import types


class Struct(ctypes.Structure):
    """DLManagedTensorVersioned, flat."""


DELETER = ctypes.CFUNCTYPE(None, ctypes.POINTER(Struct))
Struct._fields_ = [
    ("major", ctypes.c_uint32),
    ("minor", ctypes.c_uint32),
    ("context", ctypes.c_void_p),
    ("deleter", DELETER),
    ("flags", ctypes.c_uint64),
    ("data", ctypes.c_uint64),
    ("kind", ctypes.c_int32),
    ("id", ctypes.c_int32),
    ("ndim", ctypes.c_int32),
    ("code", ctypes.c_uint8),
    ("bits", ctypes.c_uint8),
    ("lanes", ctypes.c_uint16),
    ("shape", ctypes.POINTER(ctypes.c_int64)),
    ("strides", ctypes.POINTER(ctypes.c_int64)),
    ("byte_offset", ctypes.c_uint64),
]

current = threading.local()
"""`current.stream`: the current stream of this thread; 0 unless set."""

alive = {}
"""Structs that were handed out and not deleted yet, by address, with what they keep."""


def handed_out(array):
    shape = (ctypes.c_int64 * 1)(array.interface["shape"][0])
    strides = (ctypes.c_int64 * 1)(1)
    struct = Struct(1, 3, None, DELETER(delete), 0, array.ptr, 2, 0, 1, 1, 8, 1, shape, strides, 0)
    alive[ctypes.addressof(struct)] = (struct, array)
    return struct


def delete(struct):
    del alive[ctypes.addressof(struct.contents)]


def _export(array, out):
    tensor = ctypes.cast(array, ctypes.py_object).value
    struct = handed_out(tensor.memory)
    if tensor.negated:
        struct.code, struct.bits, struct.shape[0] = 2, 32, 1
    out[0] = ctypes.addressof(struct)
    return 0


def _stream(kind, number, out):
    out[0] = getattr(current, "stream", 0) or None
    return 0


class Table(ctypes.Structure):
    """DLPackExchangeAPI."""

    EXPORT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p))
    STREAM = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int32, ctypes.c_int32, ctypes.POINTER(ctypes.c_void_p))
    _fields_ = [
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("previous", ctypes.c_void_p),
        ("allocator", ctypes.c_void_p),
        ("from_object", EXPORT),
        ("to_object", ctypes.c_void_p),
        ("borrow", ctypes.c_void_p),
        ("stream", STREAM),
    ]


OLD = Table(1, 3, None, None, Table.EXPORT(_export), None, None, Table.STREAM(_stream))
# A newer table that this build can't read, with the way to the older one.
TABLE = Table(2, 0, ctypes.addressof(OLD), None, Table.EXPORT(), None, None, Table.STREAM())

# A capsule keeps the address of its name.
TABLE_NAME = ctypes.create_string_buffer(b"dlpack_exchange_api")
CAPSULE_NAME = ctypes.create_string_buffer(b"dltensor_versioned")

new_capsule = ctypes.pythonapi.PyCapsule_New
new_capsule.restype = ctypes.py_object
new_capsule.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]


get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
get_pointer.restype = ctypes.c_void_p
get_pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]


def pointer_in(capsule):
    """The address of the elements of the array in a capsule."""
    return Struct.from_address(get_pointer(capsule, b"dltensor_versioned")).data


class Tensor:
    """A torch tensor over memory of the card: of bytes, or with `negated` of one float that stands for another."""

    __module__ = "torch"
    __dlpack_c_exchange_api__ = new_capsule(ctypes.addressof(TABLE), ctypes.addressof(TABLE_NAME), None)

    def __init__(self, memory, negated=False):
        self.memory, self.negated = memory, negated

    def is_neg(self):
        assert self.negated, "asked of a tensor that can't be negated"
        return True

    def __dlpack__(self, **_):
        raise AssertionError("the exchange table was passed over")

    def __dlpack_device__(self):
        return (2, 0)


def torch():
    """Puts torch where somebody has imported it."""
    module = sys.modules["torch"] = types.ModuleType("torch")
    module.Tensor = Tensor
    return module


class ndarray:
    """A CuPy array: over memory of the card, or over what says so by the CUDA array interface."""

    __module__ = "cupy"

    def __init__(self, memory, owner=None):
        self.memory, self.owner, self.asked = memory, owner, []

    def __dlpack__(self, *, stream=None, max_version=None):
        self.asked.append(stream)
        struct = handed_out(self.memory)
        return new_capsule(ctypes.addressof(struct), ctypes.addressof(CAPSULE_NAME), None)

    def __dlpack_device__(self):
        return (2, 0)


class DeviceNDArray:
    """A numba array: it names the stream that it is bound to, and none where it works in the legacy default stream."""

    __module__ = "numba.cuda.cudadrv.devicearray"

    def __init__(self, memory):
        self.__cuda_array_interface__ = memory.interface


class Stream:
    """A CuPy stream: destroyed with its last reference."""

    def __init__(self, card):
        self.card, self.ptr = card, card.stream()

    def __enter__(self):
        current.object = self
        return self

    def __exit__(self, *_):
        current.object = None

    def __del__(self):
        self.card.destroy(self.ptr)


def _current_stream(device):
    # CuPy itself keeps the object for no longer than its user.
    return getattr(current, "object", None) or types.SimpleNamespace(ptr=getattr(current, "stream", 0))


def cupy():
    """Puts CuPy where somebody has imported it."""
    module = sys.modules["cupy"] = types.ModuleType("cupy")
    module.cuda = sys.modules["cupy.cuda"] = types.ModuleType("cupy.cuda")
    module.ndarray = ndarray
    module.asarray = lambda source: ndarray(source.__cuda_array_interface__["data"][0], owner=source)
    module.cuda.get_current_stream = _current_stream
    return module

# SPDX-License-Identifier: MIT OR Apache-2.0
"""DLPack structs and capsules made by hand, of every kind that a producer may get wrong."""

import ctypes

import numpy as np


class Versioned(ctypes.Structure):
    """DLManagedTensorVersioned, flat."""


class Legacy(ctypes.Structure):
    """DLManagedTensor, flat."""


TENSOR = [
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
VERSIONED_DELETER = ctypes.CFUNCTYPE(None, ctypes.POINTER(Versioned))
LEGACY_DELETER = ctypes.CFUNCTYPE(None, ctypes.POINTER(Legacy))
Versioned._fields_ = [
    ("major", ctypes.c_uint32),
    ("minor", ctypes.c_uint32),
    ("context", ctypes.c_void_p),
    ("deleter", VERSIONED_DELETER),
    ("flags", ctypes.c_uint64),
    *TENSOR,
]
Legacy._fields_ = [*TENSOR, ("context", ctypes.c_void_p), ("deleter", LEGACY_DELETER)]

NAME = ctypes.create_string_buffer(b"dltensor_versioned")
LEGACY_NAME = ctypes.create_string_buffer(b"dltensor")
OTHER_NAME = ctypes.create_string_buffer(b"something")

_new = ctypes.pythonapi.PyCapsule_New
_new.restype = ctypes.py_object
_new.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
_name = ctypes.pythonapi.PyCapsule_GetName
_name.restype = ctypes.c_char_p
_name.argtypes = [ctypes.py_object]


def capsule(address, name=NAME):
    return _new(address, ctypes.addressof(name), None)


def name_of(held):
    return _name(held).decode()


_get = ctypes.pythonapi.PyCapsule_GetPointer
_get.restype = ctypes.c_void_p
_get.argtypes = [ctypes.py_object, ctypes.c_char_p]
_rename = ctypes.pythonapi.PyCapsule_SetName
_rename.argtypes = [ctypes.py_object, ctypes.c_void_p]
USED_NAME = ctypes.create_string_buffer(b"used_dltensor_versioned")


def struct_in(held):
    """The struct in a versioned capsule, which keeps it."""
    return Versioned.from_address(_get(held, NAME.value))


def taken_from(held):
    """The struct of a versioned capsule, whose deleter the caller has to call."""
    struct = struct_in(held)
    _rename(held, ctypes.addressof(USED_NAME))
    return struct


class Producer:
    """An array by `__dlpack__`, over a NumPy array. Counts what is handed out and deleted."""

    def __init__(self, array, legacy=False, deleter=True, **fields):
        self.array, self.legacy, self.fields = array, legacy, fields
        self.has_deleter, self.given, self.deleted, self.asked = deleter, 0, 0, []
        self.structs = []

    def struct(self):
        array = self.array
        code = {"f": 2, "i": 0, "u": 1, "b": 6, "c": 5}[array.dtype.kind]
        shape = (ctypes.c_int64 * max(array.ndim, 1))(*array.shape)
        strides = (ctypes.c_int64 * max(array.ndim, 1))(*(step // array.itemsize for step in array.strides))
        kind = Legacy if self.legacy else Versioned
        made = kind()
        if not self.legacy:
            made.major, made.minor = 1, 3
        made.data, made.kind, made.ndim = array.ctypes.data, 1, array.ndim
        made.code, made.bits, made.lanes = code, array.itemsize * 8, 1
        made.shape, made.strides = shape, strides
        if self.has_deleter:
            made.deleter = (LEGACY_DELETER if self.legacy else VERSIONED_DELETER)(self.delete)
        for name, value in self.fields.items():
            setattr(made, name, value)
        self.structs.append((made, shape, strides))
        return made

    def delete(self, _):
        self.deleted += 1

    def capsule(self):
        self.given += 1
        return capsule(ctypes.addressof(self.struct()), LEGACY_NAME if self.legacy else NAME)

    def __dlpack__(self, **keywords):
        self.asked.append(keywords)
        return self.capsule()

    def __dlpack_device__(self):
        return (1, 0)


def floats(count=4):
    return np.arange(count, dtype=np.float32)

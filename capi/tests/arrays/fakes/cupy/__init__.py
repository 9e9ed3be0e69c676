# SPDX-License-Identifier: MIT OR Apache-2.0
"""As much of CuPy as the tests ask for, over the CUDA driver by ctypes: device memory, strides, the CUDA array interface.

It stands in for the real one where the driver is the stand-in, on which that can't run. Values are computed by NumPy on
the host, so it proves nothing about arithmetic.
"""

import ctypes

import numpy as np

from . import cuda, testing
from .cuda import driver

float32, float64, int32, int64, uint8, bool_ = np.float32, np.float64, np.int32, np.int64, np.uint8, np.bool_

__all__ = ["all", "array", "asarray", "asnumpy", "cuda", "empty", "from_dlpack", "ndarray", "testing"]


class Memory:
    """Device memory, freed with its last array."""

    def __init__(self, size):
        place = ctypes.c_uint64()
        driver("cuMemAlloc_v2", ctypes.byref(place), ctypes.c_size_t(max(size, 1)))
        self.address, self.size = place.value, size

    def __del__(self):
        driver("cuMemFree_v2", ctypes.c_uint64(self.address))


class ndarray:
    def __init__(self, address, shape, dtype, strides=None, owner=None):
        self.address, self.shape, self.dtype, self.owner = address, tuple(shape), np.dtype(dtype), owner
        self.strides = strides or np.empty(shape, dtype).strides

    @property
    def size(self):
        return int(np.prod(self.shape))

    @property
    def __cuda_array_interface__(self):
        packed = self.strides == np.empty(self.shape, self.dtype).strides
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "descr": [("", self.dtype.str)],
            "stream": cuda.current(),
            "version": 3,
            "strides": None if packed else self.strides,
            "data": (self.address, False),
        }

    def get(self):
        """A copy in host memory, when the device has done all that was asked of it."""
        driver("cuCtxSynchronize")
        if self.size == 0:
            return np.empty(self.shape, self.dtype)
        reaches = [(n - 1) * step for n, step in zip(self.shape, self.strides)]
        below, above = sum(r for r in reaches if r < 0), sum(r for r in reaches if r > 0)
        memory = np.empty(above - below + self.dtype.itemsize, np.uint8)
        source = ctypes.c_uint64(self.address + below)
        driver("cuMemcpyDtoH_v2", ctypes.c_void_p(memory.ctypes.data), source, ctypes.c_size_t(memory.nbytes))
        return np.ndarray(self.shape, self.dtype, memory, -below, self.strides).copy()

    def __getitem__(self, key):
        layout = np.lib.stride_tricks.as_strided(np.empty(1, self.dtype), self.shape, self.strides)
        found = layout[key]
        address = self.address + found.ctypes.data - layout.ctypes.data
        return ndarray(address, found.shape, self.dtype, found.strides, self)

    def __setitem__(self, key, value):
        host = self.get()
        host[key] = value
        write(self, host)

    def astype(self, dtype):
        return array(self.get().astype(dtype))

    def _with(self, other, operation):
        return array(operation(self.get(), other.get() if isinstance(other, ndarray) else other))

    def __add__(self, other):
        return self._with(other, lambda a, b: a + b)

    def __mul__(self, other):
        return self._with(other, lambda a, b: (a * b).astype(a.dtype))

    __rmul__ = __mul__

    def __eq__(self, other):
        return self._with(other, lambda a, b: a == b)

    __hash__ = None


def write(to, host):
    host = np.ascontiguousarray(host)
    driver("cuMemcpyHtoD_v2", ctypes.c_uint64(to.address), ctypes.c_void_p(host.ctypes.data), ctypes.c_size_t(host.nbytes))
    driver("cuCtxSynchronize")


def empty(shape, dtype=float):
    shape = (shape,) if isinstance(shape, int) else shape
    memory = Memory(int(np.prod(shape)) * np.dtype(dtype).itemsize)
    return ndarray(memory.address, shape, dtype, owner=memory)


def array(values, dtype=None):
    host = asnumpy(values) if isinstance(values, ndarray) else np.asarray(values)
    host = host if dtype is None else host.astype(dtype)
    made = empty(host.shape, host.dtype)
    write(made, host)
    return made


def asarray(source):
    if isinstance(source, ndarray):
        return source
    if not hasattr(source, "__cuda_array_interface__"):
        return array(source)
    interface = source.__cuda_array_interface__
    return ndarray(interface["data"][0], interface["shape"], interface["typestr"], interface.get("strides"), source)


class _Imported:
    """A DLPack struct that was taken over, deleted with the last array of it."""

    def __init__(self, capsule):
        import capsules

        self.struct = capsules.taken_from(capsule)

    def __del__(self):
        self.struct.deleter(self.struct)


def from_dlpack(source):
    owner = _Imported(source.__dlpack__(stream=cuda.current(), max_version=(1, 0)))
    struct = owner.struct
    dtype = np.dtype({0: "i", 1: "u", 2: "f"}[struct.code] + str(struct.bits // 8))
    shape = struct.shape[: struct.ndim]
    strides = tuple(step * dtype.itemsize for step in struct.strides[: struct.ndim])
    return ndarray(struct.data + struct.byte_offset, shape, dtype, strides, owner)


def asnumpy(source):
    return source.get() if isinstance(source, ndarray) else np.asarray(source)


def all(source):
    return bool(np.all(source.get()))

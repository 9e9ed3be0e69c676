# SPDX-License-Identifier: MIT OR Apache-2.0
"""A CUDA device without a framework: the driver's own calls, by ctypes. The stand-in driver is enough for it."""

import ctypes
import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
STANDIN = ROOT / "target" / "standin"
MISSING = "there is no stand-in driver; `cargo xtask standin` builds it"


SKEWED = {"LAG_US": ",".join(["20000"] * 3 + ["0"] * 61)}
"""The settings by which a forgotten wait shows: the first streams of a process are late."""


def environment(**settings):
    """The environment of a process whose CUDA driver is the stand-in."""
    found = {name: value for name, value in os.environ.items() if not name.startswith("UNCOPY_STANDIN_")}
    found["LD_LIBRARY_PATH"] = str(STANDIN)
    found.pop("CUDA_VISIBLE_DEVICES", None)
    found.update({f"UNCOPY_STANDIN_{name}": str(value) for name, value in settings.items()})
    return found


class Card:
    """The first device of this process, with its primary context current on this thread."""

    def __init__(self):
        self.driver = ctypes.CDLL("libcuda.so.1")
        self.call("cuInit", 0)
        device, context = ctypes.c_int(), ctypes.c_void_p()
        self.call("cuDeviceGet", ctypes.byref(device), 0)
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self.call("cuCtxSetCurrent", context)
        # By SKEWED the first streams of a process are late, and those of uncopy, made later, are not.
        self.late = [self.stream() for _ in range(4)][0]

    def call(self, name, *arguments):
        code = getattr(self.driver, name)(*arguments)
        assert code == 0, f"{name} failed: {code}"

    def stream(self):
        """A new stream: after the first ones a punctual one."""
        stream = ctypes.c_void_p()
        self.call("cuStreamCreate", ctypes.byref(stream), 1)
        return stream.value

    def destroy(self, stream):
        """From here on a call on that stream ends the process, as with a card."""
        self.call("cuStreamDestroy_v2", ctypes.c_void_p(stream))

    def settle(self):
        self.call("cuCtxSynchronize")

    def synchronize(self, stream):
        self.call("cuStreamSynchronize", ctypes.c_void_p(stream))

    def array(self, content, shape=None, **interface):
        """Bytes on the device, there when this returns."""
        array = Array(self, len(content), shape, interface)
        self.call("cuMemcpyHtoD_v2", ctypes.c_uint64(array.ptr), bytes(content), ctypes.c_size_t(len(content)))
        self.call("cuCtxSynchronize")
        return array

    def pinned_memory(self, size):
        """Host memory that copies do not wait for. It stays until the process ends."""
        place = ctypes.c_void_p()
        self.call("cuMemHostAlloc", ctypes.byref(place), ctypes.c_size_t(size), 0)
        return (ctypes.c_char * size).from_address(place.value)

    def write(self, ptr, content, stream):
        """Puts a copy from the host into a stream."""
        source = self.pinned_memory(len(content))
        source.raw = content
        size = ctypes.c_size_t(len(content))
        self.call("cuMemcpyHtoDAsync_v2", ctypes.c_uint64(ptr), source, size, ctypes.c_void_p(stream))

    def read(self, ptr, size, stream):
        """Puts a copy to the host into a stream, and returns where it will be."""
        target = self.pinned_memory(size)
        self.call(
            "cuMemcpyDtoHAsync_v2", target, ctypes.c_uint64(ptr), ctypes.c_size_t(size), ctypes.c_void_p(stream)
        )
        return target

    def begin_capture(self, stream):
        self.call("cuStreamBeginCapture_v2", ctypes.c_void_p(stream), 2)

    def end_capture(self, stream):
        graph = ctypes.c_void_p()
        self.call("cuStreamEndCapture", ctypes.c_void_p(stream), ctypes.byref(graph))


class Array:
    """Device memory that says so by the CUDA array interface, and frees itself."""

    def __init__(self, card, size, shape, interface):
        pointer = ctypes.c_uint64()
        card.call("cuMemAlloc_v2", ctypes.byref(pointer), ctypes.c_size_t(max(size, 1)))
        self.card, self.ptr = card, pointer.value
        self.interface = {
            "shape": (size,) if shape is None else shape,
            "typestr": "|u1",
            "data": (self.ptr, False),
            "version": 3,
            "stream": None,
            **interface,
        }

    @property
    def __cuda_array_interface__(self):
        return self.interface

    def __del__(self):
        self.card.driver.cuMemFree_v2(ctypes.c_uint64(self.ptr))

# SPDX-License-Identifier: MIT OR Apache-2.0
"""numba on the card: the CUDA array interface and nothing else. No kernel is compiled."""

from numba import cuda
from pattern import SHAPE, expected

name = "numba"

if not cuda.is_available():
    raise RuntimeError("numba.cuda.is_available() is False")


def make(number, shape=SHAPE):
    """Frame `number`, copied to the card in a stream of its own, which the array names."""
    stream = cuda.stream()
    return cuda.to_device(expected(number, shape), stream=stream)


def of(frame):
    return cuda.as_cuda_array(frame)


def to_host(array):
    return array.copy_to_host()


def address(array):
    return array.__cuda_array_interface__["data"][0]

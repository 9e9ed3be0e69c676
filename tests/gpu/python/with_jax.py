# SPDX-License-Identifier: MIT OR Apache-2.0
"""jax on the card. It must not take the whole card: other processes of the tests need some of it."""

import os

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import jax  # noqa: E402
import jax.numpy  # noqa: E402
import numpy  # noqa: E402
from pattern import SHAPE, expected  # noqa: E402

name = "jax"

if jax.default_backend() != "gpu":
    raise RuntimeError(f"its backend is {jax.default_backend()!r}")


@jax.jit
def _place(start):
    size = int(numpy.prod(SHAPE))
    return ((jax.numpy.arange(size, dtype=jax.numpy.int32) + start) % 65521).astype(jax.numpy.float32).reshape(SHAPE)


def make(number, shape=SHAPE):
    """Frame `number`, made by the card; not waited for."""
    if shape != SHAPE:
        return jax.device_put(expected(number, shape))
    return _place(7919 * number)


def of(frame):
    return frame.jax()


def to_host(array):
    # A computation, so that jax reads the frame in a stream of its own.
    return numpy.asarray(array + 0)


def address(array):
    return array.unsafe_buffer_pointer()

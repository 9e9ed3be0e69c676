# SPDX-License-Identifier: MIT OR Apache-2.0
"""CuPy arrays, by the CUDA array interface: CuPy then keeps the object that was asked, and drops it with the GIL."""

from typing import Any

from . import require


def module() -> Any:
    """CuPy, imported now if it was not."""
    return require("cupy", "cupy")


def array_from(view: Any) -> Any:
    """An array that shares the memory of `view` and holds it."""
    return module().asarray(view)

# SPDX-License-Identifier: MIT OR Apache-2.0
"""NumPy arrays, by the buffer protocol: it keeps strides, dtype and read-only in every version of NumPy."""

from typing import Any

from . import require


def array_from(source: Any) -> Any:
    """An array that shares the memory of `source` and holds it."""
    return require("numpy", "numpy").asarray(source)


def array_from_unsigned(source: Any, dtype: str) -> Any:
    """As `array_from`, for a dtype that only ml_dtypes knows; `source` has its items as unsigned integers."""
    ml_dtypes = require("ml_dtypes", "numpy")
    return array_from(source).view(getattr(ml_dtypes, dtype))

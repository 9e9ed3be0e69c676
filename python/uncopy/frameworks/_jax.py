# SPDX-License-Identifier: MIT OR Apache-2.0
"""jax arrays, by a DLPack capsule of the legacy form: every version of jax takes it, and jax never writes to it."""

from typing import Any

from . import require


class _Carrier:
    """jax asks an object for its capsule."""

    def __init__(self, capsule: Any) -> None:
        self._capsule = capsule

    def __dlpack__(self, **_: Any) -> Any:
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)


def array_from(capsule: Any) -> Any:
    """A CPU array that shares the capsule's memory and holds it; an error of jax's where it would have to copy."""
    return require("jax.dlpack", "jax").from_dlpack(_Carrier(capsule), copy=False)

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


class _DeviceCarrier:
    """jax asks an object for its capsule, and says in which stream it will wait for it."""

    def __init__(self, frame: Any, capsule: Any) -> None:
        self._frame = frame
        self._capsule = capsule

    def __dlpack__(self, *, stream: int | None = None, **_: Any) -> Any:
        if stream is not None and stream > 0:
            self._frame.used_on(stream)
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        device: tuple[int, int] = self._frame.__dlpack_device__()
        return device


def array_on_device(frame: Any, capsule: Any, copy: bool) -> Any:
    """An array on the frame's device that shares the capsule's memory and holds it; with copy a private one."""
    array = require("jax.dlpack", "jax").from_dlpack(_DeviceCarrier(frame, capsule))
    return require("jax.numpy", "jax").array(array, copy=True) if copy else array

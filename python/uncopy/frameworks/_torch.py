# SPDX-License-Identifier: MIT OR Apache-2.0
"""torch tensors, by a DLPack capsule of the legacy form: every version of torch takes it."""

from typing import Any

from . import require


def tensor_from(capsule: Any) -> Any:
    """A tensor that shares the capsule's memory and holds it. torch can't say read-only."""
    return require("torch", "torch").from_dlpack(capsule)


def tensor_class() -> Any:
    """torch.Tensor; torch is imported now if it was not."""
    return require("torch", "torch").Tensor

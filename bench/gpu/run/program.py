# SPDX-License-Identifier: MIT OR Apache-2.0
"""A program that prints rows of figures."""

from dataclasses import dataclass, field

from bundle import Bundle


@dataclass
class Program:
    """It runs in the first `rounds` rounds."""

    name: str
    command: list
    environment: dict[str, str] = field(default_factory=dict)
    rounds: int = 1_000_000
    limit_s: int = 240


def python_path(bundle: Bundle, site) -> dict[str, str]:
    """Where scripts find what they share, and the package that they measure."""
    return {"PYTHONPATH": ":".join(str(path) for path in (bundle.home / "peers", site) if path)}

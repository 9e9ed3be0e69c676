# SPDX-License-Identifier: MIT OR Apache-2.0
"""Arrays of the frameworks that are asked for by name. One file for each; none is imported before it is asked for."""

import importlib
import sys
from typing import Any


def require(module: str, extra: str) -> Any:
    """The module, imported now if it was not; raises ModuleNotFoundError that says which extra to install."""
    found = sys.modules.get(module)
    if found is not None:
        return found
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        message = f"{error.name} is not installed; pip install 'uncopy[{extra}]' brings it"
        raise ModuleNotFoundError(message, name=error.name) from None

# SPDX-License-Identifier: MIT OR Apache-2.0
"""Says which of the modules named on the command line this interpreter has, importing none of them."""

import importlib.metadata
import importlib.util
import json
import sys

DISTRIBUTIONS = {"skvideo": "scikit-video"}


def version_of(module):
    """The version of the distribution that brings the module, "" where it does not say."""
    try:
        return importlib.metadata.version(DISTRIBUTIONS.get(module, module))
    except importlib.metadata.PackageNotFoundError:
        return ""


def describe(module):
    """Version and directory of a module, None when there is none."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None:
        return None
    directories = list(spec.submodule_search_locations or [])
    return {"version": version_of(module), "directory": directories[0] if directories else None}


# The current directory could hold a file with the name of a module.
sys.path = [entry for entry in sys.path if entry]
found = {module: describe(module) for module in sys.argv[1:]}
json.dump(
    {
        "executable": sys.executable,
        "version": sys.version.split()[0],
        "modules": {module: what for module, what in found.items() if what is not None},
    },
    sys.stdout,
)

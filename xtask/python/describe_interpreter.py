# SPDX-License-Identifier: MIT OR Apache-2.0
"""Prints what `cargo xtask` must know of an interpreter; runs on any Python, however old."""

import json
import sys
import sysconfig


def has_module(name):
    try:
        __import__(name)
    except Exception:
        return False
    return True


print(
    json.dumps(
        {
            "path": sys.executable,
            "major": sys.version_info[0],
            "minor": sys.version_info[1],
            "is_cpython": getattr(sys, "implementation", None) is not None and sys.implementation.name == "cpython",
            "is_free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
            "has_ensurepip": has_module("venv") and has_module("ensurepip"),
            "has_pip": has_module("pip"),
        }
    )
)

# SPDX-License-Identifier: MIT OR Apache-2.0
"""The tests in C++, each in a process of its own."""

import os
import subprocess

import pytest
from conftest import BUILT

PROGRAM = BUILT / "test_arrays"


def names():
    if not PROGRAM.exists():
        return []
    return subprocess.run([PROGRAM, "--list"], capture_output=True, text=True, check=True).stdout.split()


def marked(name):
    marks = [pytest.mark.fault(name[:3].upper())] if name[0] == "f" and name[1:3].isdigit() else []
    return pytest.param(name, marks=[*marks, pytest.mark.device] if name.startswith("on_a_device") else marks)


@pytest.mark.parametrize("name", [marked(name) for name in names()])
def test_in_cpp(name):
    environment = dict(os.environ)
    if name.startswith("without_a_device"):
        environment.pop("LD_LIBRARY_PATH", None)
        environment["CUDA_VISIBLE_DEVICES"] = ""
    done = subprocess.run([PROGRAM, name], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr

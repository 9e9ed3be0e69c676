# SPDX-License-Identifier: MIT OR Apache-2.0
"""The extension modules that are examples of crates/pyo3, built and loaded."""

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = ("blackout", "luminance", "probe")


@pytest.fixture(scope="session")
def extensions(tmp_path_factory):
    """Where the built examples can be imported from."""
    if shutil.which("cargo") is None:
        pytest.skip("cargo is not on PATH, so the example modules can't be built")
    command = ["cargo", "build", "--locked", "--package", "uncopy-pyo3", "--examples", "--message-format=json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    built = {m["target"]["name"]: m["filenames"][0] for m in messages if m.get("filenames") and "target" in m}
    directory = tmp_path_factory.mktemp("extensions")
    for name in NAMES:
        shutil.copy(built[name], directory / f"{name}.abi3.so")
    return directory


def module(name):
    @pytest.fixture(scope="session", name=name)
    def load(extensions):
        sys.path.insert(0, str(extensions))
        try:
            return importlib.import_module(name)
        finally:
            sys.path.remove(str(extensions))

    return load


blackout, luminance, probe = map(module, NAMES)

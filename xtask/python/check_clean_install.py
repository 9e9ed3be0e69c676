# SPDX-License-Identifier: MIT OR Apache-2.0
"""Run by the interpreter of an environment that holds the wheel and nothing else."""

import importlib.metadata
import importlib.util
import subprocess
import sys
from pathlib import Path

others = {dist.name for dist in importlib.metadata.distributions()} - {"uncopy"}
assert not others, f"the environment is not clean: {sorted(others)}"
assert importlib.util.find_spec("numpy") is None, "the environment is not clean: it has NumPy"

before = set(sys.modules)
import uncopy  # noqa: E402

assert uncopy.__version__ == importlib.metadata.version("uncopy"), "uncopy.__version__ is not that of the wheel"
frameworks = {"numpy", "torch", "jax", "cupy", "tensorflow"} & (set(sys.modules) - before)
assert not frameworks, f"import uncopy imported {sorted(frameworks)}"
assert (Path(uncopy.__file__).parent / "py.typed").is_file(), "py.typed is missing from the wheel"

command = Path(sys.executable).parent / "uncopy"
version = subprocess.run([command, "--version"], capture_output=True, text=True)
assert version.returncode == 0, f"uncopy --version ended with {version.returncode}: {version.stderr}"
assert uncopy.__version__ in version.stdout, f"uncopy --version says {version.stdout!r}"
print(f"uncopy {uncopy.__version__} on Python {sys.version.split()[0]}")

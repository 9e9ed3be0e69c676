# SPDX-License-Identifier: MIT OR Apache-2.0
"""Importing this lets the runner's files be imported by their bare names, as they import each other in a bundle.

No conftest.py, since pytest knows one module of that name, and the package's tests have it.
"""

import sys
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent

sys.path[:0] = [str(HOME / "run"), str(HOME / "peers")]

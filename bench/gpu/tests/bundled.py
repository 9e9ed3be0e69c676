# SPDX-License-Identifier: MIT OR Apache-2.0
"""The runner's files import each other by their bare names, as they do in a bundle: importing this makes that work here.

No conftest.py, since pytest knows one module of that name, and the package's tests have it.
"""

import sys
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent

sys.path[:0] = [str(HOME / "run"), str(HOME / "peers")]

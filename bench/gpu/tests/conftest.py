# SPDX-License-Identifier: MIT OR Apache-2.0
"""The runner's files import each other by their bare names, as they do in a bundle."""

import sys
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent

sys.path[:0] = [str(HOME / "run"), str(HOME / "peers")]

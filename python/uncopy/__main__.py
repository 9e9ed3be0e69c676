# SPDX-License-Identifier: MIT OR Apache-2.0
"""The `uncopy` command: the same program that `cargo install` gives, inside this interpreter."""

import sys

from ._uncopy import _run_cli


def main() -> int:
    """Runs the command with the arguments of this process and returns its exit code. Ctrl-C ends it in order."""
    return _run_cli([sys.executable, "-m", "uncopy"], ["uncopy", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())

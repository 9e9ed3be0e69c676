# SPDX-License-Identifier: MIT OR Apache-2.0
"""Running other programs, each in a group of its own.

Each has a limit, so that one that hangs does not take the others' time.
"""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass

LIMIT_S = 240
"""A program that runs longer is ended and has failed."""


@dataclass
class Finished:
    """How a program ended. `code` is `None` where it was ended at its limit."""

    code: int | None
    output: str
    errors: str

    def is_good(self) -> bool:
        return self.code == 0

    def why(self) -> str:
        """One line: how it ended, and the last thing that it said."""
        ended = "did not end in time" if self.code is None else f"ended with code {self.code}"
        said = [line for line in (self.errors or self.output).splitlines() if line.strip()]
        return f"{ended}: {said[-1].strip()}" if said else ended


def run(command, *, env=None, limit_s=LIMIT_S, cwd=None, joined=False) -> Finished:
    """Runs to the end. With `joined` the output holds what went to standard error too, in the order of time."""
    environment = os.environ | (env or {})
    errors = subprocess.STDOUT if joined else subprocess.PIPE
    try:
        child = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            cwd=cwd,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        return Finished(127, "", f"{command[0]} did not start: {error}")
    try:
        output, said = child.communicate(timeout=limit_s)
        return Finished(child.returncode, output, said or "")
    except subprocess.TimeoutExpired:
        _end_group(child)
        output, said = child.communicate()
        return Finished(None, output, said or "")
    except BaseException:
        _end_group(child)
        raise


def _end_group(child) -> None:
    """The program and all that it started."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def say(text: str) -> None:
    print(text, flush=True)


def complain(text: str) -> None:
    print(text, file=sys.stderr, flush=True)

# SPDX-License-Identifier: MIT OR Apache-2.0
"""Other processes of the tests, and the frameworks that are here. Importing this loads no driver."""

import importlib
import multiprocessing
import os
import traceback

import pytest

SECONDS = 60
"""No test waits longer for the other side: by then it hangs."""


def framework(name):
    """A module of tests/gpu/python that speaks to one framework; skips where that is not installed or has no card."""
    try:
        adapter = importlib.import_module(f"with_{name}")
        adapter.make(0)
    except ModuleNotFoundError as error:
        pytest.skip(f"{name} is not installed ({error})")
    except Exception as error:
        pytest.skip(f"{name} can't use the card: {type(error).__name__}: {error}")
    return adapter


class Peer:
    """A function of roles.py in a process of its own, made by spawn."""

    def __init__(self, name, arguments, environment):
        context = multiprocessing.get_context("spawn")
        self.name = name
        self.pipe, theirs = context.Pipe()
        changed = {variable: os.environ.get(variable) for variable in environment}
        os.environ.update(environment)
        try:
            self.process = context.Process(target=run_role, args=(theirs, name, arguments))
            self.process.start()
        finally:
            for variable, value in changed.items():
                if value is None:
                    del os.environ[variable]
                else:
                    os.environ[variable] = value
        theirs.close()

    def tell(self, word="go"):
        self.pipe.send(word)

    def hear(self):
        """What it says next; its traceback, if it failed."""
        if not self.pipe.poll(SECONDS):
            raise AssertionError(f"{self.name} has said nothing for {SECONDS} s; it hangs")
        try:
            kind, said = self.pipe.recv()
        except EOFError:
            self.process.join(SECONDS)
            raise AssertionError(f"{self.name} ended without a word, exit code {self.process.exitcode}") from None
        if kind == "failed":
            raise AssertionError(f"{self.name} failed in its process:\n{said}")
        if kind == "skipped":
            pytest.skip(f"{self.name}: {said}")
        return said

    def expect(self, word):
        said = self.hear()
        assert said == word, f"{self.name} said {said!r} in place of {word!r}"

    def end(self):
        """Waits for its end, which must be a clean one."""
        self.process.join(SECONDS)
        if self.process.is_alive():
            raise AssertionError(f"{self.name} does not end")
        assert self.process.exitcode == 0, f"{self.name} ended with exit code {self.process.exitcode}"


def run_role(pipe, name, arguments):
    """The other process: runs the role, and says how it ended."""

    def say(word):
        pipe.send(("said", word))

    def hear():
        if not pipe.poll(SECONDS):
            raise AssertionError(f"nobody has told {name} anything for {SECONDS} s")
        return pipe.recv()

    try:
        roles = importlib.import_module("roles")
        getattr(roles, name)(say, hear, *arguments)
    except ModuleNotFoundError as error:
        pipe.send(("skipped", f"not installed: {error}"))
    except BaseException:
        pipe.send(("failed", traceback.format_exc()))
        raise SystemExit(1) from None

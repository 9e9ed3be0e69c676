# SPDX-License-Identifier: MIT OR Apache-2.0
"""Every test has a runtime directory of its own, and leaves nothing behind."""

import gc
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import uncopy

from extensions import blackout, extensions, luminance, probe  # noqa: F401

PROGRAMS = Path(__file__).parent / "programs.py"


@pytest.fixture(autouse=True)
def runtime_dir(tmp_path, monkeypatch):
    """Links of the test are found here; after it no file, shared memory or process of ours is left."""
    directory = tmp_path / "run"
    monkeypatch.setenv("UNCOPY_RUNTIME_DIR", str(directory))
    yield directory
    if shared_memory():
        # A failed test is held by its traceback, and only a cycle needs the collector.
        gc.collect()
    # Looking at the links sweeps what killed programs of the test left.
    assert uncopy.list() == []
    # But for the errors that are kept for whoever reads them.
    assert [name for name in os.listdir(directory) if not name.endswith(".errors")] == []
    eventually(lambda: not shared_memory(), "no shared memory is left")


def shared_memory():
    """Our memfds that this process still maps or has open."""
    mapped = [line for line in Path("/proc/self/maps").read_text().splitlines() if "memfd:uncopy" in line]
    descriptors = Path("/proc/self/fd")
    return mapped + [name for name in os.listdir(descriptors) if "memfd:uncopy" in target_of(descriptors / name)]


def target_of(link):
    try:
        return os.readlink(link)
    except FileNotFoundError:
        return ""


def eventually(condition, what):
    """Waits for something that other threads and processes do. Half a minute is for ever."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < 30, f"this never came true: {what}"
        time.sleep(0.001)


class Program:
    """A function of programs.py in a process of its own, spoken to by lines."""

    def __init__(self, name, *arguments, options=()):
        command = [sys.executable, *options, str(PROGRAMS), name, *map(str, arguments)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        self.pid = self.process.pid

    def hear(self):
        """The next line that the program prints; what went wrong if there is none."""
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the program ended: {self.process.communicate()[1]}")
        return line.rstrip("\n")

    def say(self, line="go"):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def end(self):
        """Waits for its end; exit code, and what is left of standard output and error."""
        out, err = self.process.communicate()
        return self.process.returncode, out, err

    def is_asleep(self):
        """Whether its main thread sleeps in a futex or a poll of the kernel."""
        call = Path(f"/proc/{self.pid}/syscall").read_text().split()[0]
        return call in ("202", "449", "232", "281", "441", "22", "271", "7")


@pytest.fixture
def program():
    """Starts functions of programs.py; ends those that the test left running."""
    started = []

    def start(name, *arguments, options=()):
        started.append(Program(name, *arguments, options=options))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
        each.process.communicate()


@pytest.fixture
def pair():
    """A publisher and a subscriber of one link, in this process."""
    with uncopy.publish("pair") as pub, uncopy.subscribe("pair") as sub:
        yield pub, sub

# SPDX-License-Identifier: MIT OR Apache-2.0
"""The Python examples of README.md and of the pages below docs are run as they stand; the pictures show what happens."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import uncopy

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
EXAMPLE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# The first two examples of this page are one program for each of two processes.
TWO_PROCESSES = ROOT / "README.md"


def examples():
    for page in PAGES:
        for number, match in enumerate(EXAMPLE.finditer(page.read_text())):
            line = page.read_text()[: match.start()].count("\n") + 1
            if page != TWO_PROCESSES or number > 1:
                yield pytest.param(match[1], id=f"{page.relative_to(ROOT)}:{line}")


def program(tmp_path, name, code):
    path = tmp_path / name
    path.write_text(code)
    # Python warns of a fork beside our service thread, which takes no lock of Python's.
    return [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", str(path)]


@pytest.mark.parametrize("code", list(examples()))
def test_an_example_of_a_page_runs(code, tmp_path):
    done = subprocess.run(program(tmp_path, "example.py", code), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


# What the producer of the README does between opening its link and its first frame: it waits for its reader.
WAITS = """
import uncopy
opened = uncopy.publish
def publish(*arguments, **keywords):
    pub = opened(*arguments, **keywords)
    pub.wait_for_consumers(1)
    return pub
uncopy.publish = publish
"""


def test_the_two_processes_of_the_readme_meet(tmp_path):
    producer, reader = [match[1] for match in EXAMPLE.finditer(TWO_PROCESSES.read_text())][:2]
    reading = subprocess.Popen(program(tmp_path, "reader.py", reader), stdout=subprocess.PIPE, text=True)
    publishing = subprocess.run(program(tmp_path, "producer.py", WAITS + producer), capture_output=True, text=True)
    assert (publishing.returncode, publishing.stderr) == (0, "")
    shown = reading.communicate()[0].splitlines()
    assert reading.returncode == 0
    assert shown[-1].startswith("2 (720, 1280, 3) ") and "reason='send'" in shown[-1]


@pytest.fixture(scope="module")
def pictures():
    spec = importlib.util.spec_from_file_location("pictures", ROOT / "docs/concepts/pictures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pictures_are_what_their_script_draws(pictures):
    for name, draw in pictures.PICTURES.items():
        assert (pictures.HERE / name).read_text() == draw(), f"run python3 docs/concepts/pictures.py ({name})"


@pytest.mark.parametrize("keep", (1, 2))
@pytest.mark.parametrize("when_full", ("drop", "block"))
@pytest.mark.parametrize("read", ("latest", "every"))
def test_a_timeline_of_the_pictures_is_what_a_link_does(pictures, read, when_full, keep):
    published, dropped, waits, received, held = [], [], [], [], []
    room_timeout = 0.0 if when_full == "block" else None
    since = None
    with (
        uncopy.publish("line", slots=pictures.SLOTS, when_full=when_full, room_timeout=room_timeout) as pub,
        uncopy.subscribe("line", read=read) as sub,
    ):

        def publish(tick):
            try:
                number = pub.send(bytes([tick]))
            except uncopy.NoFreeSlot:
                return False
            if number is not None:
                published.append((tick, number))
            return number is not None

        for tick in range(1, pictures.TICKS + 1):
            if since is None and not publish(tick):
                if when_full == "drop":
                    dropped.append(tick)
                else:
                    since = tick
            if tick % pictures.PERIOD == 1:
                frame = sub.recv(timeout=5.0)
                received.append((tick, frame.seq, frame.missed))
                held = (held + [frame])[-keep:]
                del frame
            if since is not None and publish(tick):
                waits.append((since, tick))
                since = None
        if since is not None:
            waits.append((since, pictures.TICKS + 1))
        if when_full == "drop":
            assert pub.stats.dropped == len(dropped)
        held.clear()
    assert (published, dropped, waits, received) == pictures.scenario(read, when_full, keep)


def test_no_example_is_left_out():
    assert {os.path.basename(page) for page in PAGES} >= {"README.md", "SECURITY.md", "troubleshooting.md", "policies.md"}
    assert len(list(examples())) >= 6

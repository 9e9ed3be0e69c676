# SPDX-License-Identifier: MIT OR Apache-2.0
"""Other interpreters than the one that we are made for."""

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import uncopy

pytestmark = pytest.mark.fault("F48")

SITE = str(Path(uncopy.__file__).parents[1])
ELSEWHERE = """
import sys
sys.path.insert(0, SITE)
try:
    import uncopy
    answer = "imported"
except ImportError as error:
    answer = str(error)
with open(ANSWER, "w") as file:
    file.write(answer)
"""


def interpreters():
    try:
        return importlib.import_module("_interpreters")
    except ImportError:
        return importlib.import_module("_xxsubinterpreters")


def test_a_sub_interpreter_is_refused_with_what_to_do_and_the_main_one_works_on(tmp_path, pair):
    pub, sub = pair
    module = interpreters()
    answer = tmp_path / "answer"
    for _ in range(3):
        other = module.create()
        try:
            run = getattr(module, "run_string", None) or module.exec
            run(other, f"SITE, ANSWER = {SITE!r}, {str(answer)!r}\n{ELSEWHERE}")
        finally:
            module.destroy(other)
        assert "can't be imported in a sub-interpreter" in answer.read_text()
        assert "use a process of its own" in answer.read_text()
        pub.send(b"on")
        assert bytes(sub.recv()) == b"on"


def test_a_sub_interpreter_that_is_first_is_refused_and_leaves_the_main_one_free(tmp_path):
    answer = tmp_path / "answer"
    program = f"""
try:
    import _interpreters as module
except ImportError:
    import _xxsubinterpreters as module
other = module.create()
run = getattr(module, "run_string", None) or module.exec
run(other, {f"SITE, ANSWER = {SITE!r}, {str(answer)!r}{chr(10)}{ELSEWHERE}"!r})
module.destroy(other)
import sys
sys.path.insert(0, {SITE!r})
import uncopy
with uncopy.publish("main") as pub, uncopy.subscribe("main") as sub:
    pub.send(b"frame")
    print(bytes(sub.recv()).decode())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("frame\n", 0), done.stderr
    assert "can't be imported in a sub-interpreter" in answer.read_text()


def free_threaded_python():
    """A Python without a GIL, if there is one on this machine."""
    for name in ("python3.14t", "python3.13t"):
        if found := shutil.which(name):
            return found
    return None


def test_a_python_without_a_gil_refuses_the_module_or_turns_its_gil_on():
    python = free_threaded_python()
    if python is None:
        pytest.skip("there is no free-threaded Python here (python3.14t, python3.13t on PATH), and Debian and PyPI have none")
    program = "import sys, uncopy; print(sys._is_gil_enabled())"
    done = subprocess.run([python, "-c", program], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": SITE})
    # The wheel is of the stable ABI, which such interpreters don't load; one that does must take its GIL back.
    assert done.stdout == "True\n" or "ImportError" in done.stderr or "ModuleNotFoundError" in done.stderr, done

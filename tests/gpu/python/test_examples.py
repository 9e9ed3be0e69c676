# SPDX-License-Identifier: MIT OR Apache-2.0
"""The examples of the pages that need a card (```python gpu) or two (```python gpus), and the programs of examples/, run
as they stand."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from peers import framework

# In a checkout, or where the bundle for a GPU machine puts them.
ROOT = next((root for root in Path(__file__).parents if (root / "examples").is_dir()), Path(__file__).parent)
EXAMPLE = re.compile(r"^```python (gpus?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = [page for page in (ROOT / "README.md", ROOT / "docs/concepts/devices.md") if page.exists()]
PROGRAMS = [ROOT / "examples" / name for name in ("several_streams.py", "cuda_graph.py")]


def examples():
    for page in PAGES:
        for match in EXAMPLE.finditer(page.read_text()):
            line = page.read_text()[: match.start()].count("\n") + 1
            yield pytest.param(match[2], match[1] == "gpus", id=f"{page.name}:{line}")


def run(*command):
    done = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("code", "needs_two"), list(examples()))
def test_an_example_of_a_page_runs(code, needs_two, tmp_path):
    count = framework("torch").torch.cuda.device_count()
    if needs_two and count < 2:
        pytest.skip(f"it needs two cards, and there is {count}")
    path = tmp_path / "example.py"
    path.write_text(code)
    run(path)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_a_program_of_the_examples_runs(program):
    framework("torch")
    if not program.exists():
        pytest.skip(f"{program} was not brought along")
    assert "frames" in run(program, "--frames", 30)

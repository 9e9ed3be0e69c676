# SPDX-License-Identifier: MIT OR Apache-2.0
"""Two copies of the library in one process, as where a host application brings one and a virtual environment another."""

import shutil
from pathlib import Path

import pytest

import uncopy

pytestmark = pytest.mark.fault("F49")

SIGSEGV = -11


@pytest.fixture
def other_site(tmp_path):
    """A directory with another copy of the package: its extension module is another file, so that it is loaded anew."""
    shutil.copytree(Path(uncopy.__file__).parent, tmp_path / "site" / "uncopy")
    return str(tmp_path / "site")


def test_frames_pass_from_each_copy_to_the_other_and_both_close_cleanly(program, other_site):
    both = program("two_copies", other_site)
    assert both.end() == (0, "services 2\npassed\nclosed\n", "")


def test_a_child_of_both_copies_is_told_so_by_each_and_the_parent_goes_on(program, other_site):
    both = program("fork_two_copies", other_site)
    assert both.end() == (0, "ForkedProcess ForkedProcess\nof its own\n0\nstill here\n", "")


@pytest.mark.parametrize("faulthandler", [False, True])
@pytest.mark.parametrize("writes_into", ["first", "second"])
def test_a_stray_write_is_told_by_the_copy_whose_frame_it_was(program, other_site, writes_into, faulthandler):
    options = ("-X", "faulthandler") if faulthandler else ()
    both = program("stray_write_in_two_copies", other_site, writes_into, options=options)
    code, said, errors = both.end()
    assert (code, said) == (SIGSEGV, "writing\n")
    told = [line for line in errors.splitlines() if line.startswith("uncopy: write to read-only memory")]
    assert len(told) == 1 and f"frames of link '{writes_into}'" in told[0], errors
    assert ("Fatal Python error: Segmentation fault" in errors) == faulthandler

# SPDX-License-Identifier: MIT OR Apache-2.0
"""The C++ of the guide and of the front page compiles."""

import re

import pytest
from build import INCLUDE, WARNINGS, nanobind_flags, pybind11_flags
from conftest import ROOT
from test_headers import compiled

PAGE = (ROOT / "docs" / "cpp.md").read_text()
PAGES = PAGE + (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```cpp ?(\w*)\n(.*?)^```", PAGES, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_an_example_compiles(number):
    library, code = BLOCKS[number]
    flags = pybind11_flags() if library == "pybind11" else []
    done = compiled(code, [*WARNINGS, f"-I{INCLUDE}", *flags])
    assert done.returncode == 0, done.stderr


def test_the_first_example_compiles_with_nanobind_as_the_page_says():
    code = next(code for library, code in BLOCKS if library == "pybind11")
    code = code.replace("uncopy/pybind11.hpp", "uncopy/nanobind.hpp").replace("PYBIND11_MODULE", "NB_MODULE").replace("pybind11::", "nanobind::")
    done = compiled(code, [*WARNINGS, f"-I{INCLUDE}", *nanobind_flags()])
    assert done.returncode == 0, done.stderr


def test_every_part_of_a_view_that_the_page_names_is_there():
    names = {"strided", "c_order", "f_order", "contiguous", "host", "cuda", "cuda_pinned", "cuda_managed", "anywhere"}
    assert names <= set(re.findall(r"`(\w+)`", PAGE))
    uses = "".join(f"using u{i} = uncopy::{name};\n" for i, name in enumerate(sorted(names)))
    assert compiled(f"#include <uncopy/array.hpp>\n{uses}", [*WARNINGS, f"-I{INCLUDE}"]).returncode == 0


def test_the_message_of_the_page_is_what_is_said():
    import casters_pybind11
    import numpy as np

    with pytest.raises(TypeError) as raised:
        casters_pybind11.sum(np.zeros(5))
    assert str(raised.value) in PAGE

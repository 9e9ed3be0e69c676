# SPDX-License-Identifier: MIT OR Apache-2.0
"""The public tests of pybind11_cuda_array_interface itself, over our header: where UNCOPY_SEED_TESTS names a checkout of it.

Its module is built of its own source, with our drop-in header in place of its own; a small CUDA runtime over the driver
stands in for the toolkit (`cuda_runtime/`), and `pycai/call_saxpy.cpp` for its kernel. Its Python tests run against that
module and against our `pycai` in both builds; its C++ tests need GoogleTest (Debian: libgtest-dev) and Python's library.
"""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from build import COMPILER, HERE, INCLUDE, SUFFIX, pybind11_flags
from conftest import BUILT, FAKES, ON_STANDIN

pytestmark = pytest.mark.device

CHECKOUT = os.environ.get("UNCOPY_SEED_TESTS")
SOURCES = Path(CHECKOUT or "") / "tests" / "sources"
FLAGS = ["-std=c++17", "-O1", "-fvisibility=hidden", f"-I{INCLUDE}", f"-I{HERE}", f"-I{HERE / 'cuda_runtime'}"]


@pytest.fixture(autouse=True)
def checkout():
    if not CHECKOUT:
        pytest.skip("UNCOPY_SEED_TESTS names no checkout of mikaeltw/pybind11_cuda_array_interface")


def build(arguments):
    done = subprocess.run([COMPILER, *FLAGS, *pybind11_flags(), *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def paths(*first):
    return os.pathsep.join([*map(str, first), *([str(FAKES)] if ON_STANDIN else []), str(HERE)])


def run_python_tests(module_directory):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--confcutdir", CHECKOUT, str(Path(CHECKOUT) / "tests" / "pytest")]
    environment = {**os.environ, "PYTHONPATH": paths(module_directory)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=module_directory)
    assert done.returncode == 0, done.stdout[-3000:]


def test_its_python_tests_pass_with_our_module():
    run_python_tests(BUILT)


def test_its_python_tests_pass_with_our_module_in_rust(pycai_in_rust):
    run_python_tests(Path(pycai_in_rust.__file__).parent)


def test_its_python_tests_pass_with_its_module_and_our_header(tmp_path):
    source = SOURCES / "pytest_pybind11_cuda_array_interface.cpp"
    build(["-shared", "-fPIC", f"-I{SOURCES}", source, HERE / "pycai" / "call_saxpy.cpp", "-o", tmp_path / f"pycai{SUFFIX}", "-ldl"])
    run_python_tests(tmp_path)


def test_its_cpp_tests_pass(tmp_path):
    program, source = tmp_path / "tests", SOURCES / "gtest_pybind11_cuda_array_interface.cpp"
    directory, version = sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("LDVERSION")
    python = [f"-L{directory}", f"-Wl,-rpath,{directory}", f"-lpython{version}"]
    build([source, "-o", program, "-lgtest", *python, "-ldl", "-pthread", "-Wl,--export-dynamic"])
    packages = sysconfig.get_path("platlib")
    done = subprocess.run([program], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths(packages)})
    assert done.returncode == 0 and "FAILED" not in done.stdout, done.stdout[-3000:]

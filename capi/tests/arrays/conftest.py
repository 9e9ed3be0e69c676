# SPDX-License-Identifier: MIT OR Apache-2.0
"""Where the built modules lie, and what stands in for frameworks on a device.

`cargo xtask test casters` builds the modules, and runs this on the stand-in driver. By hand: `python build.py OUT`, then
`UNCOPY_CASTERS=OUT python -m pytest capi/tests/arrays`, on a card or with the stand-in on LD_LIBRARY_PATH.
"""

import importlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
BUILT = Path(os.environ.get("UNCOPY_CASTERS", ROOT / "target" / "casters"))
FAKES = HERE / "fakes"

sys.path.insert(0, str(BUILT))
sys.path.insert(0, str(HERE))

ON_STANDIN = "UNCOPY_STANDIN" in os.environ
if ON_STANDIN:
    # The real CuPy can't run on it.
    sys.path.insert(0, str(FAKES))

MODULES = ["casters_pybind11", "casters_nanobind"]


def has_device():
    program = "import ctypes; d = ctypes.CDLL('libcuda.so.1'); n = ctypes.c_int(); assert d.cuInit(0) == 0"
    program += "; assert d.cuDeviceGetCount(ctypes.byref(n)) == 0 and n.value > 0"
    return subprocess.run([sys.executable, "-c", program], capture_output=True).returncode == 0


HAS_DEVICE = has_device()


def pytest_configure(config):
    config.addinivalue_line("markers", "fault(id, ...): the faults of the catalogue that the test injects")
    config.addinivalue_line("markers", "device: needs a CUDA device, or the stand-in driver")


def pytest_runtest_setup(item):
    if not HAS_DEVICE and any(item.iter_markers("device")):
        pytest.skip("there is no CUDA device, nor the stand-in driver on LD_LIBRARY_PATH")


@pytest.fixture(params=MODULES)
def module(request):
    return importlib.import_module(request.param)


@pytest.fixture(scope="session")
def pycai_in_cpp():
    return pytest.importorskip("pycai")


@pytest.fixture(scope="session")
def pycai_in_rust():
    """The module of the same name that `cargo xtask test casters` builds of tests/pycai."""
    file = BUILT / "rust" / "pycai.abi3.so"
    if not file.is_file():
        pytest.skip(f"{file} is not built: cargo build -p uncopy-pycai, and copy libpycai.so there")
    spec = importlib.util.spec_from_file_location("pycai", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def nothing_is_kept():
    yield
    for name in MODULES:
        if name in sys.modules:
            sys.modules[name].forget()


def run_alone(program, *arguments):
    """Runs a program in an interpreter of its own; what it printed. The names of this file's settings are there."""
    start = f"import sys; sys.path[:0] = {[str(BUILT), str(HERE)] + ([str(FAKES)] if ON_STANDIN else [])!r}\n"
    done = subprocess.run([sys.executable, "-c", start + program, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout

# SPDX-License-Identifier: MIT OR Apache-2.0
"""Tests of the Python package on a real card. Each test has a runtime directory of its own, and leaves no link behind.

Run them where torch, CuPy, jax, numba and cuda.core are installed, as far as they are: `python -m pytest tests/gpu/python`.
Without a CUDA device everything is skipped, with the driver's reason; without a framework, its tests.
"""

import ctypes
import gc

import pytest
from peers import Peer

import uncopy


def reason_without_card():
    """Why there is no CUDA device here; None where there is one."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        return f"no CUDA driver: {error}"
    code, count = driver.cuInit(0), ctypes.c_int()
    if code == 0:
        code = driver.cuDeviceGetCount(ctypes.byref(count))
    if code != 0:
        return f"the CUDA driver answers with error {code}"
    return None if count.value else "the CUDA driver sees no device"


WITHOUT_CARD = reason_without_card()


def pytest_collection_modifyitems(items):
    if WITHOUT_CARD:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=WITHOUT_CARD))


@pytest.fixture(autouse=True)
def runtime_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("UNCOPY_RUNTIME_DIR", str(tmp_path / "run"))
    yield
    gc.collect()
    assert uncopy.list() == [], "a link was left open"


@pytest.fixture
def pair():
    """A publisher and a subscriber of one link, in this process."""
    with uncopy.publish("pair", slots=4) as pub, uncopy.subscribe("pair") as sub:
        yield pub, sub


@pytest.fixture
def peer():
    """Starts roles in processes of their own; ends those that the test left running."""
    started = []

    def start(name, *arguments, **environment):
        started.append(Peer(name, arguments, environment))
        return started[-1]

    yield start
    for each in started:
        if each.process.is_alive():
            each.process.kill()
        each.process.join()

# SPDX-License-Identifier: MIT OR Apache-2.0
"""The examples of the guide do what they say."""

import subprocess

import numpy as np
import pytest
from conftest import BUILT


def test_the_example_without_python_prints_what_it_computes():
    done = subprocess.run([BUILT / "dlpack_in_cpp"], capture_output=True, text=True, check=True)
    assert done.stdout == "float32[2, 3] on cpu\nrow sums: 6 15\n"


@pytest.mark.parametrize("name", ["brighten_pybind11", "brighten_nanobind"])
def test_the_example_with_python_takes_any_frameworks_image(name):
    module = pytest.importorskip(name)
    image = np.full((2, 3, 3), 100, np.uint8)
    module.brighten(image[:, ::-1], 60)
    assert (image == 160).all()
    module.brighten(image, 100)
    assert (image == 255).all()
    ramp = module.ramp(4)
    assert type(ramp) is np.ndarray and ramp.tolist() == [0, 1, 2, 3]
    with pytest.raises(TypeError, match=r"brighten\(\): argument 1: numpy.ndarray float32\[2\]"):
        module.brighten(np.zeros(2, np.float32), 1)
    torch = pytest.importorskip("torch")
    tensor = torch.full((2, 3, 3), 10, dtype=torch.uint8)
    module.brighten(tensor, 5)
    assert (tensor == 15).all()
    assert isinstance(module.doubled(torch.ones(3)), torch.Tensor)
    assert module.doubled(np.ones(3, np.float32)).tolist() == [2, 2, 2]


@pytest.mark.device
@pytest.mark.parametrize("name", ["brighten_pybind11", "brighten_nanobind"])
def test_the_example_fills_memory_of_a_device(name):
    module, cp = pytest.importorskip(name), pytest.importorskip("cupy")
    x = cp.array([1, 2, 3], dtype=cp.float32)
    module.overwrite(x, [7.0, 8.0, 9.0])
    assert cp.asnumpy(x).tolist() == [7, 8, 9]

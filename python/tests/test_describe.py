# SPDX-License-Identifier: MIT OR Apache-2.0
"""What uncopy.describe says of arrays."""

import array
import types

import numpy
import pytest

import uncopy


def test_an_array_is_described_by_its_own_fields():
    base = numpy.arange(24, dtype="int16").reshape(4, 6)[::-2, 1:]
    what = uncopy.describe(base)
    assert (what.shape, what.strides, what.dtype) == (base.shape, base.strides, "int16")
    assert (what.device, what.stream, what.readonly, what.protocol) == ("cpu", None, False, "numpy")
    assert (what.ptr, what.nbytes) == (base.ctypes.data, base.nbytes)
    assert what == uncopy.describe(base) and what != uncopy.describe(base.copy())
    assert repr(what) == f"<uncopy.Description int16[2, 5] strides [-24, 2] bytes on cpu at {what.ptr:#x}, by numpy>"


def test_the_protocol_is_the_cheapest_that_the_type_has():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    frozen = numpy.zeros(3)
    frozen.setflags(write=False)
    for one, protocol in (
        (frozen, "numpy"),
        (torch.zeros(3), "dlpack_table"),
        (array.array("d", [1, 2]), "buffer"),
        (b"bytes", "buffer"),
        (uncopy.wrap(frozen.ctypes.data, (3,), "float64", owner=frozen, readonly=True), "dlpack"),
    ):
        assert uncopy.describe(one).protocol == protocol, one
    assert uncopy.describe(frozen).readonly and uncopy.describe(b"bytes").readonly


def test_tensors_that_torch_says_are_read_only_are():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    if not hasattr(torch.utils.dlpack, "ReadOnlyTensorWrapper"):
        pytest.skip("torch before 2.14 has no read-only tensors")
    what = uncopy.describe(torch.utils.dlpack.ReadOnlyTensorWrapper(torch.zeros(3)))
    assert what.readonly and what.protocol == "dlpack_table"


def test_what_one_object_has_is_not_taken_for_what_its_type_has():
    with pytest.raises(uncopy.InvalidArgument, match="__dlpack__"):
        uncopy.describe(types.SimpleNamespace())
    interface = {"shape": (2,), "typestr": "<f4", "version": 3, "data": (4096, False)}
    with pytest.raises(uncopy.Error) as caught:
        uncopy.describe(types.SimpleNamespace(__cuda_array_interface__=interface))
    # Without a driver, or with one that does not know the address.
    assert "__dlpack__" not in str(caught.value)
    with pytest.raises(uncopy.InvalidArgument, match="__dlpack__"):
        uncopy.describe(types.SimpleNamespace())


@pytest.mark.parametrize("what", (3, "text", [1, 2], numpy.float32(3), numpy.ma.zeros(2), None))
@pytest.mark.fault("F39")
def test_what_is_no_array_is_refused(what):
    with pytest.raises(uncopy.InvalidArgument):
        uncopy.describe(what)

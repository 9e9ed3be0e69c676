# SPDX-License-Identifier: MIT OR Apache-2.0
"""What arrays become in Python: the object that they came from, an exporter, or a framework's array."""

import hashlib
import io

import numpy as np
import pytest
from capsules import Producer, floats, name_of

DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64", "complex64", "complex128"]


def test_an_argument_is_returned_as_itself(module):
    for x in (floats(), Producer(floats()), memoryview(floats())):
        assert module.same(x) is x
        assert module.same_view(x) is x
        module.keep(x)
        assert module.give_back(0) is x
        module.forget()


@pytest.mark.fault("F40")
def test_an_argument_that_became_read_only_is_another_object(module):
    x = floats()
    module.keep(x)
    fixed = np.asarray(module.give_back_read_only(0))
    assert fixed.ctypes.data == x.ctypes.data and not fixed.flags.writeable


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_library_reads_a_new_array_without_a_copy(module, dtype):
    made = module.make([2, 3], dtype)
    expected = np.arange(6 * np.dtype(dtype).itemsize, dtype=np.uint8).view(dtype).reshape(2, 3)
    assert (made.shape, made.strides, made.dtype, made.device, made.read_only) == ((2, 3), (3, 1), dtype, "cpu", False)
    for seen in (np.from_dlpack(made), np.asarray(made), np.asarray(memoryview(made)) if "complex" not in dtype else np.asarray(made)):
        assert seen.ctypes.data == made.ptr
        assert seen.tobytes() == expected.tobytes() and seen.dtype == expected.dtype
    torch = pytest.importorskip("torch")
    tensor = torch.from_dlpack(made)
    assert tensor.data_ptr() == made.ptr and tuple(tensor.shape) == (2, 3)


def test_small_floats_go_out_by_dlpack(module):
    torch = pytest.importorskip("torch")
    for name in ("bfloat16", "float8_e4m3fn", "float8_e5m2"):
        tensor = torch.from_dlpack(module.make([3], name))
        assert tensor.dtype == getattr(torch, name)
    with pytest.raises(BufferError, match="no format"):
        memoryview(module.make([3], "bfloat16"))


@pytest.mark.fault("F39")
def test_reversed_memory_goes_out_with_its_strides(module):
    made = module.make_reversed(4)
    assert np.asarray(memoryview(made)).tolist() == [3, 2, 1, 0]
    assert np.from_dlpack(made).tolist() == [3, 2, 1, 0]
    assert made.__array_interface__["strides"] == (-4,)
    with pytest.raises(BufferError, match="not in C order, and a buffer without strides was asked for"):
        hashlib.sha256(made)
    assert hashlib.sha256(module.make([4], "uint8")).digest() == hashlib.sha256(bytes(range(4))).digest()


@pytest.mark.fault("F39")
def test_empty_arrays_and_arrays_without_axes_go_out(module):
    assert np.from_dlpack(module.make([0, 3], "float32")).shape == (0, 3)
    assert np.asarray(memoryview(module.make([], "int32"))).shape == ()
    assert np.from_dlpack(module.make([], "int32")).shape == ()
    assert module.make([0, 3], "float32").__array_interface__["data"][0] == 0


@pytest.mark.fault("F40")
def test_read_only_is_told_by_every_protocol(module):
    made = module.make_read_only([2])
    assert made.read_only and not np.from_dlpack(made).flags.writeable
    assert memoryview(made).readonly and made.__array_interface__["data"][1]
    with pytest.raises(TypeError):
        io.BytesIO(b"\xff" * 8).readinto(made)
    assert bytes(memoryview(made)) == bytes(range(8))
    assert io.BytesIO(b"\xff" * 8).readinto(module.make([2], "float32")) == 8
    with pytest.raises(BufferError, match="before 1.0"):
        made.__dlpack__()
    with pytest.raises(BufferError, match="torch can't say"):
        pytest.importorskip("torch")
        module.make_read_only_torch()


def test_dlpack_speaks_the_version_that_is_asked_for(module):
    made = module.make([2], "float32")
    assert name_of(made.__dlpack__()) == "dltensor"
    assert name_of(made.__dlpack__(max_version=(0, 8))) == "dltensor"
    assert name_of(made.__dlpack__(max_version=(1, 0))) == "dltensor_versioned"
    assert name_of(made.__dlpack__(max_version=(2, 0), stream=None, dl_device=(1, 0), copy=False)) == "dltensor_versioned"
    assert made.__dlpack_device__() == (1, 0)


def test_dlpack_copies_when_it_is_told_to(module):
    made = module.make_reversed(3)
    copy = np.from_dlpack(made, copy=True)
    assert copy.tolist() == [2, 1, 0] and copy.ctypes.data != made.ptr and copy.flags.writeable
    assert np.from_dlpack(made, copy=False).ctypes.data == made.ptr


@pytest.mark.fault("F21")
def test_dlpack_refuses_what_it_can_not_do(module):
    made = module.make([2], "float32")
    with pytest.raises(BufferError, match="cuda:0 was asked for"):
        made.__dlpack__(dl_device=(2, 0))
    with pytest.raises(ValueError, match="stream 1 for an array in host memory"):
        made.__dlpack__(stream=1)
    made.__dlpack__(stream=-1)
    with pytest.raises(ValueError, match="dl_device"):
        made.__dlpack__(dl_device=5)
    with pytest.raises(ValueError, match="max_version"):
        made.__dlpack__(max_version=5)
    with pytest.raises(TypeError):
        made.__dlpack__(None)
    with pytest.raises(TypeError):
        type(made)()


def test_the_cuda_array_interface_is_not_there_on_the_host(module):
    assert not hasattr(module.make([2], "float32"), "__cuda_array_interface__")


def test_a_result_becomes_an_array_of_the_framework_that_is_named(module):
    x = module.make_numpy(3)
    assert type(x) is np.ndarray and x.tolist() == [1, 1, 1] and x.flags.writeable
    torch = pytest.importorskip("torch")
    t = module.make_torch(3)
    assert type(t) is torch.Tensor and t.tolist() == [1, 1, 1]
    jnp = pytest.importorskip("jax.numpy")
    assert isinstance(module.make_jax(3), jnp.ndarray)


@pytest.mark.parametrize("dtype", DTYPES)
def test_numpy_is_told_every_dtype(module, dtype):
    x = module.make_numpy_of([2, 3], dtype)
    assert x.dtype == dtype and x.shape == (2, 3) and x.flags.c_contiguous and x.flags.aligned and x.flags.writeable
    assert x.tobytes() == bytes(range(x.nbytes))


@pytest.mark.fault("F39")
def test_numpy_is_told_strides_read_only_and_nothing(module):
    x = floats(6)
    for odd in (x[::-2], x[1:1], x.reshape(2, 3).T, np.broadcast_to(x, (2, 6)), np.array(3.0)):
        again = module.as_numpy_again(odd)
        assert again.shape == odd.shape and (again == odd).all() and again.flags.writeable == odd.flags.writeable
        assert odd.size == 0 or again.ctypes.data == odd.ctypes.data
        assert odd.size == 0 or again.strides == odd.strides
    assert module.make_numpy_of([0, 3], "int8").shape == (0, 3)
    assert module.make_numpy_of([], "int8").shape == ()


def test_numpy_has_no_small_floats_unless_it_was_taught_them(module):
    try:
        assert module.make_numpy_of([2], "bfloat16").dtype.name == "bfloat16"
    except (BufferError, RuntimeError, TypeError):
        pass  # NumPy before 2.5, or without a package that registers it


def test_a_result_becomes_an_array_of_an_arguments_framework(module):
    assert type(module.make_like(floats())) is np.ndarray
    torch = pytest.importorskip("torch")
    assert type(module.make_like(torch.zeros(1))) is torch.Tensor
    jnp = pytest.importorskip("jax.numpy")
    assert isinstance(module.make_like(jnp.zeros(1)), jnp.ndarray)
    assert module.make_like(memoryview(floats())).shape == (3,)


def test_an_exporter_is_an_argument_again(module):
    made = module.make_counted(3)
    assert module.sum(made) == 3
    assert module.same(made) is made


def test_a_view_of_a_member_keeps_its_object(module):
    held = module.Holder([1.0, 2.0])
    seen = np.asarray(held.values())
    seen[0] = 5
    assert held.first() == 5
    del held
    assert seen.tolist() == [5, 2]


def test_a_view_that_nobody_keeps_is_copied_or_refused(module):
    assert np.asarray(module.copy_of_nobody()).tolist() == [7, 7, 7]
    with pytest.raises(ValueError, match="nothing says who keeps the memory"):
        module.of_nobody()


def test_an_array_is_shown_by_what_it_is(module):
    assert repr(module.make([2, 3], "uint8")) == "<uncopy array uint8[2, 3] on cpu>"

# SPDX-License-Identifier: MIT OR Apache-2.0
"""What functions with views and arrays take: every framework, odd arrays, exactly, and never a copy."""

import array as stdlib_array
import types

import numpy as np
import pytest
from capsules import Producer, floats


def weights(shape):
    return np.arange(1, np.prod(shape) + 1).reshape(shape)


WHOLE = np.arange(24, dtype=np.float32).reshape(4, 6)

ODD = {
    "packed": WHOLE,
    "fortran": np.asfortranarray(WHOLE),
    "sliced": WHOLE[1::2, ::3],
    "reversed": WHOLE[::-1, ::-2],
    "transposed": WHOLE.T,
    "broadcast": np.broadcast_to(WHOLE[0], (3, 6)),
    "empty": WHOLE[:0],
    "empty inside": WHOLE[:, 2:2],
    "one row": WHOLE[2:3],
    "one column": WHOLE[:, 4:5],
    "offset": WHOLE[1:, 1:],
    "read-only": np.frombuffer(WHOLE.tobytes(), np.float32).reshape(4, 6),
}


@pytest.mark.fault("F39")
@pytest.mark.parametrize("name", ODD)
def test_odd_arrays_are_read_where_they_lie(module, name):
    x = ODD[name]
    assert module.weighed(x) == (weights(x.shape) * x).sum()


@pytest.mark.fault("F39")
@pytest.mark.parametrize("name", [name for name in ODD if "reversed" not in name and "read" not in name and "broadcast" not in name])
def test_torch_tensors_are_read_where_they_lie(module, name):
    torch = pytest.importorskip("torch")
    x = torch.from_numpy(np.ascontiguousarray(WHOLE))
    seen = {"fortran": x.T.contiguous().T, "sliced": x[1::2, ::3], "transposed": x.T, "empty": x[:0], "empty inside": x[:, 2:2]}
    t = seen.get(name, x)
    assert module.weighed(t) == (weights(tuple(t.shape)) * t.numpy()).sum()


@pytest.mark.parametrize("name", ["packed", "sliced", "reversed", "transposed"])
def test_buffers_are_read_where_they_lie(module, name):
    assert module.weighed(memoryview(ODD[name])) == (weights(ODD[name].shape) * ODD[name]).sum()


def test_a_write_is_seen_in_the_array(module):
    x = np.zeros(6, np.float32)
    module.fill(x[::-2], 3)
    assert x.tolist() == [0, 3, 0, 3, 0, 3]
    torch = pytest.importorskip("torch")
    t = torch.zeros(6)
    module.fill(t[::2], 5)
    assert t.tolist() == [5, 0, 5, 0, 5, 0]


def test_the_address_is_that_of_the_array(module):
    x = np.zeros((3, 4), np.float32)
    assert module.address_c(x) == module.address_contiguous(x) == x.ctypes.data
    assert module.address_f(x.T) == module.address_contiguous(x.T) == x.ctypes.data


@pytest.mark.fault("F39")
def test_zero_axes_and_one_item_are_arrays(module):
    assert module.of_no_axes(np.array(2.5)) == 2.5
    torch = pytest.importorskip("torch")
    assert module.of_no_axes(torch.tensor(1.5, dtype=torch.float64)) == 1.5


def test_orders_are_kept_apart(module):
    x = np.zeros((3, 4), np.float32)
    for wrong in (lambda: module.address_c(x.T), lambda: module.address_f(x), lambda: module.address_contiguous(x[:, ::2])):
        with pytest.raises(TypeError):
            wrong()


def test_one_row_is_of_either_order(module):
    x = np.zeros((1, 4), np.float32)
    assert module.address_c(x) == module.address_f(x) == x.ctypes.data


@pytest.mark.fault("F40")
def test_read_only_arrays_are_read_and_not_written(module):
    x = floats()
    x.flags.writeable = False
    assert module.sum(x) == 6
    with pytest.raises(TypeError, match="read-only"):
        module.fill(x, 1)
    with pytest.raises(TypeError, match="read-only"):
        module.fill(memoryview(b"\0" * 8).cast("f"), 1)
    assert x.tolist() == [0, 1, 2, 3]


@pytest.mark.fault("F40")
def test_jax_arrays_are_read_and_never_written(module):
    jnp = pytest.importorskip("jax.numpy")
    x = jnp.arange(4, dtype="float32")
    assert module.sum(x) == 6
    with pytest.raises(TypeError, match="read-only"):
        module.fill(x, 1)
    assert x.tolist() == [0, 1, 2, 3]


def test_bfloat16_is_passed_bit_by_bit(module):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    assert module.first_bits(np.array([1.0], ml_dtypes.bfloat16)) == 0x3F80
    torch = pytest.importorskip("torch")
    assert module.first_bits(torch.tensor([-2.0], dtype=torch.bfloat16)) == 0xC000


DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64", "complex64", "complex128"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_is_told(module, dtype):
    assert module.describe(np.zeros((2, 3), dtype)) == f"{dtype}[2, 3] on cpu"
    if dtype not in ("complex64", "complex128"):
        assert module.describe(memoryview(np.zeros((2, 3), dtype))) == f"{dtype}[2, 3] on cpu"


@pytest.mark.parametrize("name", ["float8_e4m3fn", "float8_e5m2", "bfloat16"])
def test_small_floats_are_told(module, name):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    assert module.describe(np.zeros(2, getattr(ml_dtypes, name))) == f"{name}[2] on cpu"
    torch = pytest.importorskip("torch")
    assert module.describe(torch.zeros(2, dtype=getattr(torch, name))) == f"{name}[2] on cpu"


def test_long_and_long_long_are_one_dtype(module):
    assert module.describe(np.zeros(1, np.longlong)) == module.describe(np.zeros(1, np.int_)) == "int64[1] on cpu"


def test_whatever_has_memory_is_taken(module):
    assert module.sum(stdlib_array.array("f", [1, 2])) == 3
    assert module.describe(bytearray(4)) == "uint8[4] on cpu"
    assert module.describe(b"ab") == "uint8[2] on cpu, read-only"
    assert module.describe(np.memmap.__new__(np.memmap, "/dev/zero", np.uint8, "r", shape=(4096,))) == "uint8[4096] on cpu, read-only"


class ByInterface:
    """An array that only has `__array_interface__`."""

    def __init__(self, array, **changes):
        self.array = array
        self.__array_interface__ = {**array.__array_interface__, **changes}


class ByStruct:
    """An array that only has `__array_struct__`."""

    def __init__(self, array):
        self.array = array

    @property
    def __array_struct__(self):
        return self.array.__array_struct__


def test_the_array_interface_is_read(module):
    x = floats(8)
    assert module.sum(ByInterface(x[::-3])) == x[::-3].sum()
    assert module.sum(types.SimpleNamespace(__array_interface__=x.__array_interface__)) == 28
    x.flags.writeable = False
    with pytest.raises(TypeError, match="read-only"):
        module.fill(ByInterface(x), 1)


def test_the_array_struct_is_read(module):
    x = floats(8)
    assert module.sum(ByStruct(x[::-3])) == x[::-3].sum()
    with pytest.raises(TypeError, match="byte order"):
        module.sum(ByStruct(x.astype(">f4")))


class OldWarp:
    """Takes no `max_version`, and leaves the strides out of its structs."""

    def __init__(self, array):
        self.producer = Producer(array, legacy=True, strides=None)

    def __dlpack__(self, stream=None):
        return self.producer.capsule()


def test_producers_of_every_age_are_taken(module):
    assert module.sum(OldWarp(floats())) == 6
    assert module.sum(Producer(floats())) == 6
    assert module.sum(Producer(floats(), legacy=True)) == 6
    assert module.sum(Producer(floats()[::-2])) == 4


def test_the_keywords_that_a_type_takes_are_learned(module):
    class Old:
        asked = 0

        def __init__(self):
            self.producer = Producer(floats())

        def __dlpack__(self, **keywords):
            Old.asked += 1
            if keywords:
                raise TypeError("unexpected keyword")
            return self.producer.capsule()

    for _ in range(3):
        assert module.sum(Old()) == 6
    assert Old.asked == 4


def test_a_stream_is_never_passed_to_a_host_array(module):
    producer = Producer(floats())
    module.sum(producer)
    module.sum(producer)
    assert producer.asked == [{"max_version": (1, 3)}] * 2


def test_a_device_id_of_none_is_read(module):
    class Paddle(Producer):
        def __dlpack_device__(self):
            return (1, None)

    assert module.sum(Paddle(floats())) == 6


@pytest.mark.fault("F40")
def test_a_producer_that_hands_out_a_copy_is_not_written_to(module):
    copied = Producer(floats(), flags=2)
    assert module.sum(copied) == 6
    with pytest.raises(TypeError, match="read-only"):
        module.fill(copied, 1)


def test_optional_and_listed_views_are_taken(module):
    x = floats()
    assert module.size_or_none(None) == -1
    assert module.size_or_none(Producer(x)) == 4
    assert module.sum_of_all([x, Producer(x), memoryview(x)]) == 18


def test_arrays_go_through_containers_and_by_reference(module):
    x, y = floats(), np.zeros((1, 2))
    assert module.describe_all([x, Producer(x), y]) == "float32[4] on cpu; float32[4] on cpu; float64[1, 2] on cpu; "
    assert module.describe_by_pointer(x) == "float32[4] on cpu"
    assert module.size_by_reference(x) == 4
    assert module.same_or_none(x) is x
    assert (module.which(x), module.which(y[0])) == (0, 1)
    made, size = module.make_with_size(3)
    assert type(made) is np.ndarray and size == 3


def test_overloads_are_chosen_by_dtype_axes_and_place(module):
    assert module.kind(np.zeros(3, np.float32)) == "float32 on the host"
    assert module.kind(np.zeros(3, np.float64)) == "float64 on the host"
    assert module.kind(np.zeros((3, 1), np.int32)) == "int32 of two axes"


def test_signatures_say_what_is_taken(module):
    assert "uncopy.view[const float32, 1, strided, host]" in module.sum.__doc__
    assert "uncopy.view[float32, 1, strided, host]" in module.fill.__doc__
    assert "uncopy.view[const float32, 2, c_order, host]" in module.address_c.__doc__
    assert "numpy.ndarray" in module.make_numpy.__doc__


def test_subclasses_are_taken_as_what_they_are(module):
    class Mine(np.ndarray):
        pass

    assert module.sum(floats().view(Mine)) == 6
    torch = pytest.importorskip("torch")
    assert module.sum(torch.nn.Parameter(torch.arange(4.0))) == 6

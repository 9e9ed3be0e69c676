# SPDX-License-Identifier: MIT OR Apache-2.0
"""crates/pyo3 as the author of an extension module uses it: arrays that are lent for a call, and results."""

import gc
import random
import sys
import threading
import weakref

import numpy
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")


def test_a_numpy_array_is_found_as_it_is(probe):
    base = numpy.arange(60, dtype="int16").reshape(3, 4, 5)
    for array in (base, base[::-1, 1:, ::2], base.T, base[0, 0, 0], base[:, :0], numpy.zeros((2, 1, 3))[:, :, 1:]):
        array = numpy.asarray(array)
        shape, strides, dtype, device, read_only, address, stream = probe.found(array)
        assert shape == list(array.shape) and dtype == array.dtype.name
        assert [s * array.itemsize for s in strides] == list(array.strides)
        assert (device, read_only, stream) == ("cpu", not array.flags.writeable, None)
        assert address == array.ctypes.data or array.size == 0
    base.setflags(write=False)
    assert probe.found(base)[4] is True
    assert probe.found(numpy.broadcast_to(numpy.float32(3), (2, 3)))[1] == [0, 0]


@pytest.mark.parametrize("name", "? b B h H i I l L q Q e f d F D".split())
def test_each_dtype_of_numpy_is_found(probe, name):
    array = numpy.ones(3, dtype=name)
    assert probe.found(array)[2] == array.dtype.name


def test_subclasses_of_arrays_are_read_and_masked_ones_are_not(probe):
    class Named(numpy.ndarray):
        pass

    assert probe.items(numpy.ones((2, 2)).view(Named)) == [1.0] * 4
    with pytest.raises(TypeError, match="mask"):
        probe.items(numpy.ma.ones((2, 2)))


@pytest.mark.fault("F39")
def test_what_is_not_a_number_here_is_refused_by_a_lent_argument_too(probe):
    for array, message in (
        (numpy.ones(2, ">f8"), "big-endian"),
        (numpy.ones(2, "longdouble"), "long double"),
        (numpy.zeros(2, "datetime64[s]"), "times"),
        (numpy.zeros(2, object), "objects"),
        (numpy.zeros(2, [("a", "i4")]), "records"),
        (numpy.float64(3), "scalar"),
        ([1.0, 2.0], "numpy.asarray"),
        ("text", "__dlpack__"),
        (numpy.zeros((1,) * 9), "9"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            probe.found(array)


def test_items_are_read_by_their_strides_whoever_made_the_array(probe):
    base = numpy.arange(12.0).reshape(3, 4)
    expected = base[::-1, ::2].ravel().tolist()
    assert probe.items(base[::-1, ::2]) == expected
    assert probe.items(torch.from_numpy(base)[:, ::2].flip(0)) == expected
    assert probe.items(memoryview(base)) == base.ravel().tolist()
    assert probe.item(torch.tensor(2.5, dtype=torch.float64)) == 2.5
    assert probe.items(numpy.empty((0, 3))) == []
    assert probe.items(torch.empty(3, 0, dtype=torch.float64)) == []


def test_a_jax_array_is_lent_read_only(probe):
    jax = pytest.importorskip("jax", reason="jax is not installed")
    array = jax.numpy.arange(3.0)
    shape, _, dtype, device, read_only, _, stream = probe.found(array)
    assert (shape, dtype, device, read_only, stream) == ([3], "float32", "cpu", True, None)
    assert probe.which(array) == ("f32", 3)


def test_a_torch_tensor_is_lent_in_place(probe):
    tensor = torch.arange(24.0).reshape(2, 3, 4)[:, 1:, ::2]
    shape, strides, dtype, device, read_only, address, stream = probe.found(tensor)
    assert (shape, strides) == (list(tensor.shape), list(tensor.stride()))
    assert (dtype, device, read_only, address, stream) == ("float32", "cpu", False, tensor.data_ptr(), None)
    assert probe.found(torch.zeros(2, dtype=torch.bfloat16))[2] == "bfloat16"
    assert probe.found(torch.zeros(2, dtype=torch.float8_e4m3fn))[2] == "float8_e4m3fn"


@pytest.mark.fault("F39")
def test_marks_of_torch_are_seen_only_where_they_are(probe):
    numbers = torch.tensor([1 + 2j, 3 + 4j])
    for tensor, message in (
        (numbers.conj(), "resolve_conj"),
        (numbers.conj().imag, "resolve_neg"),
        (numbers[:1].conj().imag, "resolve_neg"),
        (torch.zeros(3).to_sparse(), "strided|sparse|layout"),
        (torch.zeros(3, device="meta"), "meta"),
    ):
        with pytest.raises((TypeError, ValueError, NotImplementedError), match=message):
            probe.found(tensor)
    assert probe.found(numbers.imag)[1] == [2]


@pytest.mark.fault("F40")
def test_a_tensor_that_torch_says_is_read_only_is_not_written(probe):
    wrapper = getattr(torch.utils.dlpack, "ReadOnlyTensorWrapper", None)
    if wrapper is None:
        pytest.skip("torch before 2.14 has no read-only tensors")
    tensor = torch.zeros(3, dtype=torch.float64)
    with pytest.raises(TypeError, match="it is read-only"):
        probe.add_one(wrapper(tensor))
    assert probe.found(wrapper(tensor))[4] is True and tensor.tolist() == [0.0] * 3
    probe.add_one(tensor)
    assert tensor.tolist() == [1.0] * 3


def test_a_gradient_matters_only_to_who_writes(probe):
    tensor = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    assert probe.found(tensor)[0] == [3]
    with pytest.raises(ValueError, match="detach"):
        probe.add_one(tensor)
    probe.add_one(tensor.detach())
    assert tensor.tolist() == [1.0] * 3


def test_writing_reaches_the_array_itself(probe):
    for array in (numpy.zeros(4), torch.zeros(4, dtype=torch.float64), numpy.zeros(8)[::-2], bytearray(0)):
        if isinstance(array, bytearray):
            continue
        probe.add_one(array)
        assert list(array) == [1.0] * 4


@pytest.mark.fault("F40")
def test_what_may_not_be_written_is_not(probe):
    frozen = numpy.zeros(3)
    frozen.setflags(write=False)
    for array, message in (
        (frozen, "read-only"),
        (numpy.broadcast_to(numpy.zeros(1), (3,)), "read-only"),
        (numpy.lib.stride_tricks.as_strided(numpy.zeros(4), (3,), (0,)), "overlap"),
        (torch.zeros(1, dtype=torch.float64).expand(3), "overlap"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            probe.add_one(array)
    assert frozen.tolist() == [0.0] * 3


def test_a_typed_argument_says_all_that_does_not_fit(probe):
    with pytest.raises(TypeError) as caught:
        probe.items(numpy.zeros((2, 3, 4), "float32"))
    assert str(caught.value) == (
        "numpy.ndarray float32[2, 3, 4] on cpu, wanted float64[_, _] host: dtype is float32; it has 3 axes, not 2"
    )
    shifted = numpy.frombuffer(bytearray(33), "u1")[1:].view("f8").reshape(2, 2)
    with pytest.raises(TypeError, match="no multiple of 8"):
        probe.items(shifted)


def test_overloads_are_chosen_by_dtype(probe):
    assert probe.which(numpy.zeros(3, "float32")) == ("f32", 3)
    assert probe.which(torch.zeros(4, dtype=torch.float64)) == ("f64", 4)
    with pytest.raises(TypeError, match="float64"):
        probe.which(numpy.zeros(3, "int32"))


def test_arguments_share_the_names_of_their_axes(probe):
    a, b, out = numpy.zeros((2, 3)), torch.zeros(3, 4), numpy.zeros((2, 4))
    assert probe.product_shape(a, b, out) == [2, 4]
    with pytest.raises(TypeError) as caught:
        probe.product_shape(a, numpy.zeros((5, 4)), out)
    assert str(caught.value) == (
        "product_shape(): argument b: numpy.ndarray float64[5, 4] on cpu, wanted float[k, m] host: axis 0 is 5, and k is 3"
    )
    with pytest.raises(TypeError, match="argument out: .*it is not packed in C order"):
        probe.product_shape(a, b, numpy.zeros((4, 2)).T)
    with pytest.raises(TypeError, match="argument a: torch.Tensor int64.*dtype is int64"):
        probe.product_shape(torch.zeros(2, 3, dtype=torch.int64), b, out)
    out.setflags(write=False)
    with pytest.raises(TypeError, match="argument out: .*it is read-only"):
        probe.product_shape(a, b, out)
    with pytest.raises(ValueError, match="detach"):
        probe.product_shape(a, b, torch.zeros(2, 4, dtype=torch.float64, requires_grad=True))


def test_what_does_not_fit_is_told_as_that_whatever_else_would_stand_in_the_way_of_writing(probe):
    frozen = torch.zeros(2, 3, 4, requires_grad=True)
    with pytest.raises(TypeError, match=r"argument a: torch.Tensor float32.*it has 3 axes, not 2"):
        probe.product_shape(frozen, numpy.zeros((3, 4)), numpy.zeros((2, 4)))
    with pytest.raises(TypeError, match=r"argument out: torch.Tensor float32.*dtype is float32; it has 3 axes, not 2"):
        probe.product_shape(numpy.zeros((2, 3)), numpy.zeros((3, 4)), frozen)


def test_memory_that_is_written_is_no_other_arguments(luminance, probe):
    image = numpy.ones((4, 5, 3), "float32")
    for out in (image[..., 0], image[..., ::-1][..., 1], torch.from_numpy(image)[..., 2]):
        with pytest.raises(ValueError, match=r"write_luminance\(\): argument out is written, and may share memory with argument image"):
            luminance.write_luminance(image, out)
    assert (image == 1).all()
    both = numpy.ones((2, 4, 5, 3), "float32")
    luminance.write_luminance(both[0], both[1, ..., 0])
    luminance.write_luminance(numpy.ones((0, 5, 3), "float32"), numpy.ones((0, 5), "float32"))
    # Interleaved, and flipped, but nowhere the same.
    picture = numpy.ones((4, 5, 4), "float32")
    luminance.write_luminance(picture[..., :3], picture[::-1, :, 3])
    luminance.write_luminance(picture[..., 1:], picture[..., 0])
    assert numpy.allclose(picture[..., [0, 3]], 1) and (picture[..., 1:3] == 1).all()
    with pytest.raises(ValueError, match="may share memory"):
        luminance.write_luminance(picture[..., 1:], picture[::-1, :, 1])
    # Of what only has its address, the function decides.
    square = numpy.zeros((3, 3))
    assert probe.product_shape(square, square, square) == [3, 3]


def test_memory_that_is_written_is_no_other_arguments_whatever_the_lines_say(probe):
    numbers = numpy.arange(4.0)
    with pytest.raises(ValueError, match=r"add_to\(\): argument out is written, and may share memory with argument one"):
        probe.add_to(numbers, numbers)
    probe.add_to(numbers.copy(), numbers)
    assert numbers.tolist() == [0, 2, 4, 6]


@pytest.mark.fault("F40")
def test_what_stands_in_the_way_of_writing_is_told_of_its_argument(probe):
    a, b = numpy.zeros((2, 3)), numpy.zeros((3, 4))
    frozen = torch.zeros(2, 4, dtype=torch.float64, requires_grad=True)
    with pytest.raises(ValueError, match=r"product_shape\(\): argument out: the torch.Tensor requires a gradient"):
        probe.product_shape(a, b, frozen)
    assert probe.stretch(numpy.zeros((2, 3))) == [2, 3]
    for broadcast in (numpy.lib.stride_tricks.as_strided(numpy.zeros(3), (2, 3), (0, 8)), torch.zeros(2, 1, dtype=torch.float64).expand(2, 3)):
        with pytest.raises(ValueError, match=r"stretch\(\): argument array: .*overlap"):
            probe.stretch(broadcast)


def test_what_is_kept_has_no_gradient(probe):
    with pytest.raises(ValueError, match="detach"):
        probe.through(torch.zeros(3, requires_grad=True), "numpy")


def test_what_shares_memory_is_never_taken_for_apart(luminance):
    numbers = random.Random(1)
    memory = numpy.zeros((6, 6, 6), "float32")

    def cut():
        first, last, step = numbers.choice((None, 0, 1, 2)), numbers.choice((None, 3, 4, 6)), numbers.choice((1, 2, 3, -1, -2))
        return slice(first, last, step) if step > 0 else slice(last, first, step)

    found = {True: 0, False: 0}
    for _ in range(3000):
        image, out = memory[cut(), cut(), cut()][..., :3], memory[cut(), cut(), numbers.randrange(6)]
        if image.shape[2] < 3 or out.shape != image.shape[:2] or not out.size:
            continue
        try:
            luminance.write_luminance(image, out)
        except ValueError:
            continue
        finally:
            shares = numpy.shares_memory(image, out)
            found[shares] += 1
        assert not shares, (image.strides, out.strides)
    assert min(found.values()) > 20


def test_the_example_computes_into_any_frameworks_array(luminance):
    image = torch.rand(4, 5, 3)
    expected = (image * torch.tensor([0.2126, 0.7152, 0.0722])).sum(2)
    outs = numpy.zeros((4, 5), "float32"), torch.zeros(4, 5), numpy.zeros((5, 4), "float32").T
    for out in outs:
        luminance.write_luminance(image.numpy() if out is outs[1] else image, out)
        assert numpy.allclose(out, expected)
    with pytest.raises(TypeError, match="argument out: .*axis 1 is 6, and w is 5"):
        luminance.write_luminance(image, numpy.zeros((4, 6), "float32"))


def test_a_result_is_of_the_arguments_framework(luminance, probe):
    for image in (numpy.ones((2, 3, 3), "float32"), torch.ones(2, 3, 3)):
        black = luminance.black_like(image)
        assert type(black) is type(image) and black.shape == image.shape and black.sum() == 0
    assert type(probe.zeros_like(memoryview(b"abc"))).__name__ == "Array"
    jax = pytest.importorskip("jax", reason="jax is not installed")
    made = probe.zeros_like(jax.numpy.ones(3))
    assert isinstance(made, jax.Array) and made.tolist() == [0.0] * 3


def test_an_array_goes_from_framework_to_framework_in_place(probe):
    array = numpy.arange(6.0)
    tensor = probe.through(array, "torch")
    assert type(tensor) is torch.Tensor and tensor.data_ptr() == array.ctypes.data
    back = probe.through(tensor, "numpy")
    assert back.ctypes.data == array.ctypes.data and back.flags.writeable
    tensor[0] = 7
    assert back[0] == array[0] == 7
    array.setflags(write=False)
    assert not probe.through(array, "numpy").flags.writeable
    with pytest.raises(BufferError, match="read-only"):
        probe.through(array, "torch")


def test_a_class_with_exports_is_read_by_every_library(luminance):
    array = numpy.arange(12, dtype="float32").reshape(3, 4)[:, ::2]
    picture = luminance.Picture(array)
    for made in (numpy.asarray(picture), numpy.from_dlpack(picture), numpy.asarray(memoryview(picture))):
        assert made.ctypes.data == array.ctypes.data and (made == array).all()
    tensor = torch.from_dlpack(picture)
    assert tensor.data_ptr() == array.ctypes.data and tensor.stride() == (4, 2)
    assert picture.__dlpack_device__() == (1, 0)
    assert not hasattr(picture, "__cuda_array_interface__")
    del picture
    gc.collect()
    assert tensor.sum() == array.sum()


@pytest.mark.fault("F46")
def test_what_torch_lets_go_without_the_gil_in_a_call_of_ours_is_given_back_later(probe):
    """torch gives up the GIL as it frees a tensor's memory; here it does so when our array, which keeps the tensor, ends."""

    class Watched(numpy.ndarray):
        pass

    gone = []
    for _ in range(200):
        array = numpy.arange(6.0).view(Watched)
        weakref.finalize(array, gone.append, 1)
        tensor = probe.through(array, "torch")
        back = probe.through(tensor, "numpy")
        del array, tensor
        assert back.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
        del back
    for _ in range(100):
        probe.found(numpy.zeros(1))
    assert len(gone) == 200


@pytest.mark.fault("F46")
def test_nothing_is_counted_twice_or_forgotten(probe, luminance):
    array, tensor = numpy.zeros(3), torch.zeros(3, dtype=torch.float64)
    objects = array, tensor
    before = [sys.getrefcount(one) for one in objects]
    for _ in range(20_000):
        for one in objects:
            probe.found(one)
            probe.add_one(one)
            probe.through(one, "torch")
            probe.through(one, "numpy")
        with pytest.raises(TypeError):
            probe.items(array)
    del one
    gc.collect()
    assert [sys.getrefcount(one) for one in objects] == before


@pytest.mark.fault("F48")
def test_threads_learn_types_at_the_same_time(probe):
    classes = [type(f"Array{number}", (numpy.ndarray,), {}) for number in range(600)]
    arrays = [numpy.full((1, 2), float(number)).view(ty) for number, ty in enumerate(classes)]
    failed = []

    def run():
        for number, array in enumerate(arrays):
            if probe.items(array) != [float(number)] * 2:
                failed.append(number)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_a_numpy_array_that_is_returned_is_one_like_any_other(probe):
    base = numpy.arange(24, dtype="uint16").reshape(2, 3, 4)
    for array in (base, base[::-1, :, 1::2], base.T, base[0, 0, 0], base[:, :0], base.astype("?"), base.astype("F")):
        made = probe.through(numpy.asarray(array), "numpy")
        assert (made.shape, made.dtype) == (array.shape, array.dtype)
        assert made.strides == array.strides or not array.size
        assert (made == array).all() and made.flags.aligned and made.flags.c_contiguous == array.flags.c_contiguous
        assert type(made.base).__name__ == "Array" and not made.flags.owndata
    made = probe.through(torch.zeros(3, dtype=torch.complex64), "numpy")
    assert made.dtype == "complex64" and made.flags.writeable
    for dtype in (torch.bfloat16, torch.float8_e5m2):
        with pytest.raises(NotImplementedError, match="NumPy has no such dtype; return another"):
            probe.through(torch.zeros(3, dtype=dtype), "numpy")


def test_a_framework_that_has_no_such_array_is_told(probe):
    with pytest.raises(NotImplementedError, match=r"int64\[3\] strides \[-1\] can't be returned: torch has no negative strides"):
        probe.through(numpy.arange(3)[::-1], "torch")
    jax = pytest.importorskip("jax", reason="jax is not installed")
    with pytest.raises(NotImplementedError, match="jax would halve its numbers; set jax_enable_x64"):
        probe.through(numpy.zeros(3), "jax")
    with pytest.raises(NotImplementedError, match="jax has no strides"):
        probe.through(numpy.zeros((3, 4), "float32").T, "jax")
    frozen = numpy.arange(3, dtype="float32")
    frozen.setflags(write=False)
    for array in (frozen, jax.numpy.arange(3.0), numpy.arange(3, dtype="complex64")):
        made = probe.through(array, "jax")
        assert isinstance(made, jax.Array) and made.dtype == array.dtype and made.tolist() == [0, 1, 2]

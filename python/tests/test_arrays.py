# SPDX-License-Identifier: MIT OR Apache-2.0
"""Odd arrays: published exactly, or refused with a sentence."""

import array
import ctypes

import ml_dtypes
import numpy
import pytest

import uncopy

NUMPY_DTYPES = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 complex128"
ML_DTYPES = (
    "bfloat16 float8_e3m4 float8_e4m3 float8_e4m3b11fnuz float8_e4m3fn float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz "
    "float8_e8m0fnu"
)


def any_bits(dtype, count):
    """Values of every bit pattern, NaNs with payloads included; for bool the two that there are."""
    if dtype == numpy.bool_:
        return numpy.arange(count) % 3 == 0
    return numpy.random.default_rng(7).bytes(count * dtype.itemsize)


def array_of(name, shape):
    dtype = numpy.dtype(getattr(ml_dtypes, name, name))
    count = int(numpy.prod(shape))
    bits = any_bits(dtype, count)
    return bits.reshape(shape) if dtype == numpy.bool_ else numpy.frombuffer(bits, dtype).reshape(shape)


def same_bits(ours, theirs):
    return ours.dtype == theirs.dtype and ours.shape == theirs.shape and ours.tobytes() == theirs.tobytes()


@pytest.mark.fault("F39")
@pytest.mark.parametrize("name", (NUMPY_DTYPES + " " + ML_DTYPES).split())
def test_every_dtype_comes_back_bit_by_bit(pair, name):
    pub, sub = pair
    sent = array_of(name, (5, 3, 7))
    assert pub.send(sent) == 1
    frame = sub.recv()
    assert (frame.dtype, frame.shape) == (name, (5, 3, 7))
    assert same_bits(frame.numpy(), sent)
    assert not frame.numpy().flags.writeable
    assert bytes(frame.__array_interface__["typestr"], "ascii") in (sent.dtype.str.encode(), b"|V1", b"<V2")


LAYOUTS = {
    "C order": lambda a: a,
    "Fortran order": numpy.asfortranarray,
    "transposed": lambda a: a.transpose(2, 0, 1),
    "reversed": lambda a: a[::-1, :, ::-1],
    "every second": lambda a: a[:, ::2],
    "a middle piece": lambda a: a[1:4, 1:, 2:5],
    "an axis of one": lambda a: a[:, 1:2],
    "an axis of one, reversed": lambda a: a[:, 1:2][:, ::-1],
    "zero elements": lambda a: a[:0],
    "zero elements, reversed": lambda a: a[:, 3:][::-1],
    "no axes": lambda a: a[1, 2, 3],
    "broadcast": lambda a: numpy.broadcast_to(a[:, :, :1], a.shape),
    "eight axes": lambda a: a.reshape(1, 5, 1, 3, 1, 7, 1, 1),
}


@pytest.mark.fault("F39")
@pytest.mark.parametrize("name", ["uint8", "float32", "complex128", "bfloat16"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_packed_exactly(pair, layout, name):
    pub, sub = pair
    sent = numpy.asarray(LAYOUTS[layout](array_of(name, (5, 3, 7))))
    pub.send(sent)
    frame = sub.recv()
    assert frame.shape == sent.shape
    received = frame.numpy()
    assert same_bits(received, sent)
    assert received.flags.c_contiguous
    reason = "send" if sent.flags.c_contiguous else "gather"
    assert [(copy.reason, copy.len_bytes) for copy in frame.copies] == [(reason, sent.nbytes)]


@pytest.mark.fault("F39")
def test_views_of_views_are_packed_exactly(pair):
    pub, sub = pair
    numbers = numpy.random.default_rng(3)
    for _ in range(300):
        shape = numbers.integers(1, 7, numbers.integers(1, 5))
        view = numpy.arange(numpy.prod(shape), dtype=numbers.choice(["u1", "i2", "f4", "c16"])).reshape(shape)
        for _ in range(3):
            steps = numbers.choice([-3, -2, -1, 1, 2, 3], view.ndim)
            starts = numbers.integers(0, 3, view.ndim)
            view = view[tuple(slice(None if step < 0 else start, None, step) for start, step in zip(starts, steps))]
            view = view.transpose(numbers.permutation(view.ndim))
        pub.send(view)
        assert same_bits(sub.recv().numpy(), view), (view.shape, view.strides)


@pytest.mark.fault("F39")
def test_an_unaligned_array_is_published_exactly(pair):
    pub, sub = pair
    sent = numpy.frombuffer(b"x" + bytes(range(40)), numpy.uint8)[1:].view("f4")
    assert not sent.flags.aligned
    pub.send(sent)
    assert same_bits(sub.recv().numpy(), sent)


@pytest.mark.fault("F39")
def test_what_has_a_buffer_is_an_array(pair):
    pub, sub = pair
    longs = (ctypes.c_long * 3)(1, -2, 3)
    cases = [
        (b"bytes", "uint8", b"bytes"),
        (bytearray(b"more"), "uint8", b"more"),
        (array.array("d", [1.5, -2.5]), "float64", numpy.array([1.5, -2.5]).tobytes()),
        (memoryview(b"abcdefgh").cast("H"), "uint16", b"abcdefgh"),
        (memoryview(b"abcdefgh")[::-2], "uint8", b"hfdb"),
        (longs, "int64", bytes(longs)),
        ((ctypes.c_char * 2)(b"a", b"b"), "uint8", b"ab"),
        ((ctypes.c_float * 2 * 3)(), "float32", bytes(24)),
    ]
    for sent, dtype, content in cases:
        pub.send(sent)
        frame = sub.recv()
        assert (frame.dtype, frame.numpy().tobytes()) == (dtype, content), type(sent)


@pytest.mark.fault("F39")
@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_subclasses_of_arrays_that_mean_the_same_are_taken(pair, tmp_path):
    pub, sub = pair
    mapped = numpy.memmap(tmp_path / "file", "uint16", "w+", shape=(3, 4))
    mapped[...] = numpy.arange(12).reshape(3, 4)
    for sent in (mapped, numpy.asmatrix([[1.0, 2.0]])):
        pub.send(sent)
        assert numpy.array_equal(sub.recv().numpy(), sent)


REFUSED = {
    "big-endian": (lambda: numpy.zeros(3, ">f4"), uncopy.InvalidDType, "big-endian.*newbyteorder"),
    "objects": (lambda: numpy.zeros(3, object), uncopy.InvalidDType, "Python objects"),
    "records": (lambda: numpy.zeros(3, [("a", "u1"), ("b", "f4")]), uncopy.InvalidDType, "one field at a time"),
    "bytes": (lambda: numpy.zeros(3, "S5"), uncopy.InvalidDType, "text"),
    "text": (lambda: numpy.zeros(3, "U5"), uncopy.InvalidDType, "text"),
    "void": (lambda: numpy.zeros(3, "V8"), uncopy.InvalidDType, "untyped bytes"),
    "times": (lambda: numpy.zeros(3, "M8[s]"), uncopy.InvalidDType, "datetime64.*view"),
    "durations": (lambda: numpy.zeros(3, "m8[ms]"), uncopy.InvalidDType, "timedelta64.*view"),
    "long double": (lambda: numpy.zeros(3, numpy.longdouble), uncopy.InvalidDType, "long double"),
    "complex long double": (lambda: numpy.zeros(3, numpy.clongdouble), uncopy.InvalidDType, "long double"),
    "a byte for each int4": (lambda: numpy.zeros(3, ml_dtypes.int4), uncopy.InvalidDType, "one item to a byte"),
    "broken strides": (
        lambda: numpy.zeros(3, [("a", "u1"), ("b", "f4")])["b"],
        uncopy.InvalidLayout,
        "axis 0 .* steps 5 bytes, no multiple of its 4-byte elements.*ascontiguousarray",
    ),
    "nine axes": (lambda: numpy.zeros((1,) * 9), uncopy.InvalidLayout, "9 axes"),
    "masked": (lambda: numpy.ma.zeros(3), uncopy.InvalidArgument, "mask"),
    "a scalar": (lambda: numpy.float32(3), uncopy.InvalidArgument, "scalar"),
    "a number": (lambda: 3, uncopy.InvalidArgument, "int is not an array"),
    "a string": (lambda: "text", uncopy.InvalidArgument, "str is not an array"),
    "a list": (lambda: [1, 2], uncopy.InvalidArgument, "numpy.asarray"),
    "nothing": (lambda: None, uncopy.InvalidArgument, "NoneType is not an array"),
}


@pytest.mark.fault("F39")
@pytest.mark.parametrize("what", REFUSED)
def test_what_would_lose_its_meaning_is_refused_and_nothing_is_published(pair, what):
    pub, sub = pair
    make, error, message = REFUSED[what]
    with pytest.raises(error, match=message) as caught:
        pub.send(make())
    assert isinstance(caught.value, (TypeError, ValueError))
    assert pub.stats.published == 0
    assert pub.send(b"after") == 1
    assert bytes(sub.recv()) == b"after"


def test_an_array_is_only_borrowed_for_the_call(pair):
    pub, _ = pair
    sent = bytearray(b"resizable")
    pub.send(sent)
    sent.extend(b" again")  # a bytearray with a living buffer can't grow


@pytest.mark.parametrize("dtype", ["uint8", numpy.uint8, numpy.dtype("uint8")])
def test_a_dtype_is_named_by_any_of_its_names(pair, dtype):
    pub, sub = pair
    with pub.loan([2, numpy.int64(3)], dtype) as slot:
        assert (slot.dtype, slot.shape) == ("uint8", (2, 3))
        slot.numpy()[...] = 5
    assert sub.recv().numpy().tolist() == [[5] * 3] * 2


@pytest.mark.parametrize(
    ("dtype", "name"),
    [(bool, "bool"), (float, "float64"), (numpy.bool_, "bool"), (ml_dtypes.bfloat16, "bfloat16"), ("bf16", "bfloat16")],
)
def test_dtypes_of_python_and_of_ml_dtypes_are_known(pair, dtype, name):
    pub, _ = pair
    slot = pub.loan((2,), dtype)
    assert slot.dtype == name
    slot.discard()


def test_a_dtype_that_there_is_not_is_refused_by_name(pair):
    pub, _ = pair
    for dtype, message in (
        ("uint7", "uint7"),
        ("u1", "write it out"),
        ("f8", "write it out"), (numpy.dtype(">u2"), "big-endian"),
        (numpy.dtype("M8[s]"), "datetime64"),
    ):
        with pytest.raises(uncopy.InvalidDType, match=message):
            pub.loan((2,), dtype)


def test_a_shape_is_made_of_whole_numbers(pair):
    pub, _ = pair
    for shape in ((2, -1), (2.5,), ("2",)):
        with pytest.raises(uncopy.InvalidArgument, match="whole numbers"):
            pub.loan(shape, "uint8")
    with pytest.raises(uncopy.InvalidLayout):
        pub.loan((2**40, 2**40), "uint8")

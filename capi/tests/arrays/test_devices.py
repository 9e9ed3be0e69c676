# SPDX-License-Identifier: MIT OR Apache-2.0
"""Arrays on a CUDA device, as arguments and results: by each protocol, and in the right streams.

On the stand-in, CuPy is a fake; on a card it is the real one. Programs that show an order run alone, since the stand-in
makes the first streams of a process late.
"""

import types

import numpy as np
import pytest
from capsules import Producer, capsule, floats, name_of, struct_in
from conftest import MODULES, ON_STANDIN, ROOT, run_alone

pytestmark = pytest.mark.device


@pytest.fixture
def cp():
    return pytest.importorskip("cupy")


def interface(array, **changes):
    described = {**array.__cuda_array_interface__, **changes}
    return types.SimpleNamespace(__cuda_array_interface__={k: v for k, v in described.items() if v != "left out"}, owner=array)


def test_arrays_are_taken_where_they_are(module, cp):
    x = cp.array([1, 2, 3], dtype=cp.float32)
    address = x.__cuda_array_interface__["data"][0]
    assert module.address_on_device(x) == address
    assert module.where(x) == "cuda:0"
    assert module.describe(x) == "float32[3] on cuda:0"
    assert module.kind(x) == "float32 on a device"
    assert module.same(x) is x
    assert module.address_on_device(x[::-2]) == address + 8


def test_the_place_is_part_of_the_type(module, cp):
    x = cp.array([1, 2, 3], dtype=cp.float32)
    with pytest.raises(TypeError, match="wanted float32.* host: it is on cuda:0"):
        module.sum(x)
    with pytest.raises(TypeError):
        module.address_on_device(floats())


def test_a_kernel_works_on_arguments_with_strides(module, cp):
    base, s = cp.array([0, 1, 2, 3, 4, 5, 6, 7], dtype=cp.float32), cp.array([9] * 4, dtype=cp.float32)
    module.saxpy_on_device(s, base[::2], base[::-2], 10)
    assert cp.asnumpy(s).tolist() == [7, 25, 43, 61]


def test_the_array_interface_of_every_version_is_read(module, cp):
    x = cp.array([1, 2], dtype=cp.float32)
    for version in (0, 1, 2, 3):
        made = interface(x, version=version, strides="left out" if version < 2 else None, stream="left out", descr="left out")
        assert module.describe(made) == "float32[2] on cuda:0"
        assert module.stream_of(made) == (0 if version == 3 else 1)
    assert module.describe(interface(x, shape=[2], strides=(4,))) == "float32[2] on cuda:0"
    assert module.describe(interface(x, data=(x.__cuda_array_interface__["data"][0], True))).endswith("read-only")


def test_the_stream_of_an_array_is_handed_over(module, cp):
    x = cp.array([1, 2], dtype=cp.float32)
    assert module.stream_of(interface(x, stream=None)) == 0
    assert module.stream_of(interface(x, stream=2)) == 2
    with cp.cuda.Stream() as stream:
        assert module.stream_of(x) == stream.ptr

    class DeviceNDArray:
        """numba names no stream where none is bound, and then works in the legacy default one."""

        __module__ = "numba.cuda.cudadrv.devicearray"
        __cuda_array_interface__ = {**x.__cuda_array_interface__, "stream": None}

    assert module.stream_of(DeviceNDArray()) == 1


@pytest.mark.fault("F18")
@pytest.mark.parametrize(
    "change, said",
    [
        ({"mask": 5}, "lose its mask"),
        ({"stream": 0}, "stream 0, which is ambiguous"),
        ({"data": (4096, False)}, "does not know"),
        ({"data": (0, False)}, "elements at address 0"),
        ({"shape": (2**62, 4)}, "larger than any memory"),
        ({"shape": (-1,)}, "negative extent"),
        ({"strides": (3,)}, "no multiple of its elements"),
        ({"strides": (4, 4)}, "don't fit its shape"),
        ({"typestr": ">f4"}, "byte order"),
        ({"version": "left out"}, "names no version"),
        ({"typestr": "left out"}, "without shape or typestr"),
    ],
)
def test_absurd_interfaces_are_refused(module, cp, change, said):
    x = cp.array([1, 2], dtype=cp.float32)
    with pytest.raises(TypeError, match=said):
        module.sum(interface(x, **change))


def test_empty_arrays_have_no_address(module, cp):
    x = cp.array([1, 2], dtype=cp.float32)
    assert module.describe(interface(x, shape=(0, 3), data=(0, False), strides=None)) == "float32[0, 3] on cuda:0"
    assert module.describe(interface(x, shape=(), strides=None)) == "float32[] on cuda:0"


def test_pinned_memory_is_host_memory(module, cp):
    if not ON_STANDIN:
        pytest.skip("made by the fake CuPy's driver")
    import ctypes

    place = ctypes.c_void_p()
    cp.cuda.driver("cuMemHostAlloc", ctypes.byref(place), ctypes.c_size_t(8), 0)
    np.frombuffer((ctypes.c_char * 8).from_address(place.value), np.float32)[:] = [2, 3]
    described = {"shape": (2,), "typestr": "<f4", "data": (place.value, False), "version": 3}
    x = types.SimpleNamespace(__cuda_array_interface__=described)
    assert module.where(x) == "cuda_host:0" and module.sum(x) == 5


class OnDevice(Producer):
    """A producer by DLPack, over memory of the card."""

    def __init__(self, array):
        super().__init__(floats(int(array.size)), kind=2, data=array.__cuda_array_interface__["data"][0])
        self.memory = array

    def __dlpack_device__(self):
        return (2, 0)


def test_a_dlpack_producer_is_told_the_stream_that_reads(module, cp):
    x = OnDevice(cp.array([1, 2, 3], dtype=cp.float32))
    assert module.stream_of(x) == 1
    assert x.asked == [{"stream": 1, "max_version": (1, 3)}]
    assert module.stream_of_any(x) == 1
    assert module.where(x) == "cuda:0"


def test_cupy_is_asked_for_no_order_and_for_its_stream(module, cp):
    if not ON_STANDIN:
        pytest.skip("the real CuPy has no list of what it was asked")
    made = type("ndarray", (OnDevice,), {"__module__": "cupy"})(cp.array([1, 2], dtype=cp.float32))
    with cp.cuda.Stream() as stream:
        assert module.stream_of(made) == stream.ptr
    assert made.asked == [{"stream": -1, "max_version": (1, 3)}]


def test_a_type_that_was_on_the_host_may_be_on_a_device_later(module, cp):
    class Both(Producer):
        where = 1

        def __dlpack_device__(self):
            return (self.where, 0)

    assert module.where(Both(floats())) == module.where(Both(floats())) == "cpu"
    memory = cp.array([1, 2, 3, 4], dtype=cp.float32)
    late = Both(floats(), kind=2, data=memory.__cuda_array_interface__["data"][0])
    late.where = 2
    assert module.stream_of(late) == 1 and "stream" not in late.asked[-1]
    assert module.stream_of(late) == 1 and late.asked[-1]["stream"] == 1


def test_dlpack_that_fails_is_followed_by_the_array_interface(module, cp):
    x = cp.array([1, 2], dtype=cp.float32)

    class Half:
        __cuda_array_interface__ = x.__cuda_array_interface__

        def __dlpack__(self, **_):
            raise BufferError("no")

        def __dlpack_device__(self):
            return (2, 0)

    assert module.where(Half()) == "cuda:0"


def test_a_new_array_tells_where_it_is_and_in_which_stream(module, cp):
    with cp.cuda.Stream() as stream:
        made = module.make_on_device([1, 2, 3], stream.ptr)
        told = made.__cuda_array_interface__
        assert told == {"shape": (3,), "typestr": "<f4", "data": (made.ptr, False), "strides": None, "version": 3, "stream": stream.ptr}
        assert made.__dlpack_device__() == (2, 0) and made.device == "cuda:0"
        assert cp.asnumpy(cp.asarray(made)).tolist() == [1, 2, 3]
        assert cp.asnumpy(module.make_cupy([4, 5], stream.ptr)).tolist() == [4, 5]
        assert not hasattr(made, "__array_interface__")
        with pytest.raises(BufferError, match="on a device"):
            memoryview(made)


def test_a_new_array_reaches_the_host_by_a_copy_that_is_asked_for(module):
    made = module.make_on_device([1, 2, 3], 1)
    held = made.__dlpack__(dl_device=(1, 0), max_version=(1, 0))
    struct = struct_in(held)
    assert struct.kind == 1 and struct.flags == 2
    assert np.from_dlpack(made, device="cpu").tolist() == [1, 2, 3]
    with pytest.raises(BufferError, match="12 bytes, which copy=False forbids"):
        made.__dlpack__(dl_device=(1, 0), copy=False)
    copied = struct_in(made.__dlpack__(copy=True, max_version=(1, 0)))
    assert copied.kind == 2 and copied.flags == 2 and copied.data != made.ptr


def test_numpy_has_no_memory_of_a_device(module):
    with pytest.raises(BufferError, match="on cuda:0, and NumPy's are in host memory"):
        module.make_numpy_on_device()


@pytest.mark.fault("F40")
def test_read_only_is_told_on_a_device_too(module):
    made = module.make_read_only_on_device()
    assert made.__cuda_array_interface__["data"][1] is True
    assert struct_in(made.__dlpack__(max_version=(1, 0))).flags == 1
    with pytest.raises(TypeError):
        module.saxpy_on_device(made, made, made, 1)


def test_streams_of_readers_are_checked(module):
    made = module.make_on_device([1], 1)
    for stream in (None, -1, 1, 2):
        assert name_of(made.__dlpack__(stream=stream)) == "dltensor"
    for stream in (0, -2, "one"):
        with pytest.raises(ValueError):
            made.__dlpack__(stream=stream)


LATE = """
import importlib, sys
import cupy as cp, numpy as np
module = importlib.import_module(sys.argv[1])
late = cp.cuda.Stream()
others = [cp.cuda.Stream() for _ in range(5)]
punctual = others[-1]

def ones_in(stream, array):
    # From memory that copies do not wait for.
    import ctypes
    place = ctypes.c_void_p()
    cp.cuda.driver("cuMemHostAlloc", ctypes.byref(place), ctypes.c_size_t(256), 0)
    np.frombuffer((ctypes.c_char * 256).from_address(place.value), np.float32)[:] = 1
    address = ctypes.c_uint64(array.__cuda_array_interface__["data"][0])
    cp.cuda.driver("cuMemcpyHtoDAsync_v2", address, place, ctypes.c_size_t(array.size * 4), ctypes.c_void_p(stream.ptr))

class Named:
    "An array that is bound to a stream."
    def __init__(self, array, stream):
        self.array = array
        self.__cuda_array_interface__ = {**array.__cuda_array_interface__, "stream": stream.ptr}

def read_in(stream, array):
    import ctypes
    out = np.zeros(array.size, np.float32)
    address = ctypes.c_uint64(array.__cuda_array_interface__["data"][0])
    cp.cuda.driver("cuMemcpyDtoHAsync_v2", ctypes.c_void_p(out.ctypes.data), address, ctypes.c_size_t(out.nbytes), ctypes.c_void_p(stream.ptr))
    stream.synchronize()
    return out.tolist()

x, s = (cp.array([0.0] * 4, dtype=cp.float32) for _ in range(2))
"""


@pytest.mark.skipif(not ON_STANDIN, reason="late streams are the stand-in's; tests of a card are in the GPU bundle")
@pytest.mark.parametrize("name", MODULES)
def test_work_is_ordered_after_arguments_of_other_streams(name):
    program = LATE + """
ones_in(late, x)
module.saxpy_on_device(Named(s, punctual), Named(x, late), Named(x, late), 2)
print(read_in(punctual, s))
"""
    assert run_alone(program, name) == "[3.0, 3.0, 3.0, 3.0]\n"


@pytest.mark.skipif(not ON_STANDIN, reason="late streams are the stand-in's")
@pytest.mark.parametrize("name", MODULES)
def test_owners_go_on_after_work_that_used_their_arrays(name):
    program = LATE + """
ones_in(late, x)
module.saxpy_on_device(Named(s, late), Named(x, punctual), Named(x, punctual), 2)
ones_in(punctual, x)   # the owner overwrites it with the same; late must have read it before
print(read_in(punctual, s))
"""
    assert run_alone(program, name) == "[3.0, 3.0, 3.0, 3.0]\n"


@pytest.mark.skipif(not ON_STANDIN, reason="late streams are the stand-in's")
@pytest.mark.parametrize("name", MODULES)
def test_readers_are_ordered_after_new_arrays(name):
    program = LATE + """
ones_in(late, x)
module.keep(Named(x, late))
exported = module.give_back_read_only(0)
held = exported.__dlpack__(stream=punctual.ptr, max_version=(1, 0))
print(read_in(punctual, x))
"""
    assert run_alone(program, name) == "[1.0, 1.0, 1.0, 1.0]\n"


@pytest.mark.skipif(not ON_STANDIN, reason="the real torch is tested on a card")
@pytest.mark.parametrize("name", MODULES)
def test_the_exchange_table_tells_the_stream(name):
    program = f"""
import importlib, sys
sys.path.insert(0, {str(ROOT / "python" / "tests")!r})
import card, fake_frameworks
module = importlib.import_module(sys.argv[1])
here = card.Card()
fake_frameworks.torch()
tensor = fake_frameworks.Tensor(here.array(bytes(16)))
fake_frameworks.current.stream = here.stream()
assert module.stream_of_any(tensor) == fake_frameworks.current.stream
print(module.describe(tensor), len(fake_frameworks.alive))
try:
    module.describe(fake_frameworks.Tensor(here.array(bytes(16)), negated=True))
except TypeError:
    print("refused")
"""
    assert run_alone(program, name) == "uint8[16] on cuda:0 0\nrefused\n"

# SPDX-License-Identifier: MIT OR Apache-2.0
"""Where pybind11_cuda_array_interface was wrong: each of its weaknesses, done right."""

import gc
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from conftest import HERE, ON_STANDIN, ROOT, run_alone

pytestmark = pytest.mark.device

cp = pytest.importorskip("cupy")
pycai = pytest.importorskip("pycai")
more = pycai.more


def floats(*values):
    return cp.array(values, dtype=cp.float32)


def interface(array, **changes):
    return types.SimpleNamespace(__cuda_array_interface__={**array.__cuda_array_interface__, **changes}, owner=array)


def test_w1_round_trips_count_references_exactly():
    x = floats(1, 2)
    before = sys.getrefcount(x)
    for _ in range(100_000):
        assert pycai.receive_and_return_cuda_array_interface_float(x) is x
    assert sys.getrefcount(x) == before
    gc.collect()
    assert cp.asnumpy(x).tolist() == [1, 2]


DTYPES = {
    "bool": "|b1",
    "int8": "|i1",
    "int16": "<i2",
    "int32": "<i4",
    "int64": "<i8",
    "uint8": "|u1",
    "uint16": "<u2",
    "uint32": "<u4",
    "uint64": "<u8",
    "float32": "<f4",
    "float64": "<f8",
    "complex64": "<c8",
    "complex128": "<c16",
    "float16": "<f2",
    "long_long": "<i8",
}


@pytest.mark.parametrize("name", DTYPES)
def test_w2_every_scalar_type_goes_both_ways(name):
    made = getattr(more, f"make_{name}")([2, 3])
    assert made.__cuda_array_interface__["typestr"] == DTYPES[name]
    assert getattr(more, f"return_{name}")(made) is made
    with pytest.raises(pycai.DtypeMismatchError):
        other = "int8" if name != "int8" else "bool"
        getattr(more, f"return_{other}")(made)


def test_w3_strides_are_obeyed_or_refused():
    base, ones = floats(0, 1, 2, 3, 4, 5, 6, 7), floats(0, 0, 0, 0)
    s = cp.empty((4,), cp.float32)
    pycai.saxpy(s, base[::2], ones, 1)
    assert cp.asnumpy(s).tolist() == [0, 2, 4, 6]
    other = floats(0, 0, 0, 0, 0, 0, 0, 0)
    pycai.saxpy(other[1::2], base[::-2], ones, 1)
    assert cp.asnumpy(other).tolist() == [0, 7, 0, 5, 0, 3, 0, 1]
    assert more.describe(base[::-2])["strides"] == [-2]
    for pointer_of in (more.needs_contiguous, more.reads_const):
        with pytest.raises(pycai.InvalidShapeError, match="has strides"):
            pointer_of(base[::2])
    assert more.needs_contiguous(base[2:]) == base.__cuda_array_interface__["data"][0] + 8
    with pytest.raises(pycai.InvalidShapeError, match="multiples of the elements' 4 bytes"):
        more.describe(interface(ones, strides=(3,)))
    with pytest.raises(pycai.InvalidShapeError, match="one step for each axis"):
        more.describe(interface(ones, strides=(4, 4)))


def test_w4_streams_are_read_and_told():
    with cp.cuda.Stream() as stream:
        assert more.describe(floats(1))["stream"] == stream.ptr
        made = more.in_stream(stream.ptr, lambda: pycai.return_cuda_array_interface((2,)))
        assert made.__cuda_array_interface__["stream"] == stream.ptr
    assert pycai.return_cuda_array_interface((2,)).__cuda_array_interface__["stream"] == 1
    assert more.describe(interface(floats(1), stream=None))["stream"] is None
    with pytest.raises(pycai.IncompleteInterfaceError, match="stream is 0"):
        more.describe(interface(floats(1), stream=0))


@pytest.mark.skipif(not ON_STANDIN, reason="late streams are the stand-in's")
def test_w4_work_is_ordered_after_arguments_and_their_owners_after_it():
    sys.path.insert(0, str(HERE))
    from test_devices import LATE

    program = (
        LATE.replace("module = importlib.import_module(sys.argv[1])", "import pycai")
        + """
def work():
    ones_in(late, x)
    # In the work stream, by default the legacy one, that no late stream waits for by itself.
    pycai.saxpy(Named(s, punctual), Named(x, late), Named(x, late), 2)
work()
print(read_in(punctual, s))
"""
    )
    assert run_alone(program) == "[3.0, 3.0, 3.0, 3.0]\n"


def test_w5_version_2_is_made_on_request_and_no_version_is_renamed():
    made = pycai.return_cuda_array_interface((2,), version=2)
    assert made.__cuda_array_interface__["version"] == 2 and "stream" not in made.__cuda_array_interface__
    with pytest.raises(pycai.InvalidVersionError, match="version 4 can't be made"):
        pycai.return_cuda_array_interface((2,), version=4)


def test_w6_the_message_says_what_is_asked_of_shapes():
    with pytest.raises(pycai.InvalidShapeError, match="must be at least 1"):
        more.describe(interface(floats(1), shape=(0,)))
    with pytest.raises(pycai.InvalidShapeError, match="cannot be empty"):
        pycai.return_cuda_array_interface([])


def test_w7_whole_numbers_of_numpy_are_whole_numbers():
    assert more.describe(interface(floats(1, 2, 3, 4), shape=(np.int64(4),)))["shape"] == [4]


@pytest.mark.fault("F18")
def test_w8_masks_and_shapes_beyond_the_memory_are_refused():
    x = pycai.return_cuda_array_interface((8,))
    with pytest.raises(pycai.InterfaceNotImplementedError, match="mask"):
        more.describe(interface(x, mask=x))
    with pytest.raises(pycai.InvalidShapeError, match="are allocated"):
        more.describe(interface(x, shape=(2**28,)))
    with pytest.raises(pycai.InvalidShapeError, match="are allocated|beyond any memory"):
        more.describe(interface(x, shape=(8,), strides=(-(2**40),)))
    assert more.describe(x)["device"] == 0


def test_w9_overloads_resolve():
    assert more.overloaded(floats(1)) == "float"
    assert more.overloaded(cp.array([1], dtype=cp.int32)) == "int"
    assert more.overloaded([1]) == "object"


def test_w10_a_kept_array_is_returned_as_often_as_wanted():
    more.keep_new([2, 2])
    first, second = more.kept(0), more.kept(0)
    assert first.__cuda_array_interface__ == second.__cuda_array_interface__ and first is not second
    more.forget()
    del first
    assert more.describe(second)["shape"] == [2, 2]
    x = floats(1)
    more.keep(x)
    assert more.kept(0) is x
    more.forget()


def test_w11_read_only_arrays_are_read():
    x = floats(1, 2)
    fixed = interface(x, data=(x.__cuda_array_interface__["data"][0], True))
    s = cp.empty((2,), cp.float32)
    pycai.saxpy(s, fixed, fixed, 2)
    assert cp.asnumpy(s).tolist() == [3, 6]
    assert more.reads_const(fixed) == x.__cuda_array_interface__["data"][0]
    with pytest.raises(pycai.ReadOnlyAccessError):
        pycai.saxpy(fixed, s, s, 2)
    assert "cai::cuda_array_t[float32]" in pycai.saxpy.__doc__
    assert "cai::cuda_array_t[const float32]" in pycai.saxpy.__doc__


def test_w12_every_exception_can_come():
    assert (more.little_endian(), more.big_endian()) == ("<", ">")
    with pytest.raises(pycai.EndiannessDetectionError):
        more.strange_endianness()
    with pytest.raises(pycai.MissingDeleterError):
        more.handle_without_deleter()
    with pytest.raises(pycai.ObjectOwnershipError, match="2 owners"):
        more.handle_with_two_owners()
    with pytest.raises(pycai.InvalidCapsuleError, match="something"):
        more.capsule_of_another_name()
    with pytest.raises(pycai.CudaCallError, match=r'CUDA error at .*pycai.cpp:\d+ code=1\(CUDA_ERROR_INVALID_VALUE\) ".*cuMemFree_v2\(1\)"'):
        more.fails_in_the_driver()
    program = """
import sys, pycai
sys.modules["types"] = None
try:
    pycai.return_cuda_array_interface()
except pycai.SimpleNamespaceError:
    print("told")
"""
    assert run_alone(program) == "told\n"


@pytest.mark.skipif(not ON_STANDIN, reason="only the stand-in can be made to fail")
def test_w13_a_free_that_fails_ends_nothing(monkeypatch):
    monkeypatch.setenv("UNCOPY_STANDIN_FAULTS", "cuMemFree_v2:1+=1")
    program = """
import pycai
for _ in range(3):
    made = pycai.return_cuda_array_interface()
held = made._capsule
pycai.more.keep_new([2])
del made, held
print("end")
"""
    assert run_alone(program) == "end\n"


@pytest.mark.skipif(not ON_STANDIN, reason="made by the fake CuPy's driver")
def test_w14_the_kind_of_memory_is_told():
    import ctypes

    place = ctypes.c_void_p()
    cp.cuda.driver("cuMemHostAlloc", ctypes.byref(place), ctypes.c_size_t(64), 0)
    assert more.describe(interface(floats(1), data=(place.value, False)))["kind"] == 3
    assert more.describe(floats(1))["kind"] == 2


def test_w15_the_header_needs_no_other_before_it():
    # test_headers.py compiles each alone.
    assert (ROOT / "capi/include/pybind11_cuda_array_interface/pybind11_cuda_array_interface.hpp").is_file()


def test_w16_the_module_needs_no_cuda_library():
    needed = subprocess.run(["readelf", "-d", pycai.__file__], capture_output=True, text=True, check=True).stdout
    assert "NEEDED" in needed and "cuda" not in needed


@pytest.mark.skipif(not ON_STANDIN, reason="only the stand-in can be made to fail")
def test_w16_a_launch_that_fails_is_told(monkeypatch):
    monkeypatch.setenv("UNCOPY_STANDIN_FAULTS", "cuLaunchKernel:1=1")
    program = """
import cupy as cp, pycai
x = cp.array([1.0], dtype=cp.float32)
try:
    pycai.saxpy(x, x, x, 1)
except pycai.CudaCallError as error:
    print(error)
"""
    assert "launching a kernel failed: CUDA error 1 (CUDA_ERROR_INVALID_VALUE)" in run_alone(program)


def test_the_kernel_is_what_nvidias_assembler_takes(tmp_path):
    triton = pytest.importorskip("triton")
    assembler = Path(triton.__file__).parent / "backends/nvidia/bin/ptxas"
    if not assembler.exists():
        pytest.skip("this triton has no ptxas")
    header = (HERE / "pycai/saxpy.hpp").read_text()
    source = tmp_path / "saxpy.ptx"
    source.write_text(header.split('R"(')[1].split(')"')[0])
    for card in ("sm_75", "sm_90"):
        subprocess.run([assembler, f"-arch={card}", "-o", tmp_path / "saxpy.cubin", source], check=True, capture_output=True)


@pytest.mark.skipif(not ON_STANDIN, reason="a card's driver can't be taken away")
def test_without_a_driver_the_module_loads_and_says_so(monkeypatch):
    monkeypatch.delenv("LD_LIBRARY_PATH")
    program = """
import pycai
try:
    pycai.return_cuda_array_interface()
except pycai.CudaCallError as error:
    print(error)
"""
    assert "arrays on a CUDA device can't be used" in run_alone(program)

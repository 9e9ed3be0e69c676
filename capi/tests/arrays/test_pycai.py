# SPDX-License-Identifier: MIT OR Apache-2.0
"""The functions of pybind11_cuda_array_interface, in both builds: what its programs rely on.

`UNCOPY_SEED_TESTS=CHECKOUT cargo xtask test casters` runs that project's own tests, too (`test_seed.py`).
"""

import types

import numpy as np
import pytest

pytestmark = pytest.mark.device

cp = pytest.importorskip("cupy")


@pytest.fixture(params=["pybind11", "PyO3"])
def pycai(request, pycai_in_cpp, pycai_in_rust):
    """Made from the drop-in header, and the same functions by PyO3."""
    return {"pybind11": pycai_in_cpp, "PyO3": pycai_in_rust}[request.param]

EXCEPTIONS = """InterfaceNotImplementedError IncompleteInterfaceError DtypeMismatchError CudaCallError ReadOnlyAccessError
EndiannessDetectionError InvalidShapeError InvalidVersionError InvalidCapsuleError ObjectOwnershipError InvalidTypestrError
MissingDeleterError SimpleNamespaceError UnRegCudaTypeError""".split()


def floats(*values):
    return cp.array(values, dtype=cp.float32)


def asarray_with_capsule(made):
    """As the original's README has it: the array, and beside it the capsule that owns its memory."""
    return types.SimpleNamespace(array=cp.asarray(made), capsule=made._capsule)


def described(**changes):
    interface = {"shape": (5,), "typestr": "<f4", "version": 3, "data": (None, False)}
    interface.update(changes)
    return types.SimpleNamespace(__cuda_array_interface__={k: v for k, v in interface.items() if v != "left out"})


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_every_exception_is_there_by_name(name, pycai):
    assert issubclass(getattr(pycai, name), Exception)


def test_saxpy_writes_its_result(pycai):
    s = cp.empty((3,), cp.float32)
    pycai.saxpy(s, floats(2, 3, 5), floats(7, 11, 13), 17)
    assert cp.asnumpy(s).tolist() == [41, 62, 98]


@pytest.mark.parametrize("name, dtype", [("float", "float32"), ("int", "int32")])
def test_an_array_is_returned_as_the_same_object(name, dtype, pycai):
    x = cp.array([41, 62, 98], dtype=dtype)
    before = x.__cuda_array_interface__
    back = getattr(pycai, f"receive_and_return_cuda_array_interface_{name}")(x)
    assert back is x and back.__cuda_array_interface__ == before
    assert cp.asnumpy(back).tolist() == [41, 62, 98]


@pytest.mark.parametrize(
    "argument, error",
    [
        (np.zeros(3, np.float32), "InterfaceNotImplementedError"),
        (described(shape="left out"), "IncompleteInterfaceError"),
        (described(typestr="left out"), "IncompleteInterfaceError"),
        (described(version="left out"), "IncompleteInterfaceError"),
        (described(data="left out"), "IncompleteInterfaceError"),
        (described(), "UnRegCudaTypeError"),
        (described(data=(4096, False)), "UnRegCudaTypeError"),
        (described(version=4), "InvalidVersionError"),
        (described(version=2), "InvalidVersionError"),
        (described(version="3"), "InvalidVersionError"),
        (described(shape=()), "InvalidShapeError"),
        (described(shape=(0,)), "InvalidShapeError"),
        (described(shape=(-2,)), "InvalidShapeError"),
        (described(shape=(1.5,)), "InvalidShapeError"),
        (described(shape=5), "InvalidShapeError"),
        (described(shape=(2**62, 2)), "InvalidShapeError"),
        (described(typestr="<R4"), "InvalidTypestrError"),
        (described(typestr="[f4"), "InvalidTypestrError"),
        (described(typestr="<f0"), "InvalidTypestrError"),
        (described(typestr="qw"), "InvalidTypestrError"),
        (described(typestr=5), "InvalidTypestrError"),
        # The order of the checks: of two things that are wrong the first one is told.
        (described(data="left out", version=4), "IncompleteInterfaceError"),
        (described(version=4, shape=()), "InvalidVersionError"),
        (described(shape=(), typestr="<R4"), "InvalidShapeError"),
        (described(typestr="<R4", data=(4096, False)), "InvalidTypestrError"),
        (described(typestr="<i4"), "UnRegCudaTypeError"),
        (floats(1).astype("int32"), "DtypeMismatchError"),
    ],
)
def test_what_is_wrong_is_told_in_the_order_of_the_original(argument, error, pycai):
    with pytest.raises(getattr(pycai, error)):
        pycai.receive_and_return_cuda_array_interface_float(argument)


def test_a_new_array_is_an_object_with_an_interface_and_a_capsule(pycai):
    made = pycai.return_cuda_array_interface()
    told = made.__cuda_array_interface__
    assert type(made) is types.SimpleNamespace and hasattr(made, "_capsule")
    assert (told["shape"], told["version"], told["typestr"], told["data"][1]) == ((3, 4, 5), 3, "<f4", False)
    assert pycai.return_cuda_array_interface((2, 3, 2)).__cuda_array_interface__["shape"] == (2, 3, 2)
    assert pycai.return_cuda_array_interface(readonly=True).__cuda_array_interface__["data"][1] is True
    told["shape"] = (6, 7, 8)
    assert made.__cuda_array_interface__["shape"] == (6, 7, 8)


def test_values_go_to_the_device_and_back(pycai):
    values = [float(i) for i in range(1000)]
    made = asarray_with_capsule(pycai.return_cuda_array_interface_with_memory_copy(values))
    assert cp.asnumpy(made.array).tolist() == values
    assert cp.asnumpy(asarray_with_capsule(pycai.return_cuda_array_interface_with_memory_copy()).array).tolist() == [1, 2, 3, 4, 5]
    with pytest.raises(pycai.ReadOnlyAccessError):
        pycai.return_cuda_array_interface_with_memory_copy([1.0], readonly=True)


def test_a_million_values_are_copied(pycai):
    made = pycai.return_cuda_array_interface_with_memory_copy([1.0] * 1_000_000)
    assert made.__cuda_array_interface__["shape"] == (1_000_000,)


def test_the_capsule_alone_keeps_the_memory(pycai):
    made = pycai.return_cuda_array_interface_with_memory_copy([1.0, 2.0])
    address, capsule = made.__cuda_array_interface__["data"][0], made._capsule
    del made
    again = described(data=(address, False), shape=(2,))
    assert pycai.receive_and_return_cuda_array_interface_float(again) is again
    del capsule
    with pytest.raises((pycai.UnRegCudaTypeError, pycai.InvalidShapeError)):
        pycai.receive_and_return_cuda_array_interface_float(again)


def test_a_new_array_is_an_argument_again(pycai):
    made = pycai.return_cuda_array_interface_with_memory_copy([1.0, 2.0])
    assert pycai.receive_and_return_cuda_array_interface_float(made) is made


# What the original's tests in C++ ask of the classes behind the functions.


@pytest.mark.parametrize("typestr", ["", "<", "<t", "xt4", "at4", "<x4", ">y8", "<ta", ">tb", "<t0", ">i0", "<f-4", "<f4x"])
def test_typestrs_that_are_none_are_refused(typestr, pycai_in_cpp):
    with pytest.raises(pycai_in_cpp.InvalidTypestrError):
        pycai_in_cpp.more.validate_typestr(typestr)


@pytest.mark.parametrize("typestr", ["<t4", ">i8", "|u16", "<f4", "|V2"])
def test_typestrs_of_every_kind_are_well_formed(typestr, pycai_in_cpp):
    pycai_in_cpp.more.validate_typestr(typestr)


def test_shapes_have_axes_and_every_axis_has_elements(pycai_in_cpp):
    for shape in ([], [5, 3, 0], [0, 6, 7, 8]):
        with pytest.raises(pycai_in_cpp.InvalidShapeError):
            pycai_in_cpp.more.validate_shape(shape)
    pycai_in_cpp.more.validate_shape([5, 3, 4])


def test_pointers_are_known_to_the_driver(pycai_in_cpp):
    x = floats(1)
    pycai_in_cpp.more.validate_cuda_ptr(x.__cuda_array_interface__["data"][0])
    for address in (0, id(None)):
        with pytest.raises(pycai_in_cpp.UnRegCudaTypeError):
            pycai_in_cpp.more.validate_cuda_ptr(address)


def test_capsules_have_their_name(pycai_in_cpp):
    pycai_in_cpp.more.validate_own_capsule()
    with pytest.raises(pycai_in_cpp.InvalidCapsuleError):
        pycai_in_cpp.more.validate_no_capsule()
    with pytest.raises(pycai_in_cpp.InvalidCapsuleError):
        pycai_in_cpp.more.capsule_of_another_name()


def test_a_new_array_says_what_it_is(pycai_in_cpp):
    assert pycai_in_cpp.more.describe_new([2, 3, 4], True, 4) == ([2, 3, 4], 24, True, 4, "f")
    assert pycai_in_cpp.more.describe_new([1], False, 3) == ([1], 1, False, 3, "f")


def test_pointers_to_write_to_are_of_writable_arrays(pycai_in_cpp):
    assert pycai_in_cpp.more.writable_pointer_of_new(False)
    assert pycai_in_cpp.more.const_pointer_of_new(False) and pycai_in_cpp.more.const_pointer_of_new(True)
    with pytest.raises(pycai_in_cpp.ReadOnlyAccessError):
        pycai_in_cpp.more.writable_pointer_of_new(True)


def test_an_array_goes_by_reference_too(pycai_in_cpp):
    x = cp.array([1, 2, 3], dtype=cp.int32)
    assert pycai_in_cpp.more.by_reference(x) is x

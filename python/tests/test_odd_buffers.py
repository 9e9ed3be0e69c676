# SPDX-License-Identifier: MIT OR Apache-2.0
"""Exporters of the buffer protocol that say what hardly any does, or what can't be."""

import ctypes
from ctypes import POINTER, c_char_p, c_int, c_ssize_t, c_uint, c_void_p, py_object

import pytest

import uncopy


class PyBuffer(ctypes.Structure):
    _fields_ = [
        ("buf", c_void_p),
        ("obj", c_void_p),
        ("len", c_ssize_t),
        ("itemsize", c_ssize_t),
        ("readonly", c_int),
        ("ndim", c_int),
        ("format", c_char_p),
        ("shape", POINTER(c_ssize_t)),
        ("strides", POINTER(c_ssize_t)),
        ("suboffsets", POINTER(c_ssize_t)),
        ("internal", c_void_p),
    ]


class Slot(ctypes.Structure):
    _fields_ = [("slot", c_int), ("function", c_void_p)]


class Spec(ctypes.Structure):
    _fields_ = [
        ("name", c_char_p),
        ("basicsize", c_int),
        ("itemsize", c_int),
        ("flags", c_uint),
        ("slots", POINTER(Slot)),
    ]


GetBuffer = ctypes.CFUNCTYPE(c_int, py_object, POINTER(PyBuffer), c_int)
PY_BF_GETBUFFER, PY_TPFLAGS_DEFAULT = 1, 1 << 18
# Types and what they call live as long as the process.
KEPT = []


def exporter(**says):
    """An object of a type of its own, whose buffer is six bytes but for what `says` changes."""
    axes = c_ssize_t * 2
    memory = ctypes.create_string_buffer(b"\1\2\3\4\5\6")
    fields = {
        "buf": ctypes.addressof(memory), "len": 6, "itemsize": 1, "readonly": 0, "ndim": 2, "format": b"B",
        "shape": axes(2, 3), "strides": axes(3, 1), "suboffsets": None, **says,
    }

    @GetBuffer
    def get(owner, view, flags):
        for name, value in fields.items():
            setattr(view.contents, name, value)
        ctypes.pythonapi.Py_IncRef(py_object(owner))
        view.contents.obj = id(owner)
        return 0

    slots = (Slot * 2)(Slot(PY_BF_GETBUFFER, ctypes.cast(get, c_void_p)), Slot(0, None))
    spec = Spec(b"tests.Odd", object.__basicsize__, 0, PY_TPFLAGS_DEFAULT, slots)
    new_type = ctypes.pythonapi.PyType_FromSpec
    new_type.restype, new_type.argtypes = py_object, [POINTER(Spec)]
    KEPT.append((get, slots, spec, memory, fields))
    return new_type(ctypes.byref(spec))()


def test_a_buffer_that_says_what_is_so_is_taken(pair):
    pub, sub = pair
    pub.send(exporter())
    assert sub.recv().numpy().tolist() == [[1, 2, 3], [4, 5, 6]]


def test_rows_behind_pointers_are_refused(pair):
    with pytest.raises(uncopy.InvalidLayout, match=r"behind pointers \(suboffsets\): pass a contiguous copy"):
        pair[0].send(exporter(suboffsets=(c_ssize_t * 2)(0, -1)))


@pytest.mark.parametrize(
    ("says", "found"),
    [
        ({"buf": None}, "elements at address 0"),
        ({"shape": (c_ssize_t * 2)(-2, 3)}, "negative extent"),
    ],
)
def test_a_buffer_that_cannot_be_is_refused_with_whom_to_tell(pair, says, found):
    with pytest.raises(uncopy.InvalidLayout, match=f"describes its buffer wrongly.*{found}.*report it to the project"):
        pair[0].send(exporter(**says))


def test_a_protocol_without_a_word_for_a_dtype_says_so(pair):
    pub, sub = pair
    with pub.loan((4,), "bfloat16") as slot:
        pass
    frame = sub.recv()
    with pytest.raises(uncopy.InvalidDType, match="no word for bfloat16: use DLPack"):
        memoryview(frame)

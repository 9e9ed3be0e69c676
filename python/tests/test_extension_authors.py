# SPDX-License-Identifier: MIT OR Apache-2.0
"""crates/pyo3 as the author of an extension module uses it: arrays that are kept, and handed out again."""

import ctypes
import gc
import sys
import threading
import weakref
import zlib

import numpy
import pytest

from programs import taken

def test_an_array_goes_through_in_place_with_all_that_it_is(blackout):
    array = numpy.arange(24, dtype="float32").reshape(2, 3, 4)[:, ::-1, 1:]
    same = blackout.same(array)
    assert (same.shape, same.dtype) == ((2, 3, 3), "float32")
    assert same.__array_interface__["data"] == (array.ctypes.data, False)
    assert same.__array_interface__["strides"] == array.strides
    for back in (numpy.asarray(same), numpy.from_dlpack(same)):
        assert back.strides == array.strides and back.ctypes.data == array.ctypes.data
        assert back.flags.writeable
    numpy.asarray(same)[0, 0, 0] = -1
    assert array[0, 0, 0] == -1


def test_read_only_goes_through(blackout):
    array = numpy.arange(3)
    array.setflags(write=False)
    same = blackout.same(array)
    assert not numpy.asarray(same).flags.writeable
    assert not numpy.from_dlpack(same).flags.writeable
    assert same.__array_interface__["data"] == (array.ctypes.data, True)
    with pytest.raises(BufferError, match="read-only"):
        same.__dlpack__()


def test_a_refusal_is_the_closest_built_in(blackout):
    for array, error in (
        (numpy.zeros(2, object), TypeError),
        (3, TypeError),
        (numpy.ma.zeros(2), TypeError),
        (numpy.zeros((1,) * 9), ValueError),
        (numpy.zeros(3, [("a", "u1"), ("b", "f4")])["b"], ValueError),
    ):
        with pytest.raises(error) as caught:
            blackout.same(array)
        assert caught.type is error


def test_buffers_that_ask_for_an_order_get_it_or_an_error(blackout):
    fortran = numpy.asfortranarray(numpy.arange(6).reshape(2, 3))
    same = blackout.same(fortran)
    assert memoryview(same).f_contiguous
    assert bytes(same) == fortran.tobytes()
    with pytest.raises(BufferError, match="no strides"):
        zlib.crc32(same)
    black = blackout.black_like(fortran)
    assert numpy.frombuffer(black, "int64").tolist() == [0] * 6


def test_a_writable_array_has_a_legacy_capsule_too(blackout):
    array = numpy.arange(3)
    assert "dltensor_versioned" not in repr(blackout.same(array).__dlpack__())
    assert "dltensor_versioned" in repr(blackout.same(array).__dlpack__(max_version=(1, 0)))
    assert "dltensor_versioned" not in repr(blackout.same(array).__dlpack__(max_version=(0, 8)))


def test_the_array_is_kept_as_long_as_anything_of_it_and_no_longer(blackout):
    class Watched(numpy.ndarray):
        pass

    array = numpy.arange(3).view(Watched)
    gone = threading.Event()
    weakref.finalize(array, gone.set)
    holders = [blackout.same(array)]
    holders += [numpy.asarray(holders[0]), holders[0].__dlpack__(max_version=(1, 3)), memoryview(holders[0])]
    del array
    while holders:
        assert not gone.is_set()
        holders.pop(0)
    assert gone.is_set()


def test_a_deleter_may_run_without_the_gil_and_python_hears_of_it_later(blackout):
    content = bytearray(b"held")
    capsule = blackout.same(content).__dlpack__(max_version=(1, 3))
    managed, deleter = taken(capsule, ctypes)
    with pytest.raises(BufferError):
        content.extend(b"!")
    deleter(managed)  # ctypes gives up the GIL around the call
    blackout.same(b"any call takes care of what was left")
    content.extend(b"!")


def test_a_deleter_may_run_after_the_interpreter_has_ended(program, extensions):
    ended = program("give_back_late_from_extension", extensions)
    assert ended.end() == (0, "ending\n", "")


def test_many_arrays_leave_nothing_behind(blackout):
    array = numpy.zeros(3)
    before = sys.getrefcount(array)
    for _ in range(1000):
        numpy.asarray(blackout.same(array))
        blackout.same(array).__dlpack__(max_version=(1, 0))
        with pytest.raises(BufferError):
            blackout.same(array).__dlpack__(dl_device=(2, 0))
    gc.collect()
    assert sys.getrefcount(array) == before

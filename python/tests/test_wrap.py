# SPDX-License-Identifier: MIT OR Apache-2.0
"""uncopy.wrap: raw memory as arrays; and what arrays on a device say of themselves, of which nothing is touched here."""

import gc
import weakref

import numpy
import pytest

import uncopy

SOMEWHERE = 0x7F00_0000_0000


def test_host_memory_is_shared_not_copied():
    array = numpy.arange(12, dtype="float32").reshape(3, 4)
    wrapped = uncopy.wrap(array.ctypes.data, array.shape, array.dtype, owner=array)
    seen = numpy.asarray(wrapped)
    assert seen.ctypes.data == array.ctypes.data and seen.dtype == "float32"
    seen[1, 2] = 99
    assert array[1, 2] == 99
    assert (wrapped.device, wrapped.ptr, wrapped.shape) == ("cpu", array.ctypes.data, (3, 4))


def test_strides_are_in_bytes_and_may_lead_backwards():
    array = numpy.arange(24, dtype="int16").reshape(4, 6)
    upside_down = array[::-1, ::2]
    wrapped = uncopy.wrap(upside_down.ctypes.data, upside_down.shape, "int16", strides=upside_down.strides, owner=array)
    assert numpy.array_equal(numpy.asarray(wrapped), upside_down)


@pytest.mark.parametrize("strides", [(3, 2), (8,)])
def test_strides_that_are_none_are_refused(strides):
    with pytest.raises(uncopy.Error):
        uncopy.wrap(SOMEWHERE, (2, 2), "int16", strides=strides)


def test_the_owner_lives_as_long_as_a_view_of_the_array():
    class Owner:
        memory = numpy.zeros(4, "uint8")

    owner = Owner()
    gone = weakref.ref(owner)
    view = numpy.asarray(uncopy.wrap(owner.memory.ctypes.data, 4, "uint8", owner=owner))
    del owner
    gc.collect()
    assert gone() is not None
    del view
    gc.collect()
    assert gone() is None


def test_read_only_is_kept():
    array = numpy.zeros(4, "uint8")
    view = numpy.asarray(uncopy.wrap(array.ctypes.data, 4, "uint8", owner=array, readonly=True))
    assert not view.flags.writeable


def test_a_wrapped_array_can_be_sent(pair):
    pub, sub = pair
    array = numpy.arange(6, dtype="uint16")
    pub.send(uncopy.wrap(array.ctypes.data, (2, 3), "uint16", owner=array))
    assert numpy.array_equal(sub.recv().numpy(), array.reshape(2, 3))


def test_an_array_on_a_device_speaks_the_protocols_of_devices():
    array = uncopy.wrap(SOMEWHERE, (2, 3), "float32", device="cuda:1", strides=(64, 4), stream=0x5000)
    assert array.device == "cuda:1" and array.__dlpack_device__() == (2, 1)
    assert array.__cuda_array_interface__ == {
        "shape": (2, 3),
        "typestr": "<f4",
        "data": (SOMEWHERE, False),
        "strides": (64, 4),
        "version": 3,
        "stream": 0x5000,
    }
    # -1 asks for no order, so that no driver is needed.
    assert "dltensor_versioned" in repr(array.__dlpack__(stream=-1, max_version=(1, 3)))
    with pytest.raises(NotImplementedError):
        numpy.asarray(array)


def test_an_array_in_host_memory_has_no_cuda_array_interface():
    array = numpy.zeros(4, "uint8")
    assert not hasattr(uncopy.wrap(array.ctypes.data, 4, "uint8", owner=array), "__cuda_array_interface__")


def test_a_frame_and_a_slot_in_host_memory_have_none_either(pair):
    pub, sub = pair
    with pub.loan(4, "uint8") as slot:
        assert not hasattr(slot, "__cuda_array_interface__") and slot.device == "cpu"
        assert slot.ptr == numpy.asarray(slot).ctypes.data
    frame = sub.recv()
    assert not hasattr(frame, "__cuda_array_interface__") and frame.device == "cpu"
    assert frame.ptr == frame.numpy().ctypes.data
    frame.used_on(7)
    with pytest.raises(uncopy.Unsupported, match="host memory.*cupy.asarray"):
        frame.cupy()


@pytest.mark.parametrize("stream", [0, "7", 2.5, object()])
def test_what_is_no_stream_of_dlpack_is_refused(stream):
    array = uncopy.wrap(SOMEWHERE, 4, "uint8", device="cuda:0")
    with pytest.raises((ValueError, TypeError), match="stream must be None, -1, 1, 2 or the handle"):
        array.__dlpack__(stream=stream)


@pytest.mark.parametrize("stream", ["7", -1, object(), True])
def test_what_names_no_stream_is_refused(pair, stream):
    pub, _ = pair
    with pytest.raises(uncopy.InvalidArgument, match="stream must be a handle"):
        pub.send(numpy.zeros(3), stream=stream)


def test_a_stream_for_an_array_in_host_memory_is_refused(pair):
    pub, _ = pair
    with pytest.raises(uncopy.InvalidArgument, match="host memory"):
        pub.send(numpy.zeros(3), stream=7)
    with pytest.raises(uncopy.InvalidArgument, match="on a device"):
        pub.loan(3, "uint8", stream=7)
    with pytest.raises(uncopy.InvalidArgument, match="host memory"):
        uncopy.wrap(numpy.zeros(3).ctypes.data, 3, "float64", stream=7)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"device": "cudo:0"}, "did you mean"),
        ({"ptr": 0}, "ptr is 0"),
        ({"dtype": "uint9"}, "uint9"),
    ],
)
def test_wrong_arguments_are_named(options, said):
    arguments = {"ptr": SOMEWHERE, "shape": (4,), "dtype": "uint8", **options}
    with pytest.raises(uncopy.Error, match=said):
        uncopy.wrap(arguments.pop("ptr"), arguments.pop("shape"), arguments.pop("dtype"), **arguments)


@pytest.mark.parametrize(
    "interface, said",
    [
        ({"shape": None}, "no shape"),
        ({"typestr": ">f4"}, ">f4"),
        ({"data": (0, False)}, "address 0"),
        ({"mask": object()}, "lose its mask"),
        ({"strides": (1, 1)}, "another number of strides"),
        ({"version": None}, "no version"),
    ],
)
def test_a_cuda_array_interface_that_contradicts_itself_is_refused(pair, interface, said):
    pub, _ = pair
    told = {"shape": (4,), "typestr": "|u1", "data": (SOMEWHERE, False), "version": 3, **interface}
    producer = type("Fresh", (), {"__cuda_array_interface__": told})()
    with pytest.raises(uncopy.Error, match=said):
        pub.send(producer)


@pytest.mark.parametrize("device", ["rocm", "gpu", "cuda:x", 0])
def test_a_subscriber_is_placed_on_the_host_or_on_a_cuda_device_or_where_frames_are(device):
    with pytest.raises((uncopy.InvalidArgument, TypeError), match="device"):
        uncopy.subscribe("nobody", timeout=0, device=device)


def test_a_mirror_is_in_host_memory_or_nowhere():
    with pytest.raises(uncopy.InvalidArgument, match="mirror is 'host' or None"):
        uncopy.publish("nobody", mirror="device")

# SPDX-License-Identifier: MIT OR Apache-2.0
"""Producers and consumers of DLPack, well-behaved and not."""

import ctypes
import enum

import numpy
import pytest

import uncopy


class Producer:
    """A producer that wraps NumPy's capsules, and counts what it is asked."""

    def __init__(self, content, device=(1, 0)):
        self.array = numpy.frombuffer(content, "uint8")
        self.device = device
        self.calls = []

    def __dlpack_device__(self):
        return self.device

    def __dlpack__(self, **keywords):
        self.calls.append(keywords)
        return self.array.__dlpack__(**keywords)


def producer_class(**members):
    """A type of its own, of which nothing is remembered yet."""
    return type("Fresh", (Producer,), members)


def test_a_producer_is_asked_for_version_1_and_never_given_a_stream(pair):
    pub, sub = pair
    producer = Producer(b"content")
    pub.send(producer)
    assert producer.calls == [{"max_version": (1, 3)}]
    assert bytes(sub.recv()) == b"content"


def test_a_type_that_refuses_the_version_is_asked_without_from_then_on(pair):
    pub, sub = pair

    def bare(self):
        self.calls.append({})
        return self.array.__dlpack__()

    def strict(self, *args, **keywords):
        if keywords:
            self.calls.append(keywords)
            raise TypeError("unexpected keyword argument 'max_version'")
        return bare(self)

    kind = producer_class(__dlpack__=strict)
    # NumPy's capsules of the legacy form can't be read-only.
    first, second = kind(bytearray(b"first")), kind(bytearray(b"second"))
    pub.send(first)
    assert bytes(sub.recv()) == b"first"
    pub.send(second)
    assert bytes(sub.recv()) == b"second"
    assert first.calls == [{"max_version": (1, 3)}, {}]
    assert second.calls == [{}]


class Kind(enum.IntEnum):
    CPU = 1
    CUDA = 2
    PINNED = 3


@pytest.mark.parametrize("device", [(1, 0), (1, None), (Kind.CPU, 0), (Kind.PINNED, 1)])
def test_every_way_to_say_host_memory_is_understood(pair, device):
    pub, _ = pair
    assert pub.send(Producer(b"x", device)) == 1


def test_an_array_on_a_gpu_is_refused_before_it_is_asked_for(pair):
    pub, _ = pair
    producer = Producer(b"x", (Kind.CUDA, 1))
    with pytest.raises(uncopy.Unsupported, match="driver") as caught:
        pub.send(producer)
    assert isinstance(caught.value, NotImplementedError)
    assert producer.calls == []


def test_what_a_producer_raises_is_told_and_kept_as_the_cause(pair):
    pub, _ = pair

    def refuse(self, **_):
        raise BufferError("not today")

    with pytest.raises(uncopy.InvalidArgument, match="not today") as caught:
        pub.send(producer_class(__dlpack__=refuse)(b"x"))
    assert isinstance(caught.value.__cause__, BufferError)


def test_an_interrupt_in_a_producer_stays_an_interrupt(pair):
    pub, _ = pair

    def interrupted(self, **_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pub.send(producer_class(__dlpack__=interrupted)(b"x"))


def test_what_is_no_fresh_capsule_is_refused(pair):
    pub, _ = pair
    array = numpy.zeros(3)
    used = array.__dlpack__()
    numpy.from_dlpack(Handed(used))
    capsule = ctypes.pythonapi.PyCapsule_New
    capsule.restype, capsule.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    other = capsule(1, b"something else", None)
    for answer, message in ((used, "used_dltensor"), (other, "something else"), (None, "NoneType"), (3, "int")):
        with pytest.raises(uncopy.InvalidArgument, match=message):
            pub.send(producer_class(__dlpack__=lambda self, answer=answer, **_: answer)(b"x"))


class Handed:
    def __init__(self, capsule):
        self.capsule = capsule

    def __dlpack__(self, **_):
        return self.capsule

    def __dlpack_device__(self):
        return (1, 0)


def test_numpy_reads_a_frame_by_dlpack_and_says_read_only(pair):
    pub, sub = pair
    pub.send(numpy.arange(6, dtype="float32").reshape(2, 3))
    frame = sub.recv()
    array = numpy.from_dlpack(frame)
    assert array.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert array.ctypes.data == frame.numpy().ctypes.data
    assert not array.flags.writeable
    assert frame.__dlpack_device__() == (1, 0)


@pytest.mark.fault("F40")
def test_a_consumer_that_cannot_say_read_only_gets_an_error_or_a_copy(pair):
    pub, sub = pair
    pub.send(numpy.arange(4))
    frame = sub.recv()
    with pytest.raises(uncopy.ReadOnly, match="read-only.*copy=True") as caught:
        frame.__dlpack__()
    assert isinstance(caught.value, BufferError)
    frame.__dlpack__(copy=True)
    copy = numpy.from_dlpack(Handed(frame.__dlpack__(max_version=(1, 0), copy=True)))
    assert copy.flags.writeable and copy.ctypes.data != frame.numpy().ctypes.data
    copy[...] = 9
    assert frame.numpy().tolist() == [0, 1, 2, 3]
    assert [record.reason for record in frame.copies] == ["send", "asked", "asked"]


def test_a_request_that_host_memory_cannot_meet_is_refused(pair):
    pub, sub = pair
    pub.send(b"x")
    frame = sub.recv()
    with pytest.raises(uncopy.CopyRequired, match="cuda:0") as caught:
        frame.__dlpack__(max_version=(1, 0), dl_device=(2, 0))
    assert isinstance(caught.value, BufferError)
    with pytest.raises(uncopy.InvalidArgument, match="stream must be None"):
        frame.__dlpack__(max_version=(1, 0), stream=1)
    frame.__dlpack__(max_version=(1, 0), stream=None, dl_device=(1, 0), copy=False)


def test_a_capsule_that_nobody_takes_gives_the_frame_back(pair):
    pub, sub = pair
    pub.send(b"x")
    frame = sub.recv()
    capsule = frame.__dlpack__(max_version=(1, 3))
    frame.release()
    assert uncopy.info("pair").consumers[0].holds == 1
    del capsule
    assert uncopy.info("pair").consumers[0].holds == 0


def test_a_slot_is_written_by_dlpack(pair):
    pub, sub = pair
    with pub.loan((2, 3), "int32") as slot:
        array = numpy.from_dlpack(slot)
        array[...] = 7
        del array
    assert sub.recv().numpy().tolist() == [[7] * 3] * 2

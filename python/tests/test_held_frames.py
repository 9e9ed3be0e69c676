# SPDX-License-Identifier: MIT OR Apache-2.0
"""What a frame is while it is held, how it is released, and what outlives it."""

import gc
import io
import struct
import threading
import weakref

import numpy
import pytest

import uncopy
from conftest import eventually


def holds():
    """How many slots the one consumer of the link holds."""
    return uncopy.info("pair").consumers[0].holds


@pytest.mark.fault("F40")
def test_no_view_of_a_frame_can_be_written(pair):
    pub, sub = pair
    pub.send(numpy.zeros((2, 3), "float32"))
    frame = sub.recv()
    array = frame.numpy()
    for change in (lambda: array.__setitem__(0, 1), lambda: array.setflags(write=True)):
        with pytest.raises(ValueError):
            change()
    assert memoryview(frame).readonly
    assert frame.__array_interface__["data"][1] is True
    # A consumer that must write is refused, whatever it asks with.
    for write in (lambda: io.BytesIO(bytes(24)).readinto(frame), lambda: struct.pack_into("f", frame, 0, 1.0)):
        with pytest.raises((BufferError, TypeError)):
            write()
    assert array.tolist() == [[0, 0, 0], [0, 0, 0]]


@pytest.mark.fault("F40")
def test_a_private_copy_may_be_written_and_is_written_down(pair):
    pub, sub = pair
    pub.send(numpy.zeros(3))
    frame = sub.recv()
    copy = frame.numpy(copy=True)
    copy[...] = 9
    assert frame.numpy().tolist() == [0, 0, 0]
    assert [(record.reason, record.len_bytes) for record in frame.copies] == [("send", 24), ("asked", 24)]
    assert str(frame.copies[1]) == "copied 24 bytes from cpu to cpu: the caller asked for a copy"


@pytest.mark.fault("F40")
def test_a_read_only_array_is_published_like_any_other(pair):
    pub, sub = pair
    array = numpy.arange(6)
    array.setflags(write=False)
    pub.send(array)
    assert sub.recv().numpy().tolist() == list(range(6))


def test_a_buffer_is_lent_as_it_was_asked_for(pair):
    pub, sub = pair
    pub.send(numpy.arange(6, dtype="uint16").reshape(2, 3))
    frame = sub.recv()
    view = memoryview(frame)
    assert (view.format, view.itemsize, view.shape, view.strides, view.nbytes) == ("H", 2, (2, 3), (6, 2), 12)
    assert bytes(frame) == numpy.arange(6, dtype="uint16").tobytes()
    assert view.obj is frame


@pytest.mark.fault("F42")
def test_an_array_outlives_its_frame_its_subscriber_and_its_link():
    with uncopy.publish("pair") as pub, uncopy.subscribe("pair") as sub:
        pub.send(numpy.arange(1000))
        views = [sub.recv().numpy()]
        frame = sub.newest()
        views += [memoryview(frame), numpy.from_dlpack(frame), numpy.asarray(frame.__array_interface__ and frame)]
        del frame
        assert holds() == 1
    del pub, sub
    expected = numpy.arange(1000)
    for view in views:
        assert numpy.array_equal(view, expected)


@pytest.mark.fault("F42")
def test_the_last_view_gives_the_slot_back_from_whatever_thread(pair):
    pub, sub = pair
    pub.send(b"held")
    frame = sub.recv()
    views = [memoryview(frame), frame.numpy(), frame.__dlpack__(max_version=(1, 3))]
    frame.release()
    del frame
    while views:
        assert holds() == 1
        thread = threading.Thread(target=views.pop)
        thread.start()
        thread.join()
    assert holds() == 0


@pytest.mark.fault("F42")
def test_views_come_and_go_in_storms_without_losing_a_hold(pair):
    pub, sub = pair
    wrong = []

    def churn(frame):
        for _ in range(200):
            views = [frame.numpy(), memoryview(frame), frame.__dlpack__(max_version=(1, 3)), numpy.asarray(frame)[1:]]
            if bytes(memoryview(views[0])) != bytes(frame):
                wrong.append(frame.seq)
            gc.collect(0)

    for number in range(4):
        pub.send(bytes([number]) * 64)
        frame = sub.recv()
        threads = [threading.Thread(target=churn, args=(frame,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert holds() == 1
        del frame, threads, thread
        assert holds() == 0
    assert wrong == []


def test_a_loop_holds_one_frame_and_a_kept_array_keeps_another(pair):
    pub, sub = pair
    frames = iter(sub)
    pub.send(b"one")
    first = next(frames)
    array = first.numpy()
    pub.send(b"two")
    second = next(frames)
    assert holds() == 2
    with pytest.raises(uncopy.Closed, match="frame 1 of 'pair' was released.*recv"):
        first.numpy()
    assert array.tobytes() == b"one"
    del array
    assert holds() == 1
    assert bytes(second) == b"two"


def test_frames_of_recv_are_held_until_they_go(pair):
    pub, sub = pair
    pub.send(b"one")
    first = sub.recv()
    pub.send(b"two")
    second = sub.recv()
    assert holds() == 2
    assert (bytes(first), bytes(second)) == (b"one", b"two")


def test_a_released_frame_still_says_what_it_was(pair):
    pub, sub = pair
    pub.send(numpy.zeros((2, 2, 4), "uint8"), meta={"lens": 35}, captured=1.5, pixel="rgba8", origin="bottom_left")
    with sub.recv() as frame:
        assert "released" not in repr(frame)
    assert "released" in repr(frame)
    assert (frame.link, frame.seq, frame.epoch, frame.missed) == ("pair", 1, 1, 0)
    assert (frame.shape, frame.dtype, frame.nbytes) == ((2, 2, 4), "uint8", 16)
    assert (frame.pixel, frame.origin) == ("rgba8", "bottom_left")
    assert (frame.meta, frame.captured) == ({"lens": 35}, 1.5)
    assert [copy.reason for copy in frame.copies] == ["send"]
    frame.release()
    asks = [frame.numpy, lambda: memoryview(frame), lambda: frame.__dlpack__(max_version=(1, 3)), lambda: bytes(frame)]
    for ask in (*asks, lambda: frame.__array_interface__, lambda: numpy.asarray(frame)):
        with pytest.raises(uncopy.Closed):
            ask()


def test_an_address_that_was_given_out_is_held_as_long_as_the_frame(pair):
    pub, sub = pair
    pub.send(b"addressed")
    frame = sub.recv()
    assert frame.__array_interface__["shape"] == (9,)
    frame.release()
    assert holds() == 1
    assert bytes(frame) == b"addressed"
    del frame
    assert holds() == 0


def test_a_held_frame_is_bit_identical_while_the_producer_goes_on(pair):
    pub, sub = pair
    pub.send(bytes([7]) * 100_000)
    frame = sub.recv()
    for number in range(100):
        pub.send(bytes([number]) * 100_000)
    assert bytes(frame) == bytes([7]) * 100_000
    later = sub.recv()
    assert (later.seq, later.missed) == (101, 99)
    assert sub.stats.missed == 99 and sub.stats.received == 2


def test_the_newest_frame_is_there_at_once_again_and_again(pair):
    pub, sub = pair
    assert sub.newest() is None
    pub.send(b"one")
    assert [sub.newest().seq, sub.newest().seq] == [1, 1]
    with pytest.raises(uncopy.TimedOut, match="no new frame of 'pair'") as caught:
        sub.recv(timeout=0)
    assert isinstance(caught.value, TimeoutError)


def test_objects_can_be_watched_by_weak_references(pair):
    pub, sub = pair
    pub.send(b"x")
    frame = sub.recv()
    watched = weakref.ref(frame)
    del frame
    assert watched() is None
    assert weakref.ref(pub)() is pub and weakref.ref(sub)() is sub


def test_a_frame_that_is_sent_on_keeps_its_meaning_as_a_picture(pair):
    pub, sub = pair
    pub.send(numpy.full((2, 2, 4), 3, "uint8"), pixel="bgra8", origin="bottom_left")
    with uncopy.publish("relay") as relay, uncopy.subscribe("relay") as behind:
        relay.send(sub.recv())
        frame = behind.recv()
        assert (frame.pixel, frame.origin, frame.numpy()[0, 0, 0]) == ("bgra8", "bottom_left", 3)


def test_every_slot_held_drops_the_frame_and_says_who_holds(pair):
    pub, sub = pair
    held = []
    while pub.send(bytes(8)):
        held.append(sub.recv())
        assert len(held) < 10
    assert pub.stats.dropped == 1
    with pytest.raises(uncopy.NoFreeSlot, match="no free slot in link 'pair'.*process") as caught:
        pub.loan((8,), "uint8")
    assert isinstance(caught.value, BlockingIOError)
    assert pub.stats.dropped == 2
    held.pop(0)
    eventually(lambda: pub.send(bytes(8)), "the slot that was given back is used")

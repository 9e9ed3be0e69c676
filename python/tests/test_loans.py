# SPDX-License-Identifier: MIT OR Apache-2.0
"""Slots on loan: written in place, published at the end of the block."""


import numpy
import pytest

import uncopy


def test_a_loan_is_published_where_it_was_written(pair):
    pub, sub = pair
    with pub.loan((2, 3), "float32") as slot:
        numpy.asarray(slot)[...] = 1.5
        slot.meta = {"lens": 35}
        slot.captured = (12.25, "monotonic")
        assert slot.seq is None
        assert "on loan from 'pair'" in repr(slot)
    assert slot.seq == pub.seq == 1
    frame = sub.recv()
    assert frame.numpy().tolist() == [[1.5] * 3] * 2
    assert (frame.meta, frame.captured, frame.captured_clock) == ({"lens": 35}, 12.25, "monotonic")
    assert frame.copies == ()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_in_the_block_publishes_nothing(pair, error):
    pub, sub = pair
    with pytest.raises(error):
        with pub.loan((2,), "uint8") as slot:
            slot.numpy()[...] = 9
            raise error
    assert slot.seq is None
    assert pub.stats.published == 0
    assert sub.newest() is None
    pub.send(b"ok")
    assert sub.recv().seq == 1


def test_a_loan_can_be_published_or_given_back_by_hand(pair):
    pub, sub = pair
    slot = pub.loan((2,), "uint8")
    slot.numpy()[...] = 1
    assert slot.publish() == 1
    with pub.loan((2,), "uint8") as slot:
        slot.discard()
    assert pub.seq == 1
    with pub.loan((2,), "uint8") as slot:
        assert slot.publish() == 2
    assert pub.seq == 2
    for ask in (slot.publish, slot.numpy, lambda: memoryview(slot), lambda: slot.__dlpack__()):
        with pytest.raises(uncopy.Closed, match="loan from 'pair' is over"):
            ask()
    slot.discard()
    assert sub.recv().seq == 2


def test_a_forgotten_loan_gives_its_slot_back(pair):
    pub, _ = pair
    for _ in range(20):
        pub.loan((8,), "uint8")
    assert pub.send(b"still room") == 1


def test_a_loan_is_an_array_for_every_protocol(pair):
    pub, sub = pair
    with pub.loan((2, 3), "int16") as slot:
        assert (slot.shape, slot.dtype) == ((2, 3), "int16")
        view = memoryview(slot)
        assert (view.readonly, view.format, view.shape) == (False, "h", (2, 3))
        assert slot.__dlpack_device__() == (1, 0)
        address = slot.__array_interface__["data"]
        assert address == (slot.numpy().ctypes.data, False)
        assert address[0] % 4096 == 0
        for number, array in enumerate((slot.numpy(), numpy.asarray(slot), numpy.from_dlpack(slot))):
            array[0, number] = number + 1
        view.cast("B").cast("h", (2, 3))[1, 2] = 9
        view.release()
        numpy.asarray(slot)[1, :2] = 0
    assert sub.recv().numpy().tolist() == [[1, 2, 3], [0, 0, 9]]


@pytest.mark.fault("F42")
def test_a_view_that_is_kept_keeps_the_slot_and_shows_the_published_frame(pair):
    pub, sub = pair
    with pub.loan((4,), "uint8") as slot:
        view = slot.numpy()
        view[...] = 5
    frame = sub.recv()
    for number in range(20):
        pub.send(bytes([number]) * 4)
    assert view.tolist() == frame.numpy().tolist() == [5] * 4


@pytest.mark.fault("F42")
def test_views_kept_from_every_loan_leave_no_slot_and_say_so(pair):
    pub, _ = pair
    kept = []
    with pytest.raises(uncopy.NoFreeSlot, match="this process holds 4 by views kept from earlier loans"):
        for _ in range(10):
            with pub.loan((4,), "uint8") as slot:
                kept.append(slot.numpy())
    kept.clear()
    assert pub.send(b"room") == 5


@pytest.mark.fault("F42")
def test_a_late_write_through_a_kept_view_ends_the_writer_and_never_the_frame(program):
    writer = program("stray_write", "camera", "slot")
    with uncopy.subscribe("camera") as sub:
        assert writer.hear() == "writing"
        frame = sub.recv()
        writer.say()
        code, out, _ = writer.end()
        assert code < 0 and "written" not in out
        assert frame.numpy().ravel().tolist() == [7] * 24


def test_a_fixed_link_lends_without_being_told_again(runtime_dir):
    with uncopy.publish("fixed", shape=(2, 3), dtype="uint8", pixel="gray8") as pub, uncopy.subscribe("fixed") as sub:
        with pub.loan() as slot:
            slot.numpy()[...] = 1
        frame = sub.recv()
        assert (frame.shape, frame.dtype, frame.pixel) == ((2, 3), "uint8", "gray8")


def test_a_link_of_any_form_must_be_told(pair):
    pub, _ = pair
    for arguments in ((), ((2,),), (None, "uint8")):
        with pytest.raises(uncopy.InvalidArgument, match="dtype"):
            pub.loan(*arguments)


def test_the_same_arguments_by_other_objects_mean_the_same(pair):
    pub, sub = pair
    shape = [2, 3]
    for length in (2, 3, 4):
        shape[0] = length
        with pub.loan(shape, "uint8") as slot:
            assert slot.shape == (length, 3)
    with pub.loan((2, 3, 4), "uint8", pixel="rgba8") as slot:
        pass
    assert sub.recv().pixel == "rgba8"
    with pub.loan((2, 3, 4), "uint8", pixel="bgra8", origin="bottom_left") as slot:
        pass
    frame = sub.recv()
    assert (frame.pixel, frame.origin) == ("bgra8", "bottom_left")


@pytest.mark.fault("F41")
def test_another_form_than_a_fixed_links_is_refused_with_both_named():
    with uncopy.publish("fixed", shape=(2, 3), dtype="uint8") as pub, uncopy.subscribe("fixed") as sub:
        for wrong in (numpy.zeros((3, 2), "uint8"), numpy.zeros((2, 3), "int8"), numpy.zeros(6, "uint8")):
            form = f"{wrong.dtype}{list(wrong.shape)}".replace("[", r"\[")
            with pytest.raises(uncopy.FormMismatch, match=rf"uint8\[2, 3\].*{form}") as caught:
                pub.send(wrong)
            assert isinstance(caught.value, ValueError)
        with pytest.raises(uncopy.FormMismatch):
            pub.loan((2, 4), "uint8")
        assert pub.send(numpy.ones((2, 3), "uint8")) == 1
        assert sub.recv().shape == (2, 3)


@pytest.mark.fault("F41")
def test_a_pixel_format_that_the_numbers_cannot_be_is_refused(pair):
    pub, _ = pair
    for array, pixel in (
        (numpy.zeros((2, 2, 3), "uint8"), "rgba8"),
        (numpy.zeros((2, 2, 4), "float32"), "rgba8"),
        (numpy.zeros((2, 2), "uint8"), "rgb8"),
        (numpy.zeros((2, 2, 2, 4), "uint8"), "rgba8"),
    ):
        with pytest.raises(uncopy.FormMismatch, match=f"pixel format {pixel} is uint8.*height, width, ."):
            pub.send(array, pixel=pixel)
    with pytest.raises(uncopy.InvalidArgument, match="rgba9"):
        pub.send(b"x", pixel="rgba9")
    with pytest.raises(uncopy.InvalidArgument, match="origin"):
        pub.send(b"x", origin="middle")


def test_a_picture_is_said_once_for_a_whole_link():
    with uncopy.publish("video", pixel="rgb8", origin="bottom_left") as pub, uncopy.subscribe("video") as sub:
        pub.send(numpy.zeros((2, 2, 3), "uint8"))
        frame = sub.recv()
        assert (frame.pixel, frame.origin) == ("rgb8", "bottom_left")
        pub.send(numpy.zeros((3, 4), "uint8"), pixel="nv12", origin="top_left")
        frame = sub.recv()
        assert (frame.pixel, frame.origin) == ("nv12", "top_left")
        with pub.loan((4, 4, 3)) as slot:
            assert slot.dtype == "uint8"


def test_frames_may_change_their_form_at_any_time(pair):
    pub, sub = pair
    held = []
    for shape, dtype in (((4, 4), "uint8"), ((1000, 1000, 3), "float32"), ((2,), "complex128"), ((1000, 10), "int64")):
        sent = numpy.arange(numpy.prod(shape)).astype(dtype).reshape(shape)
        pub.send(sent)
        frame = sub.recv()
        assert numpy.array_equal(frame.numpy(), sent)
        held = [*held, (frame, sent)][-2:]
        for frame, sent in held:
            assert numpy.array_equal(frame.numpy(), sent)

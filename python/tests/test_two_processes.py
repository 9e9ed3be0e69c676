# SPDX-License-Identifier: MIT OR Apache-2.0
"""Frames between real processes."""

import os

import numpy
import pytest

import uncopy
from conftest import eventually


def test_a_frame_reaches_another_process_whose_loop_ends_with_the_producer(program):
    with uncopy.publish("camera") as pub:
        reader = program("receive_sums", "camera", 0.1)
        assert reader.hear() == "attached"
        pub.send(numpy.full((4, 6), 3, "uint8"))
        assert reader.hear() == f"1 {3 * 24}"
    assert reader.hear() == "over"
    assert reader.end() == (0, "", "")


def test_a_frame_of_another_process_is_read_in_place(program):
    writer = program("publish_counted", "camera")
    assert writer.hear() == "open"
    with uncopy.subscribe("camera") as sub:
        writer.say()
        assert writer.hear() == "1"
        frame = sub.recv()
        array = frame.numpy()
        assert array.tolist() == [[1] * 6] * 4
        assert (frame.seq, frame.missed, frame.copies) == (1, 0, ())
        # The very same memory, however it is asked for.
        addresses = {array.ctypes.data, numpy.asarray(frame).ctypes.data, frame.__array_interface__["data"][0]}
        assert len(addresses) == 1


@pytest.mark.fault("F13")
def test_a_reader_that_starts_first_waits_for_its_producer(program):
    reader = program("receive_sums", "camera", "inf")
    eventually(reader.is_asleep, "the reader waits for a producer")
    with uncopy.publish("camera") as pub:
        assert reader.hear() == "attached"
        pub.send(numpy.full((4, 6), 3, "uint8"))
        assert reader.hear() == f"1 {3 * 24}"


@pytest.mark.fault("F13")
def test_a_missing_producer_is_named_with_what_is_live_and_what_is_near(caplog):
    with uncopy.publish("camera"), uncopy.publish("depth"):
        with pytest.raises(uncopy.NotFound, match="camrea.*camera, depth.*did you mean 'camera'") as caught:
            uncopy.subscribe("camrea", timeout=2.2)
    assert isinstance(caught.value, FileNotFoundError)
    (record,) = [record for record in caplog.records if record.name == "uncopy"]
    assert record.levelname == "WARNING"
    assert "camrea" in record.message and "did you mean 'camera'" in record.message


def test_a_held_frame_stays_as_it_is_while_others_go_by(program):
    with uncopy.publish("camera") as pub:
        holder = program("hold_one", "camera")
        assert holder.hear() == "attached"
        pub.send(bytes([1]) * 8)
        assert holder.hear() == "held"
        for number in range(2, 50):
            pub.send(bytes([number]) * 8)
        holder.say()
        assert holder.hear() == "01" * 8
        assert pub.stats.published == 49


def test_the_name_of_a_live_producer_is_refused_with_who_has_it_and_taken_over_when_asked(program):
    first = program("publish_counted", "camera")
    assert first.hear() == "open"
    with pytest.raises(uncopy.NameTaken, match=f"process {first.pid}.*takeover") as caught:
        uncopy.publish("camera")
    assert isinstance(caught.value, FileExistsError)
    with uncopy.publish("camera", takeover=True) as pub:
        first.say()
        code, _, err = first.end()
        assert code == 1 and "uncopy.Superseded" in err
        assert uncopy.info("camera").pid == os.getpid()
        assert pub.send(b"mine") == 1


def test_a_lost_producer_is_told_from_one_that_closed(program):
    for how, error in (("kill", uncopy.ProducerLost), ("close", uncopy.ProducerClosed)):
        writer = program("publish_counted", "camera")
        assert writer.hear() == "open"
        with uncopy.subscribe("camera", timeout=0.1) as sub:
            writer.process.kill() if how == "kill" else writer.say("stop")
            with pytest.raises(error) as caught:
                sub.recv()
            assert isinstance(caught.value, ConnectionError)
            assert isinstance(caught.value, TimeoutError)


def test_a_loop_ends_when_the_producer_closes_and_raises_when_it_died(program):
    for how in ("close", "kill"):
        writer = program("publish_counted", "camera")
        assert writer.hear() == "open"
        with uncopy.subscribe("camera", timeout=0.1) as sub:
            writer.say()
            writer.hear()
            frames = iter(sub)
            assert next(frames).seq == 1
            if how == "close":
                writer.say("stop")
                assert next(frames, "over") == "over"
            else:
                writer.process.kill()
                with pytest.raises(uncopy.ProducerLost):
                    next(frames)


def test_a_subscriber_follows_a_producer_that_comes_back(program):
    first = program("publish_counted", "camera")
    assert first.hear() == "open"
    with uncopy.subscribe("camera") as sub:
        assert sub.connected and sub.restarts == 0
        first.say()
        assert sub.recv().seq == 1
        first.process.kill()
        first.process.wait()
        eventually(lambda: not sub.connected, "the subscriber knows that its producer died")
        second = program("publish_counted", "camera")
        assert second.hear() == "open"
        second.say()
        assert sub.recv().seq == 1
        assert sub.connected and sub.restarts == 1

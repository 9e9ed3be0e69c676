# SPDX-License-Identifier: MIT OR Apache-2.0
"""Every frame or the newest, dropping or blocking, and eviction."""

import threading

import pytest

import uncopy


def number(frame) -> int:
    return int.from_bytes(bytes(frame), "little")


def send(pub, value):
    return pub.send(value.to_bytes(8, "little"))


def test_every_frame_of_a_blocking_producer_is_received_in_order():
    received = []
    with uncopy.publish("all", slots=3, when_full="block") as pub, uncopy.subscribe("all", read="every") as sub:

        def receive():
            for frame in sub:
                received.append((number(frame), frame.missed))

        reader = threading.Thread(target=receive)
        reader.start()
        for value in range(1, 501):
            assert send(pub, value) == value
        pub.close()
        reader.join()
        assert pub.stats.dropped == 0
    assert received == [(value, 0) for value in range(1, 501)]


def test_a_dropping_producer_overwrites_and_the_reader_of_all_is_told():
    with uncopy.publish("some", slots=4) as pub, uncopy.subscribe("some", read="every") as sub:
        for value in range(1, 11):
            assert send(pub, value) == value
        assert [(frame.seq, frame.missed) for frame in (sub.recv(1.0) for _ in range(4))] == [
            (7, 6),
            (8, 0),
            (9, 0),
            (10, 0),
        ]
        assert sub.stats.missed == 6


def test_no_room_in_time_is_an_error_that_names_the_reader_and_the_next_try_works():
    with (
        uncopy.publish("full", slots=2, when_full="block", room_timeout=0.02) as pub,
        uncopy.subscribe("full", read="every") as sub,
    ):
        send(pub, 1), send(pub, 2)
        with pytest.raises(uncopy.NoFreeSlot, match="has not received the last 2") as raised:
            send(pub, 3)
        assert isinstance(raised.value, BlockingIOError)
        with pytest.raises(uncopy.NoFreeSlot), pub.loan((8,), "uint8"):
            pass
        assert pub.stats.dropped == 2
        assert number(sub.recv(1.0)) == 1
        assert send(pub, 3) == 3
        assert [number(sub.recv(1.0)) for _ in range(2)] == [2, 3]


def test_closing_from_another_thread_ends_a_wait_for_room():
    with uncopy.publish("full", slots=2, when_full="block") as pub, uncopy.subscribe("full", read="every") as sub:
        send(pub, 1), send(pub, 2)
        outcome = []

        def wait():
            try:
                send(pub, 3)
            except uncopy.Closed as error:
                outcome.append(error)

        waiter = threading.Thread(target=wait)
        waiter.start()
        pub.close()
        waiter.join()
        assert len(outcome) == 1
        assert sub.recv(1.0).seq == 1


@pytest.mark.fault("F08")
def test_who_keeps_slots_for_too_long_is_evicted_and_may_come_back():
    with (
        uncopy.publish("busy", slots=3, when_full="block", evict_after=0.03) as pub,
        uncopy.subscribe("busy", read="every") as sub,
    ):
        send(pub, 1)
        held = sub.recv(1.0)
        for value in range(2, 50):
            assert send(pub, value) == value
        assert number(held) == 1, "a held frame is never written"
        with pytest.raises(uncopy.Evicted, match="took our place away"):
            sub.recv(1.0)
        assert number(sub.recv(1.0)) == 49
        assert number(held) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"when_full": "wait"}, "'drop' or 'block', not 'wait'"),
        ({"room_timeout": 1.0}, "is for when_full='block'"),
        ({"when_full": "block", "room_timeout": -1.0}, "room_timeout is a time in seconds"),
        ({"evict_after": float("nan")}, "evict_after is a time in seconds"),
    ],
)
def test_policies_that_do_not_exist_are_refused_with_those_that_do(arguments, words):
    with pytest.raises(uncopy.InvalidArgument, match=words):
        uncopy.publish("never", **arguments)
    with pytest.raises(uncopy.InvalidArgument, match="'latest' or 'every', not 'all'"):
        uncopy.subscribe("never", read="all")


def test_frames_that_went_by_since_joining_count_as_missed():
    with uncopy.publish("many", slots=8) as pub, uncopy.subscribe("many") as early:
        for value in range(1, 6):
            send(pub, value)
        with uncopy.subscribe("many") as late:
            first = early.recv(1.0)
            assert (first.seq, first.missed, early.stats.missed) == (5, 4, 4)
            assert late.recv(1.0).missed == 0, "what was before is none of its business"
            send(pub, 6), send(pub, 7)
            assert [sub.recv(1.0).missed for sub in (early, late)] == [1, 1]


def test_options_that_make_no_sense_are_refused_with_what_would():
    with pytest.raises(uncopy.InvalidArgument, match="2 to 64 slots, not 1"):
        uncopy.publish("x", slots=1)
    with pytest.raises(uncopy.InvalidArgument, match="2 to 64 slots, not -1"):
        uncopy.publish("x", slots=-1)
    with uncopy.publish("x") as pub:
        for wrong in (-1, 17):
            with pytest.raises(uncopy.InvalidArgument, match=f"from 0 to 16, not {wrong}"):
                pub.wait_for_consumers(wrong)
    with pytest.raises(uncopy.InvalidArgument, match="shape"):
        uncopy.publish("x", dtype="uint8")
    with pytest.raises(uncopy.InvalidArgument, match="dtype"):
        uncopy.publish("x", shape=(2, 3))

# SPDX-License-Identifier: MIT OR Apache-2.0
"""Waiting for several links at once."""

import threading
import time

import numpy as np
import pytest

import uncopy

NAMES = ["color", "depth", "flow"]


@pytest.fixture
def links():
    """Publishers and subscribers of three links."""
    pubs = [uncopy.publish(name) for name in NAMES]
    subs = [uncopy.subscribe(name) for name in NAMES]
    yield pubs, subs
    for end in pubs + subs:
        end.close()


def test_those_that_have_a_frame_are_returned_and_nothing_is_received(links):
    pubs, subs = links
    assert uncopy.wait(subs, timeout=0) == []
    for chosen in range(3):
        pubs[chosen].send(np.full(4, chosen, np.uint8))
        assert uncopy.wait(subs, timeout=None) == [subs[chosen]]
        assert uncopy.wait(tuple(subs), 10.0) == [subs[chosen]]
        assert subs[chosen].poll().numpy()[0] == chosen
    for pub in pubs:
        pub.send(np.zeros(4, np.uint8))
    assert uncopy.wait(reversed(subs)) == subs[::-1]


def test_a_frame_that_comes_during_the_wait_ends_it(links):
    pubs, subs = links
    for _ in range(20):
        sender = threading.Thread(target=lambda: pubs[1].send(np.zeros(4, np.uint8)))
        sender.start()
        assert uncopy.wait(subs) == [subs[1]]
        subs[1].poll()
        sender.join()


def test_a_wait_lasts_as_long_as_it_is_told_also_without_a_producer(links):
    _, subs = links
    lonely = uncopy.aio.subscribe("nobody", timeout=None)
    for waited_for in (subs, [*subs, lonely._inner]):
        begun = time.monotonic()
        assert uncopy.wait(waited_for, timeout=0.05) == []
        assert time.monotonic() - begun >= 0.05
    lonely.close()


def test_an_end_is_ready_after_restart_timeout_until_it_was_told(links):
    pubs, subs = links
    with uncopy.subscribe("flow", timeout=60.0, restart_timeout=0.05) as brief:
        begun = time.monotonic()
        pubs[2].close()
        for _ in range(2):
            assert uncopy.wait([*subs[:2], brief], timeout=60.0) == [brief]
        assert 0.05 <= time.monotonic() - begun < 60
        with pytest.raises(uncopy.ProducerClosed):
            brief.poll()
        assert uncopy.wait([*subs[:2], brief], timeout=0.05) == []
        with uncopy.publish("flow") as successor:
            successor.send(b"next")
            assert uncopy.wait([*subs[:2], brief], timeout=60.0) == [brief]
            assert bytes(brief.poll()) == b"next"


def test_closing_one_from_another_thread_ends_the_wait(links):
    _, subs = links
    closer = threading.Timer(0.05, subs[2].close)
    closer.start()
    with pytest.raises(uncopy.Closed, match="flow"):
        uncopy.wait(subs)
    closer.join()
    with pytest.raises(uncopy.Closed, match="flow"):
        uncopy.wait(subs)
    # Those before it are not kept by the failed call.
    assert subs[0].poll() is None


def test_what_makes_no_sense_is_refused_with_a_sentence(links):
    _, subs = links
    with pytest.raises(uncopy.InvalidArgument, match="no subscriber is given"):
        uncopy.wait([])
    with pytest.raises(uncopy.InvalidArgument, match="'color' is given twice"):
        uncopy.wait([subs[0], subs[1], subs[0]])
    with pytest.raises(TypeError):
        uncopy.wait([subs[0], "depth"])
    with pytest.raises(uncopy.InvalidArgument, match="'color' is given alone"):
        uncopy.wait(subs[0])
    with pytest.raises(uncopy.InvalidArgument, match="-1"):
        uncopy.wait(subs, timeout=-1)


def test_a_subscriber_in_use_elsewhere_is_said_to_be(links):
    _, subs = links
    waiter = threading.Thread(target=lambda: pytest.raises(uncopy.Closed, subs[1].recv))
    waiter.start()
    with pytest.raises(uncopy.Unsupported, match="'depth' is in use by another thread"):
        while True:
            uncopy.wait(subs, timeout=0.001)
    subs[1].close()
    waiter.join()

# SPDX-License-Identifier: MIT OR Apache-2.0
"""Metadata and times that travel with a frame."""

import time

import numpy
import pytest

import uncopy


@pytest.mark.parametrize(
    "meta",
    [None, {"lens": 35, "name": "ü", "nested": [1, 2.5, None, True]}, [], "text", 7, 0.1, False, b"", b"raw\x00\xff"],
)
def test_metadata_comes_back_as_it_was_given(pair, meta):
    pub, sub = pair
    pub.send(b"x", meta=meta)
    frame = sub.recv()
    assert frame.meta == meta and type(frame.meta) is type(meta)
    assert frame.meta is frame.meta


def test_bytes_in_any_wrapping_are_carried_raw(pair):
    pub, sub = pair
    for meta in (bytearray(b"raw"), memoryview(b"raw")):
        pub.send(b"x", meta=meta)
        assert sub.recv().meta == b"raw"


@pytest.mark.parametrize("meta", [{1, 2}, object(), numpy.zeros(3), float("nan"), {"a": float("inf")}])
def test_what_json_cannot_say_is_refused_and_nothing_is_published(pair, meta):
    pub, _ = pair
    with pytest.raises(uncopy.InvalidArgument, match="meta is bytes or what JSON can say"):
        pub.send(b"x", meta=meta)
    with pytest.raises(uncopy.InvalidArgument):
        with pub.loan((1,), "uint8") as slot:
            slot.meta = meta
    assert pub.stats.published == 0
    assert pub.send(b"x") == 1


def test_metadata_beyond_the_limit_is_refused(pair):
    pub, sub = pair
    pub.send(b"x", meta=bytes(4096))
    assert sub.recv().meta == bytes(4096)
    with pytest.raises(uncopy.InvalidArgument, match="4097 bytes.*4096"):
        pub.send(b"x", meta=bytes(4097))


@pytest.mark.parametrize("captured", [0, 1.5, -2.25, 1_700_000_000.1234567, 1e-9, 123456])
def test_a_capture_time_comes_back_to_the_last_bit(pair, captured):
    pub, sub = pair
    pub.send(b"x", captured=captured)
    frame = sub.recv()
    assert (frame.captured, frame.captured_clock) == (captured, "other")


@pytest.mark.parametrize("clock", ["monotonic", "realtime", "other"])
def test_a_capture_time_says_its_clock(pair, clock):
    pub, sub = pair
    now = time.time()
    pub.send(b"x", captured=(now, clock))
    frame = sub.recv()
    assert (frame.captured, frame.captured_clock) == (now, clock)


@pytest.mark.parametrize("captured", ["now", (1.0, "sundial"), (1.0,), float("nan"), float("inf"), time.time_ns()])
def test_what_is_no_time_in_seconds_is_refused(pair, captured):
    pub, _ = pair
    with pytest.raises(uncopy.InvalidArgument, match="seconds|clock"):
        pub.send(b"x", captured=captured)


def test_a_frame_knows_when_it_was_published(pair):
    pub, sub = pair
    before = time.monotonic()
    pub.send(b"x")
    after = time.monotonic()
    frame = sub.recv()
    assert before <= frame.published <= after
    assert 0 <= frame.age <= time.monotonic() - before
    assert (frame.captured, frame.captured_clock, frame.meta) == (None, None, None)

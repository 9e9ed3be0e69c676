# SPDX-License-Identifier: MIT OR Apache-2.0
"""Two processes in step, without a GPU: a word of the page stands for the frame."""

import time

import bundled  # noqa: F401
import measuring
import pytest
from measuring import CpuShare, Pair, consumer_rounds, paced_rounds, producer_rounds, time_row

FRAME = 40
"""A word of the page that the measurement itself does not use."""


def consume(page, frames):
    number = 0

    def receive():
        nonlocal number
        number += 1
        page.spin_until(FRAME, number)

    return consumer_rounds(page, frames, receive)


def break_down(page):
    raise RuntimeError("as it was asked to")


@pytest.mark.parametrize(
    "rounds",
    (
        lambda *of: producer_rounds(*of[:2], lambda _: None, of[2]),
        lambda *of: paced_rounds(*of, CpuShare()),
    ),
)
def test_both_sides_have_a_sample_of_each_frame_that_counts(rounds):
    frames = 6
    with Pair(consume, frames) as pair:
        calls = rounds(pair.page, frames, lambda number: pair.page.words.__setitem__(FRAME, number))
        waits = pair.result()
    assert len(calls) == len(waits) == frames
    assert min(calls) > 0 and min(waits) > 0


def test_the_share_of_a_core_is_without_what_the_first_frames_take():
    frames, cpu = 30, CpuShare()

    def send(number):
        if number == 1:
            burn_until = time.process_time() + 0.3
            while time.process_time() < burn_until:
                pass
        pair.page.words[FRAME] = number

    with Pair(consume, frames) as pair:
        paced_rounds(pair.page, frames, send, cpu)
        pair.result()
    assert 0 < cpu.share < 0.3, "0.3 s in 0.5 s, were they counted"


def test_a_consumer_that_fails_ends_the_producer_too(capfd):
    with pytest.raises(RuntimeError, match="the other process failed"):
        with Pair(break_down) as pair:
            producer_rounds(pair.page, 5, lambda _: None, lambda _: None)
    assert "as it was asked to" in capfd.readouterr().err


def test_percentiles_are_by_nearest_rank_and_in_microseconds():
    row = time_row("x", "512_u8", [number * 1000 for number in range(100, 0, -1)], "w")
    assert (row["p50"], row["p99"], row["min"], row["n"]) == (50, 99, 1, 100)


def test_a_size_is_four_channels_of_a_dtype():
    assert measuring.shape_and_dtype("1080p_f16") == ((1080, 1920, 4), "float16")
    assert len(measuring.SIZES) == 9

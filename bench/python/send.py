# SPDX-License-Identifier: MIT OR Apache-2.0
"""`send` and `loan` of 1080p RGBA8 between Python processes against a bare copy and what people use today.

Two questions, asked of all carriers in turns:

- *stream*: frames are sent as fast as the carrier takes them; the time until the consumer has seen the last frame of a
  block, per frame. This is what a producer pays. Frames that fill the carrier's places and the caches come before.
- *delivered*: one frame at a time; from before `send` until the consumer has seen the frame.
"""

import time

import numpy
from carriers import CONTEXT, PLACES, Loan, Pickle, Pipe, Ring, Send
from rounds import FULL_HD_RGBA, ROUNDS, figure, main, series, summary

WARM_UP_BLOCKS = 2
FRAMES_BEFORE = 2 * PLACES
"""Of each block of a stream; they don't count."""

CARRIERS = {
    "send": (Send, "uncopy send"),
    "loan": (Loan, "uncopy loan and publish, no picture rendered"),
    "queue": (lambda: Ring(CONTEXT.Queue), "a copy into a shared_memory ring, its place through multiprocessing.Queue"),
    "simple_queue": (
        lambda: Ring(CONTEXT.SimpleQueue),
        "a copy into a shared_memory ring, its place through multiprocessing.SimpleQueue",
    ),
    "pipe": (lambda: Ring(Pipe), "a copy into a shared_memory ring, its place through a multiprocessing.Pipe"),
    "pickle": (Pickle, "the array through multiprocessing.Queue, pickled"),
}

COPY = "numpy.copyto into a ring of four written arrays"


def frames_per_block(name: str) -> tuple[int, int]:
    """Of a stream and one by one: pickling takes so long that few must do."""
    return (12, 5) if name == "pickle" else (40, 20)


class Sources:
    """Two pictures: one asks for an answer. (Pickling reads them later, in a thread of its own.)"""

    def __init__(self):
        self.quiet = numpy.random.default_rng(1).integers(0, 256, FULL_HD_RGBA, numpy.uint8)
        self.asking = self.quiet.copy()
        self.quiet[0, 0, 0], self.asking[0, 0, 0] = 0, 1


def stream(carrier, sources: Sources, frames: int) -> float:
    for _ in range(FRAMES_BEFORE):
        carrier.carry(sources.quiet)
    begun = time.monotonic_ns()
    for _ in range(frames - 1):
        carrier.carry(sources.quiet)
    carrier.carry(sources.asking)
    return (carrier.answer() - begun) / frames


def delivered(carrier, sources: Sources, frames: int) -> list[int]:
    samples = []
    for _ in range(frames):
        begun = time.monotonic_ns()
        carrier.carry(sources.asking)
        samples.append(carrier.answer() - begun)
    return samples


def copies(ring: list, source, frames: int) -> float:
    for number in range(FRAMES_BEFORE):
        numpy.copyto(ring[number % PLACES], source)
    begun = time.monotonic_ns()
    for number in range(frames):
        numpy.copyto(ring[number % PLACES], source)
    return (time.monotonic_ns() - begun) / frames


def measure(run):
    sources = Sources()
    ring = [numpy.ones(FULL_HD_RGBA, numpy.uint8) for _ in range(PLACES)]
    carriers = {name: make() for name, (make, _) in CARRIERS.items()}
    rounds = {}

    def one_round(blocks: int) -> None:
        samples = {(name, question): [] for name in carriers for question in ("stream", "delivered")}
        samples["copy", "stream"] = []
        for _ in range(blocks):
            samples["copy", "stream"].append(copies(ring, sources.quiet, 40))
            for name, carrier in carriers.items():
                in_stream, one_by_one = frames_per_block(name)
                samples[name, "stream"].append(stream(carrier, sources, in_stream))
                samples[name, "delivered"] += delivered(carrier, sources, one_by_one)
        for key, taken in samples.items():
            rounds.setdefault(key, []).append(summary(taken))

    one_round(WARM_UP_BLOCKS)
    rounds.clear()
    for round_number in range(1, ROUNDS + 1):
        run.say(f"{len(carriers)} ways to carry a frame: round {round_number} of {ROUNDS}")
        one_round(run.count(12, 3))
    for carrier in carriers.values():
        carrier.finish()
    return figures(rounds)


def figures(rounds: dict) -> list[dict]:
    """Each of ours beside each reference."""
    warm_up = f"{WARM_UP_BLOCKS} blocks of each, and the first {FRAMES_BEFORE} frames of every stream"
    found = []
    for ours in ("send", "loan"):
        for question in ("stream", "delivered"):
            mine = series(f"{CARRIERS[ours][1]}, {question}", rounds[ours, question])
            for name, (_, what) in CARRIERS.items():
                if name not in ("send", "loan"):
                    other = series(f"{what}, {question}", rounds[name, question])
                    full_name = f"{ours}_{question}_vs_{name}"
                    found.append(figure(full_name, mine, warm_up=warm_up, reference=other))
    mine = series(f"{CARRIERS['send'][1]}, stream", rounds["send", "stream"])
    other = series(COPY, rounds["copy", "stream"])
    found.append(figure("send_stream_vs_copy", mine, warm_up=warm_up, reference=other))
    return found


if __name__ == "__main__":
    main(measure)

# SPDX-License-Identifier: MIT OR Apache-2.0
"""What `for frame in sub` costs per frame beyond the wait.

Locked in step: the loop's body has the other process publish and waits until it has, so the next frame is always there
when the body ends. The clock is read at the end of a body and at the start of the next. Between lie releasing the frame
before, receiving this one and the loop itself. Nothing is subtracted, not even the reading of the clock.
"""

import mmap
import multiprocessing
import os
import time

import uncopy
from rounds import FULL_HD_RGBA, ROUNDS, figure, main, series, summary

LINK = "receive"
WARM_UP = 500
REQUESTED, PUBLISHED = 0, 64
"""Words of the page, each on cache lines of its own."""


def shared_words(path: str):
    """64-bit words that two processes share."""
    with open(path, "r+b") as file:
        return memoryview(mmap.mmap(file.fileno(), 4096)).cast("Q")


def producer(page: str, frames: int, ready) -> None:
    words = shared_words(page)
    with uncopy.publish(LINK) as out:
        ready.set()
        out.wait_for_consumers(1)
        for number in range(1, frames + 1):
            slot = out.loan(FULL_HD_RGBA, "uint8")
            while words[REQUESTED] != number:
                pass
            slot.publish()
            words[PUBLISHED] = number
        while words[REQUESTED] <= frames:
            time.sleep(0.001)


def receive(sub, words, first: int, count: int, use) -> list[int]:
    """Receives `count` frames; the request for the first of them was number `first`."""
    samples = []
    clock = time.perf_counter_ns
    number = first
    ended = None
    for frame in sub:
        use(frame)
        begun = clock()
        if ended is not None:
            samples.append(begun - ended)
        if number == first + count:
            return samples
        number += 1
        words[REQUESTED] = number
        while words[PUBLISHED] != number:
            pass
        ended = clock()
    raise RuntimeError("the producer ended early")


USES = {
    "loop": ("the next frame of `for frame in sub`, which is there already", lambda frame: None),
    "loop_numpy": ("the same with `frame.numpy()`", lambda frame: frame.numpy()),
}


def measure(run):
    context = multiprocessing.get_context("spawn")
    count = run.count(3000, 500)
    page = os.path.join(os.environ["UNCOPY_RUNTIME_DIR"], "receive.page")
    with open(page, "wb") as file:
        file.truncate(4096)
    words = shared_words(page)
    # Each call receives one frame more than it requests within its loop.
    frames = len(USES) * (WARM_UP + 1 + ROUNDS * (count + 1))
    ready = context.Event()
    other = context.Process(target=producer, args=(page, frames, ready), daemon=True)
    other.start()
    ready.wait()
    rounds = {name: [] for name in USES}
    number = 0

    def next_block(sub, size, use):
        nonlocal number
        number += 1
        words[REQUESTED] = number
        samples = receive(sub, words, number, size, use)
        number += size
        return samples

    with uncopy.subscribe(LINK) as sub:
        for _, use in USES.values():
            next_block(sub, WARM_UP, use)
        for round_number in range(1, ROUNDS + 1):
            run.say(f"for frame in sub: round {round_number} of {ROUNDS}")
            for name, (_, use) in USES.items():
                rounds[name].append(summary(next_block(sub, count, use)))
        if sub.stats.missed:
            raise RuntimeError(f"{sub.stats.missed} frames were missed although both went in step")
        words[REQUESTED] = frames + 1
    other.join()
    os.remove(page)
    return [
        figure(name, series(f"{what}; 1080p RGBA8", rounds[name]), warm_up=f"{WARM_UP} frames")
        for name, (what, _) in USES.items()
    ]


if __name__ == "__main__":
    main(measure)

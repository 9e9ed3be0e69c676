# SPDX-License-Identifier: MIT OR Apache-2.0
"""What every Python measurement on a card shares: two processes in step, their clocks, and rows of JSON.

The parent makes frames and the child gets them, one frame under way at a time. They are joined by words in shared
memory alone, so that nothing is measured but what carries the frame. The form of the rows is that of
`bench/gpu/README.md`.
"""

import argparse
import json
import math
import mmap
import multiprocessing
import os
import resource
import sys
import tempfile
import time
import traceback

FRAMES = 400
WARM_UP = 20
PACED_FRAMES = 180
PERIOD_NS = 1_000_000_000 // 60

DTYPES = {"u8": "uint8", "f16": "float16", "f32": "float32"}
PICTURES = {"512": (512, 512), "1080p": (1080, 1920), "4k": (2160, 3840)}
SIZES = [f"{picture}_{dtype}" for picture in PICTURES for dtype in DTYPES]
CHANNELS = 4
VALUES = 128
"""Frames hold their number modulo this, which every dtype can say."""

# 64-bit words of the page, each on a cache line of its own: before the producer's call, the frame that the consumer is
# done with, that either can't go on, and that the consumer may be sent to.
BEGUN, SEEN, FAILED, READY = range(0, 32, 8)
PAGE_LEN_BYTES = 4096


def shape_and_dtype(size: str) -> tuple[tuple[int, int, int], str]:
    """`1080p_f32` is (1080, 1920, 4) of float32."""
    picture, dtype = size.split("_")
    return (*PICTURES[picture], CHANNELS), DTYPES[dtype]


CPUS = "UNCOPY_BENCH_CPUS"
"""The processors of the producer and of the consumer, such as `0-3/4-7`."""
PRODUCER, CONSUMER = range(2)


def take_place(side: int) -> None:
    """Binds this process to the processors that the runner has for this side, so that the two never share a core."""
    if CPUS in os.environ:
        first, last = os.environ[CPUS].split("/")[side].split("-")
        os.sched_setaffinity(0, range(int(first), int(last) + 1))


class Page:
    """Shared words; either process may write any."""

    lets_threads_run = False
    """Set where another thread of the process has work to do: the one of a queue sends what was put into it. A spin then
    makes a system call each time, after which the next call of the driver takes longer; else it spins as the floors do."""

    def __init__(self, path: str):
        with open(path, "r+b") as file:
            self.words = memoryview(mmap.mmap(file.fileno(), PAGE_LEN_BYTES)).cast("Q")

    def spin_until(self, word: int, value: int) -> None:
        while self.words[word] != value:
            self.end_if_other_failed()
            if self.lets_threads_run:
                time.sleep(0)

    def end_if_other_failed(self) -> None:
        if self.words[FAILED]:
            raise RuntimeError("the other process failed")


class Pair:
    """The other process, with a page that both see. `with` ends it."""

    def __init__(self, play, *arguments):
        """`play(page, *arguments)` runs in the child; what it returns is the `result`."""
        self.file = tempfile.NamedTemporaryFile(prefix="measuring-")
        self.file.truncate(PAGE_LEN_BYTES)
        self.page = Page(self.file.name)
        # CUDA does not survive a fork, so the child is a fresh process.
        context = multiprocessing.get_context("spawn")
        self.results, child_end = context.Pipe(duplex=False)
        played = (play, self.file.name, child_end, arguments)
        self.process = context.Process(target=_play, args=played, daemon=True)
        self.process.start()
        child_end.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            self.page.words[FAILED] = 1
            self.process.terminate()
        self.process.join()
        self.file.close()

    def result(self):
        """What the child returned."""
        try:
            return self.results.recv()
        except EOFError:
            raise RuntimeError("the other process ended early") from None


def _play(play, path, results, arguments):
    take_place(CONSUMER)
    page = Page(path)
    try:
        results.send(play(page, *arguments))
    except BaseException:
        traceback.print_exc()
        page.words[FAILED] = 1
        raise SystemExit(1) from None


def producer_rounds(page: Page, frames: int, make, send) -> list[int]:
    """Has `make(number)` prepare and `send(number)` hand over each frame, one after the other. How long each call of
    `send` took, in nanoseconds, without the warm-up."""
    calls = []
    for number in range(1, WARM_UP + frames + 1):
        make(number)
        calls.append(_hand_over(page, number, send))
        page.spin_until(SEEN, number)
    return calls[WARM_UP:]


def paced_rounds(page: Page, frames: int, send, cpu: "CpuShare") -> list[int]:
    """The same sixty times a second, sleeping in between; nothing is prepared, since CPU time is measured."""
    calls = []
    next_at = time.perf_counter_ns()
    for number in range(1, WARM_UP + frames + 1):
        next_at += PERIOD_NS
        time.sleep(max(next_at - time.perf_counter_ns(), 0) / 1e9)
        # It is, unless the consumer needed a whole period.
        page.spin_until(SEEN, number - 1)
        calls.append(_hand_over(page, number, send))
        if number == WARM_UP:
            cpu.begin()
    cpu.end()
    page.spin_until(SEEN, WARM_UP + frames)
    return calls[WARM_UP:]


def _hand_over(page, number, send):
    begun = time.perf_counter_ns()
    page.words[BEGUN] = begun
    send(number)
    return time.perf_counter_ns() - begun


def consumer_rounds(page: Page, frames: int, receive, cpu: "CpuShare | None" = None) -> list[int]:
    """Has `receive()` wait for each frame, until it can be used. The time from before the producer's call, in
    nanoseconds, without the warm-up."""
    waits = []
    words = page.words
    for number in range(1, WARM_UP + frames + 1):
        receive()
        waits.append(time.perf_counter_ns() - words[BEGUN])
        words[SEEN] = number
        if cpu and number == WARM_UP:
            cpu.begin()
    if cpu:
        cpu.end()
    return waits[WARM_UP:]


class CpuShare:
    """What part of one core this process used from `begin` to `end`: without what it takes once, as a context does."""

    share = 0.0

    def begin(self):
        self.begun = (time.perf_counter(), _cpu_seconds())

    def end(self):
        wall, cpu = time.perf_counter() - self.begun[0], _cpu_seconds() - self.begun[1]
        self.share = cpu / wall


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def time_row(name: str, size: str, samples_ns: list[int], what: str) -> dict:
    """Median, 99th percentile (by nearest rank) and least, in microseconds."""
    ordered = sorted(samples_ns)
    at = lambda share: ordered[max(math.ceil(len(ordered) * share) - 1, 0)] / 1000
    row = {"name": name, "size": size, "unit": "us", "p50": at(0.5), "p99": at(0.99), "min": ordered[0] / 1000}
    return report(row | {"n": len(ordered), "what": what})


def share_row(name: str, size: str, share: float, what: str) -> dict:
    """A part of one core."""
    row = {"name": name, "size": size, "unit": "share", "p50": share, "p99": share, "min": share}
    return report(row | {"n": 1, "what": what})


def report(row: dict) -> dict:
    print(f"  {row['name']:<22} {row['size']:<10} p50 {row['p50']:10.3f} {row['unit']}", file=sys.stderr, flush=True)
    return row


def main(program: str, version, measure) -> None:
    """Runs `measure(sizes, frames, paced_frames)` and prints the rows that it returns. `version()` says what was
    measured."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", default="512_u8,1080p_f32", help=f"of {', '.join(SIZES)}")
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--paced-frames", type=int, default=PACED_FRAMES)
    options = parser.parse_args()
    take_place(PRODUCER)
    sizes = options.sizes.split(",")
    if unknown := set(sizes) - set(SIZES):
        parser.error(f"there is no size {', '.join(sorted(unknown))}")
    rows = measure(sizes, options.frames, options.paced_frames)
    json.dump({"program": program, "version": version(), "rows": rows}, sys.stdout)

# SPDX-License-Identifier: MIT OR Apache-2.0
"""The CPU time of a Python process whose subscriber waits for frames that never come, all threads included."""

import multiprocessing
import time

import uncopy
from rounds import ROUNDS, figure, main, series

LINK = "idle"


def idler(seconds: float, shares) -> None:
    with uncopy.subscribe(LINK) as sub:
        sub.recv(timeout=10.0)
        for _ in range(ROUNDS):
            cpu, begun = time.process_time_ns(), time.monotonic_ns()
            try:
                sub.recv(timeout=seconds)
            except TimeoutError:
                pass
            else:
                raise RuntimeError("a frame came")
            shares.put((time.process_time_ns() - cpu) / (time.monotonic_ns() - begun))


def measure(run):
    context = multiprocessing.get_context("spawn")
    seconds = run.count(10, 2)
    shares = context.SimpleQueue()
    rounds = []
    with uncopy.publish(LINK) as out:
        with out.loan((64,), "uint8"):
            pass
        other = context.Process(target=idler, args=(float(seconds), shares), daemon=True)
        other.start()
        for round_number in range(1, ROUNDS + 1):
            run.say(f"an idle Python subscriber for {seconds} s: round {round_number} of {ROUNDS}")
            share = shares.get()
            rounds.append({"p50": share, "p99": share, "n": 1})
        other.join()
    what = f"CPU time of a Python process that waits in recv for {seconds} s"
    return [figure("idle_python", series(what, rounds), unit="share", warm_up="one frame was received")]


if __name__ == "__main__":
    main(measure)

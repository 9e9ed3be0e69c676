# SPDX-License-Identifier: MIT OR Apache-2.0
"""A loan and the publish at the end of its block, with a consumer attached that is not waiting."""

import multiprocessing
import time

import uncopy
from rounds import FULL_HD_RGBA, ROUNDS, figure, main, series, summary

SHAPES = {"64b": (64,), "1080p": FULL_HD_RGBA, "32mib": (32 << 20,)}
WARM_UP = 1000
BLOCK = 500


def bystander(name: str, ready, dismissed) -> None:
    with uncopy.subscribe(name):
        ready.set()
        dismissed.wait()


def publish(out, shape: tuple, count: int) -> list[int]:
    samples = []
    clock = time.perf_counter_ns
    for _ in range(count):
        begun = clock()
        with out.loan(shape, "uint8"):
            pass
        samples.append(clock() - begun)
    return samples


def measure(run):
    context = multiprocessing.get_context("spawn")
    dismissed = context.Event()
    links, others = {}, []
    for end, shape in SHAPES.items():
        name = f"publish_python_{end}"
        links[name] = (uncopy.publish(name), shape, [])
        ready = context.Event()
        other = context.Process(target=bystander, args=(name, ready, dismissed), daemon=True)
        other.start()
        ready.wait()
        others.append(other)
    for out, shape, _ in links.values():
        publish(out, shape, WARM_UP)
    for round_number in range(1, ROUNDS + 1):
        run.say(f"loan and publish, {len(links)} sizes: round {round_number} of {ROUNDS}")
        samples = {name: [] for name in links}
        for _ in range(run.count(20, 3)):
            for name, (out, shape, _) in links.items():
                samples[name] += publish(out, shape, BLOCK)
        for name, (_, _, rounds) in links.items():
            rounds.append(summary(samples[name]))
    dismissed.set()
    for other in others:
        other.join()
    for out, _, _ in links.values():
        out.close()
    return [
        figure(
            name,
            series(f"an empty loan block of uint8{list(shape)}, one reading of the clock included", rounds),
            warm_up=f"{WARM_UP} frames",
        )
        for name, (_, shape, rounds) in links.items()
    ]


if __name__ == "__main__":
    main(measure)

# SPDX-License-Identifier: MIT OR Apache-2.0
"""What it costs to pass an array to a function of Rust, and to get one back, beside nanobind, pybind11 and rust-numpy.

`BENCH_ARRAYS` is the directory of the modules: `bench_arrays` (ours and rust-numpy), `bench_nanobind`, `bench_pybind11`. A
call is timed in a loop, many times, and the loop without a call is subtracted; ours and the reference are timed in turns.
Each function returns the address of the array that it was given, which is compared.
"""

import os
import statistics
import sys
import timeit

import numpy
import torch
from rounds import ROUNDS, figure, main, series

sys.path.insert(0, os.environ["BENCH_ARRAYS"])

import bench_arrays as ours  # noqa: E402
import bench_nanobind as nanobind  # noqa: E402
import bench_pybind11 as pybind11  # noqa: E402

NUMPY = numpy.zeros(1024, "float32")
TORCH = torch.zeros(1024)
WARM_UP = "one block"


class Clock:
    """Nanoseconds of one call beyond the loop around it."""

    def __init__(self, run):
        self.calls = run.count(20_000, 2_000)
        self.blocks = run.count(15, 5)
        self.loop = self.raw("pass", {})

    def raw(self, call, names):
        timer = timeit.Timer(call, globals=names)
        timer.timeit(self.calls)
        return statistics.median(timer.timeit(self.calls) for _ in range(self.blocks)) / self.calls * 1e9

    def __call__(self, call):
        function, *arguments = call
        names = {"f": function} | {f"a{at}": argument for at, argument in enumerate(arguments)}
        text = f"f({', '.join(name for name in names if name != 'f')})"
        return max(self.raw(text, names) - self.loop, 0.0)


def check():
    for read in (ours.any, ours.read, ours.write, ours.keep, ours.checked, ours.rust_numpy, nanobind.read, pybind11.read):
        assert read(NUMPY) == NUMPY.ctypes.data, read
    for read in (ours.any, ours.read, ours.write, ours.keep, ours.checked, nanobind.read, nanobind.write):
        assert read(TORCH) == TORCH.data_ptr(), read
    assert ours.refuses([1.0]) and not ours.refuses(NUMPY)


FIGURES = [
    # name, ours, the reference, what ours is, what the reference is
    ("arrays_numpy_read", (ours.read, NUMPY), (nanobind.read, NUMPY), "a NumPy array, read", "nanobind"),
    ("arrays_numpy_read_vs_pybind11", (ours.read, NUMPY), (pybind11.read, NUMPY), "a NumPy array, read", "pybind11"),
    ("arrays_numpy_read_vs_rust_numpy", (ours.read, NUMPY), (ours.rust_numpy, NUMPY), "a NumPy array, read", "rust-numpy"),
    ("arrays_torch_read", (ours.read, TORCH), (nanobind.read, TORCH), "a torch tensor, read", "nanobind"),
    ("arrays_torch_write", (ours.write, TORCH), (nanobind.write, TORCH), "a torch tensor, written", "nanobind"),
    ("arrays_new_numpy", (ours.new_numpy,), (nanobind.new_numpy,), "64 new floats as NumPy's", "nanobind"),
    ("arrays_new_torch", (ours.new_torch,), (nanobind.new_torch,), "64 new floats as torch's", "nanobind"),
    ("arrays_torch_keep", (ours.keep, TORCH), None, "a torch tensor, kept and let go", ""),
    ("arrays_numpy_keep", (ours.keep, NUMPY), None, "a NumPy array, kept and let go", ""),
    ("arrays_refused", (ours.refuses, [1.0]), None, "a list, which is refused before it is an exception", ""),
    ("arrays_noop", (ours.noop, NUMPY), (nanobind.noop, NUMPY), "a function that does nothing", "nanobind"),
]
DIFFERENCES = [
    ("arrays_check_numpy", (ours.checked, NUMPY), (ours.any, NUMPY), "what a wanted form adds, NumPy"),
    ("arrays_check_torch", (ours.checked, TORCH), (ours.any, TORCH), "what a wanted form adds, torch"),
    ("arrays_numpy_read_beyond_call", (ours.read, NUMPY), (ours.noop, NUMPY), "a NumPy array beyond an empty call"),
    ("arrays_torch_read_beyond_call", (ours.read, TORCH), (ours.noop, TORCH), "a torch tensor beyond an empty call"),
]


def measure(run):
    check()
    clock = Clock(run)
    one = lambda value: {"p50": value, "p99": value, "n": clock.blocks}
    rounds = {name: ([], []) for name, *_ in FIGURES + DIFFERENCES}
    for number in range(1, ROUNDS + 1):
        run.say(f"arrays: round {number} of {ROUNDS}")
        for name, mine, other, *_ in FIGURES:
            rounds[name][0].append(one(clock(mine)))
            if other:
                rounds[name][1].append(one(clock(other)))
        for name, mine, other, _ in DIFFERENCES:
            rounds[name][0].append(one(max(clock(mine) - clock(other), 0.0)))
    figures = []
    for name, _, other, what, reference in FIGURES:
        mine, theirs = rounds[name]
        held_against = series(f"the same by {reference}", theirs) if other else None
        figures.append(figure(name, series(what, mine), warm_up=WARM_UP, reference=held_against))
    for name, *_, what in DIFFERENCES:
        figures.append(figure(name, series(what, rounds[name][0]), warm_up=WARM_UP))
    return figures


if __name__ == "__main__":
    main(measure)

# SPDX-License-Identifier: MIT OR Apache-2.0
"""What every script here shares: three rounds of samples, printed as the JSON that `uncopy-bench` prints too.

A script calls `begin` first: it makes a runtime directory of its own, which other processes inherit.
"""

import argparse
import json
import math
import os
import shutil
import sys
import tempfile

ROUNDS = 3
"""Rounds of each measurement. The worst of their medians counts."""

FULL_HD_RGBA = (1080, 1920, 4)


class Run:
    """How much to measure."""

    def __init__(self, quick: bool):
        self.is_quick = quick

    def count(self, full: int, quick: int) -> int:
        return quick if self.is_quick else full

    def say(self, text: str) -> None:
        """Figures alone go to standard output."""
        print(f"  {text}", file=sys.stderr, flush=True)


def main(measure) -> None:
    """Runs `measure(run)` with a runtime directory of its own and prints the figures that it returns."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="fewer samples: to see whether something broke")
    run = Run(parser.parse_args().quick)
    directory = tempfile.mkdtemp(prefix="uncopy-bench-")
    os.environ["UNCOPY_RUNTIME_DIR"] = directory
    try:
        figures = measure(run)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    json.dump(figures, sys.stdout)


def summary(samples) -> dict:
    """Median and 99th percentile, by nearest rank."""
    ordered = sorted(samples)
    at = lambda share: ordered[max(math.ceil(len(ordered) * share) - 1, 0)]
    return {"p50": at(0.5), "p99": at(0.99), "n": len(ordered)}


def series(what: str, rounds: list[dict]) -> dict:
    return {"what": what, "rounds": rounds}


def figure(name: str, ours: dict, *, unit: str = "ns", warm_up: str, reference: dict | None = None) -> dict:
    return {"name": name, "unit": unit, "warm_up": warm_up, "ours": ours, "reference": reference}

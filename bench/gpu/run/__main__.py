# SPDX-License-Identifier: MIT OR Apache-2.0
"""Runs what the bundle holds and writes `results.json`, which `cargo xtask gpu-results` reads.

The file is written anew after each part, so that what was finished is known even if this run is ended.
"""

import argparse
import json
import signal
import sys
import traceback
from datetime import datetime, timezone
from pathlib import Path

import figures
import machine
import python_tests
import rust_tests
import soak
from bundle import Bundle
from cases import Cases
from mps import Mps
from process import say

PARTS = {
    "rust": "the Rust tests of the bundle",
    "python": "the wheel and its tests, with this machine's Python and frameworks",
    "figures": "the floors, uncopy and others, in turns",
    "mps": "the floors and uncopy once more, under an MPS daemon of our own",
    "sanitizer": "the Rust tests that use a GPU, under compute-sanitizer",
}


def main() -> int:
    options = parsed()
    # An end from outside goes through the `finally`s: a daemon of ours must not stay.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    described, why_not = machine.describe()
    if described is None:
        say(f"this needs a machine with an NVIDIA GPU: {why_not}")
        return 1
    with Bundle() as bundle:
        return Run(bundle, described, options).all()


def parsed() -> argparse.Namespace:
    parts = "; ".join(f"{name}: {what}" for name, what in PARTS.items())
    parser = argparse.ArgumentParser(prog="run.sh", description="Runs uncopy's GPU tests and measurements.")
    only = f"this part, may be given again ({parts})"
    parser.add_argument("--only", action="append", choices=PARTS, metavar="PART", help=only)
    parser.add_argument("--soak", type=float, default=0, metavar="MINUTES", help="also the long run, for so long")
    parser.add_argument("--out", type=Path, default=Path("."), metavar="DIR", help="where results.json goes (here)")
    parser.add_argument("--rounds", type=int, default=5, help="of the measurements (5; their median counts)")
    return parser.parse_args()


class Run:
    """One run: its cases, its figures and where they go."""

    def __init__(self, bundle: Bundle, described: dict, options: argparse.Namespace):
        self.bundle = bundle
        self.options = options
        self.cases = Cases()
        self.runs: list[dict] = []
        self.head = {
            "date": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "bundle": {key: bundle.manifest[key] for key in ("commit", "has_uncommitted_changes", "uncopy", "rustc")},
            "machine": described,
            "versions": machine.versions(),
        }

    def all(self) -> int:
        gpu = self.head["machine"]["gpu"]
        commit = self.head["bundle"]["commit"][:12]
        say(f"{gpu['card']}, driver {gpu['driver']}, CUDA {gpu['cuda']}; uncopy at {commit}")
        for absent in self.bundle.manifest["absent"]:
            self.cases.skipped("bundle", absent["what"], absent["why"])
        for part in self.options.only or PARTS:
            self.one(part, getattr(self, part))
        if self.options.soak > 0:
            self.one("soak", self.soak)
        figures.table(self.runs)
        say(f"results: {self.write()}")
        say(self.cases.closing_line())
        return 1 if self.cases.count("failed") else 0

    def one(self, part: str, play) -> None:
        """A part that breaks does not take the others with it."""
        say(f"{part}: {PARTS.get(part, '')}".rstrip(": "))
        try:
            play()
        except Exception as error:
            traceback.print_exc()
            self.cases.failed(part, part, f"the runner failed: {error!r}")
        finally:
            self.write()

    def rust(self):
        rust_tests.run_tests(self.bundle, self.cases)

    def python(self):
        python_tests.run_tests(self.bundle, self.cases)

    def figures(self):
        figures.measure(self.bundle, self.cases, self.runs, self.options.rounds)

    def mps(self):
        with Mps() as mps:
            if mps.why_not:
                self.cases.skipped("mps", "figures under MPS", mps.why_not)
            else:
                figures.measure(self.bundle, self.cases, self.runs, self.options.rounds, mps.environment())

    def sanitizer(self):
        rust_tests.run_sanitizer(self.bundle, self.cases)

    def soak(self):
        soak.run_soak(self.bundle, self.cases, self.options.soak)

    def write(self) -> Path:
        path = self.options.out / "results.json"
        self.options.out.mkdir(parents=True, exist_ok=True)
        document = self.head | {"cases": self.cases.to_json(), "runs": self.runs}
        path.write_text(json.dumps(document, indent=1) + "\n")
        return path


if __name__ == "__main__":
    sys.exit(main())

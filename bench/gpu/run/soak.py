# SPDX-License-Identifier: MIT OR Apache-2.0
"""The long run, only when it is asked for by its minutes."""

from bundle import Bundle
from cases import Cases
from process import run


def run_soak(bundle: Bundle, cases: Cases, minutes: float) -> None:
    programs = bundle.manifest["soaks"]
    if not programs:
        cases.skipped("soak", "soak", "this bundle has no program for it")
    for soak in programs:
        command = [bundle.program(soak["program"]), *soak["arguments"], f"{minutes:g}"]
        done = run(command, env=bundle.environment(), cwd=bundle.work, limit_s=60 * minutes + 300, joined=True)
        print(done.output)
        if done.is_good():
            cases.passed("soak", soak["name"], f"{minutes:g} minutes")
        else:
            cases.failed("soak", soak["name"], done.why())

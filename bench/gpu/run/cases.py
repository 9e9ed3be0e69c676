# SPDX-License-Identifier: MIT OR Apache-2.0
"""What was tried, and what came of it."""

import re
from dataclasses import asdict, dataclass

from process import Finished, say

SKIP = "SKIP "
BACKTRACE = "stack backtrace:"
"""A Rust test that can't run here prints this and its reason, and returns."""


@dataclass
class Case:
    part: str
    name: str
    outcome: str
    """`passed`, `failed` or `skipped`."""
    why: str = ""


class Cases:
    """All cases of a run; each is shown when it is added, unless it passed and is one of many."""

    def __init__(self):
        self.all: list[Case] = []

    def add(self, case: Case, *, is_quiet: bool = False) -> None:
        self.all.append(case)
        if not is_quiet or case.outcome != "passed":
            say(f"  {case.outcome:<8} {case.name}" + (f": {case.why}" if case.why else ""))

    def passed(self, part, name, why=""):
        self.add(Case(part, name, "passed", why))

    def failed(self, part, name, why):
        self.add(Case(part, name, "failed", why))

    def skipped(self, part, name, why):
        self.add(Case(part, name, "skipped", why))

    def count(self, outcome: str) -> int:
        return sum(case.outcome == outcome for case in self.all)

    def closing_line(self) -> str:
        return f"{self.count('passed')} passed, {self.count('failed')} failed, {self.count('skipped')} skipped"

    def to_json(self) -> list[dict]:
        return [asdict(case) for case in self.all]


def cases_of_libtest(part: str, program: str, done: Finished) -> list[Case]:
    """The cases in what a Rust test program printed with `--show-output`.

    A program that ended early, or whose counts are not those of its lines, has failed.
    """
    verdicts = re.findall(r"^test (\S+)(?: - should panic)? \.\.\. (ok|FAILED|ignored)(?:, (.*))?$", done.output, re.M)
    reasons = _skip_reasons(done.output)
    cases = []
    for name, verdict, remark in verdicts:
        full = f"{program} {name}"
        if verdict == "ok" and name in reasons:
            cases.append(Case(part, full, "skipped", reasons[name]))
        elif verdict == "ok":
            cases.append(Case(part, full, "passed"))
        elif verdict == "ignored":
            cases.append(Case(part, full, "skipped", remark or "marked as ignored"))
        else:
            cases.append(Case(part, full, "failed", _panic_of(done.output, name)))
    result = re.search(r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored", done.output, re.M)
    if not result:
        cases.append(Case(part, program, "failed", f"gave no result: {done.why()}"))
    elif sum(map(int, result.groups())) != len(verdicts):
        cases.append(Case(part, program, "failed", f"counts {result[0]!r} and shows {len(verdicts)} tests"))
    elif done.code != 0 and not any(case.outcome == "failed" for case in cases):
        cases.append(Case(part, program, "failed", done.why()))
    return cases


def _outputs(output: str) -> dict[str, list[str]]:
    """The lines that each test printed, by its name."""
    parts = re.split(r"^---- (\S+) stdout ----$", output, flags=re.M)
    # Below the last output stands a list of names.
    until_list = [re.split(r"^(?:successes|failures):$", text, flags=re.M)[0] for text in parts[2::2]]
    return {name: text.splitlines() for name, text in zip(parts[1::2], until_list)}


def _skip_reasons(output: str) -> dict[str, str]:
    reasons = {}
    for name, lines in _outputs(output).items():
        found = [line.removeprefix(SKIP).strip() for line in lines if line.startswith(SKIP)]
        if found:
            reasons[name] = "; ".join(found)
    return reasons


def _panic_of(output: str, name: str) -> str:
    """What a failed test said last."""
    lines = _outputs(output).get(name, [])
    if BACKTRACE in lines:
        lines = lines[: lines.index(BACKTRACE)]
    said = [line.strip() for line in lines if line.strip() and not line.startswith("note: ")]
    return said[-1] if said else "it said nothing"

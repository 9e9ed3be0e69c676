# SPDX-License-Identifier: MIT OR Apache-2.0
"""The Rust tests of the bundle, as they are and under compute-sanitizer."""

import shutil

from bundle import Bundle
from cases import Case, Cases, cases_of_libtest
from process import run

LIBTEST = ["--show-output", "--test-threads", "1"]

TOOLS = {
    "memcheck": ["--tool", "memcheck", "--leak-check", "full"],
    "racecheck": ["--tool", "racecheck", "--racecheck-report", "all"],
}
# Tests have the driver refuse things, and look at what it says.
EXPECTED = ["--report-api-errors", "no"]
NOTHING_SEEN = "terminated before first instrumented API call"
# What they have a card refuse they leave out.
SANITIZED = {"UNCOPY_TEST_SANITIZED": "1"}
FOUND = 97
"""The exit code that compute-sanitizer is told to give when it found something."""
SANITIZER = "compute-sanitizer"


def run_tests(bundle: Bundle, cases: Cases) -> None:
    programs = bundle.manifest["tests"]
    if not programs:
        cases.skipped("rust", "Rust tests", "this bundle has none")
    for test in programs:
        command = [bundle.program(test["program"]), *test["arguments"], *LIBTEST]
        done = run(command, env=bundle.environment(), cwd=bundle.work, limit_s=test["limit_s"], joined=True)
        found = cases_of_libtest("rust", test["program"], done)
        for case in found:
            cases.add(case, is_quiet=True)
        print(f"  {test['program']}: {sum(case.outcome == 'passed' for case in found)} of {len(found)} passed")


def run_sanitizer(bundle: Bundle, cases: Cases) -> None:
    programs = [test for test in bundle.manifest["tests"] if test["sanitize"]]
    for tool, arguments in TOOLS.items():
        why_not = _why_not(bundle, tool, arguments)
        if why_not or not programs:
            cases.skipped("sanitizer", tool, why_not or "this bundle has no Rust test that uses a GPU")
            continue
        cases.passed("sanitizer", f"{tool} finds what was planted")
        for test in programs:
            command = [*_command(arguments), bundle.program(test["program"]), *test["arguments"], *LIBTEST]
            env = bundle.environment() | SANITIZED
            done = run(command, env=env, cwd=bundle.work, limit_s=3 * test["limit_s"], joined=True)
            cases.add(_case(f"{tool} {test['program']}", done))


def _case(name: str, done) -> Case:
    if NOTHING_SEEN in done.output and "test result: ok" in done.output:
        return Case("sanitizer", name, "skipped", "its tests make no call to the driver")
    if done.is_good():
        return Case("sanitizer", name, "passed")
    marked = [line for line in done.output.splitlines() if line.startswith("=========") and line.strip("= ")]
    return Case("sanitizer", name, "failed", "\n".join([done.why(), *marked[:40]]))


def _command(arguments) -> list:
    return [SANITIZER, *arguments, *EXPECTED, "--target-processes", "all", "--error-exitcode", str(FOUND)]


def _why_not(bundle: Bundle, tool: str, arguments) -> str:
    """A check that finds nothing in a program that is known to be wrong says nothing about ours."""
    if not shutil.which(SANITIZER):
        return f"{SANITIZER} is not on this machine"
    planted, why = build(bundle, "planted.cu")
    if why:
        return why
    done = run([*_command(arguments), planted, tool], limit_s=120, joined=True)
    if done.code == FOUND:
        return ""
    return f"it does not find what was planted for it here: {done.why()}"


def build(bundle: Bundle, source: str) -> tuple[object, str]:
    """A CUDA C++ program of the bundle, built once for the card that is here; else the reason why not."""
    program = bundle.work / source.removesuffix(".cu")
    if program.is_file():
        return program, ""
    if not shutil.which("nvcc"):
        return None, "nvcc is not on this machine"
    flags = ["-O2", "-std=c++17", "-arch=native"]
    done = run(["nvcc", *flags, bundle.home / source, "-lcuda", "-o", program], joined=True)
    return (program, "") if done.is_good() else (None, f"nvcc {done.why()}\n{done.output}")

# SPDX-License-Identifier: MIT OR Apache-2.0
"""The Rust tests of the bundle, as they are and under compute-sanitizer."""

import shutil

from bundle import Bundle
from cases import Case, Cases, cases_of_libtest
from process import run

LIBTEST = ["--show-output", "--test-threads", "1"]

LEAKS = ["--leak-check", "full"]
TOOLS = {
    "memcheck": ["--tool", "memcheck", *LEAKS],
    "racecheck": ["--tool", "racecheck", "--racecheck-report", "all"],
}
# Tests have the driver refuse things, and look at what it says.
EXPECTED = ["--report-api-errors", "no"]
NOTHING_SEEN = "terminated before first instrumented API call"
# What they have a card refuse they leave out.
SANITIZED = {"UNCOPY_TEST_SANITIZED": "1"}
# Tests of processes that end with work of theirs under way, whose memory can't be given back: leaks are not looked for.
ENDING = "ending::"
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
            for name, command in _checks(bundle, tool, arguments, test):
                env = bundle.environment() | SANITIZED
                done = run(command, env=env, cwd=bundle.work, limit_s=3 * test["limit_s"], joined=True)
                cases.add(_case(name, done))


def _checks(bundle: Bundle, tool: str, arguments: list, test: dict) -> list[tuple[str, list]]:
    """The name and the command of each check of a test program by a tool."""
    name = f"{tool} {test['program']}"
    program = [bundle.program(test["program"]), *test["arguments"]]
    listed = run([*program, "--list"], env=bundle.environment() | SANITIZED, cwd=bundle.work)
    if LEAKS[0] not in arguments or ENDING not in listed.output:
        return [(name, [*_command(arguments), *program, *LIBTEST])]
    without = [word for word in arguments if word not in LEAKS]
    return [
        (name, [*_command(arguments), *program, *LIBTEST, "--skip", ENDING]),
        (f"{name} {ENDING}", [*_command(without), *program, *LIBTEST, ENDING]),
    ]


def _case(name: str, done) -> Case:
    if NOTHING_SEEN in done.output and "test result: ok" in done.output:
        return Case("sanitizer", name, "skipped", "its tests make no call to the driver")
    if done.is_good():
        return Case("sanitizer", name, "passed")
    lines = done.output.splitlines()
    failed = [line for line in lines if line.startswith("test ") and line.endswith("FAILED") or "panicked at" in line]
    marked = [line for line in lines if line.startswith("=========") and line.strip("= ")]
    # Which leak it is say the frames of the driver, of which one names the call.
    shown = [line for line in marked if "Host Frame" not in line or ": cu" in line]
    return Case("sanitizer", name, "failed", "\n".join([done.why(), *failed[:20], *shown[:60]]))


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

# SPDX-License-Identifier: MIT OR Apache-2.0
"""What the runner makes of the output of a Rust test program."""

import bundled  # noqa: F401
from cases import Case, Cases, cases_of_libtest
from process import Finished

GOOD = """
running 3 tests
test a_frame_arrives ... ok
test a_card_is_there ... ok
test a_day_passes ... ignored, takes a day

successes:

---- a_card_is_there stdout ----
SKIP no CUDA driver on this machine


successes:
    a_card_is_there
    a_frame_arrives

test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s
"""

BAD = """
running 2 tests
test a_frame_arrives ... FAILED
test another ... ok

failures:

---- a_frame_arrives stdout ----

thread 'a_frame_arrives' (7) panicked at tests/x.rs:3:5:
word 5 holds 7
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace


failures:
    a_frame_arrives

test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s
"""


def outcomes(output, code=0):
    return [(case.name, case.outcome, case.why) for case in cases_of_libtest("rust", "t", Finished(code, output, ""))]


def test_passed_skipped_and_ignored_tests_are_told_apart():
    assert outcomes(GOOD) == [
        ("t a_frame_arrives", "passed", ""),
        ("t a_card_is_there", "skipped", "no CUDA driver on this machine"),
        ("t a_day_passes", "skipped", "takes a day"),
    ]


def test_a_failed_test_says_what_it_saw():
    assert ("t a_frame_arrives", "failed", "word 5 holds 7") in outcomes(BAD, 101)
    traced = BAD.replace("note: run", "stack backtrace:\n   0: core::panicking::panic_fmt\nnote: run")
    assert ("t a_frame_arrives", "failed", "word 5 holds 7") in outcomes(traced, 101)


def test_a_program_that_died_early_has_failed():
    died = GOOD.split("successes:")[0]
    assert outcomes(died, -11)[-1][:2] == ("t", "failed")
    assert outcomes("", None)[-1] == ("t", "failed", "gave no result: did not end in time")


def test_a_test_whose_line_was_lost_is_not_lost():
    torn = GOOD.replace("test a_frame_arrives ... ok\n", "test a_frame_arrives ... noise\nok\n")
    assert outcomes(torn)[-1][1] == "failed"


def test_a_program_that_fails_after_its_tests_has_failed():
    name, outcome, why = outcomes(GOOD, 1)[-1]
    assert (name, outcome) == ("t", "failed") and why.startswith("ended with code 1: test result: ok.")


def test_the_closing_line_counts_everything():
    cases = Cases()
    for outcome in ("passed", "passed", "failed", "skipped"):
        cases.add(Case("p", "n", outcome, "w"))
    assert cases.closing_line() == "2 passed, 1 failed, 1 skipped"

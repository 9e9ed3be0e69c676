# SPDX-License-Identifier: MIT OR Apache-2.0
"""Programs that hang, that do not exist, and what is said of them."""

import os
import select
import signal

import bundled  # noqa: F401
import process


def test_a_program_at_its_limit_is_ended_with_all_that_it_started():
    script = "sleep 300 >/dev/null 2>&1 & echo $!; sleep 5"
    done = process.run(["sh", "-c", script], limit_s=2)
    left = int(done.output)
    try:
        assert done.code is None and "did not end in time" in done.why()
        assert is_dead_soon(left), f"process {left} lives on"
    finally:
        if os.path.exists(f"/proc/{left}"):
            os.kill(left, signal.SIGKILL)


def is_dead_soon(pid):
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    with os.fdopen(handle) as file:
        return bool(select.select([file], [], [], 10)[0])


def test_a_program_that_is_not_there_has_failed():
    done = process.run(["no-such-program-of-this-name"])
    assert not done.is_good() and "did not start" in done.why()


def test_both_outputs_are_kept_apart_unless_they_are_to_be_joined():
    script = ["sh", "-c", "echo one; echo two >&2; exit 3"]
    apart, joined = process.run(script), process.run(script, joined=True)
    assert (apart.output, apart.errors, apart.code) == ("one\n", "two\n", 3)
    assert (joined.output, joined.errors) == ("one\ntwo\n", "")
    assert apart.why() == "ended with code 3: two"

# SPDX-License-Identifier: MIT OR Apache-2.0
"""How processes end, and how they split in two."""

import copy
import json
import multiprocessing
import pickle
import subprocess
import sys

import pytest

import uncopy
from conftest import eventually


@pytest.mark.fault("F08")
@pytest.mark.parametrize(
    ("how", "code", "forgotten"),
    [
        ("closed", 0, 0),
        ("end", 0, 2),
        ("exit code", 3, 1),
        ("exception", 1, 1),
        ("signal", 4, 2),
        ("views", 0, 2),
        ("thread in recv", 0, 2),
        ("thread in a loop", 0, 2),
    ],
)
def test_a_program_that_forgets_to_close_ends_in_order(program, how, code, forgotten):
    ended, out, err = program("end_without_close", how, options=("-X", "dev")).end()
    assert ended == code
    warnings = [line for line in err.splitlines() if "ResourceWarning: unclosed" in line]
    assert len(warnings) == forgotten, err
    assert all("'forgotten'; use it in a with block, or call close()" in line for line in warnings)
    rest = [line for line in err.splitlines() if "ResourceWarning" not in line]
    assert ("RuntimeError: of the program's own" in err) == (how == "exception")
    assert how == "exception" or rest == [], err


@pytest.mark.fault("F08")
def test_threads_in_the_midst_of_sending_do_not_disturb_the_end(program):
    busy = program("end_without_close", "busy threads")
    ended, out, err = busy.end()
    assert (ended, err) == (0, ""), err


@pytest.mark.fault("F08")
def test_a_link_that_is_used_after_its_end_says_that_it_is_closed(program):
    ended, out, err = program("end_without_close", "late use").end()
    assert ended == 0
    assert "atexit sent" in out
    assert "__del__ Closed" in out
    assert "Traceback" not in err


@pytest.mark.fault("F08")
def test_a_publisher_that_is_let_go_warns_and_gives_its_name_back(program):
    ended, out, err = program("forget_one", options=("-X", "dev")).end()
    assert (ended, out) == (0, "False\n")
    assert err.count("ResourceWarning: unclosed publisher of 'gone'") == 1


@pytest.mark.fault("F08")
def test_a_warning_that_was_made_an_error_is_reported_and_harms_nobody(program):
    ended, out, err = program("forget_one", options=("-W", "error::ResourceWarning")).end()
    assert (ended, out) == (0, "False\n")
    assert "unclosed publisher of 'gone'" in err


def test_closing_twice_is_closing_once(pair):
    for end in pair:
        end.close()
        end.close()
        assert end.closed and "closed" in repr(end)
        with pytest.raises(uncopy.Closed) as caught:
            end.__enter__()
        assert isinstance(caught.value, ValueError)


def test_counters_stay_readable_after_closing(pair):
    pub, sub = pair
    pub.send(b"x")
    sub.recv().release()
    pub.close()
    sub.close()
    assert (pub.stats.published, pub.seq, pub.slots, sub.stats.received) == (1, 1, 4, 1)
    assert not sub.connected


@pytest.mark.fault("F42")
def test_a_frame_may_be_given_back_after_the_interpreter_has_ended(program):
    with uncopy.publish("camera") as pub:
        reader = program("give_back_late", "camera")
        pub.wait_for_consumers(1)
        pub.send(b"held for long")
        assert reader.hear() == "ending"
        code, out, err = reader.end()
        assert (code, out) == (0, "") and "ResourceWarning" not in err, err


@pytest.mark.fault("F45")
def test_a_forked_child_is_told_and_harms_nothing_of_its_parents(program):
    forked = program("fork_and_use")
    assert [forked.hear() for _ in range(7)] == ["ForkedProcess"] * 7
    assert forked.hear() == "of its own"
    assert forked.hear() == "0", "the child ended in order"
    assert forked.hear() == "1", "the link of the parent lives"
    assert forked.hear() == "2", "and carries frames"
    code, _, err = forked.end()
    assert code == 0, err


@pytest.mark.fault("F45")
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_a_publisher_given_to_another_process_is_answered_with_a_sentence(program, method):
    parent = program("send_from_child", method)
    answer = parent.hear()
    if method == "fork":
        assert answer.startswith("ForkedProcess link 'parent' was opened before fork")
    else:
        assert answer.startswith("InvalidArgument a Publisher can't be pickled")
        assert "uncopy.publish" in answer
    assert parent.hear() == "still here"
    code, _, err = parent.end()
    assert code == 0, err


@pytest.mark.fault("F45")
def test_nothing_that_is_shared_can_be_pickled_or_copied(pair):
    pub, sub = pair
    pub.send(b"x")
    frame = sub.recv()
    slot = pub.loan((1,), "uint8")
    for thing, advice in (
        (pub, "uncopy.publish"),
        (sub, "uncopy.subscribe"),
        (frame, r"numpy\(copy=True\)"),
        (slot, "uncopy.subscribe"),
    ):
        for use in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match=f"can't be pickled or copied.*{advice}"):
                use(thing)


def test_what_a_process_holds_stays_held_when_it_becomes_another_program(program):
    with uncopy.publish("camera") as pub:
        pub.send(b"x")
        reader = program("become_another_program", "camera")
        assert reader.hear() == "held 1"
        reader.say()
        assert reader.hear() == "another"

        def hung_up():
            command = [sys.executable, "-m", "uncopy", "info", "camera", "--json"]
            (consumer,) = json.loads(subprocess.check_output(command))["consumers"]
            return consumer["quarantined"] and consumer["holds"] == 1

        eventually(hung_up, "its socket has hung up, and its slot is still held")
        reader.say()
        assert reader.end()[0] == 0
        eventually(lambda: uncopy.info("camera").consumers == (), "its place is free")

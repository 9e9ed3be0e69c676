# SPDX-License-Identifier: MIT OR Apache-2.0
"""Frames on a CUDA device, in processes whose driver is the stand-in: everything that needs no framework and no kernel."""

import os
import subprocess
import sys
from pathlib import Path

import card
import pytest

import uncopy
import uncopy.aio

PROGRAMS = Path(__file__).parent / "device_programs.py"

on_standin = pytest.mark.skipif(not (card.STANDIN / "libcuda.so.1").exists(), reason=card.MISSING)

PUNCTUAL = {}


def start(name, *arguments, env=None):
    command = [sys.executable, str(PROGRAMS), name, *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=env)


def end(process):
    out, err = process.communicate()
    assert process.returncode == 0, err
    return out.strip()


def run(name, *arguments, **settings):
    assert end(start(name, *arguments, env=card.environment(**settings))) == "passed"


@on_standin
@pytest.mark.parametrize("settings", [PUNCTUAL, card.SKEWED], ids=["punctual", "skewed"])
@pytest.mark.parametrize(
    "name",
    [
        "sent_and_received",
        "refuses_the_host",
        "hosted",
        "odd",
        "ordered",
        "kept_until_copied",
        "loaned",
        "released_after_use",
        "received_for_a_stream",
        "prefetched",
        "sent_on",
        "wrapped",
        "by_the_table",
        "by_cupy",
    ],
)
def test_a_frame_on_a_device_is(name, settings):
    run(name, **settings)


@on_standin
@pytest.mark.parametrize("settings", [PUNCTUAL, card.SKEWED], ids=["punctual", "skewed"])
@pytest.mark.parametrize(("reaches", "reasons"), [(1, []), (0, ["staged"])], ids=["where_it_lies", "copied"])
@pytest.mark.parametrize("name", ["on_another_card", "prefetched_on_another_card", "awaited_on_another_card"])
def test_a_frame_of_one_card_is_received_on_another(name, settings, reaches, reasons):
    run(name, *reasons, DEVICES=2, PEER=reaches, **settings)


@on_standin
@pytest.mark.parametrize("settings", [PUNCTUAL, card.SKEWED], ids=["punctual", "skewed"])
@pytest.mark.parametrize("framework", ["torch", "cupy"])
@pytest.mark.parametrize("name", ["released_after_the_current_stream", "loan_in_the_current_stream"])
def test_the_current_stream_of_a_framework_is_found(name, framework, settings):
    run(name, framework, **settings)


@on_standin
@pytest.mark.parametrize("late", [4, 5])
def test_an_array_of_numba_is_sent_in_the_stream_that_numba_works_in(late):
    # The streams of the program are the first four, and then come the default stream and that of the link.
    run("by_numba", LAG_US=",".join("20000" if number == late else "0" for number in range(64)))


@on_standin
def test_a_program_ends_in_order_before_its_last_array_is_copied():
    run("ends_before_the_copy", LAG_US="200000,0,0,0,0,0,0,0")


@on_standin
def test_calls_on_a_stream_that_is_being_captured_are_refused_with_a_sentence():
    run("refuses_captures")


@on_standin
def test_frames_on_a_device_cross_processes_in_order():
    env = card.environment(**card.SKEWED)
    producer = start("produces", 20, env=env)
    assert producer.stdout.readline() == "open\n"
    consumer = start("consumes", 20, env=env)
    assert end(consumer) == "passed"
    producer.stdin.write("\n")
    assert end(producer) == "sent"


LAZY = {"LAZY_US": 20000}

READS = ["used_on", "received", "cupy", "dlpack", "dropped in it", "sent on", "source", "received again", "captured"]
WRITES = ["named", "current", "cupy", "dlpack", "current at the end", "discarded", "sent", "wrapped"]


@on_standin
@pytest.mark.parametrize("settings", [PUNCTUAL, LAZY], ids=["punctual", "lazy"])
@pytest.mark.parametrize("how", READS)
def test_a_stream_object_that_goes_before_the_frame_is_kept_for_it(how, settings):
    run("reads_in_a_stream_that_goes_first", how, **settings)


@on_standin
@pytest.mark.parametrize("settings", [PUNCTUAL, LAZY], ids=["punctual", "lazy"])
@pytest.mark.parametrize("how", WRITES)
def test_a_stream_object_that_goes_before_the_slot_or_the_source_is_kept_for_it(how, settings):
    run("writes_in_a_stream_that_goes_first", how, **settings)


@on_standin
@pytest.mark.fault("F28")
@pytest.mark.parametrize("how", ["send", "loan"])
def test_a_device_without_room_names_the_cache_that_may_hold_it_and_empties_none(how):
    run("out_of_memory_while_a_cache_holds_it", how, MEMORY_MIB=64)


@on_standin
def test_mirrors_are_made_again_after_frames_in_host_memory():
    run("mirrors_again")


@on_standin
def test_a_frame_that_goes_back_after_the_context_is_kept_for_a_stream_that_nobody_named():
    run("kept_in_any_stream", **card.SKEWED)


@on_standin
def test_a_frame_that_is_mapped_for_reading_takes_no_writes():
    run("mapped_for_reading")


@on_standin
def test_both_can_be_chosen_in_asyncio():
    run("chosen_in_asyncio", **card.SKEWED)


@on_standin
def test_a_flush_waits_for_the_device():
    run("flushed", **card.SKEWED)


SLOW = {"LAG_US": ",".join(["300000"] * 3 + ["0"] * 61)}
NEVER = {"LAG_US": ",".join(["600000000"] * 3 + ["0"] * 61)}


@on_standin
@pytest.mark.parametrize("how", ["with", "close", "forgotten"])
def test_the_last_frame_of_a_script_that_ends_after_it_arrives(how):
    producer = start("ends_right_after_sending", how, env=card.environment(**SLOW))
    assert producer.stdout.readline() == "open\n"
    consumer = start("receives_the_last", env=card.environment())
    assert consumer.stdout.readline() == "ready\n"
    producer.stdin.write("\n")
    assert end(producer) == "sent"
    assert end(consumer) == "passed"


@on_standin
def test_closing_can_be_interrupted():
    run("closing_is_interrupted", **NEVER)


@pytest.mark.parametrize("subscribe", [uncopy.subscribe, uncopy.aio.subscribe])
def test_release_is_one_of_two_words(subscribe):
    with pytest.raises(uncopy.InvalidArgument, match="'streams' or 'context', not 'never'"):
        subscribe("nobody", release="never", timeout=0)


@on_standin
def test_a_mirror_is_read_without_a_driver_and_in_place_of_the_device():
    without = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    producer = start("mirrored", 3, env=card.environment())
    assert producer.stdout.readline() == "open\n"
    bare = start("reads_the_mirror", "any", env=without)
    asked = start("reads_the_mirror", "cpu", env=card.environment())
    near = start("reads_the_mirror", "any", env=card.environment())
    for consumer in (bare, asked, near):
        assert consumer.stdout.readline() == "ready\n", consumer.communicate()
    producer.stdin.write("\n")
    producer.stdin.flush()
    assert end(asked) == "cpu ['send', 'mirror'] no driver"
    assert end(near) == "cuda:0 ['send', 'mirror', 'device'] driver"
    if not Path("/usr/lib/x86_64-linux-gnu/libcuda.so.1").exists():
        assert end(bare) == "cpu ['send', 'mirror'] no driver"
    else:
        bare.communicate()
    producer.stdin.write("\n")
    assert "sent" in end(producer)


def test_without_a_driver_an_array_on_a_device_is_refused_by_name():
    run_env = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    run_env["CUDA_VISIBLE_DEVICES"] = ""
    assert end(start("without_a_driver", env=run_env)) == "passed"

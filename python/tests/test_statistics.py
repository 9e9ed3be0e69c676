# SPDX-License-Identifier: MIT OR Apache-2.0
"""What a link counts, and the errors that it keeps."""

import time

import numpy as np
import pytest

import uncopy


def test_who_holds_what_and_how_old_frames_were_is_seen(pair):
    pub, sub = pair
    info = uncopy.info("pair")
    assert (info.when_full, info.blocked, info.evicted) == ("drop", 0.0, 0)
    assert (info.consumers[0].held, info.consumers[0].age()) == ([], None)
    for _ in range(16):
        begun = time.monotonic()
        pub.send(np.zeros(4, np.uint8))
        frame = sub.recv(timeout=10)
    took = time.monotonic() - begun
    consumer = uncopy.info("pair").consumers[0]
    [(seq, age)] = consumer.held
    assert seq == 16
    assert age <= time.monotonic() - begun
    assert 0 < consumer.age(1.0) <= took * 1.25 + 1e-6
    frame.release()
    assert uncopy.info("pair").consumers[0].held == []


def test_waiting_for_room_is_counted():
    with uncopy.publish("full", slots=2, when_full="block", room_timeout=0.02) as pub:
        with uncopy.subscribe("full", read="every") as sub:
            pub.send(bytes(8))
            held = sub.recv()
            pub.send(bytes(8))
            with pytest.raises(uncopy.NoFreeSlot):
                pub.send(bytes(8))
            info = uncopy.info("full")
            assert info.when_full == "block"
            assert info.blocked >= 0.02
            held.release()


def test_errors_are_kept_each_once(program):
    assert uncopy.errors("counted") == []
    before = time.time()
    with uncopy.publish("counted", shape=(4,), dtype="uint8") as pub:
        for length in range(5, 105):
            with pytest.raises(uncopy.FormMismatch):
                pub.send(np.zeros(length, np.uint8))
    [record] = uncopy.errors("counted")
    assert (record.kind, record.side, record.count, record.alive) == ("form_mismatch", "producer", 100, True)
    assert before <= record.first <= record.last <= time.time()
    assert "104" in record.text
    assert "x100" in repr(record)
    with pytest.raises(uncopy.InvalidName):
        uncopy.errors("no/name")


@pytest.mark.fault("F01")
def test_errors_outlive_the_process_that_met_them(program):
    producer = program("publish_counted", "taken")
    assert producer.hear() == "open"
    contender = program("publish_counted", "taken")
    assert "NameTaken" in contender.end()[2]
    producer.process.kill()
    producer.process.wait()
    [record] = uncopy.errors("taken")
    assert (record.kind, record.pid, record.alive) == ("name_taken", contender.pid, False)

# SPDX-License-Identifier: MIT OR Apache-2.0
"""Waits: Ctrl-C, timeouts, other threads."""

import select
import signal
import threading
import time

import pytest

import uncopy
from conftest import eventually


@pytest.mark.fault("F47")
@pytest.mark.parametrize("where", ["subscribe", "recv", "for", "wait", "wait_for_consumers", "send", "loan"])
def test_ctrl_c_ends_every_wait(program, where):
    waiter = program("wait_in", where)
    assert waiter.hear() == "waiting"
    eventually(waiter.is_asleep, "the program waits")
    waiter.process.send_signal(signal.SIGINT)
    assert waiter.hear() == "interrupted"
    code, _, err = waiter.end()
    assert (code, err) == (0, "")


@pytest.mark.fault("F47")
def test_what_a_signal_handler_raises_ends_the_wait(pair):
    _, sub = pair

    class Raised(Exception):
        pass

    def handler(*_):
        raise Raised

    old = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(Raised):
            sub.recv()
    finally:
        signal.signal(signal.SIGALRM, old)


@pytest.mark.fault("F47")
def test_a_signal_handler_may_close_what_is_waited_on(pair):
    _, sub = pair
    old = signal.signal(signal.SIGALRM, lambda *_: sub.close())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(uncopy.Closed):
            sub.recv()
    finally:
        signal.signal(signal.SIGALRM, old)


@pytest.mark.parametrize("producer_is", ["closed", "lost"])
def test_a_wait_with_a_time_lasts_that_long_however_long_there_was_no_producer(program, producer_is):
    producer = program("publish_counted", "gone")
    assert producer.hear() == "open"
    with uncopy.subscribe("gone", timeout=0.05) as sub:
        if producer_is == "closed":
            producer.end()
        else:
            producer.process.kill()
            producer.process.wait()
        error = {"closed": uncopy.ProducerClosed, "lost": uncopy.ProducerLost}[producer_is]
        for _ in range(3):
            begun = time.monotonic()
            with pytest.raises(TimeoutError, match="no other has taken the name; start one") as raised:
                sub.recv(timeout=0.2)
            assert isinstance(raised.value, error)
            assert time.monotonic() - begun >= 0.2
        with pytest.raises(error):
            sub.recv()  # no time of its own: the subscriber's is over
        with uncopy.publish("gone") as successor:
            successor.send(bytes(1))
            assert sub.recv(timeout=30.0).seq == 1


LONG = 60.0


@pytest.mark.parametrize("own", [LONG, None])
@pytest.mark.parametrize("restart", [0, 0.05])
@pytest.mark.parametrize("producer_is", ["closed", "lost"])
def test_an_end_is_told_after_restart_timeout_whatever_the_time_of_the_call(program, producer_is, restart, own):
    producer = program("publish_counted", "gone")
    assert producer.hear() == "open"
    with uncopy.subscribe("gone", timeout=LONG, restart_timeout=restart) as sub:
        begun = time.monotonic()
        if producer_is == "closed":
            producer.end()
        else:
            producer.process.kill()
            producer.process.wait()
        with pytest.raises({"closed": uncopy.ProducerClosed, "lost": uncopy.ProducerLost}[producer_is]):
            sub.recv(timeout=own)
        assert restart <= time.monotonic() - begun < LONG
        # Told once: whoever calls again waits for the next producer.
        again = time.monotonic()
        with pytest.raises((uncopy.ProducerClosed, uncopy.ProducerLost)):
            sub.recv(timeout=0.1)
        assert time.monotonic() - again >= 0.1
        with uncopy.publish("gone") as successor:
            successor.send(bytes(1))
            assert sub.recv(timeout=30.0).seq == 1


def test_a_loop_ends_after_restart_timeout_and_the_next_loop_waits_for_the_next_producer():
    with uncopy.publish("runs") as pub, uncopy.subscribe("runs", timeout=LONG, restart_timeout=0) as sub:
        pub.send(b"first run")
        begun = time.monotonic()
        received = []
        for frame in sub:
            received.append(bytes(frame))
            pub.close()
        assert time.monotonic() - begun < LONG
        with uncopy.publish("runs") as successor:
            successor.send(b"second run")
            for frame in sub:
                received.append(bytes(frame))
                successor.close()
    assert received == [b"first run", b"second run"]


def test_polling_tells_an_end_after_restart_timeout_and_once():
    with uncopy.publish("polled") as pub, uncopy.subscribe("polled", timeout=LONG, restart_timeout=0.05) as sub:
        fd = sub.fileno()
        assert sub.poll() is None
        begun = time.monotonic()
        pub.close()
        with pytest.raises(uncopy.ProducerClosed):
            while sub.poll() is None:
                select.select([fd], [], [])
        assert 0.05 <= time.monotonic() - begun < LONG
        assert sub.poll() is None


@pytest.mark.parametrize("subscribe", [uncopy.subscribe, lambda *args, **kwargs: uncopy.aio.subscribe(*args, **kwargs)])
def test_a_restart_timeout_that_is_none_is_refused(pair, subscribe):
    with pytest.raises(uncopy.InvalidArgument, match="restart_timeout is a time in seconds, 0 or more, not -1"):
        subscribe("pair", restart_timeout=-1)
    with pytest.raises(uncopy.InvalidArgument, match="or 'timeout', for the same as timeout, not 'soon'"):
        subscribe("pair", restart_timeout="soon")
    with pytest.raises(TypeError, match="restart_timeout"):
        subscribe("pair", restart_timeout=[1])
    subscribe("pair", restart_timeout="timeout").close()


def test_closing_from_another_thread_ends_the_wait_and_the_loop(pair):
    pub, sub = pair
    outcome = []

    def loop():
        outcome.append([frame.seq for frame in sub])

    thread = threading.Thread(target=loop)
    thread.start()
    pub.send(b"x")
    eventually(lambda: sub.stats.received == 1, "the loop has its frame")
    sub.close()
    thread.join()
    assert outcome == [[1]]
    assert sub.closed
    with pytest.raises(uncopy.Closed, match="this end of link 'pair' is closed"):
        next(sub)


def test_two_threads_in_one_subscriber_are_told_so(pair):
    pub, sub = pair
    received = []
    thread = threading.Thread(target=lambda: received.append(sub.recv()))
    thread.start()
    errors = []

    def try_too():
        try:
            sub.recv(timeout=0)
        except uncopy.TimedOut:
            return False
        except uncopy.Unsupported as error:
            errors.append(error)
        return True

    eventually(try_too, "the other thread is in its wait")
    assert isinstance(errors[0], RuntimeError)
    assert "subscriber of 'pair' is in use by another thread" in str(errors[0])
    # Looking is no use.
    assert (sub.stats.received, sub.connected, sub.restarts, sub.name) == (0, True, 0, "pair")
    pub.send(b"x")
    thread.join()
    assert received[0].seq == 1


def test_two_threads_with_a_lock_share_a_publisher(pair):
    pub, sub = pair
    lock = threading.Lock()

    def send():
        for _ in range(100):
            with lock:
                pub.send(bytes(1000))

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pub.stats.published == 400
    assert sub.recv().seq == 400


def test_other_threads_run_while_one_waits(pair):
    pub, sub = pair
    ran = threading.Event()
    frames = []
    waiter = threading.Thread(target=lambda: frames.append(sub.recv()))
    waiter.start()
    threading.Thread(target=ran.set).start()
    ran.wait()
    pub.send(b"x")
    waiter.join()
    assert frames[0].seq == 1


def test_a_wait_for_consumers_ends_when_they_are_there(program):
    with uncopy.publish("camera") as pub:
        with pytest.raises(uncopy.TimedOut, match="0 of 1 consumers of 'camera'"):
            pub.wait_for_consumers(1, timeout=0.01)
        reader = program("receive_sums", "camera", "inf")
        pub.wait_for_consumers(1)
        assert pub.stats.consumers == 1
        assert reader.hear() == "attached"


@pytest.mark.parametrize("timeout", [-1, float("nan")])
def test_a_timeout_that_is_none_is_refused(pair, timeout):
    pub, sub = pair
    for wait in (lambda: sub.recv(timeout=timeout), lambda: pub.wait_for_consumers(1, timeout=timeout)):
        with pytest.raises(uncopy.InvalidArgument, match="timeout is a time in seconds"):
            wait()
    with pytest.raises(uncopy.InvalidArgument, match="timeout"):
        uncopy.subscribe("pair", timeout=timeout)
    with pytest.raises(uncopy.InvalidArgument, match="spin"):
        uncopy.subscribe("pair", spin=float("inf"))

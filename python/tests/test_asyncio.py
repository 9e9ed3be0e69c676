# SPDX-License-Identifier: MIT OR Apache-2.0
"""Links in asyncio and in other event loops."""

import asyncio
import select
import sys
import threading
import time

import pytest

import uncopy


def send(pub, value):
    return pub.send(value.to_bytes(8, "little"))


def number(frame) -> int:
    return int.from_bytes(bytes(frame), "little")


def test_importing_uncopy_imports_no_asyncio(program):
    code = "import sys, uncopy; assert 'asyncio' not in sys.modules; uncopy.aio; assert 'asyncio' in sys.modules"
    import subprocess

    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("read", ["latest", "every"])
def test_a_task_receives_while_others_run(read):
    async def main():
        turns = 0

        async def others():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        with uncopy.publish("loop", slots=3, when_full="block") as pub:
            async with uncopy.aio.subscribe("loop", read=read) as sub:
                background = asyncio.create_task(others())
                received = []
                for value in range(1, 101):
                    send(pub, value)
                    frame = await sub.recv(timeout=30.0)
                    received.append(number(frame))
                    frame.release()
                background.cancel()
                assert received == [*range(1, 101)]
                assert sub.stats.missed == 0
                with pytest.raises(uncopy.TimedOut, match="no new frame of 'loop' came within 0.05 s"):
                    await sub.recv(timeout=0.05)
        assert turns > 0

    asyncio.run(main())


def test_frames_of_another_thread_ring_and_none_is_lost():
    async def main(pub):
        received = []
        async with uncopy.aio.subscribe("rings", read="every") as sub:
            producer = threading.Thread(target=lambda: ([send(pub, value) for value in range(1, 2001)], pub.close()))
            # The place is taken by the first look, which finds nothing.
            first = asyncio.create_task(sub.recv())
            while not uncopy.info("rings").consumers:
                await asyncio.sleep(0.001)
            producer.start()
            received.append(number(await first))
            async for frame in sub:
                received.append(number(frame))
            producer.join()
        return received

    with uncopy.publish("rings", slots=3, when_full="block") as pub:
        assert asyncio.run(main(pub)) == [*range(1, 2001)]


def test_a_subscriber_waits_for_its_producer_and_for_the_next_one():
    async def main():
        async with uncopy.aio.subscribe("later") as sub:
            waiting = asyncio.create_task(sub.recv())
            await asyncio.sleep(0.02)
            for _ in range(3):
                with uncopy.publish("later") as pub:
                    send(pub, 7)
                    assert number(await waiting) == 7
                    waiting = asyncio.create_task(sub.recv())
                    await asyncio.sleep(0)
            waiting.cancel()

    asyncio.run(main())


def test_absence_has_its_end_and_a_wait_with_a_time_its_own():
    async def main():
        async with uncopy.aio.subscribe("nobody", timeout=0.05) as sub:
            with pytest.raises(uncopy.NotFound):
                await sub.recv()
            begun = time.monotonic()
            with pytest.raises(uncopy.NotFound):
                await sub.recv(timeout=0.3)
            assert time.monotonic() - begun >= 0.3
        async with uncopy.aio.subscribe("nobody", timeout=None) as sub:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(sub.recv(), 0.1)

    asyncio.run(main())


def test_a_wait_that_ends_without_a_producer_says_what_became_of_it():
    async def main():
        async with uncopy.aio.subscribe("gone") as sub:
            with pytest.raises(uncopy.NotFound):
                await sub.recv(timeout=0.05)
            with uncopy.publish("gone") as pub:
                send(pub, 1)
                assert number(await sub.recv(timeout=30.0)) == 1
            with pytest.raises(uncopy.ProducerClosed):
                await sub.recv(timeout=0.05)

    asyncio.run(main())


@pytest.mark.parametrize("own", [60.0, None])
@pytest.mark.parametrize("restart", [0, 0.05])
def test_an_end_is_told_after_restart_timeout_whatever_the_time_of_the_wait(own, restart):
    async def main():
        with uncopy.publish("gone") as pub:
            async with uncopy.aio.subscribe("gone", timeout=60.0, restart_timeout=restart) as sub:
                send(pub, 1)
                assert number(await sub.recv(timeout=30.0)) == 1
                begun = time.monotonic()
                pub.close()
                with pytest.raises(uncopy.ProducerClosed):
                    await sub.recv(timeout=own)
                assert restart <= time.monotonic() - begun < 60
                # Told once: whoever calls again waits for the next producer.
                again = time.monotonic()
                with pytest.raises(uncopy.ProducerClosed):
                    await sub.recv(timeout=0.1)
                assert time.monotonic() - again >= 0.1
                waiting = asyncio.create_task(sub.recv(timeout=own))
                await asyncio.sleep(0)
                with uncopy.publish("gone") as successor:
                    send(successor, 2)
                    assert number(await waiting) == 2

    asyncio.run(main())


def test_a_loop_ends_after_restart_timeout_and_the_next_loop_waits_for_the_next_producer():
    async def main():
        begun = time.monotonic()
        received = []
        async with uncopy.aio.subscribe("runs", timeout=60.0, restart_timeout=0) as sub:
            for run in range(3):
                with uncopy.publish("runs") as pub:
                    send(pub, run)
                    async for frame in sub:
                        received.append(number(frame))
                        pub.close()
        assert received == [0, 1, 2]
        assert time.monotonic() - begun < 60

    asyncio.run(main())


def test_without_a_limit_for_restarts_the_next_producer_is_waited_for_longer_than_the_first():
    async def main():
        async with uncopy.aio.subscribe("slow", timeout=0.05, restart_timeout=None) as sub:
            with uncopy.publish("slow") as pub:
                send(pub, 1)
                assert number(await sub.recv(timeout=30.0)) == 1
            with pytest.raises(uncopy.ProducerClosed):
                await sub.recv(timeout=0.1)
            waiting = asyncio.create_task(sub.recv())
            # It looks once, and finds nobody.
            for _ in range(3):
                await asyncio.sleep(0)
            assert not waiting.done()
            with uncopy.publish("slow") as successor:
                send(successor, 2)
                assert number(await waiting) == 2

    asyncio.run(main())


def test_a_first_producer_is_waited_for_beyond_restart_timeout():
    async def main():
        async with uncopy.aio.subscribe("later", restart_timeout=0) as sub:
            waiting = asyncio.create_task(sub.recv())
            await asyncio.sleep(0.02)
            with uncopy.publish("later") as pub:
                send(pub, 7)
                assert number(await waiting) == 7

    asyncio.run(main())


def test_a_loop_ends_when_the_producer_closes():
    async def main():
        with uncopy.publish("ends") as pub:
            async with uncopy.aio.subscribe("ends", timeout=0.05) as sub:
                send(pub, 1)
                seen = []
                async for frame in sub:
                    seen.append(number(frame))
                    pub.close()
                assert seen == [1]
                with pytest.raises(uncopy.Closed, match="was released"):
                    bytes(frame)

    asyncio.run(main())


def test_cancelling_loses_no_frame_and_two_tasks_are_told():
    async def main():
        with uncopy.publish("cancel", slots=4, when_full="block") as pub:
            async with uncopy.aio.subscribe("cancel", read="every") as sub:
                for value in range(1, 50):
                    waiting = asyncio.create_task(sub.recv())
                    await asyncio.sleep(0)
                    if value == 1:
                        with pytest.raises(uncopy.InvalidArgument, match="another task already waits"):
                            await sub.recv()
                    waiting.cancel()
                    send(pub, value)
                    assert number(await sub.recv(timeout=30.0)) == value

    asyncio.run(main())


def test_the_descriptor_works_in_any_event_loop(pair):
    pub, sub = pair
    fd = sub.fileno()
    assert sub.fileno() == fd
    assert sub.poll() is None
    assert select.select([fd], [], [], 0)[0] == []
    send(pub, 1), send(pub, 2)
    assert select.select([fd], [], [], 30)[0] == [fd]
    assert number(sub.poll()) == 2
    assert sub.poll() is None
    assert select.select([fd], [], [], 0)[0] == [], "it is rung once, and silent when all is received"
    pub.close()
    assert select.select([fd], [], [], 30)[0] == [fd], "the end of a producer rings too"
    assert sub.poll() is None
    with uncopy.publish("pair") as successor:
        assert select.select([fd], [], [], 30)[0] == [fd], "and so does the next one"
        send(successor, 3)
        while (frame := sub.poll()) is None:
            select.select([fd], [], [], 30)
        assert number(frame) == 3
    assert sub.fileno() == fd

# SPDX-License-Identifier: MIT OR Apache-2.0
"""Links in asyncio: nothing here blocks the event loop, and no thread is started for it.

    async with uncopy.aio.subscribe("camera") as sub:
        async for frame in sub:
            frame.numpy()
        frame = await sub.recv(timeout=1.0)

Publishing needs nothing of its own: uncopy.publish() and its calls do not wait, unless asked to with
when_full="block"; close() waits for a GPU that has not written the last frames, for a second at most. Works with
every event loop that has add_reader (not the proactor loop of Windows).
"""

import asyncio
import weakref
from collections.abc import AsyncIterator
from typing import Any, Literal

from ._uncopy import (
    Frame,
    InvalidArgument,
    ProducerClosed,
    TimedOut,
    _subscribe_later,
)

__all__ = ["Subscriber", "subscribe"]

def subscribe(
    name: str,
    *,
    timeout: float | None = 5.0,
    restart_timeout: float | Literal["timeout"] | None = "timeout",
    read: Literal["latest", "every"] = "latest",
    device: Any | None = None,
    release: Literal["streams", "context"] = "streams",
    readonly: bool = False,
) -> "Subscriber":
    """Opens a link for receiving in asyncio. Returns at once; the first receive waits for the producer to appear.

    The arguments are those of uncopy.subscribe(). Raises InvalidName, InvalidArgument, PermissionDenied, and Unsupported
    where device names a GPU that is not there.
    """
    inner = _subscribe_later(
        name,
        timeout=timeout,
        restart_timeout=restart_timeout,
        read=read,
        device=device,
        release=release,
        readonly=readonly,
    )
    return Subscriber(inner)


class Subscriber:
    """The consuming end of a link in asyncio; made by uncopy.aio.subscribe(). One task at a time receives.

    Frames are those of uncopy.Subscriber: shared memory, read-only, held until the last view of them is gone.
    """

    def __init__(self, inner):
        self._inner = inner
        self._is_waiting = False
        self._last = None

    async def recv(self, timeout: float | None = None) -> Frame:
        """The next frame that was not received yet, waiting up to timeout seconds (None: as long as there is a producer).

        Cancelling the wait loses no frame. Raises TimedOut (also a TimeoutError), ProducerLost, ProducerClosed, NotFound
        and Evicted as uncopy.Subscriber.recv() does.
        """
        loop = asyncio.get_running_loop()
        # Before the first look: from then on a look that finds nothing asks for a ring.
        self._inner.fileno()
        deadline = None if timeout is None else loop.time() + timeout
        poll = self._inner.poll if timeout is None else self._inner._poll_timed
        # A producer that is always faster must not keep other tasks from running. Before the look: who is cancelled here
        # has taken no frame.
        await asyncio.sleep(0)
        while True:
            frame = poll()
            if frame is not None:
                return frame
            left = None if deadline is None else deadline - loop.time()
            if left is not None and left <= 0:
                if not self._inner.connected:
                    # Says what became of the producer, or brings what has come just now.
                    return self._inner.recv(timeout=0.0)
                raise TimedOut(f"no new frame of '{self.name}' came within {timeout} s")
            await self._news(loop, left)

    async def _news(self, loop, left):
        """Returns when there may be news, or after `left` seconds."""
        if self._is_waiting:
            raise InvalidArgument(f"another task already waits for frames of '{self.name}'; give each its own subscriber")
        rung = loop.create_future()
        fd = self._inner.fileno()
        self._is_waiting = True
        loop.add_reader(fd, lambda: rung.done() or rung.set_result(None))
        try:
            await asyncio.wait([rung], timeout=left)
        finally:
            self._is_waiting = False
            loop.remove_reader(fd)

    def newest(self) -> Frame | None:
        """The newest frame that there is, also one that was received before, or None. Never waits."""
        return self._inner.newest()

    def __aiter__(self) -> AsyncIterator[Frame]:
        return self

    async def __anext__(self) -> Frame:
        """The next frame; the one before is released unless an array of it lives."""
        if self._last is not None:
            last, self._last = self._last(), None
            if last is not None:
                last.release()
        try:
            frame = await self.recv()
        except ProducerClosed:
            raise StopAsyncIteration from None
        self._last = weakref.ref(frame)
        return frame

    @property
    def name(self) -> str:
        """The name of the link."""
        return self._inner.name

    @property
    def connected(self) -> bool:
        """Whether a producer is there."""
        return self._inner.connected

    @property
    def stats(self):
        """Counters: frames received, and frames that were missed."""
        return self._inner.stats

    def close(self) -> None:
        """Leaves the link. Frames and arrays that are still held stay as they are. May be called twice."""
        self._inner.close()

    async def __aenter__(self) -> "Subscriber":
        return self

    async def __aexit__(self, *_) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<uncopy.aio.Subscriber '{self.name}'>"

# SPDX-License-Identifier: MIT OR Apache-2.0
"""The ways to get a frame from one Python process to another that `send.py` compares: uncopy and what people use today.

Each is the best of its kind that can be written: shared memory is made and written once, a frame is told by a small
number, and free places come back to the producer, so that nothing is overwritten while it is read. A consumer looks at
the first and the last byte of each frame, and copies nothing. A frame whose first byte is not zero is answered with
the time at which the consumer had seen it.
"""

import multiprocessing
import time
from multiprocessing.shared_memory import SharedMemory

import numpy
import uncopy
from rounds import FULL_HD_RGBA

PLACES = 4
CONTEXT = multiprocessing.get_context("spawn")


def look_at(array, answers) -> None:
    wants_answer, _ = int(array[0, 0, 0]), int(array[-1, -1, -1])
    if wants_answer:
        answers.send(time.monotonic_ns())


class Carrier:
    """One way, with a consumer in a process of its own."""

    def __init__(self, consumer, *arguments):
        self.answers, theirs = CONTEXT.Pipe(duplex=False)
        self.process = CONTEXT.Process(target=consumer, args=(*arguments, theirs), daemon=True)
        self.process.start()
        # The end of the consumer is then the end of the pipe.
        theirs.close()

    def carry(self, source) -> None:
        """Gets `source` under way; returns as soon as the producer may go on."""
        raise NotImplementedError

    def answer(self) -> int:
        """When the consumer had seen the frame that asked for an answer."""
        return self.answers.recv()

    def finish(self) -> None:
        self.process.terminate()
        self.process.join()


class Send(Carrier):
    """uncopy's `send`: one copy, into a slot."""

    def __init__(self):
        name = type(self).__name__.lower()
        self.out = uncopy.publish(name, slots=PLACES)
        super().__init__(receive_from_link, name)
        self.out.wait_for_consumers(1)

    def carry(self, source) -> None:
        if self.out.send(source) is None:
            raise RuntimeError("a frame was dropped, which takes no time and must not count")

    def finish(self) -> None:
        super().finish()
        self.out.close()


class Loan(Send):
    """uncopy's `loan`: the picture is rendered where the consumer reads it, so nothing is left to do but to tell."""

    def carry(self, source) -> None:
        with self.out.loan(FULL_HD_RGBA, "uint8") as slot:
            # In place of a picture, the word whether an answer is wanted.
            slot.numpy()[0, 0, 0] = source[0, 0, 0]


def receive_from_link(name: str, answers) -> None:
    with uncopy.subscribe(name) as sub:
        for frame in sub:
            look_at(frame.numpy(), answers)


class Ring(Carrier):
    """A ring of `multiprocessing.shared_memory` segments; numbers of places travel both ways through channels."""

    def __init__(self, make_channel):
        length = numpy.prod(FULL_HD_RGBA, dtype=int).item()
        self.segments = [SharedMemory(create=True, size=length) for _ in range(PLACES)]
        self.arrays = [numpy.ndarray(FULL_HD_RGBA, numpy.uint8, segment.buf) for segment in self.segments]
        for array in self.arrays:
            array.fill(1)
        self.ready, self.free = make_channel(), make_channel()
        self.unused = list(range(PLACES))
        names = [segment.name for segment in self.segments]
        super().__init__(receive_from_segments, names, self.ready, self.free)

    def carry(self, source) -> None:
        place = self.unused.pop() if self.unused else self.free.get()
        numpy.copyto(self.arrays[place], source)
        self.ready.put(place)

    def finish(self) -> None:
        super().finish()
        # A segment can't be closed while an array lies over it.
        self.arrays.clear()
        for segment in self.segments:
            segment.close()
            segment.unlink()


def receive_from_segments(names: list[str], ready, free, answers) -> None:
    segments = [SharedMemory(name) for name in names]
    arrays = [numpy.ndarray(FULL_HD_RGBA, numpy.uint8, segment.buf) for segment in segments]
    while True:
        place = ready.get()
        look_at(arrays[place], answers)
        free.put(place)


class Pipe:
    """A bare `multiprocessing.Pipe` of one-byte numbers, with a queue's methods."""

    def __init__(self):
        self.reader, self.writer = CONTEXT.Pipe(duplex=False)

    def put(self, place: int) -> None:
        self.writer.send_bytes(bytes((place,)))

    def get(self) -> int:
        return self.reader.recv_bytes()[0]


class Pickle(Carrier):
    """A `multiprocessing.Queue` of the arrays themselves: what Python does when nobody thinks about it."""

    def __init__(self):
        self.queue = CONTEXT.Queue(maxsize=PLACES)
        super().__init__(receive_from_queue, self.queue)

    def carry(self, source) -> None:
        self.queue.put(source)


def receive_from_queue(queue, answers) -> None:
    while True:
        look_at(queue.get(), answers)

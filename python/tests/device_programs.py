# SPDX-License-Identifier: MIT OR Apache-2.0
"""What tests run in processes of their own, whose CUDA driver is the stand-in: python device_programs.py NAME ARGUMENTS"""

import asyncio
import gc
import os
import signal
import sys
import time
import types
import weakref

import fake_frameworks as fake
import numpy
from card import Card

import uncopy
import uncopy.aio

def content(number, size=4096):
    return bytes((number * 7 + place) % 251 for place in range(size))


def pair(**options):
    return uncopy.publish("pair", **options), uncopy.subscribe("pair")


def sent_and_received():
    card = Card()
    pub, sub = pair()
    with pub, sub:
        array = card.array(content(1), shape=(64, 64))
        assert pub.send(array, meta={"lens": 35}) == 1
        frame = sub.recv(timeout=10)
        assert frame.device == "cuda:0" and frame.__dlpack_device__() == (2, 0), frame.device
        assert frame.shape == (64, 64) and frame.meta == {"lens": 35}
        assert repr(frame) == "<uncopy.Frame 1 of 'pair': uint8[64, 64] on cuda:0>", repr(frame)
        interface = frame.__cuda_array_interface__
        assert interface == {
            "shape": (64, 64),
            "typestr": "|u1",
            "data": (frame.ptr, True),
            "strides": None,
            "version": 3,
            "stream": None,
        }, interface
        assert frame.numpy().tobytes() == content(1)
        assert [(copy.reason, copy.source, copy.target) for copy in frame.copies] == [
            ("send", "cuda:0", "cuda:0"),
            ("device", "cuda:0", "cpu"),
        ], frame.copies
        print("passed")


def refuses_the_host():
    card = Card()
    pub, sub = pair()
    with pub, sub:
        pub.send(card.array(content(1)))
        frame = sub.recv(timeout=10)
        for way in (numpy.asarray, memoryview, bytes, lambda frame: frame.__array_interface__):
            try:
                way(frame)
            except uncopy.Unsupported as error:
                assert "frame.numpy() copies them there" in str(error), error
            except BufferError as error:
                assert "frame.numpy()" in str(error), error
            else:
                raise AssertionError(f"{way} took a frame on a device")
        assert not frame.copies[1:], frame.copies
        print("passed")


def on_another_card(*reasons):
    """Frames of the first card, on the second: where they lie, or copied, as `reasons` say."""
    card = Card()
    with uncopy.publish("pair") as pub, uncopy.subscribe("pair", device="cuda:1") as sub:
        for number in range(1, 6):
            pub.send(card.array(content(number)))
            frame = sub.recv(timeout=10)
            assert frame.device == "cuda:1" and frame.__dlpack_device__() == (2, 1), frame
            copies = [(copy.reason, copy.source, copy.target) for copy in frame.copies]
            assert copies[0] == ("send", "cuda:0", "cuda:0"), copies
            assert copies[1:] == [(reason, "cuda:0", "cuda:1") for reason in reasons], copies
            assert frame.numpy().tobytes() == content(number)
            frame.release()
            assert [copy.reason for copy in frame.copies][: len(copies)] == ["send", *reasons], frame.copies
        print("passed")


def prefetched_on_another_card(*reasons):
    """The copy to the host is begun of what is on the second card."""
    card = Card()
    with uncopy.publish("pair") as pub, uncopy.subscribe("pair", read="every", device="cuda:1", prefetch=True) as sub:
        for number in range(1, 4):
            pub.send(card.array(content(number)))
        for number in range(1, 4):
            frame = sub.recv(timeout=10)
            assert frame.numpy().tobytes() == content(number)
            reasons_of = [copy.reason for copy in frame.copies]
            assert reasons_of == ["send", *reasons, "device"], reasons_of
            assert frame.copies[-1].source == "cuda:1"
        print("passed")


def awaited_on_another_card(*_):
    """In an event loop; and what there is no device for is refused at once."""
    import asyncio

    card = Card()

    async def receive(pub):
        async with uncopy.aio.subscribe("pair", device="cuda:1") as sub:
            for number in range(1, 6):
                pub.send(card.array(content(number)))
                frame = await sub.recv(timeout=10)
                assert (frame.device, frame.seq) == ("cuda:1", number), frame
                assert frame.numpy().tobytes() == content(number)

    with uncopy.publish("pair") as pub:
        asyncio.run(receive(pub))
        for subscribe in (uncopy.subscribe, uncopy.aio.subscribe):
            try:
                subscribe("pair", device="cuda:7")
            except uncopy.Unsupported as error:
                assert "no CUDA device 7: this process sees cuda:0 to cuda:1" in str(error), error
            else:
                raise AssertionError("there is no such device")
    print("passed")


def hosted():
    """frame.numpy() is one copy, read-only, and its memory is used again."""
    card = Card()
    pub, sub = pair()
    with pub, sub:
        pub.send(card.array(content(1)))
        frame = sub.recv(timeout=10)
        first, second = frame.numpy(), frame.numpy()
        assert first.ctypes.data == second.ctypes.data and not first.flags.writeable
        private = frame.numpy(copy=True)
        assert private.flags.writeable and private.ctypes.data != first.ctypes.data
        private[:] = 0
        assert first.tobytes() == content(1)
        assert [copy.reason for copy in frame.copies] == ["send", "device", "device"]
        places = {first.ctypes.data, private.ctypes.data}
        frame.release()
        # The array does not hold the frame, and outlives it.
        assert first.tobytes() == content(1)
        del frame, first, second, private
        pub.send(card.array(content(2)))
        again = sub.recv(timeout=10).numpy()
        assert again.ctypes.data in places and again.tobytes() == content(2)
        print("passed")


def odd():
    """Shapes without elements, without axes, with gaps; dtypes that the array interface names."""
    card = Card()
    pub, sub = pair()
    with pub, sub:
        for shape in ((0,), (3, 0, 2), (), (1, 1, 1)):
            array = card.array(content(1, 4), shape=shape, typestr="<f4", data=(0, False)) if 0 in shape else None
            array = array or card.array(content(1, 4), shape=shape, typestr="<f4")
            pub.send(array)
            frame = sub.recv(timeout=10)
            assert (frame.shape, frame.dtype, frame.device) == (shape, "float32", "cuda:0")
            assert frame.numpy().shape == shape
            assert frame.numpy().tobytes() == (b"" if 0 in shape else content(1, 4))
        whole = numpy.frombuffer(content(3), "uint8").reshape(64, 64)
        gaps = card.array(content(3), shape=(10, 20), strides=(64, 1))
        pub.send(gaps)
        frame = sub.recv(timeout=10)
        assert frame.copies[0].reason == "gather" and numpy.array_equal(frame.numpy(), whole[:10, :20])
        turned = card.array(content(3), shape=(64, 64), strides=(1, 64))
        try:
            pub.send(turned)
        except uncopy.Unsupported as error:
            assert "contiguous" in str(error), error
        else:
            assert numpy.array_equal(sub.recv(timeout=10).numpy(), whole.T)
        # Larger frames than before: new slots and new staging, and smaller ones again.
        for size in (1 << 20, 64, 3 << 20):
            pub.send(card.array(content(5, size)))
            assert sub.recv(timeout=10).numpy().tobytes() == content(5, size)
        print("passed")


def ordered():
    """What a late stream has still to write is sent as it will be, by each way to say the stream."""
    card = Card()
    late = card.late
    pub, sub = pair(slots=8)
    with pub, sub:
        for number, (array_says, argument) in enumerate(
            [(late, None), (None, late), (None, type("S", (), {"__cuda_stream__": lambda self: (0, late)})())], 1
        ):
            array = card.array(bytes(4096), stream=array_says)
            written = content(number)
            card.write(array.ptr, written, late)
            pub.send(array, stream=argument)
            # What comes later in that stream does not change the frame.
            zeros = bytes(4096)
            card.write(array.ptr, zeros, late)
            assert sub.recv(timeout=10).numpy().tobytes() == content(number), number
            card.synchronize(late)
        print("passed")


def kept_until_copied():
    """An array that is dropped right after send is freed when it was copied."""
    card = Card()
    late = card.late
    pub, sub = pair()
    with pub, sub:
        array = card.array(content(1))
        pub.send(array, stream=late)
        del array
        gc.collect()
        assert sub.recv(timeout=10).numpy().tobytes() == content(1)
        print("passed")


def loaned():
    card = Card()
    late = card.late
    pub, sub = pair()
    with pub, sub:
        written = content(1)
        with pub.loan((64, 64), "uint8", device="cuda:0", stream=late) as slot:
            assert slot.device == "cuda:0" and slot.__dlpack_device__() == (2, 0)
            interface = slot.__cuda_array_interface__
            assert interface["stream"] == late and interface["data"] == (slot.ptr, False), interface
            card.write(slot.ptr, written, late)
            slot.meta = "written in place"
        frame = sub.recv(timeout=10)
        assert frame.copies == () and frame.meta == "written in place" and frame.device == "cuda:0"
        assert frame.numpy().tobytes() == content(1)
        try:
            with pub.loan((64, 64), "uint8", device="cuda:0"):
                raise RuntimeError("in the midst of it")
        except RuntimeError:
            pass
        assert pub.seq == 1
        with pub.loan((64, 64), "uint8", device="cuda:0") as slot:
            for way in (slot.numpy, lambda: numpy.asarray(slot), lambda: slot.__array_interface__):
                try:
                    way()
                except uncopy.Unsupported as error:
                    assert "slot.torch()" in str(error), error
                else:
                    raise AssertionError("a slot on a device was taken for host memory")
        print("passed")


def released_after_use():
    """A slot is not written again before the work that was named is done."""
    card = Card()
    late = card.late
    punctual = card.stream()
    # Made before: making and freeing memory waits for every stream.
    arrays = {number: card.array(content(number)) for number in range(1, 5)}
    with uncopy.publish("pair", slots=2, when_full="block", room_timeout=10) as pub, uncopy.subscribe("pair") as sub:
        for how in ("used_on", "used_on two", "release", "dlpack"):
            pub.send(arrays[1])
            frame = sub.recv(timeout=10)
            seen = card.read(frame.ptr, 4096, late)
            if how.startswith("used_on"):
                frame.used_on(late)
            if how == "used_on two":
                frame.used_on(punctual)
            if how == "dlpack":
                capsule = frame.__dlpack__(stream=late, max_version=(1, 0))
                del capsule
            frame.release(late if how == "release" else None)
            del frame
            for number in range(2, 5):
                pub.send(arrays[number])
                sub.recv(timeout=10).release()
            card.synchronize(late)
            assert seen.raw == content(1), how
        print("passed")


def received_for_a_stream():
    card = Card()
    late = card.late
    mine = card.stream()
    pub, sub = pair()
    with pub, sub:
        array = card.array(bytes(4096))
        written = content(1)
        card.write(array.ptr, written, late)
        pub.send(array, stream=late)
        frame = sub.recv(timeout=10, stream=mine)
        seen = card.read(frame.ptr, 4096, mine)
        assert frame.__cuda_array_interface__["stream"] == mine
        card.synchronize(mine)
        assert seen.raw == content(1)
        # A copy to the host waits for the content too.
        assert frame.numpy().tobytes() == content(1)
        print("passed")


def refuses_captures():
    card = Card()
    stream = card.stream()
    array = card.array(content(1))
    pub, sub = pair()
    with pub, sub:
        pub.send(array)
        frame = sub.recv(timeout=10)
        card.begin_capture(stream)
        calls = {
            "send": lambda: pub.send(array, stream=stream),
            "loan": lambda: pub.loan((4,), "uint8", device="cuda:0", stream=stream),
            "recv": lambda: sub.recv(timeout=10, stream=stream),
            "used_on": lambda: frame.used_on(stream),
            "dlpack": lambda: frame.__dlpack__(stream=stream, max_version=(1, 0)),
        }
        # Another stream goes on as if there were no capture.
        assert pub.send(array) == 2
        for name, call in calls.items():
            try:
                call()
            except uncopy.InvalidArgument as error:
                assert "while it is being captured" in str(error) and "copy the frame into" in str(error), error
            else:
                raise AssertionError(f"{name} on a stream that is being captured was not refused")
        card.end_capture(stream)
        assert sub.recv(timeout=10, stream=stream).seq == 2
        print("passed")


def mirrored(consumers):
    card = Card()
    with uncopy.publish("mirrored", mirror="host", slots=4) as pub:
        print("open", flush=True)
        sys.stdin.readline()
        pub.wait_for_consumers(int(consumers), timeout=10)
        pub.send(card.array(content(1)))
        seen = uncopy.info("mirrored")
        assert (seen.memory, seen.mirror) == ("cuda", "host") and seen.gpu.startswith("GPU-"), (seen.memory, seen.gpu)
        print("sent", flush=True)
        sys.stdin.readline()


def reads_the_mirror(device):
    with uncopy.subscribe("mirrored", device=None if device == "any" else device) as sub:
        print("ready", flush=True)
        frame = sub.recv(timeout=10)
        assert frame.numpy().tobytes() == content(1)
        libraries = "libcuda" in open("/proc/self/maps").read()
        print(frame.device, [copy.reason for copy in frame.copies], "driver" if libraries else "no driver")


def produces(count):
    card = Card()
    with uncopy.publish("crossing", when_full="block", room_timeout=20) as pub:
        print("open", flush=True)
        pub.wait_for_consumers(1, timeout=20)
        for number in range(1, int(count) + 1):
            pub.send(card.array(content(number)))
        print("sent", flush=True)
        sys.stdin.readline()


def consumes(count):
    card = Card()
    stream = card.stream()
    with uncopy.subscribe("crossing", read="every") as sub:
        for number in range(1, int(count) + 1):
            frame = sub.recv(timeout=20)
            assert frame.seq == number and frame.missed == 0
            seen = card.read(frame.ptr, 4096, stream)
            frame.release(stream)
            card.synchronize(stream)
            assert seen.raw == content(number), number
    print("passed")


def prefetched():
    card = Card()
    with uncopy.publish("pair", when_full="block", room_timeout=10, slots=6) as pub:
        with uncopy.subscribe("pair", read="every", prefetch=True) as sub:
            for number in range(1, 4):
                pub.send(card.array(content(number)))
            frame = sub.recv(timeout=10)
            # Both the frame and the next one are on their way already.
            assert [copy.reason for copy in frame.copies] == ["send", "device"], frame.copies
            assert frame.numpy().tobytes() == content(1)
            assert [copy.reason for copy in frame.copies] == ["send", "device"], frame.copies
            assert sub.stats.received == 2
            assert uncopy.wait([sub], timeout=0) == [sub]
            assert sub.poll().numpy().tobytes() == content(2)
            for number, frame in zip((3, 4), sub, strict=False):
                assert (frame.seq, frame.missed) == (number, 0)
                assert frame.numpy().tobytes() == content(number)
                if number == 3:
                    pub.send(card.array(content(4)))
    print("passed")


def sent_on():
    """A frame of one link sent on another, as it is."""
    card = Card()
    pub, sub = pair()
    with pub, sub, uncopy.publish("next") as on, uncopy.subscribe("next") as last:
        pub.send(card.array(content(1), shape=(32, 32, 4)), pixel="rgba8")
        on.send(sub.recv(timeout=10))
        frame = last.recv(timeout=10)
        assert frame.pixel == "rgba8" and frame.device == "cuda:0"
        assert frame.numpy().tobytes() == content(1)
        print("passed")


def wrapped():
    """Raw device memory, made in a late stream, read in another."""
    card = Card()
    late = card.late
    mine = card.stream()
    array = card.array(bytes(4096))
    written = content(1)
    card.write(array.ptr, written, late)
    wrapped = uncopy.wrap(array.ptr, (64, 64), "uint8", device="cuda:0", owner=array, stream=late)
    capsule = wrapped.__dlpack__(stream=mine)
    seen = card.read(array.ptr, 4096, mine)
    card.synchronize(mine)
    assert seen.raw == content(1)
    pub, sub = pair()
    with pub, sub:
        more = content(2)
        card.write(array.ptr, more, late)
        pub.send(wrapped)
        assert sub.recv(timeout=10).numpy().tobytes() == content(2)
    del capsule
    print("passed")


def by_the_table():
    """A framework with an exchange table: in its current stream, without __dlpack__, and kept until it is copied."""
    card = Card()
    late = card.late
    pub, sub = pair()
    with pub, sub:
        for number, (current, named) in enumerate([(late, None), (0, late)], 1):
            array = card.array(bytes(4096))
            written = content(number)
            card.write(array.ptr, written, late)
            fake.current.stream = current
            pub.send(fake.Tensor(array), stream=named)
            del array
            gc.collect()
            # The one before was copied, and given back with this call.
            assert len(fake.alive) == 1, "the source was not kept"
            assert sub.recv(timeout=10).numpy().tobytes() == content(number), number
        pub.send(card.array(content(3)))
        assert not fake.alive, "a source was kept after it was copied"
        one = fake.Tensor(card.array(content(3)[:4]), negated=True)
        try:
            pub.send(one)
        except uncopy.InvalidArgument as error:
            assert "resolve_neg" in str(error) and not fake.alive, error
        else:
            raise AssertionError("a tensor with its negative bit set was sent")
        print("passed")


def ends_before_the_copy():
    """The interpreter ends while a device still reads an array, whose owner is not handed back to what is left of it."""
    card = Card()
    pub = uncopy.publish("ending")
    array = card.array(bytes(4096))
    card.write(array.ptr, content(1), card.late)
    fake.current.stream = card.late
    pub.send(fake.Tensor(array))
    pub.close()
    globals()["slow"] = Slow()
    print("passed", flush=True)


class Slow:
    """An object of the program whose end takes longer than the copy: the interpreter waits for it, without the GIL."""

    sleep = staticmethod(time.sleep)

    def __del__(self):
        self.sleep(0.6)


def by_cupy():
    card = Card()
    late = card.late
    cupy = fake.cupy()
    pub, sub = pair()
    with pub, sub:
        array = cupy.ndarray(card.array(bytes(4096)))
        written = content(1)
        card.write(array.memory.ptr, written, late)
        fake.current.stream = late
        pub.send(array)
        assert array.asked == [-1], array.asked
        frame = sub.recv(timeout=10)
        assert frame.numpy().tobytes() == content(1)
        assert frame.cupy().memory == frame.ptr
        print("passed")


def by_numba():
    """An array that is bound to no stream is worked on in the legacy default one, which is late here: before the copy, and
    after it."""
    card = Card()
    legacy = 1
    with uncopy.publish("pair", slots=8, when_full="block") as pub, uncopy.subscribe("pair", read="every") as sub:
        array = card.array(bytes(4096))
        for number in (1, 2, 3):
            card.write(array.ptr, content(number), legacy)
            pub.send(fake.DeviceNDArray(array))
        card.settle()
        for number in (4, 5):
            card.write(array.ptr, content(number), card.late)
            pub.send(fake.DeviceNDArray(array), stream=card.late)
            card.write(array.ptr, bytes(4096), card.late)
        assert [sub.recv(timeout=10).numpy().tobytes() == content(number) for number in range(1, 6)] == [True] * 5
        print("passed")


def released_after_the_current_stream(framework):
    """Whatever stream a view was asked for in, the slot waits for the one that is current where it is dropped."""
    card = Card()
    late = card.late
    getattr(fake, framework)()
    arrays = {number: card.array(content(number)) for number in range(1, 5)}
    with uncopy.publish("pair", slots=2, when_full="block", room_timeout=10) as pub, uncopy.subscribe("pair") as sub:
        for how in ("view", "address", "frame"):
            fake.current.stream = 0
            pub.send(arrays[1])
            frame = sub.recv(timeout=10)
            ptr = array_pointer = None
            if how == "address":
                ptr = frame.ptr
            elif framework == "torch":
                view = frame.__dlpack__(stream=1, max_version=(1, 0))
                array_pointer = fake.pointer_in(view)
            else:
                view = frame.cupy()
                array_pointer = view.memory
            if how == "view":
                frame.release()
            seen = card.read(ptr or array_pointer, 4096, late)
            fake.current.stream = late
            view = frame = None
            fake.current.stream = 0
            for number in range(2, 5):
                pub.send(arrays[number])
                sub.recv(timeout=10).release()
            card.synchronize(late)
            assert seen.raw == content(1), how
    print("passed")


def loan_in_the_current_stream(framework):
    """The current stream writes the slot, and what it holds at the end of the loan is in the frame."""
    card = Card()
    late = card.late
    getattr(fake, framework)()
    pub, sub = pair()
    with pub, sub:
        written = content(1)
        fake.current.stream = late
        with pub.loan((4096,), "uint8", device="cuda:0") as slot:
            card.write(slot.ptr, written, late)
        assert sub.recv(timeout=10).numpy().tobytes() == content(1)
        fake.current.stream = 0
        more = content(2)
        with pub.loan((4096,), "uint8", device="cuda:0") as slot:
            view = slot.__dlpack__(stream=late)
            card.write(slot.ptr, more, late)
        assert sub.recv(timeout=10).numpy().tobytes() == content(2)
        fake.current.stream = 0
        last = content(3)
        with pub.loan((4096,), "uint8", device="cuda:0") as slot:
            address = slot.__cuda_array_interface__["data"][0]
            card.write(address, last, late)
            fake.current.stream = late
        assert sub.recv(timeout=10).numpy().tobytes() == content(3)
        del view
        print("passed")


def kept_in_any_stream():
    """As released_after_use, with no stream named."""
    card = Card()
    arrays = {number: card.array(content(number)) for number in range(1, 5)}
    pub = uncopy.publish("pair", slots=2, when_full="block", room_timeout=10)
    with pub, uncopy.subscribe("pair", release="context") as sub:
        pub.send(arrays[1])
        frame = sub.recv(timeout=10)
        seen = card.read(frame.ptr, 4096, card.late)
        frame.release()
        for number in range(2, 5):
            pub.send(arrays[number])
            sub.recv(timeout=10).release()
        card.synchronize(card.late)
        assert seen.raw == content(1)
        print("passed")


def mapped_for_reading():
    card = Card()
    pub, readonly = uncopy.publish("pair"), uncopy.subscribe("pair", readonly=True)
    with pub, readonly, uncopy.subscribe("pair") as other:
        pub.send(card.array(content(1)))
        frame, same = readonly.recv(timeout=10), other.recv(timeout=10)
        for each in (frame, same):
            assert each.__cuda_array_interface__["data"][1] is True
        try:
            card.write(frame.ptr, content(2), card.late)
        except AssertionError as refused:
            assert "cuMemcpyHtoDAsync_v2 failed" in str(refused)
        else:
            raise AssertionError("a write into a frame that is mapped for reading")
        assert frame.numpy().tobytes() == same.numpy().tobytes() == content(1)
        card.write(same.ptr, content(2), card.late)
        card.synchronize(card.late)
        assert frame.numpy(copy=True).tobytes() == content(2)
        print("passed")


def chosen_in_asyncio():
    """Both choices, by uncopy.aio."""
    card = Card()
    arrays = {number: card.array(content(number)) for number in range(1, 5)}

    async def receive(pub):
        async with uncopy.aio.subscribe("pair", release="context", readonly=True) as sub:
            pub.send(arrays[1])
            frame = await sub.recv(timeout=10)
            try:
                card.write(frame.ptr, content(2), card.late)
            except AssertionError as refused:
                assert "cuMemcpyHtoDAsync_v2 failed" in str(refused)
            else:
                raise AssertionError("a write into a frame that is mapped for reading")
            seen = card.read(frame.ptr, 4096, card.late)
            frame.release()
            for number in range(2, 5):
                pub.send(arrays[number])
                (await sub.recv(timeout=10)).release()
            card.synchronize(card.late)
            assert seen.raw == content(1)

    with uncopy.publish("pair", slots=2, when_full="block", room_timeout=10) as pub:
        asyncio.run(receive(pub))
        print("passed")


def flushed():
    card = Card()
    pub, sub = pair()
    with pub, sub:
        assert pub.flush() and pub.flush(timeout=0)
        array = card.array(content(1))
        pub.send(array, stream=card.late)
        sent = weakref.ref(array)
        del array
        assert pub.flush(timeout=20) is True
        assert sent() is None, "no later call is needed to let go of it"
        assert sub.recv(timeout=0).numpy().tobytes() == content(1)
    try:
        pub.flush()
    except uncopy.Closed:
        print("passed")


def ends_right_after_sending(how):
    card = Card()
    array = card.array(content(1))
    pub = uncopy.publish("last")
    print("open", flush=True)
    sys.stdin.readline()
    if how == "with":
        with pub:
            pub.send(array, stream=card.late)
    else:
        pub.send(array, stream=card.late)
        if how == "close":
            pub.close()
    print("sent", flush=True)
    if how == "forgotten":
        # Kept until the end of the interpreter.
        sys.forgotten = pub


def receives_the_last():
    with uncopy.subscribe("last") as sub:
        print("ready", flush=True)
        assert sub.recv(timeout=20).numpy().tobytes() == content(1)
        print("passed")


def closing_is_interrupted():
    """What a signal handler raises ends the wait of close(), and the link is closed."""

    class Enough(Exception):
        pass

    def stop(number, stack):
        raise Enough

    card = Card()
    pub = uncopy.publish("pair")
    pub.send(card.array(content(1)), stream=card.late)
    assert pub.flush(timeout=0.01) is False
    signal.signal(signal.SIGALRM, stop)
    for wait in (pub.flush, pub.close):
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        try:
            wait()
        except Enough:
            continue
        raise AssertionError(f"{wait} went on")
    assert pub.closed
    with uncopy.publish("pair"):
        print("passed", flush=True)
    # Not even the stand-in waits for that stream.
    os._exit(0)


class Ends(dict):
    """Metadata whose conversion ends the life of the current stream."""

    def items(self):
        fake.current.object = None
        gc.collect()
        return super().items()


def reads_in_a_stream_that_goes_first(how):
    """A stream object is let go of before what it was named for, and the frame is still kept for what it holds."""
    card = Card()
    cupy = fake.cupy()
    arrays = {number: card.array(content(number)) for number in range(1, 8)}
    pub = uncopy.publish("pair", slots=2, when_full="block", room_timeout=10)
    with pub, uncopy.subscribe("pair") as sub, uncopy.publish("next") as on:
        for first in (1, 4):
            stream = fake.Stream(card)
            pub.send(arrays[first])
            frame = sub.recv(timeout=10, stream=stream if how == "received" else None)
            twin = view = None
            if how == "cupy":
                with stream:
                    view = frame.cupy()
            elif how == "dlpack":
                with stream:
                    view = frame.__dlpack__(stream=stream.ptr, max_version=(1, 0))
            elif how == "dropped in it":
                view = frame.cupy()
            elif how == "sent on":
                on.send(frame, stream=stream)
            elif how != "received":
                frame.used_on(stream)
            seen = card.read(frame.ptr, 4096, stream.ptr)
            if how == "dropped in it":
                with stream:
                    view = None
            elif how == "received again":
                twin = sub.newest()
            elif how == "source":
                on.send(frame)
            elif how == "captured":
                card.begin_capture(stream.ptr)
                frame = None
                card.end_capture(stream.ptr)
                # A second capture is as good as the first, also if the link comes to look in its midst, which it does every few
                # milliseconds: nothing tells when.
                card.begin_capture(stream.ptr)
                time.sleep(0.03)
                card.end_capture(stream.ptr)
            if how in ("cupy", "dlpack", "received again", "source"):
                frame = None
            stream = None
            gc.collect()
            view = twin = frame = None
            # A source is let go of with a later call.
            on.flush()
            for number in range(first + 1, first + 4):
                pub.send(arrays[number])
                sub.recv(timeout=10).release()
            card.settle()
            assert seen.raw == content(first), how
    del cupy
    print("passed")


def writes_in_a_stream_that_goes_first(how):
    card = Card()
    cupy = fake.cupy()
    pub, sub = pair()
    array = card.array(bytes(4096))
    with pub, sub:
        for number in (1, 2):
            stream = fake.Stream(card)
            written = content(number)
            loan = {"shape": (4096,), "dtype": "uint8", "device": "cuda:0"}
            if how == "wrapped":
                card.write(array.ptr, written, stream.ptr)
                source = uncopy.wrap(array.ptr, (4096,), "uint8", device="cuda:0", owner=array, stream=stream)
                stream = None
                gc.collect()
                pub.send(source)
            elif how == "sent":
                card.write(array.ptr, written, stream.ptr)
                fake.current.object, stream = stream, None
                pub.send(cupy.ndarray(array), meta=Ends(lens=35))
            elif how == "current at the end":
                with pub.loan(**loan) as slot:
                    card.write(slot.ptr, written, stream.ptr)
                    slot.meta = Ends(lens=35)
                    fake.current.object, stream = stream, None
            else:
                with stream:
                    slot = pub.loan(**loan, stream=stream if how == "named" else None)
                    if how == "cupy":
                        slot.cupy()
                    view = slot.__dlpack__(stream=stream.ptr) if how == "dlpack" else None
                    card.write(fake.pointer_in(slot.__dlpack__(max_version=(1, 0))), written, stream.ptr)
                stream = None
                gc.collect()
                if how == "discarded":
                    slot.discard()
                    pub.send(card.array(written))
                else:
                    slot.publish()
                slot = view = None
            assert sub.recv(timeout=10).numpy().tobytes() == content(number), how
    print("passed")


def out_of_memory_while_a_cache_holds_it(how):
    """The error says what to call, nothing is called, and the frame is sent once the program has done so."""
    card = Card()
    fake.torch()
    cache = [card.array(bytes(40 << 20))]
    sys.modules["torch"].cuda = types.SimpleNamespace(empty_cache=cache.clear)
    source = card.array(content(1))

    def send(rows):
        if how == "send":
            pub.send(uncopy.wrap(source.ptr, (rows, 64), "uint8", device="cuda:0", owner=source))
        else:
            pub.loan((rows, 64), "uint8", device="cuda:0").publish()

    pub, sub = pair()
    with pub, sub:
        for rows in (64, 1 << 17):
            # Four slots of 8 MiB beside 40 of 64.
            if rows > 64:
                source = card.array(bytes(8 << 20))
                try:
                    send(rows)
                except uncopy.OutOfMemory as error:
                    assert isinstance(error, MemoryError)
                    said = str(error)
                else:
                    raise AssertionError("there was no room, and it was taken")
                assert "torch.cuda.empty_cache()" in said and "33554432 bytes were asked for" in said, said
                assert len(cache) == 1, "a cache that is not ours was emptied"
                sys.modules["torch"].cuda.empty_cache()
            send(rows)
            assert sub.recv(timeout=10).shape == (rows, 64)
    print("passed")


def mirrors_again():
    """The device is let go of between two frames on it, and the mirror's stream is not."""
    card = Card()
    arrays = {number: card.array(content(number)) for number in range(1, 4)}
    with uncopy.publish("pair", mirror="host") as pub, uncopy.subscribe("pair", device="cpu") as sub:
        for number in range(1, 4):
            # In a stream of its own, a publisher would keep the device.
            pub.send(arrays[number], stream=card.late)
            assert sub.recv(timeout=10).numpy().tobytes() == content(number)
            # Of another form: the device memory is of no use any more.
            pub.send(numpy.zeros(1 << 20, "uint8"))
            assert sub.recv(timeout=10).nbytes == 1 << 20
            # Streams of the program that have the handles of whatever was destroyed meanwhile. They take no work of others.
            for stream in [card.stream() for _ in range(4)]:
                card.begin_capture(stream)
    print("passed")


def without_a_driver():
    with uncopy.publish("pair") as pub:
        try:
            pub.send(uncopy.wrap(4096, (16,), "uint8", device="cuda:0"))
        except uncopy.Unsupported as error:
            print("passed" if "driver" in str(error) else error)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])

# SPDX-License-Identifier: MIT OR Apache-2.0
"""Order: what a stream has still to do when a frame is sent, read, dropped or captured."""

import gc
import threading

import numpy
import pytest
from pattern import SHAPE, check, expected
from peers import framework

import uncopy


@pytest.fixture
def made():
    return framework("torch")


def overwrite(pub, made, count=12):
    """Sends what is nobody's frame, so that a slot that came back too early is written again."""
    for number in range(1000, 1000 + count):
        pub.send(made.make(number))
    made.torch.cuda.synchronize()


def test_send_is_ordered_after_the_current_stream(pair, made):
    pub, sub = pair
    torch = made.torch
    for stream in (torch.cuda.current_stream(), torch.cuda.Stream(), torch.cuda.Stream()):
        with torch.cuda.stream(stream):
            tensor = torch.zeros(SHAPE, device="cuda")
            made.stall()
            tensor.copy_(made.make(5))
            seq = pub.send(tensor)
            # What is put in later does not change the frame.
            tensor.zero_()
        frame = sub.recv(timeout=30)
        assert frame.seq == seq
        check(frame.numpy(), 5, f"sent in {stream}: frame")


def test_an_array_of_numba_without_a_stream_is_sent_between_what_the_default_stream_does(pair, made):
    pub, sub = pair
    numba = framework("numba")
    contents = [numba.make(number) for number in range(4)]
    array = numba.cuda.device_array(SHAPE, "float32")
    numba.cuda.synchronize()
    for number in (1, 2, 3):
        # torch's current stream is the default one here.
        made.stall()
        array.copy_to_device(contents[number])
        pub.send(array)
        array.copy_to_device(contents[0])
        check(sub.recv(timeout=30).numpy(), number)


def test_send_does_not_wait_for_the_card(pair, made):
    pub, sub = pair
    pub.send(made.make(1))
    sub.recv(timeout=30)
    made.stall(200)
    event = made.torch.cuda.Event()
    event.record()
    pub.send(made.make(2))
    assert not event.query(), "the call has waited for what was in the stream before"
    check(sub.recv(timeout=30).numpy(), 2)


def test_every_way_to_name_a_stream_orders_send_after_it(pair, made):
    pub, sub = pair
    torch = made.torch
    stream = torch.cuda.Stream()
    ways = {"handle": stream.cuda_stream, "torch": stream}
    try:
        cupy = framework("cupy").cupy
        ways["cupy"] = cupy.cuda.ExternalStream(stream.cuda_stream)
    except pytest.skip.Exception:
        pass
    ways["__cuda_stream__"] = type("Named", (), {"__cuda_stream__": lambda self: (0, stream.cuda_stream)})()
    for number, (way, named) in enumerate(ways.items(), 1):
        tensor = torch.zeros(SHAPE, device="cuda")
        torch.cuda.synchronize()
        with torch.cuda.stream(stream):
            made.stall()
            tensor.copy_(made.make(number))
        # The current stream is another one, and knows nothing of this.
        pub.send(tensor, stream=named)
        check(sub.recv(timeout=30).numpy(), number, f"by {way}: frame")
    torch.cuda.synchronize()


def test_a_tensor_that_is_freed_right_after_send_is_sent_whole(pair, made):
    pub, sub = pair
    torch = made.torch
    for number in range(1, 51):
        tensor = made.make(number)
        if number % 10 == 1:
            made.stall(5)
        pub.send(tensor)
        del tensor
        # torch gives the same memory out again at once, to work in another stream.
        with torch.cuda.stream(torch.cuda.Stream()):
            torch.zeros(SHAPE, device="cuda").add_(1)
        check(sub.recv(timeout=30).numpy(), number)
    torch.cuda.synchronize()


@pytest.mark.parametrize("how", ["torch", "dlpack", "release(stream)", "used_on"])
def test_a_frame_that_is_dropped_first_and_its_tensor_later_is_read_whole_on_three_streams(made, how):
    torch = made.torch
    with uncopy.publish("pair", slots=3) as pub, uncopy.subscribe("pair") as sub:
        for round in range(6):
            pub.send(made.make(round))
            frame = sub.recv(timeout=30)
            results = []
            streams = [torch.cuda.Stream() for _ in range(3)]
            for stream in streams:
                with torch.cuda.stream(stream):
                    tensor = torch.from_dlpack(frame) if how == "dlpack" else frame.torch()
                    made.stall(10)
                    results.append(tensor.clone())
                    if how == "used_on":
                        frame.used_on(stream)
                    del tensor
            frame.release(streams[-1] if how == "release(stream)" else None)
            del frame
            overwrite(pub, made)
            sub.recv(timeout=30).release()
            for stream, result in zip(streams, results, strict=True):
                check(result.cpu(), round, f"{how}, read in {stream}: frame")


def test_a_tensor_that_outlives_its_frame_is_released_after_the_stream_that_drops_it(made):
    torch = made.torch
    late = torch.cuda.Stream()
    with uncopy.publish("pair", slots=3) as pub, uncopy.subscribe("pair") as sub:
        for round in range(6):
            pub.send(made.make(round))
            frame = sub.recv(timeout=30)
            tensor = frame.torch()
            frame.release()
            # Not the stream that the tensor was asked for in; it is the current one where the last view is dropped.
            with torch.cuda.stream(late):
                made.stall(10)
                result = tensor.clone()
                del tensor
            overwrite(pub, made)
            sub.recv(timeout=30).release()
            late.synchronize()
            check(result.cpu(), round)


def test_a_cupy_array_is_released_after_the_stream_that_drops_it(made):
    cupy = framework("cupy").cupy
    late = made.torch.cuda.Stream()
    stream = cupy.cuda.ExternalStream(late.cuda_stream)
    with uncopy.publish("pair", slots=3) as pub, uncopy.subscribe("pair") as sub:
        for round in range(6):
            pub.send(made.make(round))
            frame = sub.recv(timeout=30)
            array = frame.cupy()
            frame.release()
            del frame
            with made.torch.cuda.stream(late):
                made.stall(10)
            with stream:
                result = array.copy()
                del array
            overwrite(pub, made)
            sub.recv(timeout=30).release()
            late.synchronize()
            check(cupy.asnumpy(result), round)


def test_a_tensor_can_be_dropped_by_any_thread(made):
    torch = made.torch
    with uncopy.publish("pair", slots=2, when_full="block", room_timeout=30) as pub:
        with uncopy.subscribe("pair") as sub:
            for round in range(20):
                pub.send(made.make(round))
                frame = sub.recv(timeout=30)
                kept = [frame.torch()]
                frame.release()
                del frame

                def drop(kept=kept):
                    with torch.cuda.stream(torch.cuda.Stream()):
                        kept.clear()

                thread = threading.Thread(target=drop)
                thread.start()
                thread.join()
            # Every slot came back: with two of them each send had to wait for the drop before.
            assert pub.stats.dropped == 0


def test_a_frame_can_be_received_for_a_stream(pair, made):
    pub, sub = pair
    torch = made.torch
    stream = torch.cuda.Stream()
    for number in range(1, 11):
        tensor = torch.zeros(SHAPE, device="cuda")
        made.stall()
        tensor.copy_(made.make(number))
        pub.send(tensor)
        frame = sub.recv(timeout=30, stream=stream)
        with torch.cuda.stream(stream):
            seen = frame.torch().clone()
            frame.release(stream)
        stream.synchronize()
        check(seen.cpu(), number)


def test_calls_on_a_stream_that_is_being_captured_are_refused_and_the_capture_goes_on(pair, made):
    pub, sub = pair
    torch = made.torch
    tensor = made.make(1)
    pub.send(tensor)
    frame = sub.recv(timeout=30)
    # One more, for the receive that is refused: it is still there afterwards.
    pub.send(tensor)
    result = torch.zeros(SHAPE, device="cuda")
    torch.cuda.synchronize()
    graph, refused = torch.cuda.CUDAGraph(), {}
    calls = {
        "send": lambda: pub.send(tensor),
        "loan": lambda: pub.loan(SHAPE, "float32", device="cuda:0"),
        "recv(stream)": lambda: sub.recv(timeout=1, stream=torch.cuda.current_stream()),
        "frame.torch": lambda: frame.torch(),
        "frame.used_on": lambda: frame.used_on(torch.cuda.current_stream()),
    }
    with torch.cuda.graph(graph):
        result.add_(1)
        for name, call in calls.items():
            try:
                call()
            except uncopy.InvalidArgument as error:
                refused[name] = str(error)
        result.add_(1)
    assert sorted(refused) == sorted(calls), f"not refused: {set(calls) - set(refused)}"
    assert all("while it is being captured" in said for said in refused.values()), refused
    graph.replay()
    torch.cuda.synchronize()
    assert result.flatten()[0].item() == 2, "the capture was disturbed"
    # And the link goes on.
    assert sub.recv(timeout=30).seq == 2
    pub.send(made.make(2))
    check(sub.recv(timeout=30).numpy(), 2)


def test_a_capture_in_another_thread_is_not_disturbed(made):
    torch = made.torch
    captured, failures, going = [], [], threading.Event()

    def capture():
        try:
            for _ in range(20):
                static = torch.zeros(1024, device="cuda")
                torch.cuda.synchronize()
                graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(graph, capture_error_mode="global"):
                    for _ in range(50):
                        static.add_(1)
                        going.wait(0.0005)
                graph.replay()
                torch.cuda.synchronize()
                captured.append(static[0].item())
        except BaseException as error:
            failures.append(error)

    # torch's own allocations would end the capture, so that everything is made before it.
    sources = [made.make(number) for number in range(4)]
    stream = torch.cuda.Stream()
    torch.cuda.synchronize()
    with uncopy.publish("pair", slots=4) as pub, uncopy.subscribe("pair") as sub:
        thread = threading.Thread(target=capture)
        thread.start()
        seen = 0
        while thread.is_alive():
            seq = pub.send(sources[seen % 4], stream=stream)
            if seq is None:
                continue
            frame = sub.recv(timeout=30)
            check(frame.numpy(), seen % 4, f"round {seen}: content of")
            frame.used_on(stream)
            del frame
            seen += 1
        thread.join()
    assert not failures, f"the capture failed after {seen} frames: {failures[0]!r}"
    assert captured == [50.0] * 20
    assert seen > 20


def test_the_documented_pattern_feeds_a_graph(pair, made):
    pub, sub = pair
    torch = made.torch
    static = torch.zeros(SHAPE, device="cuda")
    doubled = torch.zeros(SHAPE, device="cuda")
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        torch.mul(static, 2, out=doubled)
    for number in range(1, 11):
        pub.send(made.make(number))
        with sub.recv(timeout=30) as frame:
            static.copy_(frame.torch())
        graph.replay()
        assert numpy.array_equal(doubled.cpu().numpy(), expected(number) * 2), f"frame {number}"


def test_numba_and_cuda_core_streams_are_streams(pair, made):
    pub, sub = pair
    found = {}
    try:
        from numba import cuda

        found["numba"] = cuda.stream()
    except ImportError as error:
        found["numba"] = error
    try:
        from cuda.core import Device

        device = Device()
        device.set_current()
        found["cuda.core"] = device.create_stream()
    except ImportError as error:
        found["cuda.core"] = error
    usable = {name: stream for name, stream in found.items() if not isinstance(stream, ImportError)}
    if not usable:
        pytest.skip(f"neither is installed: {found}")
    for number, (name, stream) in enumerate(usable.items(), 1):
        tensor = made.make(number)
        made.torch.cuda.synchronize()
        pub.send(tensor, stream=stream)
        frame = sub.recv(timeout=30)
        check(frame.numpy(), number, f"by a stream of {name}: frame")
        frame.used_on(stream)
        frame.release()
    gc.collect()

# SPDX-License-Identifier: MIT OR Apache-2.0
"""uncopy in Python with torch tensors: what the calls cost, and when the other process has a frame."""

import ctypes
import os
import tempfile
import time

import measuring
from measuring import CpuShare, Pair, consumer_rounds, paced_rounds, producer_rounds, time_row

DIRECTORY = "UNCOPY_RUNTIME_DIR"


def measure(sizes, frames, paced_frames):
    with tempfile.TemporaryDirectory(prefix="uncopy-calls-") as directory:
        os.environ[DIRECTORY] = directory
        rows = [row for size in sizes for row in of_size(size, frames) + bare(size, frames)]
        return rows + [row for size in sizes for row in paced(size, paced_frames)]


def tensor(size):
    import torch

    shape, dtype = measuring.shape_and_dtype(size)
    return torch.zeros(shape, dtype=getattr(torch, dtype), device="cuda")


def of_size(size, frames):
    import torch

    import uncopy

    source = tensor(size)

    def make(number):
        source.fill_(number % measuring.VALUES)
        torch.cuda.synchronize()

    def lend(number):
        with pub.loan(source.shape, source.dtype, device="cuda:0") as slot:
            slot.torch().fill_(number % measuring.VALUES)

    rows = []
    for how, prepare, send, what in [
        ("send", make, lambda number: pub.send(source), "send of a torch tensor"),
        ("loan", lambda number: None, lend, "a loan, torch's fill of it and the publication"),
    ]:
        with uncopy.publish("calls") as pub, Pair(consume, frames) as pair:
            pub.wait_for_consumers(1, timeout=120.0)
            calls = producer_rounds(pair.page, frames, prepare, send)
            waits = pair.result()
        rows.append(time_row(f"{how}_call_python", size, calls, f"{what}: the call"))
        rows.append(time_row(f"{how}_known_python", size, waits, f"{what}, until the consumer's recv has returned"))
    with uncopy.publish("calls") as pub, Pair(use, frames, size) as pair:
        pub.wait_for_consumers(1, timeout=120.0)
        producer_rounds(pair.page, frames, make, lambda number: pub.send(source))
        hosted, taken = pair.result()
    rows.append(time_row("numpy", size, hosted, "frame.numpy() of a frame that was received"))
    rows.append(time_row("torch_python", size, taken, "frame.torch() of a frame that was received"))
    return rows


def bare(size, frames):
    """What any Python call that copies costs here: the driver's two calls by ctypes, and torch's own copy."""
    import torch

    source, other = tensor(size), tensor(size)
    word = torch.zeros(1, dtype=torch.int32).pin_memory()
    stream = torch.cuda.Stream()
    driver = ctypes.CDLL("libcuda.so.1")
    address, u32 = ctypes.c_uint64, ctypes.c_uint32
    copy = driver.cuMemcpyDtoDAsync_v2
    copy.argtypes = [address, address, ctypes.c_size_t, address]
    write = driver.cuStreamWriteValue32_v2
    write.argtypes = [address, address, u32, u32]
    copied = (other.data_ptr(), source.data_ptr(), source.nbytes, stream.cuda_stream)
    written = (stream.cuda_stream, word.data_ptr())

    def call_driver(number):
        if copy(*copied) or write(*written, number, 0):
            raise RuntimeError("the driver refused a call")

    def call_torch(number):
        other.copy_(source, non_blocking=True)

    rows = []
    for name, call, what in [
        ("bare_call_python", call_driver, "the driver's calls for a copy and a written word, by ctypes"),
        ("torch_copy_call_python", call_torch, "torch's copy_ from one tensor to another: the call"),
    ]:
        took = []
        for number in range(1, measuring.WARM_UP + frames + 1):
            source.fill_(number % measuring.VALUES)
            torch.cuda.synchronize()
            begun = time.perf_counter_ns()
            call(number)
            took.append(time.perf_counter_ns() - begun)
            torch.cuda.synchronize()
        rows.append(time_row(name, size, took[measuring.WARM_UP :], what))
    return rows


def consume(page, frames):
    import uncopy

    # The floors' consumer spins, too: whom the producer has to wake is measured sixty times a second.
    with uncopy.subscribe("calls", timeout=30.0, spin=1.0) as sub:
        held = None

        def receive():
            nonlocal held
            # Given back before the next one is waited for, as by a for loop.
            held = None
            held = sub.recv(timeout=30.0)

        waits = consumer_rounds(page, frames, receive)
        last = (measuring.WARM_UP + frames) % measuring.VALUES
        if held.numpy()[0, 0, 0] != last:
            raise RuntimeError(f"the last frame holds {held.numpy()[0, 0, 0]}, not {last}")
    return waits


def use(page, frames, size):
    import torch

    import uncopy

    torch.cuda.init()
    hosted, taken = [], []
    with uncopy.subscribe("calls", timeout=30.0, spin=1.0) as sub:
        words = page.words
        for number in range(1, measuring.WARM_UP + frames + 1):
            frame = None
            frame = sub.recv(timeout=30.0)
            begun = time.perf_counter_ns()
            on_card = frame.torch()
            taken.append(time.perf_counter_ns() - begun)
            begun = time.perf_counter_ns()
            on_host = frame.numpy()
            hosted.append(time.perf_counter_ns() - begun)
            if on_host[0, 0, 0] != number % measuring.VALUES:
                raise RuntimeError(f"frame {number} of {size} holds {on_host[0, 0, 0]}")
            del on_card, on_host
            words[measuring.SEEN] = number
    return hosted[measuring.WARM_UP :], taken[measuring.WARM_UP :]


def paced(size, frames):
    import uncopy

    source = tensor(size)
    with uncopy.publish("calls") as pub, Pair(consume_paced, frames) as pair:
        pub.wait_for_consumers(1, timeout=120.0)
        producing = CpuShare()
        calls = paced_rounds(pair.page, frames, lambda number: pub.send(source), producing)
        waits, consuming = pair.result()
    return [
        time_row("send_call_60hz_python", size, calls, "send of a torch tensor, 60 times a second: the call"),
        time_row("send_known_60hz_python", size, waits, "the same until the consumer's recv has returned"),
        measuring.share_row("producer_cpu_60hz_python", size, producing.share, "the producer's part of a core"),
        measuring.share_row("consumer_cpu_60hz_python", size, consuming, "the consumer's part of a core"),
    ]


def consume_paced(page, frames):
    import uncopy

    with uncopy.subscribe("calls", timeout=30.0) as sub:
        held = None

        def receive():
            nonlocal held
            held = None
            held = sub.recv(timeout=30.0)

        consuming = CpuShare()
        waits = consumer_rounds(page, frames, receive, consuming)
    return waits, consuming.share


def version():
    import torch

    import uncopy

    return f"uncopy {uncopy.__version__}, torch {torch.__version__}"


if __name__ == "__main__":
    measuring.main("uncopy", version, measure)

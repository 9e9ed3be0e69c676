# SPDX-License-Identifier: MIT OR Apache-2.0
"""torch.multiprocessing, measured like ours: a queue with a CUDA tensor, which is what PyTorch's own users do.

The producer copies each frame into one of four tensors and puts it into the queue; the consumer has it when its stream
is done with what the queue made it wait for.
"""

import multiprocessing

import measuring
from measuring import Pair, consumer_rounds, producer_rounds, time_row

TENSORS = 4


def measure(sizes, frames, _paced_frames):
    return [row for size in sizes for row in of_size(size, frames)]


def of_size(size, frames):
    import torch

    shape, dtype = measuring.shape_and_dtype(size)
    queue = multiprocessing.get_context("spawn").Queue()
    source = torch.zeros(shape, dtype=getattr(torch, dtype), device="cuda")
    ring = [torch.empty_like(source) for _ in range(TENSORS)]

    def make(number):
        source.fill_(number % measuring.VALUES)
        torch.cuda.synchronize()

    def send(number):
        tensor = ring[number % TENSORS]
        tensor.copy_(source)
        queue.put(tensor)

    with Pair(consume, frames, queue) as pair:
        pair.page.lets_threads_run = True
        calls = producer_rounds(pair.page, frames, make, send)
        waits = pair.result()
    what = "a copied tensor put into a torch.multiprocessing.Queue until its data is there"
    return [
        time_row("known", size, waits, what),
        time_row("call", size, calls, "the producer's copy and put"),
    ]


def consume(page, frames, queue):
    import torch

    torch.cuda.init()
    held = None

    def receive():
        nonlocal held
        held = queue.get()
        torch.cuda.current_stream().synchronize()

    waits = consumer_rounds(page, frames, receive)
    if int(held[0, 0, 0]) != (measuring.WARM_UP + frames) % measuring.VALUES:
        raise RuntimeError("the last tensor does not hold the last frame")
    return waits


def version():
    import torch

    return f"torch {torch.__version__}"


if __name__ == "__main__":
    measuring.main("torch_mp", version, measure)

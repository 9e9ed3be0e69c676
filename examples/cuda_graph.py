#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Frames that feed a CUDA graph. Needs torch and a CUDA device.

    python examples/cuda_graph.py                 # producer and consumer, in two processes

A graph repeats the addresses that it was captured with, and each frame lies somewhere else. So the graph has an input of
its own, and each frame is copied there, in the stream that the graph is launched in.
"""

import argparse
import multiprocessing

import torch

import uncopy

SHAPE = (1080, 1920, 4)


def produce(frames):
    with uncopy.publish("cuda-graph", when_full="block", room_timeout=30.0) as pub:
        pub.wait_for_consumers(1, timeout=30.0)
        frame = torch.empty(SHAPE, device="cuda")
        for number in range(1, frames + 1):
            # The copy is ordered after this and before the next one, which torch puts into the same stream.
            pub.send(frame.fill_(number))


def consume(frames):
    source = torch.zeros(SHAPE, device="cuda")
    result = torch.zeros(SHAPE, device="cuda")
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        torch.mul(source, 2, out=result)

    with uncopy.subscribe("cuda-graph", timeout=30.0, read="every") as sub:
        for number in range(1, frames + 1):
            with sub.recv(timeout=30.0) as frame:
                source.copy_(frame.torch())
            graph.replay()
            assert result[0, 0, 0].item() == 2 * number
    print(f"{frames} frames went through the graph")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=100)
    frames = parser.parse_args().frames
    # CUDA does not survive fork.
    producer = multiprocessing.get_context("spawn").Process(target=produce, args=(frames,))
    producer.start()
    consume(frames)
    producer.join()
    raise SystemExit(producer.exitcode)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""One frame on a GPU, read by three streams at once. Needs torch and a CUDA device.

    python examples/several_streams.py            # producer and consumer, in two processes

Nothing is synchronised between the streams, and the frame is dropped while they still read: its slot goes back to the
producer after all three.
"""

import argparse
import multiprocessing

import torch

import uncopy

SHAPE = (1080, 1920, 4)


def produce(frames):
    with uncopy.publish("several-streams", when_full="block", room_timeout=30.0) as pub:
        pub.wait_for_consumers(1, timeout=30.0)
        for number in range(1, frames + 1):
            # Rendered into the slot: nothing is copied.
            with pub.loan(SHAPE, "float32", device="cuda:0") as slot:
                slot.torch().fill_(number)


def consume(frames):
    streams = [torch.cuda.Stream() for _ in range(3)]
    with uncopy.subscribe("several-streams", timeout=30.0, read="every") as sub:
        for number in range(1, frames + 1):
            frame = sub.recv(timeout=30.0)
            results = []
            for stream, reduce in zip(streams, (torch.mean, torch.amin, torch.amax), strict=True):
                with torch.cuda.stream(stream):
                    # The stream in which it is asked for is one of those that the slot waits for.
                    results.append(reduce(frame.torch()))
            del frame
            torch.cuda.synchronize()
            mean, least, most = (result.item() for result in results)
            assert mean == least == most == number, (number, mean, least, most)
    print(f"{frames} frames, each read by {len(streams)} streams, all as they were written")


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

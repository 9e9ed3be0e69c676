# SPDX-License-Identifier: MIT OR Apache-2.0
"""What other processes of the tests do. `say` and `hear` speak with the test."""

import importlib
from pathlib import Path

from pattern import SHAPE, check

import uncopy


def adapter(name):
    return importlib.import_module(f"with_{name}")


def produce(say, hear, framework, frames, options):
    """Sends frames 1 to `frames`, each dropped at once, and stays until it is told to go."""
    made = adapter(framework)
    with uncopy.publish("card", when_full="block", room_timeout=60, **options) as pub:
        say("open")
        pub.wait_for_consumers(hear(), timeout=60)
        for number in range(1, frames + 1):
            assert pub.send(made.make(number)) == number
        say("sent")
        hear()


def loan(say, hear, framework, frames):
    """As `produce`, writing into the slots."""
    made = adapter(framework)
    with uncopy.publish("card", when_full="block", room_timeout=60) as pub:
        say("open")
        pub.wait_for_consumers(hear(), timeout=60)
        for number in range(1, frames + 1):
            with pub.loan(SHAPE, "float32", device="cuda:0") as slot:
                made.of(slot)[...] = made.make(number)
        say("sent")
        hear()


def consume(say, hear, framework, frames, options, device):
    """Receives frames 1 to `frames` and checks every element."""
    seen = adapter(framework)
    with uncopy.subscribe("card", read="every", **options) as sub:
        say("ready")
        for number in range(1, frames + 1):
            frame = sub.recv(timeout=60)
            assert (frame.seq, frame.missed) == (number, 0), f"{frame!r} after {frame.missed} missed"
            assert frame.device == device, f"{frame!r} is not on {device}"
            array = seen.of(frame)
            # The array holds the frame by itself.
            frame.release()
            check(seen.to_host(array), number, f"{framework}: frame")
            del array, frame
        say("right")


def consume_on(say, hear, framework, frames, device):
    """As `consume`, on a card of this process's choice; says which copies were made to get there."""
    seen = adapter(framework)
    reasons = set()
    with uncopy.subscribe("card", read="every", device=device) as sub:
        say("ready")
        for number in range(1, frames + 1):
            frame = sub.recv(timeout=60)
            assert (frame.seq, frame.missed) == (number, 0), f"{frame!r} after {frame.missed} missed"
            assert frame.device == device, f"{frame!r} is not on {device}"
            reasons.update(copy.reason for copy in frame.copies)
            array = seen.of(frame)
            assert str(array.device) == device, array.device
            frame.release()
            # The sum is taken by the second card; the array is read by it as well.
            check(seen.to_host(array + 0), number, f"{framework}: frame")
            del array, frame
        say("right")
        say(sorted(reasons))


def copies(say, hear, options):
    """Receives one frame; says where it was, its copies, and whether a CUDA driver is loaded."""
    with uncopy.subscribe("card", **options) as sub:
        say("ready")
        frame = sub.recv(timeout=60)
        check(frame.numpy(), frame.seq)
        loaded = "libcuda.so" in Path("/proc/self/maps").read_text()
        say((frame.device, [copy.reason for copy in frame.copies], loaded))


def hold_at_the_end(say, hear):
    """Ends with a torch tensor of a frame in a global, and work on it under way."""
    import with_torch

    sub = uncopy.subscribe("card")
    frame = sub.recv(timeout=60)
    globals()["kept"] = frame.torch()
    with_torch.stall(50)
    globals()["sum"] = globals()["kept"].sum()
    say("leaving")
    # Left open on purpose: the end of the interpreter closes it, and the warning is not the point here.
    import warnings

    warnings.simplefilter("ignore", ResourceWarning)

# SPDX-License-Identifier: MIT OR Apache-2.0
"""A Python consumer of `uncopy demo`: receives every frame as an array, checks it, and keeps a few small pictures.

Called with the name of a link, the name of a framework, the device that frames lie on, a directory and, where it is
known, how many frames will come. Writes its counts as JSON. Frames on a GPU are received there by torch, if it can use
one, and in their mirror in host memory by everybody else.
"""

import json
import math
import pathlib
import sys

import uncopy
from uncopy._uncopy import _crc32c

MOST_SHOWN = 8
KEPT_WIDTH = 640
# The first of these many frames of a kind are named; more are counted.
MOST_NAMED = 64


def numpy_view(frame):
    return frame.numpy()


def numpy_bytes(array):
    return array.tobytes()


def torch_view(frame):
    return frame.torch()


def torch_bytes(tensor):
    return tensor.cpu().contiguous().numpy().tobytes()


VIEWS = {"numpy": (numpy_view, numpy_bytes), "torch": (torch_view, torch_bytes)}


def place(framework, device):
    """Where to receive frames that lie on `device`: nothing to be said if that is where this process can use them."""
    if device == "cpu" or (framework == "torch" and sys.modules["torch"].cuda.is_available()):
        return {}
    return {"device": "cpu"}


class Pictures:
    """Keeps frames 1, 1 + step, 1 + 2 step, ...: when there are too many, the step doubles."""

    def __init__(self, name, directory, to_bytes, expected):
        self.name, self.directory, self.to_bytes = name, pathlib.Path(directory), to_bytes
        self.step, self.kept = 1, {}
        while self.step * MOST_SHOWN < expected:
            self.step *= 2

    def take(self, number, pixels):
        if (number - 1) % self.step:
            return
        every = max(1, math.ceil(pixels.shape[1] / KEPT_WIDTH))
        small = pixels[::every, ::every]
        height, width, channels = (*small.shape, 1)[:3]
        path = self.directory / f"{self.name}-{number}-{width}x{height}x{channels}.raw"
        path.write_bytes(self.to_bytes(small))
        self.kept[number] = path
        while len(self.kept) > MOST_SHOWN:
            self.step *= 2
            for other in [other for other in self.kept if (other - 1) % self.step]:
                self.kept.pop(other).unlink()


class Tally:
    """The counts that the demo prints, under the names that `uncopy recv --json` has for them."""

    def __init__(self):
        self.frames = self.missed = self.checked = self.torn = 0
        self.last_frame, self.torn_frames, self.ages = None, [], []
        self.device, self.copies, self.own_copies = None, {}, {}

    def take(self, frame, age, pixels):
        self.ages.append(age)
        self.frames += 1
        self.missed += frame.missed
        self.last_frame = frame.meta["frame"]
        self.checked += 1
        self.device = frame.device
        if self.device != "cpu":
            pixels = pixels.cpu()
            why = "the receiver cannot reach the memory of the source's device"
            self.count(self.own_copies, ("device", why, self.device, "cpu"), pixels.nbytes)
        if _crc32c(pixels) != frame.meta["crc32c"]:
            self.torn += 1
            self.torn_frames.append(self.last_frame)
        for record in frame.copies:
            why = str(record).partition(": ")[2]
            self.count(self.copies, (record.reason, why, record.source, record.target), record.len_bytes)

    @staticmethod
    def count(copies, kind, len_bytes):
        frames, size = copies.get(kind, (0, 0))
        copies[kind] = (frames + 1, size + len_bytes)

    def quantile(self, share):
        return round(1e9 * sorted(self.ages)[max(0, math.ceil(share * len(self.ages)) - 1)])

    def report(self):
        latency = None
        if self.ages:
            latency = {"p50": self.quantile(0.5), "p99": self.quantile(0.99), "max": self.quantile(1)}
        return {
            "frames": self.frames,
            "missed": self.missed,
            "last_frame": self.last_frame,
            "latency_nanos": latency,
            "checked": self.checked,
            "torn": self.torn,
            "torn_frames": self.torn_frames[:MOST_NAMED],
            "device": self.device,
            "copies": self.listed(self.copies),
            "own_copies": self.listed(self.own_copies),
        }

    @staticmethod
    def listed(copies):
        names = ("reason", "why", "from", "to")
        return [dict(zip(names, kind), frames=frames, bytes=size) for kind, (frames, size) in copies.items()]


def look_at(frame, view, tally, pictures):
    """Everything about one frame. The view ends here, so that the frame is released when the next is asked for."""
    age = frame.age
    pixels = view(frame)
    tally.take(frame, age, pixels)
    pictures.take(frame.meta["frame"], pixels)


def main(link, framework, device, directory, expected=1):
    __import__(framework)  # before the first frame: it takes seconds
    view, to_bytes = VIEWS[framework]
    tally, pictures = Tally(), Pictures(framework, directory, to_bytes, int(expected))
    # The producer is there already; when it closes the link, no other is waited for.
    with uncopy.subscribe(link, timeout=0.5, read="every", **place(framework, device)) as frames:
        for frame in frames:
            look_at(frame, view, tally, pictures)
    json.dump(tally.report(), sys.stdout)


main(*sys.argv[1:])

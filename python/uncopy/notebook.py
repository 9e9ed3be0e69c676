# SPDX-License-Identifier: MIT OR Apache-2.0
"""Frames as pictures for notebooks, without any dependency. Imported when a notebook shows a frame."""

import base64
import html
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from ._uncopy import Frame

LARGEST_SIDE = 640
"""Pictures are scaled down to this many pixels, by leaving out rows and columns."""


class _Picture(NamedTuple):
    width: int
    height: int
    planes: int
    rows: Iterator[bytes]


def png_from(frame: Frame) -> bytes | None:
    """The frame as a PNG file, top row first, at most 640 pixels wide and high; None when it is no picture.

    Pictures are [height, width] or [height, width, 1 to 4] of uint8, uint16 (the high byte is shown), bool or floats
    (0 to 1), and the planar formats, of which the luma is shown.
    """
    picture = _picture_from(frame)
    if picture is None:
        return None
    colour_type = {1: 0, 3: 2, 4: 6}[picture.planes]
    header = struct.pack(">IIBBBBB", picture.width, picture.height, 8, colour_type, 0, 0, 0)
    # Each row begins with the number of its filter: none.
    data = zlib.compress(b"".join(b"\0" + row for row in picture.rows), 6)
    chunks = [(b"IHDR", header), (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in chunks)


def html_from(frame: Frame) -> str:
    """The frame as a table of what it says about itself, with its picture if it is one."""
    facts: dict[str, object] = {
        "frame": f"{frame.seq} of {frame.link!r}",
        "form": f"{frame.dtype}{[*frame.shape]}" + (f" {frame.pixel}" if frame.pixel else ""),
        "origin": frame.origin,
        "age": "-" if (age := frame.age) is None else f"{age * 1e3:.1f} ms",
        "missed": frame.missed,
        "captured": frame.captured,
        "meta": frame.meta,
        "copies": "; ".join(map(str, frame.copies)) or "none",
    }
    rows = "".join(f"<tr><th>{name}</th><td>{html.escape(str(fact))}</td></tr>" for name, fact in facts.items())
    try:
        png = png_from(frame)
    except ValueError as released:
        return f"<table>{rows}</table><p>{html.escape(str(released))}</p>"
    if png is None:
        return f"<table>{rows}</table>"
    image = base64.b64encode(png).decode("ascii")
    return f'<table>{rows}</table><img alt="frame {frame.seq}" src="data:image/png;base64,{image}">'


def _chunk(kind: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(body, zlib.crc32(kind))
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)


def _picture_from(frame: Frame) -> _Picture | None:
    if frame.dtype not in _SAMPLES or not 2 <= len(frame.shape) <= 3:
        return None
    height, width, channels = (*frame.shape, 1)[:3]
    if frame.pixel in ("nv12", "i420", "p010"):
        height = height * 2 // 3
    if not (1 <= channels <= 4 and height and width):
        return None
    step = -(-max(height, width) // LARGEST_SIDE)
    lines = range(0, height, step)
    if frame.origin == "bottom_left":
        lines = lines[::-1]
    order = _ORDERS[channels]
    if (frame.pixel or "").startswith("bgr"):
        order = (2, 1, 0, 3)[:channels]
    rows = _rows(frame, lines, width, channels, step, order)
    return _Picture(len(range(0, width, step)), len(lines), len(order), rows)


_ORDERS: dict[int, tuple[int | None, ...]] = {1: (0,), 2: (0, 1, None), 3: (0, 1, 2), 4: (0, 1, 2, 3)}
"""Which channel each of the picture's planes is; None for one that is left black."""

_SAMPLES = {"bool": "?", "uint8": "B", "uint16": "H", "float16": "e", "float32": "f", "float64": "d"}


def _rows(
    frame: Frame, lines: range, width: int, channels: int, step: int, order: tuple[int | None, ...]
) -> Iterator[bytes]:
    # The bytes of a frame on a GPU are copied here.
    with memoryview(frame if frame.device == "cpu" else frame.numpy()) as view:
        pixels = view.tobytes() if not view.c_contiguous else view.cast("B")
    code = _SAMPLES[frame.dtype]
    row_bytes = width * channels * struct.calcsize(code)
    for line in lines:
        samples = _bytes_from(pixels[line * row_bytes : (line + 1) * row_bytes], code)
        planes = [b"" if channel is None else samples[channel :: channels * step] for channel in order]
        row = bytearray(len(planes[0]) * len(order))
        for at, plane in enumerate(planes):
            if plane:
                row[at :: len(order)] = plane
        yield bytes(row)


def _bytes_from(row: bytes | memoryview, code: str) -> bytes:
    """One byte for each sample of a row."""
    if code == "B":
        return bytes(row)
    if code == "H":
        return bytes(row)[1::2]
    samples = struct.unpack(f"<{len(row) // struct.calcsize(code)}{code}", row)
    return bytes(_byte_from(float(sample)) for sample in samples)


def _byte_from(sample: float) -> int:
    # NaN compares false with everything, so it ends up black.
    return round(min(sample, 1.0) * 255) if sample > 0 else 0

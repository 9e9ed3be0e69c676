# SPDX-License-Identifier: MIT OR Apache-2.0
"""Decodes a video with PyAV for `uncopy send`.

Writes one line of JSON about the video, reads one line with the wanted pixel format (gray, rgb24 or rgba), then writes
every frame as a PAM picture, until the end or until nobody reads.
"""

import json
import os
import sys

import av

TUPLE_TYPES = {"gray": (1, "GRAYSCALE"), "rgb24": (3, "RGB"), "rgba": (4, "RGB_ALPHA")}


def describe(container, stream):
    """What is known before decoding; None where the file does not say."""
    rate = stream.average_rate or stream.guessed_rate
    if stream.duration is not None and stream.time_base is not None:
        seconds = float(stream.duration * stream.time_base)
    elif container.duration is not None:
        seconds = container.duration / av.time_base
    else:
        seconds = None
    return {
        "rate": f"{rate.numerator}/{rate.denominator}" if rate else None,
        "frames": stream.frames or None,
        "seconds": seconds,
        "pix_fmt": stream.codec_context.pix_fmt or "",
    }


def write_picture(frame, pixel_format, output):
    """One PAM picture: the header, then the rows without their padding."""
    picture = frame.reformat(format=pixel_format)
    channels, tuple_type = TUPLE_TYPES[pixel_format]
    output.write(
        f"P7\nWIDTH {picture.width}\nHEIGHT {picture.height}\nDEPTH {channels}\nMAXVAL 255\n"
        f"TUPLTYPE {tuple_type}\nENDHDR\n".encode()
    )
    plane = picture.planes[0]
    pixels, row_bytes, pitch_bytes = memoryview(plane), picture.width * channels, plane.line_size
    if pitch_bytes == row_bytes:
        output.write(pixels[: row_bytes * picture.height])
        return
    for start in range(0, pitch_bytes * picture.height, pitch_bytes):
        output.write(pixels[start : start + row_bytes])


def main(path):
    output = sys.stdout.buffer
    with av.open(path) as container:
        if not container.streams.video:
            sys.exit("there is no picture in it")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        output.write(json.dumps(describe(container, stream)).encode() + b"\n")
        output.flush()
        pixel_format = sys.stdin.readline().strip()
        if not pixel_format:
            return
        for frame in container.decode(stream):
            write_picture(frame, pixel_format, output)
    output.flush()


try:
    main(sys.argv[1])
except BrokenPipeError:
    # Nobody reads any more. Python would complain when it flushes at its end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
except av.FFmpegError as error:
    sys.exit(str(error))

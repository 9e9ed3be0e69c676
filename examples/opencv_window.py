#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Any link in a window, with its rate and its age. Needs opencv-python, NumPy and a display.

    uncopy send camera --pattern                  # or any other producer
    python examples/opencv_window.py camera       # q or Esc closes it

Frames are taken to be 8-bit, or floats from 0 to 1. A frame on a GPU is copied to the host while the one before is shown.
"""

import argparse
import time

import cv2
import numpy

import uncopy

TO_BGR = {"rgb8": cv2.COLOR_RGB2BGR, "rgba8": cv2.COLOR_RGBA2BGR, "bgra8": cv2.COLOR_BGRA2BGR}


def shown(frame):
    """The frame as OpenCV shows it: 8-bit, blue first, top row first."""
    image = frame.numpy()
    if image.dtype != numpy.uint8:
        image = (numpy.clip(image.astype(numpy.float32), 0.0, 1.0) * 255).astype(numpy.uint8)
    order = TO_BGR.get(frame.pixel)
    if order is None and frame.pixel is None and image.ndim == 3 and image.shape[2] in (3, 4):
        order = cv2.COLOR_RGB2BGR if image.shape[2] == 3 else cv2.COLOR_RGBA2BGR
    # cvtColor makes a picture of its own, to be drawn on; the frame itself is read-only.
    image = cv2.cvtColor(image, order) if order is not None else image.copy()
    return image[::-1].copy() if frame.origin == "bottom_left" else image


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("link")
    parser.add_argument("--frames", type=int, help="stop after so many")
    options = parser.parse_args()
    begun, count = time.monotonic(), 0
    with uncopy.subscribe(options.link, timeout=None, prefetch=True) as sub:
        for frame in sub:
            image = shown(frame)
            count += 1
            rate = count / max(time.monotonic() - begun, 1e-6)
            age = "-" if frame.age is None else f"{frame.age * 1e3:.1f} ms"
            text = f"{frame.seq}  {rate:.1f} Hz  {age}  missed {frame.missed}  {frame.device}"
            cv2.putText(image, text, (16, 32), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (255, 255, 255), 2, cv2.LINE_AA)
            cv2.imshow(options.link, image)
            if cv2.waitKey(1) & 0xFF in (ord("q"), 27) or count == options.frames:
                break
    cv2.destroyAllWindows()


if __name__ == "__main__":
    main()

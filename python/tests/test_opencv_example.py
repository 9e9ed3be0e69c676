# SPDX-License-Identifier: MIT OR Apache-2.0
"""examples/opencv_window.py, with a window that keeps what it is shown: OpenCV's own needs a display, and the packages
without one have no `imshow`."""

import os
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
import uncopy

PROGRAM = Path(__file__).resolve().parents[2] / "examples/opencv_window.py"

CV2 = '''
import os
import numpy

COLOR_RGB2BGR, COLOR_RGBA2BGR, COLOR_BGRA2BGR, FONT_HERSHEY_SIMPLEX, LINE_AA = range(5)
shown = []


def cvtColor(image, order):
    colors = image[..., :3]
    return (colors if order == COLOR_BGRA2BGR else colors[..., ::-1]).copy()


def putText(image, *_):
    image[0, 0] = 255  # a frame that is read-only must not be drawn on


def imshow(name, image):
    shown.append(image.copy())


def waitKey(_):
    return -1


def destroyAllWindows():
    numpy.save(os.environ["SHOWN"], numpy.stack(shown))
'''

RED, BLUE_FIRST = (200, 10, 20), (20, 10, 200)


def picture(dtype, channels, top):
    """Red, but for the first row, which tells top from bottom."""
    image = numpy.zeros((4, 4, channels), dtype)
    image[..., :3] = RED
    image[0, :, :3] = top
    return image


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (picture("uint8", 3, (1, 2, 3)), {}),
        (picture("uint8", 4, (1, 2, 3)), {"pixel": "rgba8"}),
        (picture("uint8", 4, (1, 2, 3))[..., [2, 1, 0, 3]].copy(), {"pixel": "bgra8"}),
        ((picture("float32", 4, (1, 2, 3)) + 0.5) / 255, {}),
        (picture("uint8", 3, (1, 2, 3))[::-1].copy(), {"origin": "bottom_left"}),
    ],
    ids=["three colors", "rgba8", "bgra8", "floats", "from below"],
)
def test_a_frame_is_shown_blue_first_and_top_first(array, says, tmp_path):
    (tmp_path / "cv2.py").write_text(CV2)
    kept = tmp_path / "shown.npy"
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"PYTHONPATH": path, "SHOWN": str(kept)}
    with uncopy.publish("window") as pub:
        command = [sys.executable, PROGRAM, "window", "--frames", "2"]
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as viewer:
            # Also before it has come: it takes the newest when it does.
            while viewer.poll() is None:
                pub.send(array, **says)
            errors = viewer.stderr.read()
        assert viewer.returncode == 0, errors
    images = numpy.load(kept)
    assert images.shape == (2, 4, 4, 3)
    for image in images:
        assert (image[0, 1:] == (3, 2, 1)).all() and (image[1:] == BLUE_FIRST).all(), image

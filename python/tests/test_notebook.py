# SPDX-License-Identifier: MIT OR Apache-2.0
"""Frames as pictures in notebooks."""

import base64
import io

import numpy
import pytest

import uncopy


@pytest.fixture(scope="module")
def image():
    return pytest.importorskip("PIL.Image", reason="pillow is not installed")


def shown(image, pair, array, **said):
    pub, sub = pair
    pub.send(array, **said)
    png = sub.recv()._repr_png_()
    return None if png is None else numpy.asarray(image.open(io.BytesIO(png)))


def noise(shape, dtype="uint8"):
    numbers = numpy.random.default_rng(1)
    return numbers.integers(0, 256, shape, "uint8") if dtype == "uint8" else numbers.random(shape).astype(dtype)


def test_colours_are_shown_as_they_are_meant(image, pair):
    rgba = noise((5, 7, 4))
    assert numpy.array_equal(shown(image, pair, rgba), rgba)
    assert numpy.array_equal(shown(image, pair, rgba[..., [2, 1, 0, 3]], pixel="bgra8"), rgba)
    assert numpy.array_equal(shown(image, pair, rgba[..., 2::-1], pixel="bgr8"), rgba[..., :3])
    assert numpy.array_equal(shown(image, pair, rgba[..., 0]), rgba[..., 0])
    assert numpy.array_equal(shown(image, pair, rgba[..., :1]), rgba[..., 0])
    two = shown(image, pair, rgba[..., :2], pixel="rg8")
    assert numpy.array_equal(two[..., :2], rgba[..., :2]) and not two[..., 2].any()


def test_a_frame_from_below_is_shown_upright(image, pair):
    picture = noise((5, 7, 3))
    assert numpy.array_equal(shown(image, pair, picture[::-1], origin="bottom_left"), picture)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floats_are_shown_from_0_to_1(image, pair, dtype):
    picture = noise((4, 6, 3), dtype)
    picture[0, 0] = [-1, 2, numpy.nan]
    expected = numpy.rint(numpy.nan_to_num(picture.astype("f8").clip(0, 1)) * 255)
    assert numpy.array_equal(shown(image, pair, picture), expected)


def test_other_samples_are_shown_too(image, pair):
    deep = noise((4, 6)).astype("uint16") * 257
    assert numpy.array_equal(shown(image, pair, deep), noise((4, 6)))
    mask = noise((4, 6)) > 100
    assert numpy.array_equal(shown(image, pair, mask), mask * 255)
    planar = noise((6, 6))
    assert numpy.array_equal(shown(image, pair, planar, pixel="nv12"), planar[:4])


def test_large_pictures_are_scaled_down(image, pair):
    picture = noise((1000, 1500, 3))
    assert numpy.array_equal(shown(image, pair, picture), picture[::3, ::3])


@pytest.mark.parametrize(
    "array", [numpy.zeros(5), numpy.zeros((2, 2, 5)), numpy.zeros((2, 2, 2, 3)), numpy.zeros((2, 2), "int32"), numpy.zeros((0, 4))]
)
def test_what_is_no_picture_is_not_shown(image, pair, array):
    assert shown(image, pair, array) is None


def test_the_table_says_everything_and_escapes_it(image, pair):
    pub, sub = pair
    pub.send(noise((4, 6, 3)), meta={"title": "<b>&"}, captured=1.5, pixel="rgb8")
    frame = sub.recv()
    text = frame._repr_html_()
    for fact in ("1 of &#x27;pair&#x27;", "uint8[4, 6, 3] rgb8", "top_left", "1.5", "&lt;b&gt;&amp;", "copied 72 bytes"):
        assert fact in text, fact
    assert base64.b64encode(frame._repr_png_()).decode() in text
    frame.release()
    assert "released" in frame._repr_html_()
    pub.send(b"no picture")
    assert "<img" not in sub.recv()._repr_html_()


def test_a_released_frame_has_no_picture(pair):
    pub, sub = pair
    pub.send(noise((4, 6)))
    frame = sub.recv()
    frame.release()
    with pytest.raises(uncopy.Closed):
        frame._repr_png_()

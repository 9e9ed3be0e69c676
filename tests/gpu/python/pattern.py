# SPDX-License-Identifier: MIT OR Apache-2.0
"""What is in frame N: every element says which frame it is of and where it is."""

import numpy

SHAPE = (256, 256, 4)


def expected(number, shape=SHAPE):
    """Frame `number` as float32; whole numbers that float32 has exactly."""
    place = numpy.arange(int(numpy.prod(shape)), dtype=numpy.int64)
    return ((place + 7919 * number) % 65521).astype(numpy.float32).reshape(shape)


def check(found, number, what="the frame"):
    """`found` is on the host. Says what is wrong with it, and whose content it is where that can be told."""
    found = numpy.asarray(found)
    wanted = expected(number, found.shape)
    wrong = numpy.flatnonzero(found.reshape(-1) != wanted.reshape(-1))
    if not wrong.size:
        return
    flat = found.reshape(-1)
    of = [other for other in range(max(0, number - 8), number + 9) if flat[wrong[0]] == expected(other).flat[wrong[0]]]
    raise AssertionError(
        f"{what} {number}: {wrong.size} of {found.size} elements are wrong, the first at {wrong[0]} is {flat[wrong[0]]} "
        f"in place of {wanted.reshape(-1)[wrong[0]]}" + (f", which is of frame {of[0]}" if of else "")
    )

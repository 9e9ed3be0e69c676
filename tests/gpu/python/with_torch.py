# SPDX-License-Identifier: MIT OR Apache-2.0
"""torch on the card."""

import torch
from pattern import SHAPE, expected

name = "torch"

if not torch.cuda.is_available():
    raise RuntimeError("torch.cuda.is_available() is False")


def make(number, shape=SHAPE):
    """Frame `number`, made by the card in the current stream."""
    place = torch.arange(expected(0, shape).size, device="cuda", dtype=torch.int64)
    return ((place + 7919 * number) % 65521).to(torch.float32).reshape(shape)


def of(frame):
    return frame.torch()


def to_host(array):
    return array.cpu().numpy()


def address(array):
    return array.data_ptr()


def stall(milliseconds=20):
    """Keeps the current stream busy. The clock of a card runs below 2.1 GHz."""
    torch.cuda._sleep(int(milliseconds * 2_000_000))

# SPDX-License-Identifier: MIT OR Apache-2.0
"""Frames of one card, received on another by torch. Skipped where there is one card."""

import pytest
from peers import framework

FRAMES = 60


@pytest.fixture
def torch():
    torch = framework("torch").torch
    if torch.cuda.device_count() < 2:
        pytest.skip(f"it needs two cards, and there is {torch.cuda.device_count()}")
    return torch


@pytest.mark.parametrize("role", ["produce", "loan"])
def test_torch_on_one_card_reads_every_frame_of_another(peer, torch, role):
    arguments = (FRAMES, {}) if role == "produce" else (FRAMES,)
    sending = peer(role, "torch", *arguments)
    sending.expect("open")
    receiving = peer("consume_on", "torch", FRAMES, "cuda:1")
    receiving.expect("ready")
    sending.tell(1)
    receiving.expect("right")
    reasons = receiving.hear()
    made = {"produce": ["send"], "loan": []}[role]
    if torch.cuda.can_device_access_peer(1, 0):
        assert reasons == made, "the second card reaches the first, and nothing is to be copied"
    else:
        assert reasons == sorted([*made, "staged"])
    sending.expect("sent")
    sending.tell()
    receiving.end()
    sending.end()


def test_streams_of_the_second_card_are_waited_for(torch):
    """A frame is released while a stream of the second card still reads it, and the next ones are sent meanwhile."""
    import with_torch
    from pattern import check

    import uncopy

    with uncopy.publish("card", slots=3) as pub, uncopy.subscribe("card", device="cuda:1") as sub:
        for number in range(1, 31):
            sent = pub.send(with_torch.make(number))
            frame = sub.recv(timeout=60)
            while frame.seq != sent:
                # A copy that a look at the newest had begun is received first.
                frame.release()
                frame = sub.recv(timeout=60)
            with torch.cuda.device(1):
                array = frame.torch()
                with_torch.stall(5)
                private = array.clone()
                frame.release()
                del array
            for _ in range(3):
                pub.send(with_torch.make(1000))
            while (newest := sub.newest()) is not None and newest.seq != pub.seq:
                newest.release()
            check(private.cpu().numpy(), number)
            del newest, frame

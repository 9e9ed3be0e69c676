# SPDX-License-Identifier: MIT OR Apache-2.0
"""Every framework as producer and every framework as consumer, in two processes, every element checked."""

import pytest
from peers import framework

FRAMES = 60
PRODUCERS = ["torch", "cupy", "jax", "numba"]
CONSUMERS = ["torch", "cupy", "jax", "numba", "numpy"]


@pytest.mark.parametrize("consumer", CONSUMERS)
@pytest.mark.parametrize("producer", PRODUCERS)
def test_frames_arrive_whole_and_in_order(peer, producer, consumer):
    framework(producer)
    framework(consumer)
    sending = peer("produce", producer, FRAMES, {})
    sending.expect("open")
    receiving = peer("consume", consumer, FRAMES, {}, "cuda:0")
    receiving.expect("ready")
    sending.tell(1)
    receiving.expect("right")
    sending.expect("sent")
    sending.tell()
    receiving.end()
    sending.end()


@pytest.mark.parametrize("producer", ["torch", "cupy"])
def test_frames_that_are_written_in_place_arrive_whole(peer, producer):
    framework(producer)
    sending = peer("loan", producer, FRAMES)
    sending.expect("open")
    receiving = peer("consume", producer, FRAMES, {}, "cuda:0")
    receiving.expect("ready")
    sending.tell(1)
    receiving.expect("right")
    sending.expect("sent")
    sending.tell()
    receiving.end()
    sending.end()


def test_several_consumers_of_one_link_all_see_every_frame(peer):
    framework("torch")
    sending = peer("produce", "torch", FRAMES, {"slots": 8})
    sending.expect("open")
    receiving = [peer("consume", name, FRAMES, {}, "cuda:0") for name in ("torch", "numpy", "torch")]
    for each in receiving:
        each.expect("ready")
    sending.tell(len(receiving))
    for each in receiving:
        each.expect("right")
    sending.expect("sent")
    sending.tell()


def test_prefetched_frames_arrive_whole(peer):
    framework("torch")
    sending = peer("produce", "torch", FRAMES, {"slots": 6})
    sending.expect("open")
    receiving = peer("consume", "numpy", FRAMES, {"prefetch": True}, "cuda:0")
    receiving.expect("ready")
    sending.tell(1)
    receiving.expect("right")
    sending.expect("sent")
    sending.tell()


def test_devices_that_are_counted_otherwise_are_the_same_cards(peer):
    torch = framework("torch").torch
    if torch.cuda.device_count() < 2:
        pytest.skip(f"it needs two cards, and there is {torch.cuda.device_count()}")
    sending = peer("produce", "torch", FRAMES, {}, CUDA_VISIBLE_DEVICES="0,1")
    sending.expect("open")
    receiving = peer("consume", "torch", FRAMES, {}, "cuda:1", CUDA_VISIBLE_DEVICES="1,0")
    receiving.expect("ready")
    sending.tell(1)
    receiving.expect("right")
    sending.tell()


def test_a_process_that_ends_with_a_tensor_in_use_holds_nothing_up(peer):
    import uncopy

    made = framework("torch")
    with uncopy.publish("card", slots=2, when_full="block", room_timeout=30) as pub:
        leaving = peer("hold_at_the_end")
        pub.wait_for_consumers(1, timeout=60)
        pub.send(made.make(1))
        leaving.expect("leaving")
        leaving.end()
        for number in range(2, 6):
            assert pub.send(made.make(number)) == number

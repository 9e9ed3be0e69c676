# SPDX-License-Identifier: MIT OR Apache-2.0
"""The mirror in host memory: one copy for all who are without the card."""

from peers import framework

import uncopy


def test_consumers_without_the_card_read_the_mirror_with_no_copy_and_no_driver(peer):
    made = framework("torch")
    with uncopy.publish("card", mirror="host") as pub:
        asking = [peer("copies", {"device": "cpu"}) for _ in range(2)]
        bare = peer("copies", {}, CUDA_VISIBLE_DEVICES="")
        near = peer("copies", {})
        for each in (*asking, bare, near):
            each.expect("ready")
        pub.wait_for_consumers(4, timeout=60)
        pub.send(made.make(1))
        for each in asking:
            assert each.hear() == ("cpu", ["send", "mirror"], False)
        device, copies, _ = bare.hear()
        assert (device, copies) == ("cpu", ["send", "mirror"])
        device, copies, _ = near.hear()
        assert (device, copies) == ("cuda:0", ["send", "mirror", "device"])


def test_mirrored_frames_arrive_whole(peer):
    framework("torch")
    sending = peer("produce", "torch", 60, {"mirror": "host"})
    sending.expect("open")
    receiving = [
        peer("consume", "numpy", 60, {"device": "cpu"}, "cpu"),
        peer("consume", "torch", 60, {}, "cuda:0"),
    ]
    for each in receiving:
        each.expect("ready")
    sending.tell(2)
    for each in receiving:
        each.expect("right")
    sending.expect("sent")
    sending.tell()


def test_without_a_mirror_a_consumer_without_the_card_is_told_what_to_do(peer):
    made = framework("torch")
    with uncopy.publish("card") as pub:
        pub.send(made.make(1))
        with uncopy.subscribe("card", device="cpu") as sub:
            try:
                sub.recv(timeout=5)
            except uncopy.Unsupported as error:
                assert "mirror" in str(error), error
            else:
                raise AssertionError("a frame on the card was received on the host without a mirror")

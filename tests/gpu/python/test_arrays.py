# SPDX-License-Identifier: MIT OR Apache-2.0
"""Frames and slots as arrays of each framework: the same memory, by each protocol."""

import numpy
import pytest
from pattern import SHAPE, check
from peers import framework

import uncopy


@pytest.fixture
def made():
    return framework("torch")


@pytest.fixture
def frame(pair, made):
    pub, sub = pair
    pub.send(made.make(3), meta={"lens": 35})
    return sub.recv(timeout=30)


def test_a_frame_says_where_it_is_and_what_was_copied(frame):
    assert frame.device == "cuda:0" and frame.__dlpack_device__() == (2, 0)
    assert (frame.shape, frame.dtype, frame.meta) == (SHAPE, "float32", {"lens": 35})
    assert [(copy.reason, copy.source, copy.target) for copy in frame.copies] == [("send", "cuda:0", "cuda:0")]
    interface = frame.__cuda_array_interface__
    assert interface["data"] == (frame.ptr, True) and interface["version"] == 3 and interface["stream"] is None


@pytest.mark.parametrize("name", ["torch", "cupy", "jax", "numba"])
def test_each_framework_sees_the_frame_itself(frame, name):
    seen = framework(name)
    array = seen.of(frame)
    assert seen.address(array) == frame.ptr, f"{name} has a copy"
    check(seen.to_host(array), 3, name)
    assert len(frame.copies) == 1, frame.copies


@pytest.mark.parametrize("name", ["torch.from_dlpack", "cupy.from_dlpack", "cupy.asarray"])
def test_each_library_takes_the_frame_by_its_protocols(frame, name):
    seen = framework(name.split(".")[0])
    take = {
        "torch.from_dlpack": lambda: seen.torch.from_dlpack(frame),
        "cupy.from_dlpack": lambda: seen.cupy.from_dlpack(frame),
        "cupy.asarray": lambda: seen.cupy.asarray(frame),
    }[name]
    array = take()
    assert seen.address(array) == frame.ptr, f"{name} made a copy"
    check(seen.to_host(array), 3, name)


def test_cuda_core_takes_the_frame(frame):
    core = pytest.importorskip("cuda.core", reason="cuda.core is not installed")
    module = core if hasattr(core, "StridedMemoryView") else pytest.importorskip("cuda.core.utils")
    core.Device().set_current()
    take = getattr(module.StridedMemoryView, "from_any_interface", module.StridedMemoryView)
    view = take(frame, stream_ptr=-1)
    assert view.ptr == frame.ptr and tuple(view.shape) == SHAPE


@pytest.mark.parametrize("name", ["torch", "cupy", "jax", "numpy"])
def test_a_private_copy_is_private_and_is_named(frame, name):
    seen = framework(name)
    if name == "numpy":
        array = frame.numpy(copy=True)
        array[...] = 0
    else:
        array = getattr(frame, name)(copy=True)
        assert seen.address(array) != frame.ptr
        check(seen.to_host(array), 3, name)
    assert frame.copies[-1].reason == ("device" if name == "numpy" else "asked"), frame.copies
    check(frame.numpy(), 3)


def test_numpy_is_read_only_and_made_once(frame):
    first, second = frame.numpy(), frame.numpy()
    assert first.ctypes.data == second.ctypes.data and not first.flags.writeable
    assert [copy.reason for copy in frame.copies] == ["send", "device"]
    frame.release()
    check(first, 3)


def test_numpy_does_not_take_it_in_silence(frame):
    with pytest.raises(uncopy.Unsupported, match=r"frame.numpy\(\) copies them there"):
        numpy.asarray(frame)


@pytest.mark.parametrize("name", ["torch", "cupy"])
def test_a_slot_is_written_in_place(pair, name):
    made = framework(name)
    pub, sub = pair
    with pub.loan(SHAPE, "float32", device="cuda:0") as slot:
        array = made.of(slot)
        assert made.address(array) == slot.ptr and slot.device == "cuda:0"
        array[...] = made.make(9)
    frame = sub.recv(timeout=30)
    assert frame.copies == (), frame.copies
    check(frame.numpy(), 9)


def test_a_slot_is_part_of_the_frame_by_what_its_streams_still_do(pair, made):
    pub, sub = pair
    torch = made.torch
    side = torch.cuda.Stream()
    # The loan's own stream, named; and torch's current one, of which the slot learns when it is asked for a tensor.
    for number, (named, current) in enumerate([(side, side), (None, side), (side, torch.cuda.default_stream())], 1):
        with torch.cuda.stream(current):
            with pub.loan(SHAPE, "float32", device="cuda:0", stream=named) as slot:
                made.stall()
                slot.torch().copy_(made.make(number))
        check(sub.recv(timeout=30).numpy(), number, f"loan on {named}, written in {current}: frame")


def test_an_exception_in_a_loan_publishes_nothing(pair, made):
    pub, sub = pair
    for _ in range(8):
        with pytest.raises(ZeroDivisionError):
            with pub.loan(SHAPE, "float32", device="cuda:0") as slot:
                slot.torch().zero_()
                1 / 0
    assert pub.seq == 0
    pub.send(made.make(1))
    check(sub.recv(timeout=30).numpy(), 1)


def test_strided_tensors_are_packed_and_the_copy_says_so(pair, made):
    pub, sub = pair
    wide = made.make(4, (300, 300, 4))
    pub.send(wide[20:200, 40:290])
    frame = sub.recv(timeout=30)
    assert frame.copies[0].reason == "gather"
    assert numpy.array_equal(frame.numpy(), wide[20:200, 40:290].cpu().numpy())


@pytest.mark.parametrize("dtype", ["uint8", "float16", "bfloat16", "int32", "float64", "complex64", "bool"])
def test_each_dtype_arrives_bit_by_bit(pair, made, dtype):
    pub, sub = pair
    torch = made.torch
    source = torch.randint(0, 2, (33, 17), device="cuda").to(getattr(torch, dtype))
    pub.send(source)
    frame = sub.recv(timeout=30)
    assert frame.dtype == dtype
    seen = frame.torch()
    assert seen.dtype == source.dtype and torch.equal(seen, source)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (1, 1, 1, 1, 1)])
def test_odd_shapes_arrive(pair, made, shape):
    pub, sub = pair
    source = made.torch.full(shape, 7.0, device="cuda")
    pub.send(source)
    frame = sub.recv(timeout=30)
    assert frame.shape == shape and made.torch.equal(frame.torch(), source)
    assert numpy.array_equal(frame.numpy(), source.cpu().numpy())


def test_what_torch_has_still_to_apply_is_refused(pair, made):
    pub, _ = pair
    torch = made.torch
    number = torch.ones(4, device="cuda", dtype=torch.complex64) * 1j
    refused = {
        "resolve_conj": number.conj(),
        "resolve_neg": number.conj().imag,
    }
    for advice, tensor in refused.items():
        with pytest.raises(uncopy.InvalidArgument, match=advice):
            pub.send(tensor)


def test_what_requires_a_gradient_is_sent_as_it_is(pair, made):
    pub, sub = pair
    tensor = made.torch.full((4,), 2.5, device="cuda", requires_grad=True)
    pub.send(tensor)
    assert (sub.recv(timeout=30).numpy() == 2.5).all() and tensor.requires_grad


def test_a_link_goes_from_the_host_to_the_card_and_back(pair, made):
    pub, sub = pair
    for number in range(1, 13):
        on_card = number % 3 != 0
        pub.send(made.make(number) if on_card else made.to_host(made.make(number)))
        frame = sub.recv(timeout=30)
        assert frame.device == ("cuda:0" if on_card else "cpu")
        check(frame.numpy(), number)


def test_a_frame_is_sent_on_to_another_link(pair, made):
    pub, sub = pair
    with uncopy.publish("next") as on, uncopy.subscribe("next") as last:
        for number in range(1, 11):
            pub.send(made.make(number))
            on.send(sub.recv(timeout=30))
            check(last.recv(timeout=30).numpy(), number)


def test_a_raw_pointer_is_an_array(pair, made):
    pub, sub = pair
    tensor = made.make(6)
    wrapped = uncopy.wrap(
        tensor.data_ptr(), SHAPE, "float32", device="cuda:0", owner=tensor, stream=made.torch.cuda.current_stream()
    )
    assert made.torch.from_dlpack(wrapped).data_ptr() == tensor.data_ptr()
    pub.send(wrapped)
    check(sub.recv(timeout=30).numpy(), 6)


def test_a_wrapped_pointer_is_read_after_the_stream_that_makes_it(made):
    torch = made.torch
    stream = torch.cuda.Stream()
    tensor = torch.zeros(SHAPE, device="cuda")
    torch.cuda.synchronize()
    with torch.cuda.stream(stream):
        made.stall()
        tensor.copy_(made.make(6))
    wrapped = uncopy.wrap(tensor.data_ptr(), SHAPE, "float32", device="cuda:0", owner=tensor, stream=stream)
    check(torch.from_dlpack(wrapped).clone().cpu(), 6)


def test_views_outlive_the_subscriber_and_the_publisher(made):
    with uncopy.publish("pair") as pub, uncopy.subscribe("pair") as sub:
        pub.send(made.make(8))
        frame = sub.recv(timeout=30)
        tensor = frame.torch()
        del frame
    check(made.to_host(tensor), 8)

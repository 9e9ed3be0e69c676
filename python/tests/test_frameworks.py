# SPDX-License-Identifier: MIT OR Apache-2.0
"""torch and jax on the CPU: their arrays out, and frames in, in place."""

import subprocess
import sys

import numpy
import pytest

import uncopy


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="torch is not installed")


@pytest.fixture(scope="module")
def jax():
    pytest.importorskip("jax", reason="jax is not installed")
    import jax

    jax.config.update("jax_platforms", "cpu")
    return jax


class Nowhere:
    """Finds neither torch nor jax, wherever they are."""

    def find_spec(self, name, path=None, target=None):
        if name in ("torch", "jax"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def test_a_framework_that_is_missing_is_named_with_what_brings_it(pair, monkeypatch):
    pub, sub = pair
    pub.send(b"x")
    frame = sub.recv()
    monkeypatch.setattr(sys, "meta_path", [Nowhere(), *sys.meta_path])
    for name in ("torch", "jax", "jax.dlpack"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    for name in ("torch", "jax"):
        with pytest.raises(ModuleNotFoundError, match=rf"^{name} is not installed; pip install 'uncopy\[{name}\]'"):
            getattr(frame, name)()


TORCH_DTYPES = (
    "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 bfloat16 float32 float64 complex32 complex64 "
    "complex128 float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz float8_e8m0fnu"
)


@pytest.mark.fault("F39")
def test_every_dtype_of_torch_comes_back_bit_by_bit(pair, torch):
    pub, sub = pair
    for name in TORCH_DTYPES.split():
        dtype = getattr(torch, name)
        bits = torch.randint(0, 256, (4, 6 * dtype.itemsize), dtype=torch.uint8)
        sent = (bits % 2 == 0) if name == "bool" else bits.view(dtype)
        pub.send(sent)
        frame = sub.recv()
        assert frame.dtype == name
        received = frame.torch()
        assert received.dtype == dtype and received.shape == sent.shape
        assert torch.equal(received.view(torch.uint8), sent.view(torch.uint8)), name


@pytest.mark.fault("F39")
def test_strided_tensors_are_packed_exactly(pair, torch):
    pub, sub = pair
    whole = torch.arange(60, dtype=torch.float32).reshape(3, 4, 5)
    pieces = [whole.permute(2, 0, 1), whole[:, ::2], whole[1:, 1:3, 2:], whole[:0], whole[1, 2, 3]]
    for sent in (*pieces, whole[:1].expand(6, 4, 5)):
        pub.send(sent)
        assert torch.equal(sub.recv().torch(), sent)


@pytest.mark.fault("F39")
def test_tensors_whose_memory_is_not_their_values_are_refused(pair, torch):
    pub, _ = pair
    numbers = torch.tensor([1 + 2j, 3 + 4j])
    for tensor, message in (
        (numbers.conj(), "conj"),
        (numbers.conj().imag, "resolve_neg"),
        (numbers[:1].conj().imag, "resolve_neg"),
        (torch.zeros(3, device="meta"), "meta"),
        (torch.zeros(3).to_sparse(), "strided"),
    ):
        with pytest.raises(uncopy.InvalidArgument, match=message):
            pub.send(tensor)
    assert pub.stats.published == 0


def test_tensors_that_require_a_gradient_are_sent_as_they_are(pair, torch):
    pub, sub = pair
    for tensor in (torch.full((3,), 2.5, requires_grad=True), torch.nn.Parameter(torch.full((3,), 2.5))):
        pub.send(tensor)
        assert (sub.recv(timeout=5.0).numpy() == 2.5).all()
        assert tensor.requires_grad


def test_a_frame_is_a_tensor_in_place(pair, torch):
    pub, sub = pair
    pub.send(numpy.arange(6, dtype="int32"))
    frame = sub.recv()
    assert frame.torch().data_ptr() == torch.from_dlpack(frame).data_ptr() == frame.numpy().ctypes.data


def test_a_slot_is_a_tensor_in_place(pair, torch):
    pub, sub = pair
    with pub.loan((2, 3), torch.bfloat16) as slot:
        slot.torch().fill_(1.5)
        torch.from_dlpack(slot)[1] = 2.5
    frame = sub.recv()
    assert frame.torch().tolist() == [[1.5] * 3, [2.5] * 3]
    assert frame.copies == ()


@pytest.mark.fault("F40")
def test_a_private_tensor_may_be_written_and_is_written_down(pair, torch):
    pub, sub = pair
    pub.send(numpy.zeros(4, "float32"))
    frame = sub.recv()
    tensor = frame.torch(copy=True)
    tensor.fill_(5)
    assert frame.numpy().tolist() == [0, 0, 0, 0]
    assert [copy.reason for copy in frame.copies] == ["send", "asked"]


@pytest.mark.fault("F40")
def test_a_stray_write_through_torch_ends_the_writer_and_nobody_else(program, torch):
    with uncopy.publish("camera") as pub, uncopy.subscribe("camera") as sub:
        writer = program("stray_write", "camera", "torch")
        pub.wait_for_consumers(2)
        pub.send(numpy.full(8, 3, "uint8"))
        frame = sub.recv()
        assert writer.hear() == "writing"
        code, out, err = writer.end()
        assert code < 0 and "written" not in out
        assert "camera" in err and "copy=True" in err
        assert frame.numpy().tolist() == [3] * 8
        assert pub.send(b"on") == 2


def test_arrays_of_jax_come_back(pair, jax):
    pub, sub = pair
    for dtype in ("float32", "bfloat16", "int8", "bool", "complex64", "float8_e4m3fn"):
        sent = jax.numpy.arange(12).reshape(3, 4).astype(dtype)
        pub.send(sent)
        frame = sub.recv()
        assert frame.dtype == dtype
        received = frame.jax()
        assert received.dtype == sent.dtype
        assert numpy.asarray(received).tobytes() == numpy.asarray(sent).tobytes()
        assert received.unsafe_buffer_pointer() == frame.__array_interface__["data"][0]
        del received


def test_a_private_array_of_jax_is_a_copy(pair, jax):
    pub, sub = pair
    pub.send(numpy.arange(4, dtype="float32"))
    frame = sub.recv()
    array = frame.jax(copy=True)
    assert array.unsafe_buffer_pointer() != frame.__array_interface__["data"][0]
    assert array.tolist() == [0, 1, 2, 3]
    assert frame.copies[-1].reason == "asked"


@pytest.mark.parametrize(("copy", "reasons"), [(False, ["dtype"]), (True, ["asked", "dtype"])])
def test_a_conversion_of_jax_to_32_bits_is_a_copy_with_a_name(pair, jax, copy, reasons):
    assert not jax.config.jax_enable_x64
    pub, sub = pair
    for dtype, half in (("float64", "float32"), ("int64", "int32"), ("uint64", "uint32"), ("complex128", "complex64")):
        pub.send(numpy.arange(4, dtype=dtype))
        frame = sub.recv()
        array = frame.jax(copy=copy)
        assert array.dtype == half and array.tolist() == [0, 1, 2, 3]
        assert [copy.reason for copy in frame.copies] == ["send", *reasons]
        assert frame.copies[-1].len_bytes == frame.nbytes


def test_a_framework_that_is_missing_is_named_with_its_extra():
    script = (
        "import sys, uncopy\n"
        "sys.modules['torch'] = sys.modules['jax'] = None\n"
        "with uncopy.publish('x') as pub, uncopy.subscribe('x') as sub:\n"
        "    pub.send(b'x')\n"
        "    frame = sub.recv()\n"
        "    for ask in (frame.torch, frame.jax):\n"
        "        try: ask()\n"
        "        except ModuleNotFoundError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert "uncopy[torch]" in lines[0] and "uncopy[jax]" in lines[1]

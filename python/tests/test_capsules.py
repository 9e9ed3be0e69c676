# SPDX-License-Identifier: MIT OR Apache-2.0
"""DLPack capsules made and taken by hand: whatever one says, its deleter is called once."""

import ctypes
from ctypes import POINTER, c_char_p, c_int32, c_int64, c_uint8, c_uint16, c_uint32, c_uint64, c_void_p, py_object

import pytest

import uncopy

pytestmark = pytest.mark.fault("F21")

CPU, CUDA, CUDA_HOST, VULKAN = 1, 2, 3, 7
READ_ONLY, IS_COPIED = 1, 2


class Version(ctypes.Structure):
    _fields_ = [("major", c_uint32), ("minor", c_uint32)]


class DLTensor(ctypes.Structure):
    _fields_ = [
        ("data", c_void_p),
        ("device_type", c_int32),
        ("device_id", c_int32),
        ("ndim", c_int32),
        ("code", c_uint8),
        ("bits", c_uint8),
        ("lanes", c_uint16),
        ("shape", POINTER(c_int64)),
        ("strides", POINTER(c_int64)),
        ("byte_offset", c_uint64),
    ]


Deleter = ctypes.CFUNCTYPE(None, c_void_p)


class Legacy(ctypes.Structure):
    NAME = b"dltensor"
    _fields_ = [("tensor", DLTensor), ("context", c_void_p), ("deleter", c_void_p)]


class Versioned(ctypes.Structure):
    NAME = b"dltensor_versioned"
    _fields_ = [
        ("version", Version),
        ("context", c_void_p),
        ("deleter", c_void_p),
        ("flags", c_uint64),
        ("tensor", DLTensor),
    ]


def api(name, result, *arguments):
    function = getattr(ctypes.pythonapi, name)
    function.restype, function.argtypes = result, arguments
    return function


new_capsule = api("PyCapsule_New", py_object, c_void_p, c_char_p, c_void_p)
name_of = api("PyCapsule_GetName", c_char_p, py_object)
pointer_of = api("PyCapsule_GetPointer", c_void_p, py_object, c_char_p)
rename = api("PyCapsule_SetName", ctypes.c_int, py_object, c_char_p)


class HandMade:
    """A producer of one struct of bytes. Its capsule frees nothing by itself, so that each call of the deleter is ours to see."""

    def __init__(self, kind=Versioned, content=b"\1\2\3\4\5\6", *, shape=(6,), strides=None, byte_offset=0,
                 device=(CPU, 0), says=None, flags=0, version=(1, 0), deletes=True, name=None):
        self.deletions = 0
        self.memory = ctypes.create_string_buffer(content, max(len(content), 1))
        axes = c_int64 * max(len(shape), 1)
        self.shape = axes(*shape)
        self.strides = None if strides is None else axes(*strides)
        self.deleter = Deleter(self.delete)
        tensor = DLTensor(ctypes.addressof(self.memory), *device, len(shape), 1, 8, 1, self.shape, self.strides, byte_offset)
        self.struct = kind(tensor=tensor, deleter=ctypes.cast(self.deleter, c_void_p) if deletes else None)
        if kind is Versioned:
            self.struct.version, self.struct.flags = Version(*version), flags
        self.name = name or kind.NAME
        self.capsule = new_capsule(ctypes.addressof(self.struct), self.name, None)
        self.says = says or device

    def delete(self, struct):
        assert struct == ctypes.addressof(self.struct)
        self.deletions += 1

    def __dlpack_device__(self):
        return self.says

    def __dlpack__(self, **_):
        return self.capsule


BOTH = pytest.mark.parametrize("kind", [Legacy, Versioned])


def received(pair, producer):
    pub, sub = pair
    pub.send(producer)
    return bytes(sub.recv())


@BOTH
def test_a_struct_is_read_once_and_deleted_once(pair, kind):
    producer = HandMade(kind)
    assert received(pair, producer) == b"\1\2\3\4\5\6"
    assert producer.deletions == 1
    assert name_of(producer.capsule) == b"used_" + kind.NAME


@BOTH
def test_a_capsule_that_was_taken_is_refused_and_not_deleted_again(pair, kind):
    producer = HandMade(kind)
    received(pair, producer)
    with pytest.raises(uncopy.InvalidArgument, match="used_dltensor.*ask it for a new one"):
        pair[0].send(producer)
    assert producer.deletions == 1


@pytest.mark.parametrize("name", [b"dltensor_v2", b"DLTensor", b"x", b"used_dltensor", b"dltensor\xff"])
def test_a_capsule_of_another_name_is_refused_and_left_as_it_is(pair, name):
    producer = HandMade(name=name)
    with pytest.raises(uncopy.InvalidArgument, match="not an unused DLPack capsule"):
        pair[0].send(producer)
    assert producer.deletions == 0
    assert name_of(producer.capsule) == name


@BOTH
def test_a_struct_without_a_deleter_is_read_and_nothing_is_called(pair, kind):
    producer = HandMade(kind, deletes=False)
    assert received(pair, producer) == b"\1\2\3\4\5\6"
    assert producer.deletions == 0


@pytest.mark.parametrize("minor", [0, 3, 77])
def test_every_minor_version_is_taken(pair, minor):
    producer = HandMade(version=(1, minor))
    assert received(pair, producer) == b"\1\2\3\4\5\6"
    assert producer.deletions == 1


@pytest.mark.parametrize("major", [0, 2, 2**32 - 1])
def test_another_major_version_is_refused_unread_and_deleted_once(pair, major):
    producer = HandMade(version=(major, 0), device=(CPU, 0))
    producer.struct.tensor.ndim = 999
    with pytest.raises(uncopy.VersionMismatch, match=f"{major}"):
        pair[0].send(producer)
    assert producer.deletions == 1


@pytest.mark.parametrize("flags", [READ_ONLY, IS_COPIED, READ_ONLY | IS_COPIED, 1 << 40])
def test_what_is_read_only_or_copied_is_read_as_well(pair, flags):
    producer = HandMade(flags=flags)
    assert received(pair, producer) == b"\1\2\3\4\5\6"
    assert producer.deletions == 1


@BOTH
def test_elements_are_looked_for_behind_the_byte_offset(pair, kind):
    producer = HandMade(kind, shape=(2, 2), strides=(-3, 1), byte_offset=4)
    assert received(pair, producer) == b"\5\6\2\3"
    assert producer.deletions == 1


@BOTH
def test_an_array_that_says_it_is_on_a_gpu_is_not_even_asked_for(pair, kind):
    producer = HandMade(kind, device=(CUDA, 1))
    with pytest.raises(uncopy.Unsupported, match="driver"):
        pair[0].send(producer)
    assert (producer.deletions, name_of(producer.capsule)) == (0, kind.NAME)


@BOTH
@pytest.mark.parametrize("device", [(CUDA, 0), (VULKAN, 0), (99, 3)])
def test_a_struct_on_another_device_than_its_producer_says_is_refused_and_deleted_once(pair, kind, device):
    producer = HandMade(kind, device=device, says=(CPU, 0))
    with pytest.raises(uncopy.Unsupported, match="an array in host memory is needed"):
        pair[0].send(producer)
    assert producer.deletions == 1


@BOTH
def test_host_memory_that_a_gpu_also_reads_is_host_memory(pair, kind):
    producer = HandMade(kind, device=(CUDA_HOST, 2), says=(CPU, 0))
    assert received(pair, producer) == b"\1\2\3\4\5\6"
    assert producer.deletions == 1


@BOTH
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensor: setattr(tensor, "ndim", 9), "9"),
        (lambda tensor: setattr(tensor, "ndim", -1), "-1"),
        (lambda tensor: setattr(tensor, "data", None), "no data"),
        (lambda tensor: setattr(tensor, "shape", None), "shape"),
        (lambda tensor: tensor.shape.__setitem__(0, -3), "-3"),
        (lambda tensor: tensor.shape.__setitem__(0, 2**62), "stride|bytes"),
        (lambda tensor: setattr(tensor, "lanes", 0), "lanes"),
    ],
)
def test_an_impossible_struct_is_refused_with_what_it_says_and_deleted_once(pair, kind, change, message):
    producer = HandMade(kind)
    change(producer.struct.tensor)
    with pytest.raises(uncopy.Error, match=message):
        pair[0].send(producer)
    assert producer.deletions == 1


def test_a_refusal_that_comes_after_the_capsule_was_taken_still_deletes_once():
    with uncopy.publish("fixed", shape=(2, 2), dtype="uint8") as pub:
        producer = HandMade()
        with pytest.raises(uncopy.FormMismatch):
            pub.send(producer)
        assert producer.deletions == 1


# Ours, taken by hand.


def taken(capsule, kind):
    """What a consumer does: the struct, and the name that says that it has it."""
    struct = kind.from_address(pointer_of(capsule, kind.NAME))
    assert rename(capsule, USED[kind]) == 0
    return struct


# A capsule keeps the pointer to its name.
USED = {Legacy: ctypes.c_char_p(b"used_dltensor"), Versioned: ctypes.c_char_p(b"used_dltensor_versioned")}


def holds():
    return uncopy.info("pair").consumers[0].holds


@pytest.mark.parametrize("capsule_first", [True, False])
def test_a_frame_is_given_back_by_the_one_call_of_its_deleter(pair, capsule_first):
    pub, sub = pair
    pub.send(bytes(range(24)))
    frame = sub.recv()
    capsule = frame.__dlpack__(max_version=(1, 0))
    struct = taken(capsule, Versioned)
    assert (struct.version.major, struct.flags) == (1, READ_ONLY)
    tensor = struct.tensor
    assert (tensor.device_type, tensor.ndim, tensor.shape[0], tensor.strides[0]) == (CPU, 1, 24, 1)
    assert ctypes.string_at(tensor.data + tensor.byte_offset, 24) == bytes(range(24))
    frame.release()
    assert holds() == 1, "the consumer has it"
    if capsule_first:
        del capsule
        assert holds() == 1, "a capsule that was taken frees nothing"
    Deleter(struct.deleter)(ctypes.addressof(struct))
    assert holds() == 0
    capsule = None
    assert holds() == 0


def test_each_capsule_of_a_frame_is_a_loan_of_its_own(pair):
    pub, sub = pair
    pub.send(b"x")
    frame = sub.recv()
    capsules = [frame.__dlpack__(max_version=(1, 0)) for _ in range(3)]
    structs = [taken(capsule, Versioned) for capsule in capsules[:2]]
    frame.release()
    for left in (2, 1):
        Deleter(structs[2 - left].deleter)(ctypes.addressof(structs[2 - left]))
        assert holds() == 1, f"{left} loans are left"
    del capsules
    assert holds() == 0


def test_a_private_copy_is_writable_and_frees_itself(pair):
    pub, sub = pair
    pub.send(b"abc")
    frame = sub.recv()
    for kind, version in ((Versioned, {"max_version": (1, 0)}), (Legacy, {})):
        struct = taken(frame.__dlpack__(copy=True, **version), kind)
        if kind is Versioned:
            assert struct.flags == IS_COPIED
        ctypes.memset(struct.tensor.data + struct.tensor.byte_offset, 0x7A, 3)
        Deleter(struct.deleter)(ctypes.addressof(struct))
    assert bytes(frame) == b"abc"

// SPDX-License-Identifier: MIT OR Apache-2.0
//! Producers that lie about memory of a device: another kind of descriptor, another size, another device. Readers say
//! what they found, and their device works on.

use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::net::{AddressFamily, SocketType, socket};
use uncopy::{
    Accelerator, Device, DeviceMemory, ErrorKind, Frame, HostBuffer, LinkError, Region, ShareHandle,
};
use uncopy_cuda::CudaDevice;
use uncopy_gpu_tests::card::bytes_of;
use uncopy_tests::Stage;
use uncopy_tests::hostile::{Props, SLOTS, STRIDE, Server};
use uncopy_tests::pattern::next_random;
use uncopy_tests::wire::{self, Description, kind};

use crate::stage;

/// For an answer that is there already.
pub(crate) const PATIENCE: Duration = Duration::from_millis(200);
/// For one that may never come.
const MOMENT: Duration = Duration::from_millis(20);

/// What a WELCOME says of frame memory, and the descriptors that come with it.
pub(crate) struct Lie {
    pub(crate) kind: u32,
    pub(crate) stride: u64,
    pub(crate) len: u64,
    pub(crate) mirror_len: u64,
    pub(crate) uuid: [u8; 16],
    pub(crate) handles: Vec<ShareHandle>,
}

fn uuid() -> [u8; 16] {
    uncopy_cuda::list_devices().unwrap()[0].uuid.0
}

pub(crate) fn memory_of(len_bytes: usize) -> (Box<dyn DeviceMemory>, ShareHandle) {
    let memory = CudaDevice::with_ordinal(0).unwrap().allocate(len_bytes).unwrap();
    let handle = memory.share().unwrap();
    (memory, handle)
}

pub(crate) fn memfd(len_bytes: u64) -> ShareHandle {
    let file = memfd_create("uncopy-test-forged", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
    rustix::fs::ftruncate(&file, len_bytes).unwrap();
    ShareHandle::from(file)
}

impl Lie {
    /// The truth, but for what a test changes: slots on this device, in `handle`.
    pub(crate) fn with(handle: ShareHandle) -> Self {
        let len = (SLOTS * STRIDE) as u64;
        Self { kind: 1, stride: STRIDE as u64, len, mirror_len: 0, uuid: uuid(), handles: vec![handle] }
    }

    pub(crate) fn welcome(&self, props: &Props) -> Vec<u8> {
        let mut body = props.welcome.place.to_le_bytes().to_vec();
        body.extend(props.welcome.slots.to_le_bytes());
        body.extend(props.welcome.control_len.to_le_bytes());
        body.extend(self.epoch(props.welcome.epoch));
        wire::message(kind::WELCOME, &body)
    }

    /// The body of an EPOCH, and the end of a WELCOME's.
    pub(crate) fn epoch(&self, epoch: u32) -> Vec<u8> {
        let mut body = epoch.to_le_bytes().to_vec();
        body.extend(self.kind.to_le_bytes());
        for number in [self.stride, self.len, self.mirror_len] {
            body.extend(number.to_le_bytes());
        }
        body.extend(self.uuid);
        body
    }
}

/// What a reader receives that joins a producer of this lie, whose first frame is there already.
fn said_of(stage: &Stage, lie: Lie) -> Result<Frame, LinkError> {
    said_with(stage, Props::new("cam"), 0, lie, PATIENCE)
}

/// The same of a producer whose first frame lies in that slot.
pub(crate) fn said_with(
    stage: &Stage,
    props: Props,
    slot: usize,
    lie: Lie,
    patience: Duration,
) -> Result<Frame, LinkError> {
    wire::publish(props.control.words(), slot, &Description::of_bytes(&[64, 64]));
    let message = lie.welcome(&props);
    let handles = Mutex::new(lie.handles);
    let server = Server::start(&stage.runtime_dir(), "cam", move |guest, heard| {
        if heard.get(4..6) == Some(&kind::HELLO.to_le_bytes()) {
            let handles = handles.lock().unwrap();
            let control = props.control.share().unwrap();
            let all: Vec<&ShareHandle> = std::iter::once(&control).chain(handles.iter()).collect();
            let _ = guest.send(&message, &all);
        }
    });
    let opened = stage.subscribe("cam").timeout(Some(PATIENCE)).open();
    let said = opened.and_then(|mut sub| sub.recv(patience));
    drop(server);
    said
}

#[track_caller]
fn is_refused(stage: &Stage, what: &str, lie: Lie, kind: ErrorKind) -> String {
    let error = said_of(stage, lie).expect_err(what);
    assert_eq!(error.kind(), kind, "{what}: {error}");
    let text = error.to_string();
    assert!(text.contains("'cam'"), "{what}: {text}");
    text
}

/// The device of this process works, and what a truthful producer says is believed.
#[track_caller]
pub(crate) fn the_truth_is_believed(stage: &Stage) {
    let (memory, handle) = memory_of(SLOTS * STRIDE);
    let frame = said_of(stage, Lie::with(handle)).expect("nothing is wrong with this one");
    assert_eq!(frame.device(), Device::cuda(0));
    let (device, host) = (CudaDevice::with_ordinal(0).unwrap(), Region::from_vec(vec![5; 4096]));
    let stream = device.stream().unwrap();
    device.copy(&bytes_of(host), &memory.region(), stream).unwrap();
    let back = HostBuffer::zeroed(4096).unwrap().into_region();
    device.copy(&frame.tensor().unwrap(), &back, stream).unwrap();
    device.synchronize(stream).unwrap();
    // It is the same memory.
    assert!(back.as_bytes().unwrap().iter().all(|byte| *byte == 5));
}

#[test]
fn f16_a_descriptor_of_something_else_is_refused_and_the_device_works_on() {
    let Some(stage) = stage() else { return };
    let device_memory_as_host = {
        let (_memory, handle) = memory_of(SLOTS * STRIDE);
        Lie { kind: 0, uuid: [0; 16], ..Lie::with(handle) }
    };
    let plain_socket = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    let (read, _write) = rustix::pipe::pipe().unwrap();
    let others = [
        ("a memfd", memfd((SLOTS * STRIDE) as u64)),
        ("an empty memfd", memfd(0)),
        ("a socket", ShareHandle::from(plain_socket)),
        ("a pipe", ShareHandle::from(read)),
        ("a directory", ShareHandle::from(OwnedFd::from(std::fs::File::open("/").unwrap()))),
    ];
    for (what, handle) in others {
        let text = is_refused(&stage, what, Lie::with(handle), ErrorKind::Unsupported);
        assert!(text.contains("GPU-"), "{what}: {text}");
        the_truth_is_believed(&stage);
    }
    let said = said_of(&stage, device_memory_as_host).expect_err("memory of a device as a memfd");
    assert_ne!(said.kind(), ErrorKind::TimedOut, "{said}");
    the_truth_is_believed(&stage);
}

#[test]
fn f16_memory_of_a_device_that_nobody_has_is_refused_by_its_name() {
    let Some(stage) = stage() else { return };
    for uuid in [[0; 16], [0xFF; 16], *b"no device at all", {
        let mut near = uuid();
        near[15] ^= 1;
        near
    }] {
        let (_memory, handle) = memory_of(SLOTS * STRIDE);
        let text = is_refused(&stage, "a device", Lie { uuid, ..Lie::with(handle) }, ErrorKind::Unsupported);
        assert!(text.contains(&uncopy::DeviceUuid(uuid).to_string()), "{text}");
    }
    the_truth_is_believed(&stage);
}

#[test]
fn f17_memory_that_is_smaller_than_it_is_said_to_be_is_refused() {
    let Some(stage) = stage() else { return };
    // More than the granule that the least memory has.
    for stride in [1 << 20, 1 << 21, 1 << 30, 1u64 << 40, 1 << 55] {
        let (_memory, handle) = memory_of(SLOTS * STRIDE);
        let lie = Lie { stride, len: stride * SLOTS as u64, ..Lie::with(handle) };
        let said = said_of(&stage, lie).expect_err("smaller memory");
        assert_ne!(said.kind(), ErrorKind::TimedOut, "{stride}: {said}");
    }
    the_truth_is_believed(&stage);
}

#[test]
fn f17_sizes_that_do_not_fit_each_other_are_a_corrupt_link() {
    let Some(stage) = stage() else { return };
    let (stride, len) = (STRIDE as u64, (SLOTS * STRIDE) as u64);
    let sizes = [
        (0, len),
        (stride + 1, len),
        (4096 * 3, len),
        (stride, len - 1),
        (stride, 0),
        (u64::MAX - 4095, u64::MAX),
        (1 << 62, u64::MAX),
        (1 << 63, len),
    ];
    for (stride, len) in sizes {
        let (_memory, handle) = memory_of(SLOTS * STRIDE);
        let lie = Lie { stride, len, ..Lie::with(handle) };
        is_refused(&stage, &format!("{stride} in {len}"), lie, ErrorKind::CorruptLink);
    }
    for kind in [2, 7, u32::MAX] {
        let (_memory, handle) = memory_of(SLOTS * STRIDE);
        is_refused(&stage, "a kind", Lie { kind, ..Lie::with(handle) }, ErrorKind::CorruptLink);
    }
    the_truth_is_believed(&stage);
}

#[test]
fn f17_a_mirror_that_is_none_is_refused() {
    let Some(stage) = stage() else { return };
    let len = (SLOTS * STRIDE) as u64;
    // The device is one that nobody has, so that the mirror is looked at.
    let nobody = || Lie { uuid: [9; 16], mirror_len: len, ..Lie::with(memfd(len)) };
    let mirrors = [
        ("no mirror", nobody()),
        ("an unsealed mirror", Lie { handles: vec![memfd(len), memfd(len)], ..nobody() }),
        ("a short mirror", Lie { handles: vec![memfd(len), memfd(4096)], ..nobody() }),
        (
            "a mirror that is said to be short",
            Lie { mirror_len: 4096, handles: vec![memfd(len), memfd(len)], ..nobody() },
        ),
        (
            "a mirror that is said to be endless",
            Lie { mirror_len: u64::MAX, handles: vec![memfd(len), memfd(len)], ..nobody() },
        ),
        (
            "a mirror on the device",
            Lie { handles: vec![memfd(len), memory_of(SLOTS * STRIDE).1], ..nobody() },
        ),
    ];
    for (what, lie) in mirrors {
        let said = said_of(&stage, lie).expect_err(what);
        assert_ne!(said.kind(), ErrorKind::TimedOut, "{what}: {said}");
    }
    the_truth_is_believed(&stage);
}

/// Joins producers whose device words say anything; `words` is where in a slot's row they lie.
fn joins_with_random_words(words: std::ops::Range<usize>) {
    let Some(stage) = stage() else { return };
    let mut random = 7;
    for _ in 0..10 {
        let (_memory, handle) = memory_of(SLOTS * STRIDE);
        let props = Props::new("cam");
        for slot in 0..SLOTS {
            for at in words.clone().step_by(8) {
                let offset = wire::device_offset(SLOTS) + slot * DEVICE_ROW_BYTES + at;
                props.control.words().store_bytes(offset, &next_random(&mut random).to_le_bytes()).unwrap();
            }
        }
        // A frame or none: what is in it is the producer's word.
        drop(said_with(&stage, props, 0, Lie::with(handle), MOMENT));
    }
    the_truth_is_believed(&stage);
}

/// Bytes of the device words of one slot.
const DEVICE_ROW_BYTES: usize = 256;

#[test]
fn f15_a_producers_words_that_say_anything_cost_a_reader_nothing() {
    joins_with_random_words(0..16);
}

#[test]
fn f15_a_readers_own_words_that_somebody_else_writes_cost_it_nothing() {
    joins_with_random_words(64..192);
}

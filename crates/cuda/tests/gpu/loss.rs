// SPDX-License-Identifier: MIT OR Apache-2.0
//! A context that is lost answers at once, and says which call found it.

use std::io::ErrorKind;
use std::sync::Arc;

use uncopy_core::Stream;
use uncopy_cuda::{CudaDevice, CudaError, DriverCode};
use uncopy_os::SharedMemory;
use uncopy_tensor::{Accelerator, Access, TimelinePoint};

use crate::raw::break_the_context;
use crate::support::{Role, bytes_of, device, ours, play_in_child, standin};

pub const ROLES: &[Role] =
    &[("loss/kernel", lost_by_a_kernel), ("loss/fault", lost_by_a_fault), ("loss/once", a_call_fails_once)];

#[test]
fn f29_a_kernel_that_writes_astray_loses_the_context_for_good() {
    if device().is_some() {
        play_in_child("loss/kernel", |_| {});
    }
}

fn lost_by_a_kernel() {
    let device = device().unwrap();
    let everything = Everything::of(&device);
    if break_the_context(&device, everything.stream).is_none() {
        return;
    }
    let error = device.synchronize(everything.stream).unwrap_err();
    assert_eq!(error.code(), Some(DriverCode(700)), "{error}");
    everything.expect_lost_to(&device, "cuStreamSynchronize", 700);
}

/// Calls that each can be the first to find the context lost.
const CALLS: &[&str] = &[
    "cuMemCreate",
    "cuMemsetD8Async",
    "cuMemcpyDtoDAsync_v2",
    "cuStreamWriteValue32_v2",
    "cuStreamBatchMemOp_v2",
    "cuStreamIsCapturing",
    "cuEventRecord",
    "cuStreamWaitEvent",
    "cuStreamSynchronize",
];

#[test]
fn f29_whichever_call_finds_the_context_lost_is_named_by_all_later_ones() {
    if standin().is_none() {
        return;
    }
    for call in CALLS {
        for code in [700, 719, 214] {
            play_in_child("loss/fault", |command| {
                // No call is made twice while everything is set up; the second one finds the loss.
                command.env("UNCOPY_STANDIN_FAULTS", format!("{call}:2={code}!"));
                command.env("UNCOPY_TEST_CALL", call).env("UNCOPY_TEST_CODE", code.to_string());
            });
        }
    }
}

fn lost_by_a_fault() {
    let device = device().unwrap();
    let everything = Everything::of(&device);
    // Some calls are made twice by one pass, others once.
    let error = everything.use_all(&device).and_then(|()| everything.use_all(&device)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe, "{error}");
    let call = std::env::var("UNCOPY_TEST_CALL").unwrap();
    let code = std::env::var("UNCOPY_TEST_CODE").unwrap().parse().unwrap();
    everything.expect_lost_to(&device, call.trim_end_matches("_v2"), code);
}

/// Every call that a device makes from being opened to being dropped.
const EVERY_CALL: &[&str] = &[
    "cuDeviceGet",
    "cuDeviceGetUuid_v2",
    "cuDevicePrimaryCtxRetain",
    "cuCtxGetCurrent",
    "cuCtxPushCurrent_v2",
    "cuCtxPopCurrent_v2",
    "cuStreamCreate",
    "cuStreamDestroy_v2",
    "cuStreamIsCapturing",
    "cuStreamSynchronize",
    "cuStreamWaitEvent",
    "cuStreamWriteValue32_v2",
    "cuStreamBatchMemOp_v2",
    "cuThreadExchangeStreamCaptureMode",
    "cuEventCreate",
    "cuEventRecord",
    "cuEventDestroy_v2",
    "cuDeviceGetAttribute",
    "cuMemGetAllocationGranularity",
    "cuMemCreate",
    "cuMemRelease",
    "cuMemExportToShareableHandle",
    "cuMemImportFromShareableHandle",
    "cuMemGetAllocationPropertiesFromHandle",
    "cuMemAddressReserve",
    "cuMemAddressFree",
    "cuMemMap",
    "cuMemUnmap",
    "cuMemSetAccess",
    "cuMemsetD8Async",
    "cuMemcpyDtoDAsync_v2",
    "cuMemHostRegister_v2",
    "cuMemHostUnregister",
    "cuMemHostGetDevicePointer_v2",
];

#[test]
fn f29_each_call_that_fails_once_is_at_most_one_error_and_the_next_frames_go_through() {
    if standin().is_none() {
        return;
    }
    for call in EVERY_CALL {
        for nth in 1..=3 {
            play_in_child("loss/once", |command| {
                command.env("UNCOPY_STANDIN_FAULTS", format!("{call}:{nth}=304"));
            });
        }
    }
}

fn a_call_fails_once() {
    let mut errors = Vec::new();
    for _ in 0..3 {
        errors.extend(a_life().err());
    }
    assert!(errors.len() <= 1, "one call failed, and so did {errors:?}");
    for error in errors {
        let of_the_driver = matches!(ours(&error), CudaError::Driver { code: DriverCode(304), .. });
        assert!(of_the_driver, "{error}");
    }
}

/// A device from being opened to being dropped.
fn a_life() -> std::io::Result<()> {
    let device = CudaDevice::with_ordinal(0)?;
    let everything = Everything::try_of(&device)?;
    let frames = everything.use_all(&device).and_then(|()| everything.use_all(&device));
    // Whatever failed, what was put in ends, and only then may the memory go.
    for stream in [everything.stream, everything.other] {
        while let Err(error) = device.synchronize(stream) {
            assert_eq!(error.code(), Some(DriverCode(304)), "{error}");
        }
    }
    drop(device.import(everything.memory.share()?, 1, Access::ReadOnly)?);
    frames
}

/// One of each thing that can be used.
struct Everything {
    memory: Box<dyn uncopy_tensor::DeviceMemory>,
    timeline: Box<dyn uncopy_tensor::Timeline>,
    stream: Stream,
    other: Stream,
}

impl Everything {
    fn of(device: &CudaDevice) -> Everything {
        Everything::try_of(device).unwrap()
    }

    fn try_of(device: &CudaDevice) -> std::io::Result<Everything> {
        let words = Arc::new(SharedMemory::create("words", 4096).unwrap());
        Ok(Everything {
            memory: device.allocate(4096)?,
            timeline: device.timeline(words.shared_pages(0, 4096).unwrap())?,
            stream: device.stream()?,
            other: device.stream()?,
        })
    }

    /// Every call of a frame's way, and an allocation.
    fn use_all(&self, device: &CudaDevice) -> std::io::Result<()> {
        let point = TimelinePoint { offset_bytes: 0, value: 1 };
        let region = self.memory.region();
        let (from, to) = (region.part(0, 2048, ()).unwrap(), region.part(2048, 2048, ()).unwrap());
        device.copy(&bytes_of(&from, 2048), &to, self.stream)?;
        self.timeline.write(&[self.other, self.stream], point)?;
        self.timeline.wait(self.other, &[point])?;
        device.synchronize(self.other)?;
        device.allocate(1).map(|_| ())
    }

    /// Every use of the context is refused, naming the call that found the loss.
    fn expect_lost_to(self, device: &CudaDevice, first_call: &str, code: i32) {
        let point = TimelinePoint { offset_bytes: 0, value: 1 };
        let refusals = [
            device.allocate(1).map(|_| ()).unwrap_err(),
            device.import(self.memory.share().unwrap(), 1, Access::ReadOnly).map(|_| ()).unwrap_err(),
            device.stream().map(|_| ()).unwrap_err(),
            device.copy(&bytes_of(&self.memory.region(), 1), &self.memory.region(), self.stream).unwrap_err(),
            device.is_capturing(self.stream).map(|_| ()).unwrap_err(),
            self.timeline.write(&[self.stream], point).unwrap_err(),
            self.timeline.wait(self.stream, &[point]).unwrap_err(),
            device.settle().unwrap_err(),
        ];
        for error in refusals {
            assert_eq!(error.kind(), ErrorKind::BrokenPipe, "{error}");
            match ours(&error) {
                CudaError::Poisoned { first_call: first, code: found, .. } => {
                    assert_eq!((*first, found.0), (first_call, code), "{error}");
                }
                other => panic!("{other}"),
            }
        }
        // Nothing hangs or panics on the way out.
        drop(self);
    }
}

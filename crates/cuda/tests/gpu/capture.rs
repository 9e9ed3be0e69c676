// SPDX-License-Identifier: MIT OR Apache-2.0
//! A capture that goes on in another thread is not disturbed by anything here.

use std::sync::Arc;
use std::thread;

use uncopy_core::Stream;
use uncopy_cuda::PinnedBuffer;
use uncopy_os::SharedMemory;
use uncopy_tensor::{Accelerator, Access, TimelinePoint};

use crate::raw::{begin_global_capture, end_capture};
use crate::support::{device, read, write};

#[test]
fn a_capture_in_global_mode_survives_everything_that_another_thread_does() {
    let Some(device) = device() else { return };
    let captured = device.stream().unwrap();
    begin_global_capture(&device, captured);
    thread::scope(|scope| {
        scope.spawn(|| {
            let memory = device.allocate(4096).unwrap();
            let again = device.import(memory.share().unwrap(), 4096, Access::ReadWrite).unwrap();
            write(&device, &[6; 4096], &again);
            assert_eq!(read(&device, &memory.region(), 4096), [6; 4096]);
            let words = Arc::new(SharedMemory::create("words", 4096).unwrap());
            let timeline = device.timeline(words.shared_pages(0, 4096).unwrap()).unwrap();
            let pinned = device.pin(words.shared_pages(0, 4096).unwrap()).unwrap();
            let streams: [Stream; 3] = std::array::from_fn(|_| device.stream().unwrap());
            let point = TimelinePoint { offset_bytes: 0, value: 1 };
            timeline.write(&streams, point).unwrap();
            timeline.wait(streams[0], &[point]).unwrap();
            device.synchronize(streams[0]).unwrap();
            assert!(device.is_done(streams[2]).unwrap());
            drop(timeline);
            drop(pinned);
            drop(again);
            drop(memory);
            drop(PinnedBuffer::zeroed(device.context(), 100).unwrap());
        });
    });
    assert!(device.is_capturing(captured).unwrap());
    end_capture(&device, captured).unwrap();
}

#[test]
fn a_region_that_is_dropped_by_the_capturing_thread_leaves_its_capture_alone() {
    let Some(device) = device() else { return };
    let memory = device.allocate(4096).unwrap();
    let captured = device.stream().unwrap();
    begin_global_capture(&device, captured);
    drop(memory);
    end_capture(&device, captured).unwrap();
}

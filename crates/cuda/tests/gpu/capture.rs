// SPDX-License-Identifier: MIT OR Apache-2.0
//! A capture that goes on in another thread is not disturbed by anything here.

use std::sync::Arc;
use std::thread;

use uncopy_core::Stream;
use uncopy_cuda::PinnedBuffer;
use uncopy_os::SharedMemory;
use uncopy_tensor::{Accelerator, Access, TimelinePoint};

use crate::raw::{begin_global_capture, captured_nodes, destroy, end_capture, memset, mortal_stream};
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
fn a_capture_is_watched_without_its_stream_and_its_graph_stays_as_it_is() {
    let Some(device) = device() else { return };
    let memory = device.allocate(4096).unwrap();
    for is_begun in [false, true] {
        let captured = mortal_stream(&device, false);
        assert!(device.capture_of(captured).unwrap().is_none(), "there is none yet");
        begin_global_capture(&device, captured);
        if is_begun {
            memset(&device, &memory.region(), 1, captured).unwrap();
        }
        let watched: Vec<_> = (0..3).filter_map(|_| device.capture_of(captured).unwrap()).collect();
        assert!(watched.len() == 3 && watched.iter().all(|capture| !capture.is_over()));
        memset(&device, &memory.region(), 2, captured).unwrap();
        memset(&device, &memory.region(), 3, captured).unwrap();
        assert!(watched.iter().all(|capture| !capture.is_over()));
        assert_eq!(captured_nodes(&device, captured).unwrap(), 2 + usize::from(is_begun));
        assert!(watched.iter().all(|capture| capture.is_over()));
        // Another one in the same stream is none of theirs.
        begin_global_capture(&device, captured);
        assert!(watched.iter().all(|capture| capture.is_over()));
        end_capture(&device, captured).unwrap();
        destroy(&device, captured);
        assert!(watched.iter().all(|capture| capture.is_over()));
    }
}

#[test]
fn a_capture_that_is_in_the_way_of_the_legacy_default_stream_is_watched_by_that() {
    let Some(device) = device() else { return };
    let captured = mortal_stream(&device, true);
    assert!(device.capture_of(Stream::LEGACY_DEFAULT).unwrap().is_none());
    begin_global_capture(&device, captured);
    let watched = device.capture_of(Stream::LEGACY_DEFAULT).unwrap().expect("a capture");
    assert!(!watched.is_over());
    end_capture(&device, captured).unwrap();
    destroy(&device, captured);
    assert!(watched.is_over());
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

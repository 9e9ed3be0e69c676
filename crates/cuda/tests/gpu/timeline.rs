// SPDX-License-Identifier: MIT OR Apache-2.0
//! Words that streams write and wait for: in order, in cycles, in two processes, and never in a capture.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use uncopy_core::Stream;
use uncopy_cuda::{CudaDevice, CudaError, DriverCode};
use uncopy_os::{Mapping, SharedMemory};
use uncopy_tensor::{Accelerator, Access, Region, Timeline, TimelinePoint};

use crate::raw::{begin_global_capture, end_capture, no_pages, register_and_let_go};
use crate::support::{Role, bytes_of, device, ours, pattern, play_in_child, read_after, write};

pub const ROLES: &[Role] = &[
    ("timeline/after-its-stream", after_its_stream),
    ("timeline/after-every-stream", after_every_stream),
    ("timeline/waits", waits),
    ("timeline/ordered", ordered),
    ("timeline/copy-and-write", copied_and_written),
    ("timeline/after-everything", after_everything),
    ("timeline/after-a-word-too", after_a_word_too),
    ("timeline/everything-captured", everything_captured),
];

const LEN_BYTES: usize = 4 << 20;

/// Shared words and a timeline over them.
struct Words {
    memory: Arc<SharedMemory>,
    timeline: Box<dyn Timeline>,
}

impl Words {
    fn new(device: &CudaDevice) -> Words {
        let memory = Arc::new(SharedMemory::create("timeline", 4096).unwrap());
        let timeline = device.timeline(memory.shared_pages(0, 4096).unwrap()).unwrap();
        Words { memory, timeline }
    }

    fn word(&self, offset_bytes: usize) -> &AtomicU32 {
        self.memory.words().u32_at(offset_bytes).unwrap()
    }

    /// Spins until the device has written the point.
    fn await_on_cpu(&self, point: TimelinePoint) {
        while !point.is_reached(self.word(point.offset_bytes).load(Ordering::Acquire)) {
            std::thread::yield_now();
        }
    }
}

fn at(offset_bytes: usize, value: u32) -> TimelinePoint {
    TimelinePoint { offset_bytes, value }
}

/// Streams of the stand-in that are late, in the order in which they are made; a card does not look at it. The first is
/// the device's own.
fn late(lags: &str) -> impl FnOnce(&mut std::process::Command) {
    let lags = lags.to_owned();
    move |command| {
        command.env("UNCOPY_STANDIN_LAG_US", lags);
    }
}

#[test]
fn a_word_is_written_after_everything_before_it_in_its_stream() {
    if device().is_some() {
        play_in_child("timeline/after-its-stream", late("0,30000,0"));
    }
}

fn after_its_stream() {
    let device = device().unwrap();
    let (writer, reader) = (device.stream().unwrap(), device.stream().unwrap());
    let memory = device.allocate(LEN_BYTES).unwrap();
    let words = Words::new(&device);
    for value in 1..4 {
        let bytes = pattern(LEN_BYTES, value);
        let source = bytes_of(&Region::from_vec(bytes.clone()), LEN_BYTES);
        device.copy(&source, &memory.region(), writer).unwrap();
        words.timeline.write(&[writer], at(64, value)).unwrap();
        words.await_on_cpu(at(64, value));
        assert!(read_after(&device, &memory.region(), LEN_BYTES, reader) == bytes, "frame {value} is torn");
    }
}

#[test]
fn f27_a_word_is_written_after_every_stream_that_was_named() {
    if device().is_some() {
        play_in_child("timeline/after-every-stream", late("0,30000,15000,0,0"));
    }
}

/// Two streams write a half each, `write` has a word written after both, and a third stream reads once that is there.
fn two_streams_fill(
    device: &CudaDevice,
    memory: &Region,
    [slow, slower, reader]: [Stream; 3],
    words: &Words,
    write: impl Fn(u32),
) {
    let half = LEN_BYTES / 2;
    let halves = [memory.part(0, half, ()).unwrap(), memory.part(half, half, ()).unwrap()];
    for value in 1..4 {
        let bytes = pattern(LEN_BYTES, value);
        for ((stream, to), from) in [slow, slower].into_iter().zip(&halves).zip(bytes.chunks(half)) {
            let source = bytes_of(&Region::from_vec(from.to_vec()), half);
            device.copy(&source, to, stream).unwrap();
        }
        write(value);
        words.await_on_cpu(at(0, value));
        assert!(read_after(device, memory, LEN_BYTES, reader) == bytes, "frame {value} is torn");
    }
}

fn after_every_stream() {
    let device = device().unwrap();
    let streams: [Stream; 4] = std::array::from_fn(|_| device.stream().unwrap());
    let [slow, slower, writer, reader] = streams;
    let memory = device.allocate(LEN_BYTES).unwrap();
    let words = Words::new(&device);
    let write = |value| words.timeline.write(&[slow, slower, writer], at(0, value)).unwrap();
    two_streams_fill(&device, &memory.region(), [slow, slower, reader], &words, write);
}

#[test]
fn f27_a_stream_that_is_ordered_after_another_sees_its_work() {
    if device().is_some() {
        play_in_child("timeline/ordered", late("0,30000,0"));
    }
}

fn ordered() {
    let device = device().unwrap();
    let (slow, later) = (device.stream().unwrap(), device.stream().unwrap());
    let memory = device.allocate(LEN_BYTES).unwrap();
    for value in 1..4 {
        let bytes = pattern(LEN_BYTES, value);
        let source = bytes_of(&Region::from_vec(bytes.clone()), LEN_BYTES);
        device.copy(&source, &memory.region(), slow).unwrap();
        device.order(slow, later).unwrap();
        assert!(read_after(&device, &memory.region(), LEN_BYTES, later) == bytes, "frame {value} is torn");
    }
}

#[test]
fn a_copy_and_its_word_are_one_call_and_come_in_that_order() {
    if device().is_some() {
        play_in_child("timeline/copy-and-write", late("0,30000,0"));
    }
}

fn copied_and_written() {
    let device = device().unwrap();
    let (writer, reader) = (device.stream().unwrap(), device.stream().unwrap());
    let memory = device.allocate(LEN_BYTES).unwrap();
    let words = Words::new(&device);
    for value in 1..4 {
        let bytes = pattern(LEN_BYTES, value);
        let source = bytes_of(&Region::from_vec(bytes.clone()), LEN_BYTES);
        words.timeline.copy_and_write(&source, &memory.region(), writer, at(64, value)).unwrap();
        words.await_on_cpu(at(64, value));
        assert!(read_after(&device, &memory.region(), LEN_BYTES, reader) == bytes, "frame {value} is torn");
    }
    // Refused as a whole, whichever part is wrong.
    let source = bytes_of(&memory.region(), LEN_BYTES);
    let small = Region::from_vec(vec![0; 10]);
    words.timeline.copy_and_write(&source, &small, writer, at(64, 9)).unwrap_err();
    words.timeline.copy_and_write(&source, &memory.region(), writer, at(63, 9)).unwrap_err();
    device.synchronize(writer).unwrap();
    assert_eq!(words.word(64).load(Ordering::Acquire), 3);
}

#[test]
fn f27_a_stream_waits_until_each_of_its_words_is_reached() {
    if device().is_some() {
        play_in_child("timeline/waits", late("0,0,30000,0"));
    }
}

fn waits() {
    let device = device().unwrap();
    let (stream, slow) = (device.stream().unwrap(), device.stream().unwrap());
    let words = Words::new(&device);
    let memory = device.allocate(4096).unwrap();
    write(&device, &[1; 4096], &memory.region());
    // More than go to the driver at once.
    let points: Vec<_> = (0..70).map(|index| at(index * 4, 1)).collect();
    words.timeline.wait(stream, &points).unwrap();
    let source = bytes_of(&Region::from_vec(vec![2; 4096]), 4096);
    device.copy(&source, &memory.region(), stream).unwrap();
    // Time in which a stream that does not wait would be done.
    device.copy(&source, &Region::from_vec(vec![0; 4096]), slow).unwrap();
    device.synchronize(slow).unwrap();
    for point in &points {
        assert!(!device.is_done(stream).unwrap(), "word {} is not reached", point.offset_bytes);
        words.word(point.offset_bytes).store(1, Ordering::Release);
    }
    assert_eq!(read_after(&device, &memory.region(), 4096, stream), [2; 4096]);
}

/// Words of a driver that can wait for everything in a context; in a process of its own, whose context is all its own.
fn words_after_everything(device: &CudaDevice) -> Option<Words> {
    let words = Words::new(device);
    match words.timeline.prepare_after_all() {
        Ok(()) => Some(words),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            println!("SKIP {error}");
            None
        }
    }
}

#[test]
fn f27_a_word_is_written_after_everything_in_the_context() {
    if device().is_some() {
        play_in_child("timeline/after-everything", late("0,30000,15000,0,0"));
    }
}

fn after_everything() {
    let device = device().unwrap();
    let [slow, slower, reader]: [Stream; 3] = std::array::from_fn(|_| device.stream().unwrap());
    let memory = device.allocate(LEN_BYTES).unwrap();
    let Some(words) = words_after_everything(&device) else { return };
    let write = |value| words.timeline.write_after_all(None, at(0, value)).unwrap();
    two_streams_fill(&device, &memory.region(), [slow, slower, reader], &words, write);
}

#[test]
fn f27_a_word_that_is_written_after_everything_is_written_after_another_too() {
    if device().is_some() {
        play_in_child("timeline/after-a-word-too", late("0"));
    }
}

fn after_a_word_too() {
    let device = device().unwrap();
    let Some(words) = words_after_everything(&device) else { return };
    words.timeline.write_after_all(Some(at(4, 1)), at(8, 1)).unwrap();
    // Far longer than a stream that does not wait would take, also on a busy machine. No call meanwhile: under
    // compute-sanitizer those that make memory wait for every stream.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(500) {
        assert_eq!(words.word(8).load(Ordering::Acquire), 0);
        std::thread::yield_now();
    }
    words.word(4).store(1, Ordering::Release);
    words.await_on_cpu(at(8, 1));
    let error = words.timeline.write_after_all(None, at(4100, 1)).unwrap_err();
    assert!(matches!(ours(&error), CudaError::NoSuchWord { .. }), "{error}");
}

#[test]
fn a_capture_in_the_way_of_everything_is_named_and_ends_badly() {
    if device().is_some() {
        play_in_child("timeline/everything-captured", late("0"));
    }
}

fn everything_captured() {
    let device = device().unwrap();
    let captured = device.stream().unwrap();
    let Some(words) = words_after_everything(&device) else { return };
    begin_global_capture(&device, captured);
    let error = words.timeline.write_after_all(None, at(0, 7)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ResourceBusy, "{error}");
    assert!(matches!(ours(&error), CudaError::CaptureInTheWay { .. }), "{error}");
    let ended = end_capture(&device, captured).unwrap_err();
    assert_eq!(ended.code(), Some(DriverCode(901)), "{ended}");
    assert_eq!(words.word(0).load(Ordering::Acquire), 0, "nothing was put in");
    words.timeline.write_after_all(None, at(0, 8)).unwrap();
    words.await_on_cpu(at(0, 8));
}

#[test]
fn values_wrap_around() {
    let Some(device) = device() else { return };
    let words = Words::new(&device);
    let stream = device.stream().unwrap();
    words.word(0).store(u32::MAX - 1, Ordering::Release);
    words.timeline.wait(stream, &[at(0, u32::MAX)]).unwrap();
    assert!(!device.is_done(stream).unwrap());
    words.word(0).store(1, Ordering::Release);
    device.synchronize(stream).unwrap();
    words.timeline.write(&[stream], at(0, 0)).unwrap();
    device.synchronize(stream).unwrap();
    assert_eq!(words.word(0).load(Ordering::Acquire), 0);
}

#[test]
fn nothing_to_wait_for_is_nothing_put_in() {
    let Some(device) = device() else { return };
    let words = Words::new(&device);
    words.timeline.wait(device.stream().unwrap(), &[]).unwrap();
}

#[test]
fn a_stream_that_is_being_captured_is_refused_and_its_capture_goes_on() {
    let Some(device) = device() else { return };
    let words = Words::new(&device);
    let (captured, free) = (device.stream().unwrap(), device.stream().unwrap());
    assert!(!device.is_capturing(captured).unwrap());
    let memory = device.allocate(4096).unwrap();
    let source = bytes_of(&memory.region(), 16);
    begin_global_capture(&device, captured);
    assert!(device.is_capturing(captured).unwrap() && !device.is_capturing(free).unwrap());
    let refusals = [
        words.timeline.write(&[captured], at(0, 7)).unwrap_err(),
        words.timeline.write(&[captured, free], at(0, 7)).unwrap_err(),
        words.timeline.write(&[free, captured], at(0, 7)).unwrap_err(),
        words.timeline.wait(captured, &[at(0, 7)]).unwrap_err(),
        words.timeline.copy_and_write(&source, &memory.region(), captured, at(0, 7)).unwrap_err(),
        device.order(captured, free).unwrap_err(),
        device.order(free, captured).unwrap_err(),
    ];
    for error in refusals {
        assert_eq!(error.kind(), ErrorKind::ResourceBusy, "{error}");
        assert!(matches!(ours(&error), CudaError::Capturing { stream } if *stream == captured), "{error}");
    }
    end_capture(&device, captured).unwrap();
    device.synchronize(free).unwrap();
    assert_eq!(words.word(0).load(Ordering::Acquire), 0, "nothing was put in");
}

#[test]
fn one_memory_is_a_timeline_by_two_mappings_and_twice_by_one() {
    let Some(device) = device() else { return };
    let publisher = Words::new(&device);
    let mapping = Arc::new(Mapping::open(publisher.memory.handle(), 4096, Access::ReadWrite).unwrap());
    let pages = mapping.shared_pages(0, 4096).unwrap();
    let subscriber = device.timeline(pages.clone()).unwrap();
    let again = device.timeline(pages).unwrap();
    let stream = device.stream().unwrap();
    publisher.timeline.write(&[stream], at(8, 5)).unwrap();
    subscriber.wait(stream, &[at(8, 5)]).unwrap();
    drop(subscriber);
    again.write(&[stream], at(12, 6)).unwrap();
    device.synchronize(stream).unwrap();
    assert_eq!(mapping.words().u32_at(8).unwrap().load(Ordering::Acquire), 5);
    assert_eq!(publisher.word(12).load(Ordering::Acquire), 6);
    drop(again);
    // Registered anew, after the last holder of that mapping is gone.
    device.timeline(mapping.shared_pages(0, 4096).unwrap()).unwrap();
}

#[test]
fn pages_are_registered_while_a_timeline_or_a_pinned_region_has_them_and_no_longer() {
    let Some(device) = device() else { return };
    let memory = Arc::new(SharedMemory::create("registered", 4096).unwrap());
    let pages = memory.shared_pages(0, 4096).unwrap();
    let timeline = device.timeline(pages.clone()).unwrap();
    let pinned = device.pin(pages.clone()).unwrap();
    drop(timeline);
    let error = register_and_let_go(&device, &pages).unwrap_err();
    assert_eq!(error.code(), Some(DriverCode::ALREADY_REGISTERED), "{error}");
    drop(pinned);
    register_and_let_go(&device, &pages).unwrap();
}

#[test]
fn what_are_no_words_is_refused_and_nothing_is_put_in() {
    let Some(device) = device() else { return };
    let words = Words::new(&device);
    let stream = device.stream().unwrap();
    for offset_bytes in [1, 2, 4094, 4096, 4100, usize::MAX] {
        for error in [
            words.timeline.write(&[stream], at(offset_bytes, 1)).unwrap_err(),
            words.timeline.wait(stream, &[at(0, 1), at(offset_bytes, 1)]).unwrap_err(),
        ] {
            assert!(matches!(ours(&error), CudaError::NoSuchWord { .. }), "{offset_bytes}: {error}");
        }
    }
    device.synchronize(stream).unwrap();
    let error = words.timeline.write(&[], at(0, 1)).unwrap_err();
    assert!(matches!(ours(&error), CudaError::NoStream), "{error}");
    for len_bytes in [100, 5000] {
        let error = device.timeline(no_pages(len_bytes)).map(|_| ()).unwrap_err();
        assert!(matches!(ours(&error), CudaError::NotPages { .. }), "{error}");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}

/// The tests that must fail when a wait is left out, each in a process of its own.
#[cfg(feature = "skip-waits")]
mod without_waits {
    use std::process::Command;

    use uncopy_cuda::Site;

    use crate::support::standin;

    const TESTS: &[&str] = &[
        "timeline::a_word_is_written_after_everything_before_it_in_its_stream",
        "timeline::f27_a_word_is_written_after_every_stream_that_was_named",
        "timeline::f27_a_word_is_written_after_everything_in_the_context",
        "timeline::f27_a_word_that_is_written_after_everything_is_written_after_another_too",
        "timeline::f27_a_stream_waits_until_each_of_its_words_is_reached",
        "timeline::f27_a_stream_that_is_ordered_after_another_sees_its_work",
        "memory::new_memory_is_zero_at_least_as_long_as_asked_for_and_keeps_what_is_written",
    ];

    fn is_noticed(site: &str) -> bool {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(TESTS).args(["--exact", "--test-threads=1"]);
        // The device's own stream is late, for what comes too late there; the other tests set their own.
        command.env("UNCOPY_SKIP_WAIT", site).env("UNCOPY_STANDIN_LAG_US", "30000,0");
        !command.output().unwrap().status.success()
    }

    #[test]
    fn f27_each_wait_that_is_left_out_is_noticed() {
        if standin().is_none() {
            return;
        }
        assert!(!is_noticed("none"), "the tests pass with every wait in its place");
        for site in Site::ALL {
            assert!(is_noticed(site.name()), "nobody misses {}", site.name());
        }
    }
}

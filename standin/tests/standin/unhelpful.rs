// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the stand-in is for: a program that forgets something is found out.

use crate::{
    driver::{Card, GRANULE, Handle, READ_WRITE, Words, ok, out},
    scene::{Line, Other, play, play_to_abort, play_to_signal},
};
use std::{os::fd::AsFd, ptr, sync::atomic::Ordering, time::Instant};

const LEN: usize = GRANULE;
const TRIES: usize = 20;

/// How many of a consumer's copies are wrong, when it waits for the producer's events or forgets to.
fn stale_copies(waits: bool) -> usize {
    let card = Card::first();
    let (producer, consumer) = (card.stream(), card.stream());
    let frames: Vec<Handle> = (0..TRIES).map(|_| card.memory(LEN)).collect();
    let copies = card.memory(LEN);
    let events: Vec<Handle> = frames.iter().map(|_| card.event()).collect();
    for (frame, event) in frames.iter().zip(&events) {
        ok(card.driver.cuMemsetD32Async(*frame, 7, LEN / 4, producer));
        ok(card.driver.cuEventRecord(*event, producer));
    }
    for (at, (frame, event)) in frames.iter().zip(&events).enumerate() {
        if waits {
            ok(card.driver.cuStreamWaitEvent(consumer, *event, 0));
        }
        ok(card.driver.cuMemcpyDtoDAsync_v2(copies + 4 * at as u64, frame + LEN as u64 - 4, 4, consumer));
    }
    ok(card.driver.cuStreamSynchronize(consumer));
    card.words(copies, TRIES).iter().filter(|word| **word != 7).count()
}

const SKEWED: &[(&str, &str)] = &[("UNCOPY_STANDIN_LAG_US", "500000,0")];
const LAZY: &[(&str, &str)] = &[("UNCOPY_STANDIN_LAZY_US", "20000")];

#[test]
fn skewed_streams_show_a_forgotten_wait_every_time() {
    play(SKEWED, || assert_eq!(stale_copies(false), TRIES), &[]);
}

#[test]
fn skewed_streams_do_no_harm_to_who_waits() {
    play(SKEWED, || assert_eq!(stale_copies(true), 0), &[]);
}

#[test]
fn lazy_streams_show_a_forgotten_wait_every_time() {
    play(LAZY, || assert_eq!(stale_copies(false), TRIES), &[]);
}

#[test]
fn lazy_streams_do_no_harm_to_who_waits() {
    play(LAZY, || assert_eq!(stale_copies(true), 0), &[]);
}

/// A part that waits for a word and says what it finds behind it.
fn reads_behind_a_word(line: &Line) {
    let card = Card::first();
    let (_, page) = line.take();
    let words = Words::over(card, &page.unwrap());
    line.say(b"ready");
    while words.word(0).load(Ordering::Acquire) == 0 {
        std::thread::yield_now();
    }
    line.say(&words.word(1).load(Ordering::Acquire).to_le_bytes());
    line.stay();
}

#[test]
fn a_lazy_stream_works_in_the_end_for_another_process_that_waits_for_its_word() {
    let first = || {
        let card = Card::first();
        let page = rustix::fs::memfd_create("words", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        rustix::fs::ftruncate(&page, 4096).unwrap();
        let words = Words::over(card, &page);
        let other = Other::called("other");
        other.line.hand(b"page", page.as_fd());
        assert_eq!(other.line.hear(), b"ready");
        let stream = card.stream();
        let begun = Instant::now();
        ok(card.driver.cuMemsetD32Async(words.at(1), 77, 1, stream));
        ok(card.driver.cuStreamWriteValue32_v2(stream, words.at(0), 1, 0));
        assert_eq!(other.line.hear(), 77_u32.to_le_bytes());
        assert!(begun.elapsed().as_millis() >= 20, "nobody here asked, so it was too early");
    };
    play(LAZY, first, &[("other", reads_behind_a_word)]);
}

#[test]
fn an_asynchronous_copy_reads_pinned_memory_late_and_ordinary_memory_at_once() {
    let first = || {
        let card = Card::first();
        let stream = card.stream();
        let (one, two) = (card.memory(4), card.memory(4));
        let pinned = out(|host| card.driver.cuMemHostAlloc(host, 4, 0));
        let in_pinned: *mut u32 = ptr::with_exposed_provenance_mut(usize::try_from(pinned).unwrap());
        let mut ordinary = 1_u32;
        // SAFETY: allocated above, and used by nobody at this moment.
        unsafe { in_pinned.write_volatile(1) };
        ok(card.driver.cuMemcpyHtoDAsync_v2(one, in_pinned.cast_const().cast(), 4, stream));
        ok(card.driver.cuMemcpyHtoDAsync_v2(two, ptr::from_ref(&ordinary).cast(), 4, stream));
        // SAFETY: as above; that the copy is still to come is the point.
        unsafe { in_pinned.write_volatile(2) };
        ordinary += 1;
        ok(card.driver.cuStreamSynchronize(stream));
        assert_eq!((card.word(one), card.word(two), ordinary), (2, 1, 2));
    };
    play(LAZY, first, &[]);
}

fn dereferences() {
    let card = Card::first();
    let address = usize::try_from(card.memory(LEN)).unwrap();
    let pointer: *const u8 = ptr::with_exposed_provenance(address);
    // SAFETY: it is the very fault that the test is about; the process ends here.
    let byte = unsafe { pointer.read_volatile() };
    panic!("the device's memory could be read: {byte}");
}

#[test]
fn a_device_address_crashes_a_host_that_follows_it() {
    play_to_signal(&[], dereferences, libc::SIGSEGV);
}

#[test]
fn work_that_is_pending_when_its_memory_is_unmapped_ends_the_process() {
    let first = || {
        let card = Card::first();
        let stream = card.stream();
        let address = card.mapped(card.shareable(LEN), LEN, READ_WRITE);
        ok(card.driver.cuMemcpyDtoDAsync_v2(address, address + 4096, 4096, stream));
        ok(card.driver.cuMemUnmap(address, LEN));
        ok(card.driver.cuStreamSynchronize(stream));
    };
    play_to_abort(LAZY, first, &["use after unmap", "cuMemcpyDtoDAsync_v2", "number 0 by creation"]);
}

#[test]
fn work_that_is_pending_when_its_host_memory_is_unregistered_ends_the_process() {
    let first = || {
        let card = Card::first();
        let (stream, words) = (card.stream(), Words::new(card));
        ok(card.driver.cuStreamWaitValue32_v2(stream, words.at(0), 1, 0));
        ok(card.driver.cuMemHostUnregister(words.host));
        ok(card.driver.cuStreamSynchronize(stream));
    };
    play_to_abort(&[], first, &["use after unregister", "cuStreamWaitValue32_v2"]);
}

#[test]
fn another_streams_work_on_memory_that_was_freed_in_order_ends_the_process() {
    let first = || {
        let card = Card::first();
        let (late, early) = (card.stream(), card.stream());
        let address = out(|address| card.driver.cuMemAllocAsync(address, LEN, early));
        ok(card.driver.cuMemsetD8Async(address, 1, LEN, late));
        ok(card.driver.cuMemFreeAsync(address, early));
        ok(card.driver.cuStreamSynchronize(early));
        ok(card.driver.cuStreamSynchronize(late));
    };
    play_to_abort(LAZY, first, &["use after unmap", "cuMemsetD8Async"]);
}

#[test]
fn new_memory_holds_neither_zeros_nor_what_was_there_before() {
    let first = || {
        let card = Card::first();
        for address in [card.memory(LEN), card.mapped(card.shareable(LEN), LEN, READ_WRITE)] {
            assert_eq!(card.words(address, LEN / 4), vec![0xCDCD_CDCD; LEN / 4]);
        }
        let stream = card.stream();
        let allocated = || out(|address| card.driver.cuMemAllocAsync(address, LEN, stream));
        let one = allocated();
        ok(card.driver.cuMemsetD32Async(one, 5, LEN / 4, stream));
        ok(card.driver.cuMemFreeAsync(one, stream));
        ok(card.driver.cuStreamSynchronize(stream));
        let two = allocated();
        ok(card.driver.cuStreamSynchronize(stream));
        assert_ne!(one, two, "an old address means nothing new");
        assert_eq!(card.words(two, LEN / 4), vec![0xCDCD_CDCD; LEN / 4]);
        // Memory that was freed can't be named any more.
        assert_eq!(card.driver.cuMemsetD32_v2(one, 1, 1), 1);
    };
    play(&[], first, &[]);
}

/// A part that frees exported pool memory under its importer.
fn frees_pool_memory(line: &Line) {
    let card = Card::first();
    let pool = out(|pool| card.driver.cuMemPoolCreate(pool, &crate::driver::pool_props(1)));
    let stream = card.stream();
    let address = out(|address| card.driver.cuMemAllocFromPoolAsync(address, LEN, pool, stream));
    ok(card.driver.cuMemsetD32Async(address, 1, LEN / 4, stream));
    ok(card.driver.cuStreamSynchronize(stream));
    let descriptor = out(|out| card.driver.cuMemPoolExportToShareableHandle(out, pool, 1, 0));
    // SAFETY: the driver has just handed it out.
    let descriptor: std::os::fd::OwnedFd = unsafe { std::os::fd::FromRawFd::from_raw_fd(descriptor) };
    line.hand(
        &crate::driver::sealed(|data| card.driver.cuMemPoolExportPointer(data, address)),
        descriptor.as_fd(),
    );
    line.hear();
    ok(card.driver.cuMemFreeAsync(address, stream));
    ok(card.driver.cuStreamSynchronize(stream));
    line.say(b"freed");
    line.stay();
}

#[test]
fn whoever_reads_freed_memory_of_a_pool_finds_it_overwritten() {
    use std::os::fd::AsRawFd;
    let first = || {
        let card = Card::first();
        let exporter = Other::called("exporter");
        let (data, descriptor) = exporter.line.take();
        let descriptor = usize::try_from(descriptor.as_ref().unwrap().as_raw_fd()).unwrap();
        let pool = out(|pool| card.driver.cuMemPoolImportFromShareableHandle(pool, descriptor, 1, 0));
        let data = data.try_into().unwrap();
        let address: Handle = out(|address| card.driver.cuMemPoolImportPointer(address, pool, &data));
        assert_eq!(card.word(address), 1);
        exporter.line.say(b"free");
        assert_eq!(exporter.line.hear(), b"freed");
        assert_eq!(card.words(address, LEN / 4), vec![0xDDDD_DDDD; LEN / 4]);
    };
    play(&[], first, &[("exporter", frees_pool_memory)]);
}

#[test]
fn words_of_host_memory_that_nobody_registered_are_refused() {
    let first = || {
        let card = Card::first();
        let (stream, word) = (card.stream(), 0_u32);
        let address = ptr::from_ref(&word).expose_provenance() as u64;
        assert_eq!(card.driver.cuStreamWaitValue32_v2(stream, address, 0, 0), 1);
        assert_eq!(card.driver.cuStreamWriteValue32_v2(stream, address, 1, 0), 1);
        // Registered memory has two addresses, and streams know the other.
        let words = Words::new(card);
        let host = words.host.expose_provenance() as u64;
        assert_eq!(card.driver.cuStreamWriteValue32_v2(stream, host, 1, 0), 1);
        assert_eq!(card.driver.cuStreamWriteValue32_v2(stream, words.at(0) + 2, 1, 0), 1);
        ok(card.driver.cuStreamWriteValue32_v2(stream, words.at(0), 1, 0));
    };
    play(&[], first, &[]);
}

#[test]
fn killed_processes_leave_nothing_behind() {
    let settings = [("UNCOPY_STANDIN_CARD", "leaves-nothing")];
    let first = || {
        let card = Card::first();
        let before = (card.free_bytes(), shared_files());
        let mut other = Other::called("other");
        other.line.hear();
        assert!(card.free_bytes() < before.0);
        other.kill();
        assert_eq!((card.free_bytes(), shared_files()), before);
    };
    let other = |line: &Line| {
        let card = Card::first();
        card.set(card.memory(LEN), 1, LEN);
        card.set(card.mapped(card.shareable(LEN), LEN, READ_WRITE), 1, LEN);
        out(|event| card.driver.cuEventCreate(event, 6));
        line.say(b"made");
        line.stay();
    };
    play(&settings, first, &[("other", other)]);
}

/// What is in /dev/shm and was made by a stand-in.
fn shared_files() -> usize {
    let files = std::fs::read_dir("/dev/shm").into_iter().flatten().flatten();
    files.filter(|file| file.file_name().to_string_lossy().contains("standin")).count()
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an H200 under driver 580 answered, case by case: the stand-in answers the same. Each row of the table in
//! README.md is a test here or in `handles`.

use crate::{
    driver::{Access, Card, GRANULE, READ, READ_WRITE, Sealed, Words, ok, out, pool_props, prop, sealed},
    scene::{Line, Other, play},
};
use std::{
    ffi::c_int,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    ptr,
    sync::atomic::Ordering,
};

const LEN: usize = 4 << 20;

fn owned(descriptor: c_int) -> OwnedFd {
    // SAFETY: the driver has just handed it out.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

/// A part that exports memory filled with 0x11111111 as a descriptor, and waits for its end.
fn exports_virtual(line: &Line) {
    let card = Card::first();
    let handle = card.shareable(LEN);
    card.set(card.mapped(handle, LEN, READ_WRITE), 0x1111_1111, LEN);
    line.hand(b"memory", owned(card.exported(handle)).as_fd());
    line.stay();
}

#[test]
fn virtual_memory_travels_as_a_descriptor_and_outlives_a_killed_exporter() {
    let settings = [("UNCOPY_STANDIN_CARD", "virtual-outlives")];
    let first = || {
        let card = Card::first();
        let before = card.free_bytes();
        let mut exporter = Other::called("exporter");
        let (_, descriptor) = exporter.line.take();
        let handle = card.imported(descriptor.unwrap().as_raw_fd());
        let address = card.mapped(handle, LEN, READ_WRITE);
        assert_eq!(card.word(address + LEN as u64 - 4), 0x1111_1111);
        exporter.kill();
        assert_eq!(card.word(address), 0x1111_1111);
        card.set(address, 0x2222_2222, LEN);
        assert_eq!(card.word(address + LEN as u64 - 4), 0x2222_2222);
        // It is the last mapping that gives the memory back.
        assert_eq!(card.free_bytes(), before - LEN);
        ok(card.driver.cuMemRelease(handle));
        assert_eq!(card.free_bytes(), before - LEN);
        ok(card.driver.cuMemUnmap(address, LEN));
        assert_eq!(card.free_bytes(), before);
    };
    play(&settings, first, &[("exporter", exports_virtual)]);
}

#[test]
fn memory_mapped_for_reading_refuses_every_write_when_it_is_asked_for() {
    let first = || {
        let card = Card::first();
        let exporter = Other::called("exporter");
        let (_, descriptor) = exporter.line.take();
        let handle = card.imported(descriptor.unwrap().as_raw_fd());
        let address = card.mapped(handle, LEN, READ);
        let stream = card.stream();
        assert_eq!(card.word(address), 0x1111_1111);
        assert_eq!(card.driver.cuMemsetD32Async(address, 1, 16, stream), 1);
        assert_eq!(card.driver.cuMemcpyDtoDAsync_v2(address, address + 4096, 16, stream), 1);
        assert_eq!(card.driver.cuStreamWriteValue32_v2(stream, address, 1, 0), 1);
        ok(card.driver.cuStreamWaitValue32_v2(stream, address, 0x1111_1111, 1));
        ok(card.driver.cuStreamSynchronize(stream));
        assert_eq!(card.word(address), 0x1111_1111);
    };
    play(&[], first, &[("exporter", exports_virtual)]);
}

#[test]
fn virtual_memory_has_granules_of_two_mebibytes_and_nothing_is_mapped_beyond_its_end() {
    let first = || {
        let card = Card::first();
        assert_eq!(out(|len| card.driver.cuMemGetAllocationGranularity(len, &prop(1), 0)), GRANULE);
        let mut handle = 0;
        assert_eq!(card.driver.cuMemCreate(&mut handle, GRANULE + 1, &prop(1), 0), 1);
        let handle = card.shareable(GRANULE);
        let address = out(|address| card.driver.cuMemAddressReserve(address, LEN, 0, 0, 0));
        // More than it has; read on an H100.
        assert_eq!(card.driver.cuMemMap(address, LEN, 0, handle, 0), 801);
        ok(card.driver.cuMemMap(address, GRANULE, 0, handle, 0));
        // Nobody may use it before somebody says so.
        assert_eq!(card.driver.cuMemsetD32_v2(address, 1, 4), 1);
        // What a peer claims of the size is checked against this.
        let (mut base, mut len) = (0, 0);
        ok(card.driver.cuMemGetAddressRange_v2(&mut base, &mut len, address + 5));
        assert_eq!((base, len), (address, GRANULE));
        assert_eq!(card.driver.cuMemAddressFree(address, LEN), 1);
        assert_eq!(card.driver.cuMemUnmap(address, GRANULE / 2), 1);
        ok(card.driver.cuMemUnmap(address, GRANULE));
        ok(card.driver.cuMemAddressFree(address, LEN));
    };
    play(&[], first, &[]);
}

#[test]
fn a_descriptor_stays_the_callers_and_one_of_something_else_is_refused() {
    let first = || {
        let card = Card::first();
        let descriptor = owned(card.exported(card.shareable(LEN)));
        // In the same process too, as often as one likes.
        card.imported(descriptor.as_raw_fd());
        card.imported(descriptor.as_raw_fd());
        rustix::fs::fstat(&descriptor).unwrap();
        let mut handle = 0;
        let file = rustix::fs::memfd_create("other", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        for forged in [file.as_raw_fd(), 1, 9999] {
            let forged = usize::try_from(forged).unwrap();
            assert_eq!(card.driver.cuMemImportFromShareableHandle(&mut handle, forged, 1), 1);
        }
        rustix::fs::ftruncate(&file, 8192).unwrap();
        let forged = usize::try_from(file.as_raw_fd()).unwrap();
        assert_eq!(card.driver.cuMemImportFromShareableHandle(&mut handle, forged, 1), 1);
        assert!(card.free_bytes() > 0);
    };
    play(&[], first, &[]);
}

#[test]
fn a_fabric_handle_is_promised_by_the_attribute_and_not_permitted() {
    let first = || {
        let card = Card::first();
        let attribute = |number| out(|value| card.driver.cuDeviceGetAttribute(value, number, 0));
        assert_eq!(attribute(128), 1);
        let mut handle = 0;
        assert_eq!(card.driver.cuMemCreate(&mut handle, LEN, &prop(8), 0), 800);
    };
    play(&[], first, &[]);
}

#[test]
fn the_attributes_are_those_that_were_read() {
    let first = || {
        let card = Card::first();
        let read = [
            (102, 1),
            (103, 1),
            (128, 1),
            (119, 9),
            (125, 1),
            (114, 1),
            (124, 1),
            (122, 1),
            (123, 1),
            (98, 0),
            (40, 3),
        ];
        for (attribute, value) in read {
            assert_eq!(out(|out| card.driver.cuDeviceGetAttribute(out, attribute, 0)), value, "{attribute}");
        }
    };
    play(&[], first, &[]);
}

/// A part that exports a pool and an allocation of it, filled with 0x33333333.
fn exports_pool(line: &Line) {
    let card = Card::first();
    let pool = out(|pool| card.driver.cuMemPoolCreate(pool, &pool_props(1)));
    let stream = card.stream();
    let before = out(|address| card.driver.cuMemAllocFromPoolAsync(address, LEN, pool, stream));
    let address = out(|address| card.driver.cuMemAllocFromPoolAsync(address, LEN, pool, stream));
    assert_ne!(before, address);
    ok(card.driver.cuMemsetD32Async(address, 0x3333_3333, LEN / 4, stream));
    ok(card.driver.cuStreamSynchronize(stream));
    let descriptor = owned(out(|out| card.driver.cuMemPoolExportToShareableHandle(out, pool, 1, 0)));
    line.hand(&sealed(|data| card.driver.cuMemPoolExportPointer(data, address)), descriptor.as_fd());
    line.stay();
}

#[test]
fn a_pool_and_a_pointer_of_it_travel_and_outlive_a_killed_exporter() {
    let first = || {
        let card = Card::first();
        let mut exporter = Other::called("exporter");
        let (data, descriptor) = exporter.line.take();
        let data: Sealed = data.try_into().unwrap();
        let descriptor = usize::try_from(descriptor.as_ref().unwrap().as_raw_fd()).unwrap();
        let pool = out(|pool| card.driver.cuMemPoolImportFromShareableHandle(pool, descriptor, 1, 0));
        let address = out(|address| card.driver.cuMemPoolImportPointer(address, pool, &data));
        assert_eq!(card.words(address, LEN / 4), vec![0x3333_3333; LEN / 4]);
        exporter.kill();
        assert_eq!(card.word(address + LEN as u64 - 4), 0x3333_3333);
        card.set(address, 0x6666_6666, LEN);
        assert_eq!(card.word(address), 0x6666_6666);
        // An imported pool allocates nothing, and its data can't be forged.
        let mut none = 0;
        assert_eq!(card.driver.cuMemAllocFromPoolAsync(&mut none, LEN, pool, card.stream()), 1);
        let mut forged = data;
        forged[9] ^= 1;
        assert_eq!(card.driver.cuMemPoolImportPointer(&mut none, pool, &forged), 1);
        ok(card.driver.cuMemFree_v2(address));
    };
    play(&[], first, &[("exporter", exports_pool)]);
}

/// A part whose stream answers words with words.
fn answers(line: &Line) {
    let card = Card::first();
    let (_, page) = line.take();
    let words = Words::over(card, &page.unwrap());
    let stream = card.stream();
    for turn in 1..=100 {
        ok(card.driver.cuStreamWaitValue32_v2(stream, words.at(0), turn, 0));
        ok(card.driver.cuStreamWriteValue32_v2(stream, words.at(1), turn, 0));
    }
    ok(card.driver.cuStreamSynchronize(stream));
    line.stay();
}

#[test]
fn streams_of_two_processes_wait_for_words_in_memory_that_both_have_registered() {
    let first = || {
        let card = Card::first();
        let page = rustix::fs::memfd_create("words", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        rustix::fs::ftruncate(&page, 4096).unwrap();
        let words = Words::over(card, &page);
        let other = Other::called("other");
        other.line.hand(b"page", page.as_fd());
        let stream = card.stream();
        for turn in 1..=100 {
            ok(card.driver.cuStreamWriteValue32_v2(stream, words.at(0), turn, 0));
            ok(card.driver.cuStreamWaitValue32_v2(stream, words.at(1), turn, 0));
        }
        ok(card.driver.cuStreamSynchronize(stream));
        assert_eq!(words.word(1).load(Ordering::Acquire), 100);
    };
    play(&[], first, &[("other", answers)]);
}

#[test]
fn a_read_only_page_is_registered_only_as_one_and_only_waited_for() {
    use rustix::mm::{MapFlags, ProtFlags, mmap};
    let first = || {
        let card = Card::first();
        let page = rustix::fs::memfd_create("words", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        rustix::fs::ftruncate(&page, 4096).unwrap();
        // SAFETY: a new mapping disturbs no other.
        let host =
            unsafe { mmap(ptr::null_mut(), 4096, ProtFlags::READ, MapFlags::SHARED, &page, 0) }.unwrap();
        assert_ne!(card.driver.cuMemHostRegister_v2(host, 4096, 2), 0);
        ok(card.driver.cuMemHostRegister_v2(host, 4096, 2 | 8));
        let address = out(|address| card.driver.cuMemHostGetDevicePointer_v2(address, host, 0));
        let stream = card.stream();
        ok(card.driver.cuStreamWaitValue32_v2(stream, address, 9, 1));
        assert_eq!(card.driver.cuStreamWriteValue32_v2(stream, address, 9, 0), 1);
        rustix::io::pwrite(&page, &9_u32.to_le_bytes(), 0).unwrap();
        ok(card.driver.cuStreamSynchronize(stream));
    };
    play(&[], first, &[]);
}

#[test]
fn freeing_waits_for_the_card_and_unmapping_does_not() {
    let first = || {
        let card = Card::first();
        let words = Words::new(card);
        let stream = card.stream();
        let address = card.mapped(card.shareable(LEN), LEN, READ_WRITE);
        let other = card.memory(LEN);
        ok(card.driver.cuStreamWaitValue32_v2(stream, words.at(0), 1, 0));
        ok(card.driver.cuStreamWriteValue32_v2(stream, words.at(1), 1, 0));
        // Returns while the stream can't go on.
        ok(card.driver.cuMemUnmap(address, LEN));
        assert_eq!(words.word(1).load(Ordering::Acquire), 0);
        // Returns only when the stream went on; sooner, and the fill would find its memory gone.
        ok(card.driver.cuMemsetD32Async(other, 1, LEN / 4, stream));
        std::thread::scope(|scope| {
            let word = words.word(0);
            scope.spawn(|| word.store(1, Ordering::Release));
            ok(card.driver.cuMemFree_v2(other));
            assert_eq!(words.word(1).load(Ordering::Acquire), 1);
        });
        ok(card.driver.cuStreamSynchronize(stream));
    };
    play(&[], first, &[]);
}

#[test]
fn a_forked_child_has_no_driver() {
    let first = || {
        let card = Card::first();
        // SAFETY: the child calls the driver and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let mut count = 0;
            let answers = [
                card.driver.cuInit(0),
                card.driver.cuDeviceGetCount(&mut count),
                card.driver.cuCtxSynchronize(),
                card.driver.cuMemAlloc_v2(&mut 0, 4096),
                card.driver.cuStreamQuery(0),
                card.driver.cuMemUnmap(0, GRANULE),
            ];
            let is_refused = answers == [3; 6];
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(i32::from(!is_refused)) };
        }
        let mut status = 0;
        // SAFETY: waits for our own child.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0);
        card.set(card.memory(LEN), 1, LEN);
    };
    play(&[], first, &[]);
}

#[test]
fn peers_are_asked_for_access_of_their_own() {
    let settings = [("UNCOPY_STANDIN_DEVICES", "2")];
    let first = || {
        let card = Card::first();
        let handle = card.shareable(LEN);
        let address = card.mapped(handle, LEN, READ_WRITE);
        card.set(address, 0x1234_5678, LEN);
        let second = Card::of(card.driver, 1);
        let (own, stream) = (second.memory(LEN), second.stream());
        assert_eq!(card.driver.cuMemcpyDtoDAsync_v2(own, address, LEN, stream), 1);
        let access = Access { location_kind: 1, location: 1, flags: READ };
        ok(card.driver.cuMemSetAccess(address, LEN, &access, 1));
        ok(card.driver.cuMemcpyDtoDAsync_v2(own, address, LEN, stream));
        ok(card.driver.cuStreamSynchronize(stream));
        assert_eq!(second.word(own), 0x1234_5678);
    };
    play(&settings, first, &[]);
}

/// A descriptor that is only looked at.
#[test]
fn an_exported_descriptor_keeps_memory_that_nobody_maps() {
    let settings = [("UNCOPY_STANDIN_CARD", "descriptor-keeps")];
    let first = || {
        let card = Card::first();
        let before = card.free_bytes();
        let handle = card.shareable(LEN);
        let address = card.mapped(handle, LEN, READ_WRITE);
        card.set(address, 7, LEN);
        let descriptor = owned(card.exported(handle));
        ok(card.driver.cuMemUnmap(address, LEN));
        ok(card.driver.cuMemRelease(handle));
        assert_eq!(card.free_bytes(), before - LEN);
        let again = card.imported(descriptor.as_raw_fd());
        assert_eq!(card.word(card.mapped(again, LEN, READ_WRITE)), 7);
        let borrowed: BorrowedFd<'_> = descriptor.as_fd();
        rustix::fs::fstat(borrowed).unwrap();
    };
    play(&settings, first, &[]);
}

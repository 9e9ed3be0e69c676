// SPDX-License-Identifier: MIT OR Apache-2.0
//! Regions of a peer's frames: shared, read-only, and alive as long as somebody looks.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use uncopy_core::{Device, ErrorKind};
use uncopy_os::{Mapping, OsError, SharedMemory, SlotMemory};
use uncopy_tensor::Access;

fn frozen(len_bytes: usize) -> (SharedMemory, Arc<Mapping>) {
    let memory = SharedMemory::create("frames", len_bytes).unwrap();
    memory.freeze_writes().unwrap();
    let mapping = Mapping::open(&memory.share().unwrap(), len_bytes, Access::ReadOnly).unwrap();
    (memory, Arc::new(mapping))
}

#[test]
fn a_region_is_the_memory_itself_at_its_offset() {
    let (memory, mapping) = frozen(8192);
    let region = mapping.region(4096 + 3, 5, ()).unwrap();
    assert_eq!(region.address(), mapping.address() + 4099, "no copy");
    assert_eq!((region.len_bytes(), region.device(), region.access()), (5, Device::CPU, Access::ReadOnly));
    memory.words().store_bytes(4096, b"___frame").unwrap();
    assert_eq!(region.as_bytes().unwrap(), b"frame");
}

#[test]
fn a_region_may_be_empty_and_may_be_everything() {
    let (_memory, mapping) = frozen(4096);
    assert_eq!(mapping.region(0, 4096, ()).unwrap().len_bytes(), 4096);
    for offset_bytes in [0, 17, 4096] {
        assert_eq!(mapping.region(offset_bytes, 0, ()).unwrap().as_bytes(), Some(&[][..]));
    }
}

#[test]
fn a_region_outside_the_memory_is_refused() {
    let (_memory, mapping) = frozen(4096);
    for (offset_bytes, len_bytes) in [(0, 4097), (4096, 1), (4097, 0), (usize::MAX, 1), (1, usize::MAX)] {
        let error = mapping.region(offset_bytes, len_bytes, ()).unwrap_err();
        assert!(matches!(error, OsError::OutOfBounds { of_bytes: 4096, .. }), "{error}");
    }
}

#[test]
fn memory_that_others_could_still_write_gives_no_region() {
    let memory = SharedMemory::create("open", 4096).unwrap();
    let handle = memory.share().unwrap();
    for access in [Access::ReadOnly, Access::ReadWrite] {
        let mapping = Arc::new(Mapping::open(&handle, 4096, access).unwrap());
        let error = mapping.region(0, 16, ()).unwrap_err();
        assert!(matches!(error, OsError::NotSealed { wanted: "future-write", .. }), "{error}");
        assert_eq!(error.kind(), ErrorKind::CorruptLink);
        assert!(error.to_string().contains("shrink+grow"), "{error}");
    }
}

#[test]
fn borrowed_bytes_are_those_of_a_region_and_are_refused_where_it_is() {
    let (memory, mapping) = frozen(8192);
    memory.words().store_bytes(4096, b"___frame").unwrap();
    let bytes = mapping.bytes(4096 + 3, 5).unwrap();
    assert_eq!((bytes, bytes.as_ptr().addr()), (&b"frame"[..], mapping.address() + 4099), "no copy");
    assert_eq!(mapping.bytes(8192, 0).unwrap(), b"");
    for (offset_bytes, len_bytes) in [(0, 8193), (8192, 1), (8193, 0), (usize::MAX, 1), (1, usize::MAX)] {
        let error = mapping.bytes(offset_bytes, len_bytes).unwrap_err();
        assert!(matches!(error, OsError::OutOfBounds { of_bytes: 8192, .. }), "{error}");
    }
    let open = SharedMemory::create("open", 4096).unwrap();
    let mapping = Mapping::open(&open.share().unwrap(), 4096, Access::ReadOnly).unwrap();
    assert!(matches!(mapping.bytes(0, 16), Err(OsError::NotSealed { wanted: "future-write", .. })));
}

#[test]
fn asking_for_a_line_early_changes_nothing_inside_and_outside() {
    let (memory, mapping) = frozen(4096);
    memory.words().store_bytes(0, b"frame").unwrap();
    for offset_bytes in [0, 4095, 4096, usize::MAX] {
        mapping.prefetch(offset_bytes);
    }
    assert_eq!(mapping.bytes(0, 5).unwrap(), b"frame");
}

/// A lease that tells when it ended, and whether the memory was still mapped then.
struct Lease {
    address: usize,
    ended: Arc<AtomicBool>,
    was_mapped: Arc<AtomicBool>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.was_mapped.store(is_mapped(self.address), Ordering::Release);
        self.ended.store(true, Ordering::Release);
    }
}

fn is_mapped(address: usize) -> bool {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().any(|line| {
        let (range, _) = line.split_once(' ').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let number = |text| usize::from_str_radix(text, 16).unwrap();
        (number(start)..number(end)).contains(&address)
    })
}

#[test]
fn the_last_clone_ends_the_lease_first_and_the_mapping_after_it() {
    let (memory, mapping) = frozen(4096);
    let (ended, was_mapped) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let address = mapping.address();
    let lease = Lease { address, ended: Arc::clone(&ended), was_mapped: Arc::clone(&was_mapped) };
    let region = mapping.region(0, 16, lease).unwrap();
    drop((memory, mapping));
    let clone = region.clone();
    drop(region);
    assert!(!ended.load(Ordering::Acquire), "a clone is alive");
    assert_eq!(clone.as_bytes(), Some(&[0; 16][..]));
    std::thread::spawn(move || drop(clone)).join().unwrap();
    assert!(ended.load(Ordering::Acquire), "on whatever thread");
    assert!(was_mapped.load(Ordering::Acquire), "the lease ends before the memory");
}

#[test]
fn a_refused_region_ends_its_lease_at_once() {
    let (_memory, mapping) = frozen(4096);
    let ended = Arc::new(AtomicBool::new(false));
    let lease = Lease { address: 0, ended: Arc::clone(&ended), was_mapped: Arc::default() };
    mapping.region(4096, 1, lease).unwrap_err();
    assert!(ended.load(Ordering::Acquire));
}

#[test]
fn a_producer_and_a_consumer_in_one_process_see_one_memory_at_two_addresses() {
    let frames = SlotMemory::create("one-process", 2, 4096).unwrap();
    let mapping =
        Arc::new(Mapping::open(&frames.share().unwrap(), frames.len_bytes(), Access::ReadOnly).unwrap());
    let mut slot = frames.claim(1).unwrap();
    let region = mapping.region(4096, 4096, ()).unwrap();
    assert_ne!(region.address(), slot.address());
    slot[4095] = 9;
    drop(slot);
    assert_eq!(region.as_bytes().unwrap()[4095], 9);
}

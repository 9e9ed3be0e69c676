// SPDX-License-Identifier: MIT OR Apache-2.0
//! The producer's slots: one writer each, and never a writer under a living view.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use uncopy_core::ErrorKind;
use uncopy_os::{Mapping, OsError, SlotMemory, slot_align_bytes};
use uncopy_tensor::{Access, Export};

#[test]
fn slots_lie_one_stride_apart_and_share_no_byte() {
    let memory = SlotMemory::create("apart", 3, 8192).unwrap();
    assert_eq!((memory.slots(), memory.stride_bytes(), memory.len_bytes()), (3, 8192, 3 * 8192));
    assert_eq!(Export::len_bytes(&*memory), 3 * 8192);
    let mut slots: Vec<_> = (0..3).map(|slot| memory.claim(slot).unwrap()).collect();
    for (index, slot) in slots.iter_mut().enumerate() {
        assert_eq!((slot.slot(), slot.len()), (index, 8192));
        slot.fill(index as u8 + 1);
    }
    for (index, slot) in slots.iter().enumerate() {
        assert!(slot.iter().all(|byte| *byte == index as u8 + 1), "slot {index}");
        assert_eq!(slot.address(), slots[0].address() + index * 8192);
        assert_eq!(slot.as_ptr().addr(), slot.address());
    }
}

#[test]
fn a_shape_that_is_no_memory_is_refused() {
    let create = |slots, stride_bytes| SlotMemory::create("shape", slots, stride_bytes).unwrap_err();
    assert!(matches!(create(2, 4095), OsError::BadAlignment { value: 4095, .. }));
    assert!(matches!(create(0, 4096), OsError::BadLength { .. }));
    assert!(matches!(create(2, 0), OsError::BadLength { .. }));
    assert!(matches!(create(usize::MAX / 4096 + 2, 4096), OsError::BadLength { .. }));
    assert_eq!(create(1 << 40, 1 << 20).kind(), ErrorKind::OutOfMemory);
}

#[test]
fn a_stride_is_accepted_exactly_when_it_is_a_multiple_of_the_slot_alignment() {
    let align = slot_align_bytes();
    assert!(align >= 4096 && align.is_multiple_of(rustix::param::page_size()), "{align}");
    for stride_bytes in [align, 2 * align, 3 * align] {
        SlotMemory::create("aligned", 1, stride_bytes).unwrap();
    }
    for stride_bytes in [align / 2, align - 1, align + 1, align + align / 2] {
        let error = SlotMemory::create("crooked", 1, stride_bytes).unwrap_err();
        assert!(
            matches!(error, OsError::BadAlignment { multiple_of, .. } if multiple_of == align),
            "{error}"
        );
    }
}

#[test]
fn nobody_else_can_write_the_slots() {
    let memory = SlotMemory::create("frozen", 2, 4096).unwrap();
    let handle = memory.share().unwrap();
    let error = Mapping::open(&handle, 8192, Access::ReadWrite).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    assert!(Mapping::open(&handle, 8192, Access::ReadOnly).unwrap().seals().are_frozen());
}

#[test]
fn a_slot_is_claimed_once_until_the_claim_is_dropped() {
    let memory = SlotMemory::create("claim", 2, 4096).unwrap();
    let first = memory.claim(0).unwrap();
    let error = memory.claim(0).unwrap_err();
    assert!(matches!(error, OsError::SlotTaken { slot: 0, lent: false }), "{error}");
    assert_eq!(error.kind(), ErrorKind::NoFreeSlot);
    memory.claim(1).unwrap();
    drop(first);
    memory.claim(0).unwrap();
    let error = memory.claim(2).unwrap_err();
    assert!(matches!(error, OsError::NoSuchSlot { slot: 2, slots: 2 }), "{error}");
}

#[test]
fn of_many_threads_that_claim_a_slot_exactly_one_gets_it() {
    const THREADS: usize = 8;
    let memory = SlotMemory::create("race", 1, 4096).unwrap();
    let (barrier, winners) = (Barrier::new(THREADS), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..500 {
                    barrier.wait();
                    let claim = memory.claim(0);
                    if claim.is_ok() {
                        winners.fetch_add(1, Ordering::Relaxed);
                    }
                    barrier.wait(); // all have tried before the winner lets go
                }
            });
        }
    });
    assert_eq!(winners.load(Ordering::Relaxed), 500);
}

#[test]
fn a_writable_region_is_the_slot_itself() {
    let memory = SlotMemory::create("region", 2, 4096).unwrap();
    let slot = memory.claim(1).unwrap();
    let region = slot.region(100, ()).unwrap();
    assert_eq!((region.address(), region.len_bytes()), (slot.address(), 100));
    assert_eq!(region.access(), Access::ReadWrite);
    assert!(matches!(slot.region(4097, ()).unwrap_err(), OsError::OutOfBounds { of_bytes: 4096, .. }));
}

#[test]
fn while_a_writable_region_lives_the_slot_gives_no_slice() {
    let memory = SlotMemory::create("lent", 1, 4096).unwrap();
    let mut slot = memory.claim(0).unwrap();
    let region = slot.region(16, ()).unwrap();
    let clone = region.clone();
    drop(region);
    assert!(matches!(slot.bytes().unwrap_err(), OsError::SlotTaken { slot: 0, lent: true }));
    assert!(matches!(slot.bytes_mut().unwrap_err(), OsError::SlotTaken { slot: 0, lent: true }));
    let panicked = catch_unwind(AssertUnwindSafe(|| slot[0] = 1)).unwrap_err();
    let message = panicked.downcast_ref::<String>().unwrap();
    assert!(message.contains("a writable view of it is still alive"), "{message}");
    drop(clone);
    slot[0] = 1;
    assert_eq!(slot.bytes().unwrap()[0], 1);
}

#[test]
fn a_slot_whose_view_is_forgotten_is_not_claimed_again() {
    let memory = SlotMemory::create("forgotten", 1, 4096).unwrap();
    let view = memory.claim(0).unwrap().region(16, ()).unwrap();
    let error = memory.claim(0).unwrap_err();
    assert!(matches!(error, OsError::SlotTaken { slot: 0, lent: true }), "{error}");
    assert!(error.to_string().contains("drop it first"), "{error}");
    drop(view);
    memory.claim(0).unwrap();
}

#[test]
fn a_region_keeps_the_memory_and_what_it_was_given_alive() {
    let memory = SlotMemory::create("alive", 1, 4096).unwrap();
    let held = std::sync::Arc::new(());
    let mut slot = memory.claim(0).unwrap();
    slot[..4].copy_from_slice(b"kept");
    let region = slot.region(4, std::sync::Arc::clone(&held)).unwrap();
    drop((slot, memory));
    assert_eq!(region.as_bytes().unwrap(), b"kept");
    assert_eq!(std::sync::Arc::strong_count(&held), 2);
    drop(region);
    assert_eq!(std::sync::Arc::strong_count(&held), 1);
}

#[test]
fn a_protected_slot_is_readable_and_a_claim_makes_it_writable_again() {
    let memory = SlotMemory::create("protected", 2, 4096).unwrap();
    memory.claim(1).unwrap()[0] = 5;
    memory.protect(1, Access::ReadOnly).unwrap();
    memory.protect(1, Access::ReadOnly).unwrap();
    let mut slot = memory.claim(1).unwrap();
    assert_eq!(slot[0], 5);
    slot[0] = 6;
    assert_eq!(slot[0], 6);
    let error = memory.protect(1, Access::ReadOnly).unwrap_err();
    assert!(matches!(error, OsError::SlotTaken { slot: 1, lent: false }), "{error}");
    drop(slot);
    memory.protect(1, Access::ReadOnly).unwrap();
    memory.protect(1, Access::ReadWrite).unwrap();
    memory.protect(2, Access::ReadOnly).unwrap_err();
    memory.prefetch_for_write(0, 64);
    memory.prefetch_for_write(usize::MAX, usize::MAX);
}

#[test]
fn slots_are_exported_whole_and_show_their_number_and_size() {
    let memory = SlotMemory::create("export", 3, 4096).unwrap();
    assert_eq!(format!("{memory:?}"), "SlotMemory { slots: 3, stride_bytes: 4096, .. }");
    let mut slot = memory.claim(1).unwrap();
    slot.fill(7);
    assert!(std::sync::Arc::ptr_eq(slot.memory(), &memory));
    let export: &dyn Export = &*memory;
    assert_eq!((export.device(), export.len_bytes()), (uncopy_core::Device::CPU, 3 * 4096));
    let import: &dyn uncopy_tensor::Import = &uncopy_os::HostMemory;
    assert_eq!(import.device(), uncopy_core::Device::CPU);
    let region = import.import(export.share().unwrap(), 3 * 4096, Access::ReadOnly).unwrap();
    let bytes = region.as_bytes().unwrap();
    assert!(bytes[..4096].iter().all(|byte| *byte == 0) && bytes[4096..8192].iter().all(|byte| *byte == 7));
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that is shared: made, refused, dropped, and rolled back.

use std::io::ErrorKind;
use std::thread;

use uncopy_cuda::{CudaDevice, CudaError, Driver};
use uncopy_os::SharedMemory;
use uncopy_tensor::{Accelerator, Access, ShareHandle};

use crate::raw::limit_address_space;
use crate::support::{Role, device, ours, pattern, play_in_child, read, standin, write};

pub const ROLES: &[Role] = &[
    ("memory/rolled-back", rolled_back),
    ("memory/import-rolled-back", import_rolled_back),
    ("memory/legacy", legacy),
    ("memory/another-card", of_another_card),
    ("memory/address-space", address_space),
];

#[test]
fn new_memory_is_zero_at_least_as_long_as_asked_for_and_keeps_what_is_written() {
    let Some(device) = device() else { return };
    let memory = device.allocate(3_000_001).unwrap();
    assert!(memory.len_bytes() >= 3_000_001);
    assert_eq!(memory.device(), device.device());
    let region = memory.region();
    assert!(read(&device, &region, 3_000_001).iter().all(|byte| *byte == 0));
    let bytes = pattern(3_000_001, 1);
    write(&device, &bytes, &region);
    assert_eq!(read(&device, &region, 3_000_001), bytes);
}

#[test]
fn f28_more_memory_than_the_card_has_is_out_of_memory_and_takes_nothing() {
    let Some(device) = device() else { return };
    let (_, total_bytes) = device.context().memory_bytes().unwrap();
    for len_bytes in [total_bytes * 2, usize::MAX] {
        let error = device.allocate(len_bytes).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfMemory, "{error}");
        let said = error.to_string();
        let told = [format!("{len_bytes} bytes were asked for"), format!("of {total_bytes} are free")];
        assert!(told.iter().all(|words| said.contains(words)), "{said}");
    }
    device.allocate(1).unwrap();
}

/// The steps of an allocation that can fail, in their order.
const STEPS: &[&str] = &[
    "cuMemGetAllocationGranularity",
    "cuMemCreate",
    "cuMemExportToShareableHandle",
    "cuMemAddressReserve",
    "cuMemMap",
    "cuMemSetAccess",
    "cuMemsetD8Async",
    "cuStreamSynchronize",
];

#[test]
fn f28_an_allocation_that_fails_at_any_step_leaves_nothing_behind() {
    if standin().is_none() {
        return;
    }
    for step in STEPS {
        play_in_child("memory/rolled-back", |command| {
            command.env("UNCOPY_STANDIN_FAULTS", format!("{step}:1=2"));
        });
    }
}

fn rolled_back() {
    let device = device().unwrap();
    let (free_bytes, _) = device.context().memory_bytes().unwrap();
    let descriptors = count_descriptors();
    let error = device.allocate(8 << 20).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfMemory, "{error}");
    assert_eq!(device.context().memory_bytes().unwrap().0, free_bytes, "after {error}");
    assert_eq!(count_descriptors(), descriptors, "after {error}");
    device.allocate(8 << 20).unwrap();
    assert_eq!(device.context().memory_bytes().unwrap().0, free_bytes, "all of it comes back");
}

#[test]
fn f28_an_import_that_fails_at_any_step_leaves_nothing_behind() {
    if standin().is_none() {
        return;
    }
    // The allocation before it has made the first call of those that both make.
    for step in [
        "cuMemImportFromShareableHandle:1",
        "cuMemGetAllocationPropertiesFromHandle:1",
        "cuMemAddressReserve:2",
        "cuMemMap:2",
        "cuMemSetAccess:2",
    ] {
        play_in_child("memory/import-rolled-back", |command| {
            command.env("UNCOPY_STANDIN_FAULTS", format!("{step}=2"));
        });
    }
}

fn import_rolled_back() {
    let device = device().unwrap();
    let memory = device.allocate(8 << 20).unwrap();
    let descriptors = count_descriptors();
    let error = device.import(memory.share().unwrap(), 8 << 20, Access::ReadOnly).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfMemory, "{error}");
    assert_eq!(count_descriptors(), descriptors, "after {error}");
    device.import(memory.share().unwrap(), 8 << 20, Access::ReadOnly).unwrap();
}

fn count_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn f16_a_handle_that_is_no_device_memory_is_refused_and_the_context_survives() {
    let Some(device) = device() else { return };
    let open = |path: &str| ShareHandle::from(std::os::fd::OwnedFd::from(std::fs::File::open(path).unwrap()));
    let host = SharedMemory::create("no device memory", 8 << 20).unwrap();
    let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    let forged = [
        open("/dev/null"),
        open("/proc/self/exe"),
        host.share().unwrap(),
        ShareHandle::from(std::os::fd::OwnedFd::from(socket)),
    ];
    for handle in forged {
        let error = device.import(handle, 4096, Access::ReadOnly).unwrap_err();
        assert_ne!(error.kind(), ErrorKind::BrokenPipe, "the context is lost: {error}");
        assert!(device.context().loss().is_none(), "{error}");
    }
    let memory = device.allocate(4096).unwrap();
    write(&device, &[5; 4096], &memory.region());
    assert_eq!(read(&device, &memory.region(), 4096), [5; 4096]);
}

#[test]
fn a_legacy_handle_is_tried_and_nothing_of_it_stays() {
    let Some(device) = device() else { return };
    // Some cards refuse it; then the driver's answer is told.
    match device.context().try_legacy_memory_handle() {
        Ok(()) => {}
        Err(error) => {
            assert!(standin().is_none() && error.to_string().contains("cuIpcGetMemHandle"), "{error}")
        }
    }
    if standin().is_some() {
        play_in_child("memory/legacy", |command| {
            command.env("UNCOPY_STANDIN_FAULTS", "cuIpcGetMemHandle:1=801");
        });
    }
}

fn legacy() {
    let device = device().unwrap();
    let free_bytes = || device.context().memory_bytes().unwrap().0;
    let before = free_bytes();
    let error = device.context().try_legacy_memory_handle().unwrap_err();
    assert!(error.to_string().contains("cuIpcGetMemHandle failed"), "{error}");
    assert_eq!(free_bytes(), before, "after {error}");
    device.context().try_legacy_memory_handle().unwrap();
    assert_eq!(free_bytes(), before);
}

#[test]
fn f32_memory_of_another_card_is_refused_by_name() {
    if standin().is_some() || Driver::get().is_ok_and(|driver| driver.device_count().unwrap() > 1) {
        play_in_child("memory/another-card", |command| {
            command.env("UNCOPY_STANDIN_DEVICES", "2");
        });
    } else {
        println!("SKIP needs two devices");
    }
}

fn of_another_card() {
    let (first, second) = (CudaDevice::with_ordinal(0).unwrap(), CudaDevice::with_ordinal(1).unwrap());
    assert_ne!(first.uuid(), second.uuid());
    let memory = first.allocate(4096).unwrap();
    let error = second.import(memory.share().unwrap(), 4096, Access::ReadOnly).unwrap_err();
    assert!(matches!(ours(&error), CudaError::OtherDevice { found, .. } if found == "cuda:0"), "{error}");
    assert_eq!(second.context().ordinal(), 1);
    // Each has its own.
    let memory = second.allocate(4096).unwrap();
    write(&second, &[2; 4096], &memory.region());
    assert_eq!(read(&second, &memory.region(), 4096), [2; 4096]);
    assert_eq!(memory.device(), uncopy_core::Device::cuda(1));
}

#[test]
fn f17_more_than_the_memory_has_is_refused_and_less_is_not() {
    let Some(device) = device() else { return };
    let memory = device.allocate(1).unwrap();
    let len_bytes = memory.len_bytes();
    for too_many in [len_bytes + 1, len_bytes * 2, len_bytes * 1000] {
        let error = device.import(memory.share().unwrap(), too_many, Access::ReadOnly).unwrap_err();
        let is_too_small =
            matches!(ours(&error), CudaError::TooSmall { wanted_bytes, .. } if *wanted_bytes >= too_many);
        assert!(is_too_small, "{too_many}: {error}");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    let error = device.import(memory.share().unwrap(), usize::MAX, Access::ReadOnly).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfMemory, "{error}");
    assert_eq!(device.import(memory.share().unwrap(), 1, Access::ReadOnly).unwrap().len_bytes(), 1);
    assert!(device.context().loss().is_none());
}

#[test]
fn an_import_of_ones_own_memory_is_the_same_memory_at_another_address() {
    let Some(device) = device() else { return };
    let memory = device.allocate(4096).unwrap();
    let again = device.import(memory.share().unwrap(), 4096, Access::ReadWrite).unwrap();
    assert_ne!(again.address(), memory.region().address());
    write(&device, &[3; 4096], &again);
    assert_eq!(read(&device, &memory.region(), 4096), [3; 4096]);
}

#[test]
fn memory_that_may_be_read_only_is_not_written() {
    let Some(device) = device() else { return };
    let memory = device.allocate(4096).unwrap();
    let read_only = device.import(memory.share().unwrap(), 4096, Access::ReadOnly).unwrap();
    assert_eq!(read_only.access(), Access::ReadOnly);
    write(&device, &[3; 4096], &memory.region());
    assert_eq!(read(&device, &read_only, 4096), [3; 4096]);
    let source = crate::support::bytes_of(&memory.region(), 4096);
    let error = device.copy(&source, &read_only, device.stream().unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    // The driver keeps the same promise for those who do not ask us.
    let stream = device.stream().unwrap();
    let put_in = crate::raw::memset(&device, &read_only, 9, stream);
    assert!(put_in.is_err(), "the driver let a write through");
    assert_eq!(read(&device, &memory.region(), 4096), [3; 4096]);
}

#[test]
fn a_region_outlives_its_memory_and_its_device_and_drops_on_a_thread_without_a_context() {
    let Some(device) = device() else { return };
    let memory = device.allocate(4096).unwrap();
    let region = memory.region();
    drop(memory);
    write(&device, &[4; 4096], &region);
    assert_eq!(read(&device, &region, 4096), [4; 4096]);
    drop(device);
    thread::spawn(move || drop(region)).join().unwrap();
}

#[test]
fn f28_regions_that_come_and_go_take_no_address_space() {
    if standin().is_some() {
        play_in_child("memory/address-space", |_| {});
    }
}

/// In a process that has less address space than all of these regions together.
fn address_space() {
    limit_address_space(6 << 30);
    let device = device().unwrap();
    let memory = device.allocate(64 << 20).unwrap();
    for _ in 0..100 {
        device.import(memory.share().unwrap(), 64 << 20, Access::ReadOnly).unwrap();
    }
}

#[test]
fn memory_comes_back_with_the_last_of_object_handle_and_region() {
    let Some(device) = device() else { return };
    let free_bytes = || device.context().memory_bytes().unwrap().0;
    // Other tests take and give meanwhile: by how much this one does is told by a size that no other uses.
    let len_bytes = 64 << 20;
    let before = free_bytes();
    let memory = device.allocate(len_bytes).unwrap();
    let (handle, region) = (memory.share().unwrap(), memory.region());
    write(&device, &[8; 4096], &region);
    assert!(free_bytes() + len_bytes / 2 < before);
    drop(memory);
    drop(region);
    let region = device.import(handle, len_bytes, Access::ReadOnly).unwrap();
    assert_eq!(read(&device, &region, 4096), [8; 4096], "the handle keeps the memory");
    drop(region);
    assert!(free_bytes() + len_bytes / 2 > before);
}

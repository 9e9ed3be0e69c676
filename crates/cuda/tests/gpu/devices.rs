// SPDX-License-Identifier: MIT OR Apache-2.0
//! Devices are named by UUID, and a fork has none.

use std::sync::Arc;

use uncopy_core::{Device, DeviceUuid};
use uncopy_cuda::{CudaDevice, CudaError, DeviceReport, Driver, list_devices};
use uncopy_tensor::Accelerator;

use crate::raw::{current_context, fork, leave, wait_for};
use crate::support::{Child, Role, device, hear, play_in_child, standin, tell};

pub const ROLES: &[Role] =
    &[("devices/list", tell_devices), ("devices/guards", guards), ("devices/fork", use_after_fork)];

#[test]
fn a_device_is_one_object_by_ordinal_and_by_uuid() {
    let Some(first) = device() else { return };
    let again = CudaDevice::with_uuid(first.uuid()).unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    assert_eq!(first.device(), Device::cuda(0));
}

#[test]
fn a_context_is_current_while_its_guard_lives_and_what_was_current_before_comes_back() {
    if standin().is_some() || Driver::get().is_ok_and(|driver| driver.device_count().unwrap() > 1) {
        play_in_child("devices/guards", |command| {
            command.env("UNCOPY_STANDIN_DEVICES", "2");
        });
    } else {
        println!("SKIP needs two devices");
    }
}

fn guards() {
    let (first, second) = (CudaDevice::with_ordinal(0).unwrap(), CudaDevice::with_ordinal(1).unwrap());
    std::thread::spawn(move || {
        let before = current_context();
        let outer = first.context().enter().unwrap();
        assert_eq!(current_context(), first.context().handle());
        {
            let _same = first.context().enter().unwrap();
            let _other = second.context().enter().unwrap();
            assert_eq!(current_context(), second.context().handle());
            first.allocate(1).unwrap();
            assert_eq!(current_context(), second.context().handle());
        }
        assert_eq!(current_context(), first.context().handle());
        drop(outer);
        assert_eq!(current_context(), before);
        second.allocate(1).unwrap();
        assert_eq!(current_context(), before, "calls leave nothing current");
    })
    .join()
    .unwrap();
}

#[test]
fn a_device_that_is_not_there_is_named_with_how_many_are() {
    let Some(_device) = device() else { return };
    let count = Driver::get().unwrap().device_count().unwrap();
    for ordinal in [-1, count, i32::MAX] {
        let error = CudaDevice::with_ordinal(ordinal).unwrap_err();
        assert!(matches!(error, CudaError::NoSuchOrdinal { .. }), "{error}");
    }
    let stranger = DeviceUuid([0xEE; 16]);
    let error = CudaDevice::with_uuid(stranger).unwrap_err();
    assert!(error.to_string().contains(&stranger.to_string()), "{error}");
    assert_eq!(error.io_kind(), std::io::ErrorKind::NotFound);
}

#[test]
fn the_report_says_what_links_need() {
    let Some(device) = device() else { return };
    let report = DeviceReport::of(0).unwrap();
    println!("{report:#?}");
    assert_eq!(report.uuid, device.uuid());
    assert_eq!(report.driver_version, Driver::get().unwrap().version());
    assert!(report.total_memory_bytes > 0 && !report.name.is_empty());
    assert_eq!(report.can_carry_links(), device.allocate(1).is_ok(), "the report and the driver agree");
}

#[test]
fn f32_a_permuted_process_finds_the_same_card_by_its_uuid() {
    if standin().is_none() && Driver::get().map_or(0, |driver| driver.device_count().unwrap()) < 2 {
        println!("SKIP needs two devices");
        return;
    }
    let mut straight = Child::start_with("devices/list", |command| {
        command.env("CUDA_VISIBLE_DEVICES", "0,1").env("UNCOPY_STANDIN_DEVICES", "2");
    });
    let mut permuted = Child::start_with("devices/list", |command| {
        command.env("CUDA_VISIBLE_DEVICES", "1,0").env("UNCOPY_STANDIN_DEVICES", "2");
    });
    let here = [straight.hear(), straight.hear()];
    let there = [permuted.hear(), permuted.hear()];
    assert_ne!(here[0], here[1], "two cards have two names");
    assert_eq!([&here[0], &here[1]], [&there[1], &there[0]]);
    permuted.tell(&here[0]);
    assert_eq!(permuted.hear(), "cuda:1", "card 0 of one process is card 1 of the other");
    straight.tell(&here[0]);
    assert_eq!(straight.hear(), "cuda:0");
}

/// Tells each card's bytes, in the order of ordinals; then finds the one that the parent tells.
fn tell_devices() {
    let devices = list_devices().unwrap();
    for listed in &devices {
        tell(hex(listed.uuid));
    }
    let wanted = hear();
    let wanted = devices.iter().map(|listed| listed.uuid).find(|uuid| hex(*uuid) == wanted).unwrap();
    tell(CudaDevice::with_uuid(wanted).unwrap().device());
}

fn hex(uuid: DeviceUuid) -> String {
    uuid.0.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn f45_a_forked_child_is_refused_everything_and_breaks_nothing_of_its_parents() {
    if device().is_some() {
        play_in_child("devices/fork", |_| {});
    }
}

/// In a process of its own, since it forks.
fn use_after_fork() {
    let device = device().unwrap();
    let memory = device.allocate(4096).unwrap();
    crate::support::write(&device, &[9; 4096], &memory.region());
    let child = fork();
    if child == 0 {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let refused = |error: std::io::Error| {
                assert!(matches!(crate::support::ours(&error), CudaError::Forked { .. }), "{error}");
                assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
            };
            refused(device.allocate(4096).map(|_| ()).unwrap_err());
            refused(device.stream().unwrap_err());
            assert!(matches!(CudaDevice::with_ordinal(0), Err(CudaError::Forked { .. })));
            assert!(matches!(list_devices(), Err(CudaError::Forked { .. })));
            drop(memory.region());
            drop(memory);
            drop(device);
        }));
        leave(i32::from(outcome.is_err()));
    }
    assert_eq!(wait_for(child), 0, "the child is refused");
    assert_eq!(crate::support::read(&device, &memory.region(), 4096), [9; 4096], "the parent goes on");
}

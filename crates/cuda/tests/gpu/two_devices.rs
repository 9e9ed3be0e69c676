// SPDX-License-Identifier: MIT OR Apache-2.0
//! Two devices: memory of one that the other uses where it lies, and copies between those that do not reach each other.

use std::io::ErrorKind;

use uncopy_core::{DType, DeviceUuid, Layout};
use uncopy_cuda::{CudaDevice, CudaError, Driver, list_reaches};
use uncopy_tensor::{Accelerator, Access, Tensor};

use crate::support::{Role, pattern, play_in_child, read, standin, write};

pub const ROLES: &[Role] =
    &[("two-devices/reach", one_reaches_the_other), ("two-devices/apart", copies_go_between_those_apart)];

const LEN_BYTES: usize = 3 << 20;

/// Plays a role with two devices, which reach each other or not on the stand-in.
fn play(role: &str, reaches: &str) {
    if standin().is_some() || Driver::get().is_ok_and(|driver| driver.device_count().unwrap() > 1) {
        play_in_child(role, |command| {
            command.env("UNCOPY_STANDIN_DEVICES", "2").env("UNCOPY_STANDIN_PEER", reaches);
        });
    } else {
        println!("SKIP needs two devices");
    }
}

#[test]
fn memory_of_another_device_is_used_where_it_lies() {
    play("two-devices/reach", "1");
}

fn one_reaches_the_other() {
    let (first, second) = (CudaDevice::with_ordinal(0).unwrap(), CudaDevice::with_ordinal(1).unwrap());
    assert!(second.reaches(second.uuid()).unwrap(), "a device reaches itself");
    let unknown = second.reaches(DeviceUuid([7; 16])).unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound, "{unknown}");
    let pairs: Vec<_> = list_reaches().unwrap().iter().map(|reach| (reach.by.id, reach.of.id)).collect();
    assert!(pairs.contains(&(0, 1)) && pairs.contains(&(1, 0)) && !pairs.contains(&(0, 0)), "{pairs:?}");
    if !second.reaches(first.uuid()).unwrap() {
        println!("SKIP these two devices do not reach each other");
        return;
    }
    let memory = first.allocate(LEN_BYTES).unwrap();
    write(&first, &pattern(LEN_BYTES, 1), &memory.region());
    let handle = memory.share().unwrap();
    let near = second.import_from(first.uuid(), handle, LEN_BYTES, Access::ReadWrite).unwrap();
    assert_eq!(near.device(), second.device());
    assert_eq!(read(&second, &near, LEN_BYTES), pattern(LEN_BYTES, 1));
    write(&second, &pattern(LEN_BYTES, 2), &near);
    assert_eq!(read(&first, &memory.region(), LEN_BYTES), pattern(LEN_BYTES, 2), "it is the same memory");
    // What is said of the owner is checked.
    let error =
        second.import_from(second.uuid(), memory.share().unwrap(), LEN_BYTES, Access::ReadOnly).unwrap_err();
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<CudaError>()).unwrap();
    assert!(matches!(inner, CudaError::OtherDevice { found, .. } if found == "cuda:0"), "{error}");
}

#[test]
fn a_copy_goes_between_devices_that_do_not_reach_each_other() {
    play("two-devices/apart", "0");
}

fn copies_go_between_those_apart() {
    let (first, second) = (CudaDevice::with_ordinal(0).unwrap(), CudaDevice::with_ordinal(1).unwrap());
    let (from, to) = (first.allocate(LEN_BYTES).unwrap(), second.allocate(LEN_BYTES).unwrap());
    write(&first, &pattern(LEN_BYTES, 3), &from.region());
    let layout = Layout::contiguous(DType::U8, &[LEN_BYTES]).unwrap();
    let source = Tensor::new(from.region().part(0, LEN_BYTES, ()).unwrap(), layout, 0).unwrap();
    let stream = first.stream().unwrap();
    first.copy(&source, &to.region(), stream).unwrap();
    first.synchronize(stream).unwrap();
    assert_eq!(read(&second, &to.region(), LEN_BYTES), pattern(LEN_BYTES, 3));
    if !second.reaches(first.uuid()).unwrap() {
        let handle = from.share().unwrap();
        let error = second.import_from(first.uuid(), handle, LEN_BYTES, Access::ReadOnly).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(list_reaches().unwrap().iter().all(|reach| !reach.is_direct));
    }
}

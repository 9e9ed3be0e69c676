// SPDX-License-Identifier: MIT OR Apache-2.0
use std::ptr::NonNull;
use std::sync::{Arc, Mutex};

use uncopy_core::{DType, Device, DeviceKind, ErrorKind, Layout};
use uncopy_tensor::{Access, HostBuffer, Region, Tensor, TensorError};

/// Writes its name down when it is dropped.
struct Witness(&'static str, Arc<Mutex<Vec<&'static str>>>);

impl Drop for Witness {
    fn drop(&mut self) {
        self.1.lock().unwrap().push(self.0);
    }
}

/// A region of bytes 0, 1, 2, … whose end writes "region" down, and the list it writes to.
fn witnessed(len_bytes: u8) -> (Region, Arc<Mutex<Vec<&'static str>>>) {
    let dropped = Arc::new(Mutex::new(vec![]));
    let whole = Region::from_vec((0..len_bytes).collect());
    let region = whole.part(0, len_bytes.into(), Witness("region", dropped.clone())).unwrap();
    (region, dropped)
}

#[test]
fn the_owner_is_dropped_with_the_last_clone() {
    let (region, dropped) = witnessed(4);
    let tensor = Tensor::new(region.clone(), Layout::contiguous(DType::U8, &[4]).unwrap(), 0).unwrap();
    let other = tensor.clone();
    drop(region);
    drop(tensor);
    assert!(dropped.lock().unwrap().is_empty());
    assert_eq!(other.as_packed_bytes(), Some(&[0, 1, 2, 3][..]));
    std::thread::spawn(move || drop(other)).join().unwrap();
    assert_eq!(*dropped.lock().unwrap(), ["region"]);
}

#[test]
fn a_part_keeps_the_whole_and_its_hold_ends_first() {
    let (region, dropped) = witnessed(8);
    let part = region.part(2, 3, Witness("hold", dropped.clone())).unwrap();
    assert_eq!(part.address(), region.address() + 2);
    assert_eq!(part.as_bytes(), Some(&[2, 3, 4][..]));
    assert_eq!((part.device(), part.access()), (region.device(), region.access()));
    drop(region);
    let clone = part.clone();
    drop(part);
    assert!(dropped.lock().unwrap().is_empty());
    drop(clone);
    assert_eq!(*dropped.lock().unwrap(), ["hold", "region"]);
}

#[test]
fn a_part_outside_the_region_is_refused_and_its_hold_dropped() {
    let region = Region::from_vec(vec![0; 8]);
    assert_eq!(region.part(8, 0, ()).unwrap().len_bytes(), 0);
    for (offset_bytes, len_bytes) in [(9, 0), (0, 9), (8, 1), (usize::MAX, 1), (1, usize::MAX)] {
        let hold = Arc::new(());
        let error = region.part(offset_bytes, len_bytes, hold.clone()).unwrap_err();
        assert_eq!(error, TensorError::OutOfRegion { offset_bytes, len_bytes, region_len_bytes: 8 });
        assert_eq!(Arc::strong_count(&hold), 1);
    }
}

#[test]
fn a_handle_has_no_part_behind_its_start() {
    let device = Device::new(DeviceKind::METAL, 0);
    // SAFETY: nobody can read this memory: the CPU does not reach the device.
    let region = unsafe { Region::from_raw(NonNull::dangling(), 8, device, Access::ReadOnly, ()) };
    assert_eq!(region.part(0, 4, ()).unwrap().len_bytes(), 4);
    let error = region.part(4, 4, ()).unwrap_err();
    assert_eq!(error, TensorError::OpaqueAddress { device });
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[test]
fn regions_of_vectors_and_shared_bytes_are_made_without_a_copy() {
    let mut bytes = Vec::with_capacity(100);
    bytes.extend([1, 2, 3]);
    let address = bytes.as_ptr() as usize;
    let region = Region::from_vec(bytes);
    assert_eq!((region.address(), region.len_bytes(), region.access()), (address, 3, Access::ReadWrite));

    let shared: Arc<[u8]> = Arc::from([4, 5]);
    let region = Region::from_bytes(shared.clone());
    assert_eq!((region.address(), region.access()), (shared.as_ptr() as usize, Access::ReadOnly));
    assert_eq!(region.as_bytes(), Some(&shared[..]));
    drop(region);
    assert_eq!(Arc::strong_count(&shared), 1);
}

#[test]
fn a_region_can_be_empty() {
    for region in [
        Region::from_vec(vec![]),
        Region::from_bytes(Arc::from([])),
        HostBuffer::zeroed(0).unwrap().into_region(),
        Region::from_vec(vec![1]).part(1, 0, ()).unwrap(),
    ] {
        assert_eq!(region.as_bytes(), Some(&[][..]));
        let tensor = Tensor::new(region, Layout::contiguous(DType::F32, &[0]).unwrap(), 0).unwrap();
        assert_eq!(tensor.as_packed_bytes(), Some(&[][..]));
    }
}

#[test]
fn a_write_through_the_pointer_is_seen_by_every_clone() {
    let region = Region::from_vec(vec![0; 4]);
    let tensor = Tensor::new(region.clone(), Layout::contiguous(DType::U8, &[2]).unwrap(), 2).unwrap();
    // SAFETY: the region is writable, the byte is in it, and no slice or view is alive.
    unsafe { tensor.as_ptr().write(7) };
    assert_eq!(region.as_bytes(), Some(&[0, 0, 7, 0][..]));
}

#[test]
fn a_tensor_outside_its_region_is_refused() {
    let region = Region::from_vec(vec![0; 8]);
    let four = Layout::contiguous(DType::U8, &[4]).unwrap();
    let backwards = Layout::strided(DType::U8, &[4], &[-1]).unwrap();
    assert!(Tensor::new(region.clone(), four, 4).is_ok());
    assert!(Tensor::new(region.clone(), backwards, 3).is_ok());
    for (layout, offset_bytes) in [(four, 5), (backwards, 2), (backwards, 8), (four, usize::MAX)] {
        let error = Tensor::new(region.clone(), layout, offset_bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidLayout, "{layout} at {offset_bytes}");
    }
}

#[test]
fn read_only_is_the_word_of_region_or_tensor() {
    let layout = Layout::contiguous(DType::U8, &[2]).unwrap();
    let writable = Tensor::new(Region::from_vec(vec![0; 2]), layout, 0).unwrap();
    let clone = writable.clone();
    assert!(writable.read_only().is_read_only());
    assert!(!clone.is_read_only(), "other clones are unaffected");
    let immutable = Tensor::new(Region::from_bytes(Arc::from([0; 2])), layout, 0).unwrap();
    assert!(immutable.is_read_only());
}

#[test]
fn a_tensor_shows_what_it_is() {
    let tensor =
        Tensor::new(Region::from_vec(vec![0; 6]), Layout::contiguous(DType::U8, &[2, 3]).unwrap(), 0)
            .unwrap();
    let shown = format!("{tensor:?}");
    assert!(shown.contains("uint8[2, 3]") && shown.contains("cpu"), "{shown}");
}

// SPDX-License-Identifier: MIT OR Apache-2.0
use std::ptr::NonNull;
use std::sync::Arc;

use uncopy_core::{DType, Device, DeviceKind, ErrorKind, Layout};
use uncopy_tensor::dlpack::{
    DLManagedTensorVersioned, DlpackError, FLAG_IS_COPIED, FLAG_READ_ONLY, VERSION, dlpack_from_tensor,
    dlpack_versioned_from_tensor, tensor_from_dlpack, tensor_from_dlpack_versioned,
};
use uncopy_tensor::{Access, HostBuffer, Region, Tensor};

/// A region of `len_bytes` bytes 0, 1, 2, … and a witness of its life: the count of the second `Arc` falls to 1.
fn counted(len_bytes: u8) -> (Region, Arc<()>) {
    let alive = Arc::new(());
    let region = Region::from_vec((0..len_bytes).collect());
    (region.part(0, len_bytes.into(), alive.clone()).unwrap(), alive)
}

fn upside_down() -> (Tensor, Arc<()>) {
    let (region, alive) = counted(7);
    let layout = Layout::strided(DType::U8, &[2, 3], &[-3, 1]).unwrap();
    (Tensor::new(region, layout, 4).unwrap(), alive)
}

/// What a consumer reads from a struct of ours, and then the deleter call.
struct Read {
    version: (u32, u32),
    flags: u64,
    shape: Vec<i64>,
    strides: Vec<i64>,
    data: usize,
    byte_offset: u64,
}

fn read_and_delete(managed: NonNull<DLManagedTensorVersioned>) -> Read {
    // SAFETY: the struct was just made, and nobody else has it.
    let whole = unsafe { managed.read() };
    let axes = |axes: *mut i64| {
        let ndim = usize::try_from(whole.dl_tensor.ndim).unwrap();
        // SAFETY: a struct of ours has `ndim` entries behind both pointers until it is deleted.
        unsafe { std::slice::from_raw_parts(axes, ndim) }.to_vec()
    };
    let read = Read {
        version: (whole.version.major, whole.version.minor),
        flags: whole.flags,
        shape: axes(whole.dl_tensor.shape),
        strides: axes(whole.dl_tensor.strides),
        data: whole.dl_tensor.data.addr(),
        byte_offset: whole.dl_tensor.byte_offset,
    };
    // SAFETY: the struct is ours, and this is its one deletion.
    unsafe { (whole.deleter.unwrap())(managed.as_ptr()) };
    read
}

#[test]
fn an_export_says_what_the_tensor_is_at_the_same_address() {
    let (tensor, alive) = upside_down();
    let address = tensor.address();
    let read = read_and_delete(dlpack_versioned_from_tensor(tensor));
    assert_eq!(read.version, (VERSION.major, VERSION.minor));
    assert_eq!(read.version, (1, 3));
    assert_eq!(read.flags, 0);
    assert_eq!((read.shape, read.strides), (vec![2, 3], vec![-3, 1]));
    assert_eq!((read.data, read.byte_offset), (address, 0), "many consumers ignore the offset");
    assert_eq!(Arc::strong_count(&alive), 1, "the deleter dropped the tensor");
}

#[test]
fn a_struct_keeps_the_memory_until_its_deleter_is_called_on_any_thread() {
    struct Sent(NonNull<DLManagedTensorVersioned>);
    // SAFETY: consumers may call the deleter of a struct of ours on any thread; that is what this test does.
    unsafe impl Send for Sent {}

    let (tensor, alive) = upside_down();
    let sent = Sent(dlpack_versioned_from_tensor(tensor));
    assert_eq!(Arc::strong_count(&alive), 2);
    std::thread::spawn(move || {
        let Sent(managed) = { sent };
        read_and_delete(managed)
    })
    .join()
    .unwrap();
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[test]
fn flags_carry_read_only_and_copied() {
    let (tensor, _alive) = upside_down();
    let flags = |tensor: Tensor| read_and_delete(dlpack_versioned_from_tensor(tensor)).flags;
    assert_eq!(flags(tensor.clone().read_only()), FLAG_READ_ONLY);
    assert_eq!(flags(tensor.clone().copied()), FLAG_IS_COPIED);
    assert_eq!(flags(tensor.to_packed().unwrap().read_only()), FLAG_READ_ONLY | FLAG_IS_COPIED);
    let immutable = Region::from_bytes(Arc::from([1, 2]));
    let layout = Layout::contiguous(DType::U8, &[2]).unwrap();
    assert_eq!(
        flags(Tensor::new(immutable, layout, 0).unwrap()),
        FLAG_READ_ONLY,
        "the region's word counts too"
    );
}

#[test]
fn an_array_without_elements_has_null_data() {
    let layout = Layout::contiguous(DType::F32, &[0, 3]).unwrap();
    let tensor = Tensor::new(HostBuffer::zeroed(64).unwrap().into_region(), layout, 64).unwrap();
    let read = read_and_delete(dlpack_versioned_from_tensor(tensor));
    assert_eq!((read.data, read.byte_offset), (0, 0));
    assert_eq!(read.shape, [0, 3]);
}

#[test]
fn an_array_without_axes_is_exported() {
    let (region, _alive) = counted(8);
    let tensor = Tensor::new(region, Layout::contiguous(DType::F64, &[]).unwrap(), 0).unwrap();
    let managed = dlpack_versioned_from_tensor(tensor);
    // SAFETY: the struct was just made, nobody else has it, and nobody writes its elements.
    let back = unsafe { tensor_from_dlpack_versioned(managed) }.unwrap();
    assert_eq!(back.layout().ndim(), 0);
    assert_eq!(back.layout().len_bytes(), 8);
}

#[test]
fn an_offset_stays_beside_a_handle() {
    let handle = NonNull::new(std::ptr::without_provenance_mut(0x1001)).unwrap();
    let device = Device::new(DeviceKind::OPENCL, 2);
    // SAFETY: nobody can read this memory: the CPU does not reach the device.
    let region = unsafe { Region::from_raw(handle, 64, device, Access::ReadWrite, ()) };
    let tensor = Tensor::new(region, Layout::contiguous(DType::U8, &[4]).unwrap(), 16).unwrap();
    let read = read_and_delete(dlpack_versioned_from_tensor(tensor));
    assert_eq!((read.data, read.byte_offset), (0x1001, 16));
}

#[test]
fn a_write_of_the_consumer_is_seen_by_the_tensor() {
    let (tensor, _alive) = upside_down();
    let managed = dlpack_versioned_from_tensor(tensor.clone());
    // SAFETY: the struct was just made, nobody else has it, and nobody reads while the consumer writes below.
    let consumer = unsafe { tensor_from_dlpack_versioned(managed) }.unwrap();
    // SAFETY: the export allows writing, and no slice or view is alive.
    unsafe { consumer.as_ptr().write(99) };
    assert_eq!(tensor.view::<u8, 2>().unwrap().get([0, 0]), Some(99));
}

#[test]
fn a_round_trip_of_either_form_keeps_everything() {
    let (tensor, alive) = upside_down();
    let legacy = dlpack_from_tensor(tensor.clone()).unwrap();
    // SAFETY: the struct was just made, nobody else has it, and nobody writes its elements.
    let legacy = unsafe { tensor_from_dlpack(legacy) }.unwrap();
    let versioned = dlpack_versioned_from_tensor(tensor.clone());
    // SAFETY: as above.
    let versioned = unsafe { tensor_from_dlpack_versioned(versioned) }.unwrap();
    for back in [legacy, versioned] {
        assert_eq!(back.layout(), tensor.layout());
        assert_eq!(back.address(), tensor.address());
        assert_eq!(back.device(), tensor.device());
        assert_eq!(back.is_read_only(), tensor.is_read_only());
    }
    drop(tensor);
    assert_eq!(Arc::strong_count(&alive), 1, "both structs were deleted with their last clones");
}

#[test]
fn the_legacy_form_refuses_what_must_not_be_written() {
    let (tensor, alive) = upside_down();
    let error = dlpack_from_tensor(tensor.read_only()).unwrap_err();
    assert_eq!(error, DlpackError::ReadOnlyLegacy);
    assert_eq!(error.kind(), ErrorKind::ReadOnly);
    assert_eq!(Arc::strong_count(&alive), 1, "the refused tensor is dropped");
}

#[test]
fn a_panicking_owner_does_not_end_the_process_of_a_c_consumer() {
    struct Panics {
        _alive: Arc<()>,
    }
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("this panic is part of the test");
        }
    }

    let alive = Arc::new(());
    let region = Region::from_vec(vec![1]).part(0, 1, Panics { _alive: alive.clone() }).unwrap();
    let tensor = Tensor::new(region, Layout::contiguous(DType::U8, &[1]).unwrap(), 0).unwrap();
    read_and_delete(dlpack_versioned_from_tensor(tensor));
    assert_eq!(Arc::strong_count(&alive), 1, "the rest of the owner was dropped all the same");
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every layout is packed exactly, or refused.

use std::io::ErrorKind;
use std::sync::Arc;

use uncopy_core::{DType, Device, DeviceKind, Layout};
use uncopy_cuda::{CudaDevice, CudaError, PinnedBuffer};
use uncopy_os::SharedMemory;
use uncopy_tensor::{Accelerator, HostBuffer, Region, Tensor};

use crate::support::{bytes_of, device, ours, pattern, read, write};

/// What the elements of `layout` are when they lie in `bytes`, packed by the CPU.
fn packed(bytes: &[u8], layout: Layout, offset_bytes: usize) -> Vec<u8> {
    let tensor = Tensor::new(Region::from_vec(bytes.to_vec()), layout, offset_bytes).unwrap();
    let mut out = vec![0; layout.len_bytes()];
    tensor.copy_packed_into(&mut out).unwrap();
    out
}

/// The layouts that one call of the driver packs, with where they begin.
fn packable() -> Vec<(Layout, usize)> {
    let strided = |dtype, shape: &[usize], strides: &[isize]| Layout::strided(dtype, shape, strides).unwrap();
    vec![
        (Layout::contiguous(DType::U8, &[5, 7, 4]).unwrap(), 0),
        (Layout::contiguous(DType::F32, &[]).unwrap(), 8),
        (Layout::contiguous(DType::U8, &[3, 0, 4]).unwrap(), 0),
        (strided(DType::U8, &[9, 5, 3], &[64, 3, 1]), 3), // rows with a pitch
        (strided(DType::F16, &[33], &[3]), 2),            // every third element
        (strided(DType::U8, &[16, 16, 3], &[64, 4, 1]), 0), // three of four channels
        (strided(DType::F32, &[2, 3, 5], &[128, 16, 1]), 4), // a batch of cropped images
        (strided(DType::U8, &[3, 8, 8, 4], &[1024, 64, 4, 1]), 0), // a batch with padded rows
    ]
}

const LEN_BYTES: usize = 8192;

#[test]
fn f39_every_layout_that_the_device_packs_is_packed_exactly() {
    let Some(device) = device() else { return };
    let memory = device.allocate(LEN_BYTES).unwrap();
    let bytes = pattern(LEN_BYTES, 3);
    write(&device, &bytes, &memory.region());
    let on_host = Region::from_vec(bytes.clone());
    let pinned = pinned_copy(&device, &bytes);
    for (layout, offset_bytes) in packable() {
        let expected = packed(&bytes, layout, offset_bytes);
        for source in [&memory.region(), &on_host, &pinned] {
            let tensor = Tensor::new(source.clone(), layout, offset_bytes).unwrap();
            assert_eq!(through_device(&device, &tensor), expected, "{layout} from {}", source.device());
        }
        let tensor = Tensor::new(memory.region(), layout, offset_bytes).unwrap();
        assert_eq!(straight_to_host(&device, &tensor), expected, "{layout} to the host");
    }
}

fn pinned_copy(device: &CudaDevice, bytes: &[u8]) -> Region {
    let mut pinned = PinnedBuffer::zeroed(device.context(), bytes.len()).unwrap();
    assert!(pinned.iter().all(|byte| *byte == 0));
    pinned.copy_from_slice(bytes);
    let region = pinned.into_region();
    assert_eq!(region.device(), Device::new(DeviceKind::CUDA_HOST, 0));
    region
}

fn through_device(device: &Arc<CudaDevice>, tensor: &Tensor) -> Vec<u8> {
    let place = device.allocate(LEN_BYTES).unwrap();
    let stream = device.stream().unwrap();
    device.copy(tensor, &place.region(), stream).unwrap();
    device.synchronize(stream).unwrap();
    let beyond = read(device, &place.region(), LEN_BYTES).split_off(tensor.layout().len_bytes());
    assert!(beyond.iter().all(|byte| *byte == 0), "nothing is written behind the elements");
    read(device, &place.region(), tensor.layout().len_bytes().max(1))
        .split_at(tensor.layout().len_bytes())
        .0
        .to_vec()
}

fn straight_to_host(device: &CudaDevice, tensor: &Tensor) -> Vec<u8> {
    let place = HostBuffer::zeroed(tensor.layout().len_bytes()).unwrap().into_region();
    let stream = device.stream().unwrap();
    device.copy(tensor, &place, stream).unwrap();
    device.synchronize(stream).unwrap();
    place.as_bytes().unwrap().to_vec()
}

#[test]
fn pages_that_other_processes_share_are_copied_to_once_pinned() {
    let Some(device) = device() else { return };
    let shared = Arc::new(SharedMemory::create("mirror", LEN_BYTES).unwrap());
    let pinned = device.pin(shared.shared_pages(0, LEN_BYTES).unwrap()).unwrap();
    assert_eq!(pinned.device(), Device::new(DeviceKind::CUDA_HOST, 0));
    assert_eq!(pinned.len_bytes(), LEN_BYTES);
    let memory = device.allocate(LEN_BYTES).unwrap();
    let bytes = pattern(LEN_BYTES, 5);
    write(&device, &bytes, &memory.region());
    device.copy(&bytes_of(&memory.region(), LEN_BYTES), &pinned, device.stream().unwrap()).unwrap();
    device.settle().unwrap();
    let mut seen = vec![0; LEN_BYTES];
    shared.words().load_bytes(0, &mut seen).unwrap();
    assert_eq!(seen, bytes, "settling waits for every stream");
}

#[test]
fn f39_what_the_device_cannot_pack_is_refused_with_its_strides_and_nothing_is_written() {
    let Some(device) = device() else { return };
    let memory = device.allocate(LEN_BYTES).unwrap();
    let place = device.allocate(LEN_BYTES).unwrap();
    let upside_down = Layout::strided(DType::U8, &[4, 8], &[-8, 1]).unwrap();
    let transposed = Layout::strided(DType::F32, &[3, 4], &[1, 3]).unwrap();
    for (layout, offset_bytes) in [(upside_down, 24), (transposed, 0)] {
        let tensor = Tensor::new(memory.region(), layout, offset_bytes).unwrap();
        let error = device.copy(&tensor, &place.region(), device.stream().unwrap()).unwrap_err();
        assert!(matches!(ours(&error), CudaError::Strides { .. }), "{error}");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}

#[test]
fn a_destination_that_is_too_small_or_out_of_reach_is_refused() {
    let Some(device) = device() else { return };
    let memory = device.allocate(LEN_BYTES).unwrap();
    let source = bytes_of(&memory.region(), 100);
    let stream = device.stream().unwrap();
    let small = Region::from_vec(vec![0; 99]);
    let error = device.copy(&source, &small, stream).unwrap_err();
    let is_it = matches!(ours(&error), CudaError::DestinationTooSmall { need_bytes: 100, found_bytes: 99 });
    assert!(is_it, "{error}");
    let read_only = Region::from_bytes(Arc::from(vec![0; 100]));
    assert_eq!(device.copy(&source, &read_only, stream).unwrap_err().kind(), ErrorKind::PermissionDenied);
}

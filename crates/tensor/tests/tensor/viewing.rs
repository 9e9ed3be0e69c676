// SPDX-License-Identifier: MIT OR Apache-2.0
use std::ptr::NonNull;

use proptest::prelude::*;
use uncopy_core::{DType, Device, ErrorKind, Layout};
use uncopy_tensor::{Access, Element, HostBuffer, Region, Tensor, TensorError, View};

use crate::layouts::{config, indices, layout, packed_one_by_one, tensor_of};

fn values(tensor: &Tensor) -> Vec<u32> {
    packed_one_by_one(tensor)
        .chunks_exact(4)
        .map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap()))
        .collect()
}

/// Every way to read a view gives the values that reading one by one gives.
fn check<const N: usize>(view: View<'_, u32, N>, expected: &[u32]) {
    assert_eq!(view.len_elems(), expected.len());
    assert_eq!(view.iter().len(), expected.len());
    assert_eq!(view.iter().collect::<Vec<_>>(), expected);
    for (index, &value) in indices(&view.shape()).into_iter().zip(expected) {
        assert_eq!(view.get(index.try_into().unwrap()), Some(value));
    }
    if let Some(slice) = view.as_slice() {
        assert_eq!(slice, expected);
    }
}

/// Vectors aligned to 4 bytes do not exist in safe Rust, so tests that need it copy into a buffer of ours.
fn aligned(tensor: &Tensor) -> Tensor {
    let region = tensor.region().as_bytes().unwrap();
    let mut buffer = HostBuffer::zeroed(region.len()).unwrap();
    buffer.copy_from_slice(region);
    Tensor::new(buffer.into_region(), *tensor.layout(), tensor.offset_bytes()).unwrap()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_view_reads_what_reading_one_by_one_reads(layout in layout(Just(DType::U32))) {
        let tensor = aligned(&tensor_of(layout));
        let expected = values(&tensor);
        match layout.ndim() {
            0 => check(tensor.view::<u32, 0>().unwrap(), &expected),
            1 => check(tensor.view::<u32, 1>().unwrap(), &expected),
            2 => check(tensor.view::<u32, 2>().unwrap(), &expected),
            3 => {
                let view = tensor.view::<u32, 3>().unwrap();
                check(view, &expected);
                prop_assert_eq!(view.as_slice().is_some(), layout.is_c_contiguous());
                let by_axis: Vec<_> = (0..).map_while(|at| view.outer(at)).flat_map(|plane| plane.iter()).collect();
                prop_assert_eq!(by_axis, expected);
            }
            4 => check(tensor.view::<u32, 4>().unwrap(), &expected),
            _ => check(tensor.view::<u32, 5>().unwrap(), &expected),
        }
    }
}

fn tensor<const LEN: usize>(bytes: [u8; LEN], layout: Layout) -> Tensor {
    let mut buffer = HostBuffer::zeroed(LEN).unwrap();
    buffer.copy_from_slice(&bytes);
    Tensor::new(buffer.into_region(), layout, 0).unwrap()
}

#[test]
fn an_index_outside_the_shape_is_none() {
    let tensor = tensor([0, 1, 2, 3, 4, 5], Layout::contiguous(DType::U8, &[2, 3]).unwrap());
    let view = tensor.view::<u8, 2>().unwrap();
    assert_eq!(view.get([1, 2]), Some(5));
    for outside in [[2, 0], [0, 3], [usize::MAX, 0], [0, usize::MAX]] {
        assert_eq!(view.get(outside), None);
    }
    assert!(view.outer(2).is_none());
    assert_eq!(view.outer(1).and_then(|row| row.outer(2)).and_then(|value| value.get([])), Some(5));
}

#[test]
fn every_element_type_reads_its_own_dtype() {
    fn ones<T: Element + PartialEq + std::fmt::Debug>(bytes: &[u8], expected: T) {
        let mut buffer = HostBuffer::zeroed(size_of::<T>()).unwrap();
        buffer.copy_from_slice(bytes);
        let layout = Layout::contiguous(T::DTYPE, &[]).unwrap();
        let tensor = Tensor::new(buffer.into_region(), layout, 0).unwrap();
        assert_eq!(tensor.view::<T, 0>().unwrap().get([]), Some(expected), "{}", T::DTYPE);
    }
    ones(&1_u8.to_le_bytes(), 1_u8);
    ones(&1_u16.to_le_bytes(), 1_u16);
    ones(&1_u32.to_le_bytes(), 1_u32);
    ones(&1_u64.to_le_bytes(), 1_u64);
    ones(&(-1_i8).to_le_bytes(), -1_i8);
    ones(&(-1_i16).to_le_bytes(), -1_i16);
    ones(&(-1_i32).to_le_bytes(), -1_i32);
    ones(&(-1_i64).to_le_bytes(), -1_i64);
    ones(&[0x00, 0x3c], half::f16::ONE);
    ones(&[0x80, 0x3f], half::bf16::ONE);
    ones(&1_f32.to_le_bytes(), 1_f32);
    ones(&1_f64.to_le_bytes(), 1_f64);
    ones(&[0x00, 0x3c, 0x00, 0xbc], [half::f16::ONE, half::f16::NEG_ONE]);
    ones(&[1_f32.to_le_bytes(), 2_f32.to_le_bytes()].concat(), [1_f32, 2.0]);
    ones(&[1_f64.to_le_bytes(), 2_f64.to_le_bytes()].concat(), [1_f64, 2.0]);
}

#[test]
fn another_dtype_or_number_of_dimensions_is_refused() {
    let tensor = tensor([0; 8], Layout::contiguous(DType::F32, &[2]).unwrap());
    let error = tensor.view::<u32, 1>().unwrap_err();
    assert_eq!(error, TensorError::DTypeMismatch { wanted: DType::U32, found: DType::F32 });
    assert_eq!(error.kind(), ErrorKind::InvalidDType);
    for error in [tensor.view::<f32, 0>().unwrap_err(), tensor.view::<f32, 2>().unwrap_err()] {
        assert!(matches!(error, TensorError::NdimMismatch { found: 1, .. }), "{error}");
    }
}

#[test]
fn a_misaligned_view_is_refused_but_its_copy_is_not() {
    let buffer = HostBuffer::zeroed(9).unwrap().into_region();
    let tensor = Tensor::new(buffer, Layout::contiguous(DType::F32, &[2]).unwrap(), 1).unwrap();
    assert!(!tensor.is_aligned());
    let error = tensor.view::<f32, 1>().unwrap_err();
    assert_eq!(error, TensorError::Misaligned { address: tensor.address(), align_bytes: 4 });
    assert_eq!(error.kind(), ErrorKind::CopyRequired);
    let copy = tensor.to_packed().unwrap();
    assert!(copy.is_aligned());
    assert_eq!(copy.view::<f32, 1>().unwrap().as_slice(), Some(&[0.0, 0.0][..]));
}

#[test]
fn an_empty_view_needs_no_alignment_and_has_no_values() {
    let region = HostBuffer::zeroed(4).unwrap().into_region();
    let tensor = Tensor::new(region, Layout::contiguous(DType::F64, &[2, 0]).unwrap(), 3).unwrap();
    assert!(tensor.is_aligned());
    let view = tensor.view::<f64, 2>().unwrap();
    assert_eq!(view.iter().next(), None);
    assert_eq!(view.as_slice(), Some(&[][..]));
    assert_eq!(view.get([0, 0]), None);
    assert_eq!(view.outer(1).map(|row| row.len_elems()), Some(0));
}

#[test]
fn device_memory_has_no_view() {
    // SAFETY: nobody can read this memory: the CPU does not reach the device.
    let region = unsafe { Region::from_raw(NonNull::dangling(), 8, Device::cuda(0), Access::ReadWrite, ()) };
    let tensor = Tensor::new(region, Layout::contiguous(DType::U8, &[8]).unwrap(), 0).unwrap();
    assert_eq!(tensor.view::<u8, 1>().unwrap_err(), TensorError::NotOnHost { device: Device::cuda(0) });
}

#[test]
fn a_view_may_cross_threads() {
    let tensor = tensor([1, 2, 3], Layout::contiguous(DType::U8, &[3]).unwrap());
    let view = tensor.view::<u8, 1>().unwrap();
    let sum = std::thread::scope(|scope| scope.spawn(move || view.iter().map(u32::from).sum::<u32>()).join())
        .unwrap();
    assert_eq!(sum, 6);
}

#[test]
fn a_view_is_read_by_reference_copied_and_shown() {
    let tensor = tensor([1, 2, 3, 4, 5, 6], Layout::contiguous(DType::U8, &[2, 3]).unwrap());
    let view = tensor.view::<u8, 2>().unwrap();
    let mut sum = 0;
    for value in &view {
        sum += value;
    }
    assert_eq!(sum, 21);
    let copy = Clone::clone(&view);
    assert_eq!(copy.into_iter().collect::<Vec<u8>>(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(copy.strides_elems(), [3, 1]);
    assert_eq!(format!("{view:?}"), "View { dtype: uint8, shape: [2, 3], strides_elems: [3, 1], .. }");
}

#[test]
fn memory_shows_where_it_is_and_never_what_is_in_it() {
    let mut buffer = HostBuffer::zeroed(64).unwrap();
    buffer.fill(0x5A);
    assert_eq!(format!("{buffer:?}"), "HostBuffer { len_bytes: 64, .. }");
    let region = buffer.into_region();
    let shown = format!("{region:?}");
    let wanted = format!(
        "Region {{ address: {:#x}, len_bytes: 64, device: cpu, access: ReadWrite, .. }}",
        region.address()
    );
    assert_eq!(shown, wanted);
}

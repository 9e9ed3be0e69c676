// SPDX-License-Identifier: MIT OR Apache-2.0
use std::ptr::NonNull;

use proptest::prelude::*;
use uncopy_core::{DType, Device, ErrorKind, Layout};
use uncopy_tensor::{Access, Region, Tensor, TensorError};

use crate::layouts::{config, dtype, layout, packed_one_by_one, tensor_of};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn packing_gives_what_reading_one_by_one_gives(layout in layout(dtype())) {
        let tensor = tensor_of(layout);
        let mut packed = vec![0xAA; layout.len_bytes()];
        tensor.copy_packed_into(&mut packed).unwrap();
        prop_assert_eq!(&packed, &packed_one_by_one(&tensor));
        if let Some(bytes) = tensor.as_packed_bytes() {
            prop_assert_eq!(bytes, &packed[..]);
        } else {
            prop_assert!(!layout.is_c_contiguous());
        }
    }

    #[test]
    fn a_packed_copy_is_private_and_equal(layout in layout(dtype())) {
        let tensor = tensor_of(layout);
        let copy = tensor.to_packed().unwrap();
        prop_assert!(copy.was_copied() && !copy.is_read_only() && copy.is_aligned());
        prop_assert_eq!(copy.layout(), &layout.to_c_contiguous());
        prop_assert_eq!(copy.as_packed_bytes().unwrap(), &packed_one_by_one(&tensor)[..]);
    }
}

fn u8_tensor(shape: &[usize], strides: &[isize]) -> Tensor {
    tensor_of(Layout::strided(DType::U8, shape, strides).unwrap())
}

#[test]
fn long_rows_with_a_pitch_are_packed() {
    // Rows longer than any unit with its own loop, in three axes that do not join.
    let tensor = u8_tensor(&[3, 4, 5, 40], &[2000, 300, 50, 1]);
    let mut packed = vec![0; 3 * 4 * 5 * 40];
    tensor.copy_packed_into(&mut packed).unwrap();
    assert_eq!(packed, packed_one_by_one(&tensor));
}

#[test]
fn transposed_planes_are_packed_whatever_their_size() {
    // Around the side of a tile, and well beyond it; forwards, backwards, and as the inner two of three axes.
    let sizes: &[(usize, usize)] =
        if cfg!(miri) { &[(17, 18)] } else { &[(16, 16), (15, 17), (17, 33), (33, 16), (100, 70)] };
    for &(rows, columns) in sizes {
        for dtype in [DType::U8, DType::F32.with_lanes(2)] {
            let pitch = rows.cast_signed() + 3;
            for strides in [[1, pitch], [-1, pitch], [1, -pitch]] {
                let layout = Layout::strided(dtype, &[rows, columns], &strides).unwrap();
                let tensor = tensor_of(layout);
                assert_eq!(
                    tensor.to_packed().unwrap().as_packed_bytes().unwrap(),
                    packed_one_by_one(&tensor),
                    "{layout}"
                );
            }
        }
    }
    let stacked = u8_tensor(&[2, 17, 18], &[1000, 1, 20]);
    assert_eq!(stacked.to_packed().unwrap().as_packed_bytes().unwrap(), packed_one_by_one(&stacked));
}

#[test]
fn eight_axes_are_packed() {
    let tensor = u8_tensor(&[2, 1, 3, 2, 2, 1, 2, 2], &[-1, 77, 2, 6, -13, 5, 40, 90]);
    let mut packed = vec![0; 96];
    tensor.copy_packed_into(&mut packed).unwrap();
    assert_eq!(packed, packed_one_by_one(&tensor));
}

#[test]
fn sub_byte_items_are_copied_whole_in_c_order() {
    let layout = Layout::contiguous(DType::F4_E2M1FN, &[3, 3]).unwrap();
    let tensor = Tensor::new(Region::from_vec(vec![1, 2, 3, 4, 5, 6]), layout, 1).unwrap();
    let mut packed = [0; 5];
    tensor.copy_packed_into(&mut packed).unwrap();
    assert_eq!(packed, [2, 3, 4, 5, 6], "nine items of 4 bits are five bytes");
}

#[test]
fn a_destination_of_another_size_is_refused_and_untouched() {
    let tensor = u8_tensor(&[2, 3], &[1, 2]);
    for found_bytes in [0, 5, 7] {
        let mut out = vec![0xAA; found_bytes];
        let error = tensor.copy_packed_into(&mut out).unwrap_err();
        assert_eq!(error, TensorError::SizeMismatch { need_bytes: 6, found_bytes });
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(out.iter().all(|&byte| byte == 0xAA));
    }
}

#[test]
fn device_memory_is_refused() {
    // SAFETY: nobody can read this memory: the CPU does not reach the device.
    let region = unsafe { Region::from_raw(NonNull::dangling(), 64, Device::cuda(3), Access::ReadWrite, ()) };
    let tensor = Tensor::new(region, Layout::contiguous(DType::U8, &[4]).unwrap(), 0).unwrap();
    let error = tensor.copy_packed_into(&mut [0; 4]).unwrap_err();
    assert_eq!(error, TensorError::NotOnHost { device: Device::cuda(3) });
    assert_eq!(tensor.to_packed().unwrap_err().kind(), ErrorKind::Unsupported);
}

#[test]
fn a_destination_inside_the_source_is_refused() {
    let memory = NonNull::from(Box::leak(Box::new([7_u8; 16]))).cast::<u8>();
    // SAFETY: the box is leaked until the end of this test, initialised, and written by nobody meanwhile.
    let region = unsafe { Region::from_raw(memory, 16, Device::CPU, Access::ReadWrite, ()) };
    let tensor = Tensor::new(region, Layout::strided(DType::U8, &[4], &[-2]).unwrap(), 10).unwrap();
    for (at, overlaps) in [(0, false), (1, true), (4, true), (10, true), (11, false), (12, false)] {
        let start = memory.as_ptr().wrapping_add(at);
        // SAFETY: the four bytes are in the box, and nothing else refers to them while `out` lives: the call below must
        // not touch the source when it overlaps, and reads other bytes when it does not.
        let out = unsafe { std::slice::from_raw_parts_mut(start, 4) };
        let copied = tensor.copy_packed_into(out);
        assert_eq!(copied.is_err(), overlaps, "at {at}: {copied:?}");
    }
    drop(tensor);
    // SAFETY: the pointer came from this box, and the region is gone.
    drop(unsafe { Box::from_raw(memory.cast::<[u8; 16]>().as_ptr()) });
}

#[test]
fn nothing_is_copied_of_an_empty_array() {
    u8_tensor(&[3, 0, 2], &[7, -5, 0]).copy_packed_into(&mut []).unwrap();
}

// SPDX-License-Identifier: MIT OR Apache-2.0
use uncopy_core::{DType, DTypeCode, Device, DeviceKind, ErrorKind};
use uncopy_tensor::Access;
use uncopy_tensor::dlpack::{
    DLPackVersion, DlpackError, FLAG_IS_COPIED, FLAG_IS_SUBBYTE_TYPE_PADDED, FLAG_READ_ONLY, VERSION,
};

use crate::producer::{Says, import_legacy, import_versioned, import_without_deleter};

/// Refused by both forms, each with one deleter call before the function returns.
fn refused(says: &Says) -> DlpackError {
    let (legacy, deletions) = import_legacy(says);
    assert!(legacy.is_err(), "legacy accepted {says:?}");
    assert_eq!(deletions.count(), 1, "legacy refusal of {says:?}");
    let (versioned, deletions) = import_versioned(says);
    assert_eq!(deletions.count(), 1, "versioned refusal of {says:?}");
    let error = versioned.unwrap_err();
    assert_eq!(Err(error.clone()), legacy.map(drop));
    error
}

/// Taken by both forms: the bytes in C order, checked to be the same, and one deleter call with the last clone.
fn packed(says: &Says) -> Vec<u8> {
    let [versioned, legacy] = [import_versioned(says), import_legacy(says)].map(|(imported, deletions)| {
        let tensor = imported.unwrap();
        let clone = tensor.clone();
        let mut packed = vec![0; tensor.layout().len_bytes()];
        tensor.copy_packed_into(&mut packed).unwrap();
        drop(tensor);
        assert_eq!(deletions.count(), 0, "the clone still holds the loan");
        drop(clone);
        assert_eq!(deletions.count(), 1);
        packed
    });
    assert_eq!(versioned, legacy);
    versioned
}

#[test]
fn an_import_shares_the_producers_memory() {
    let (tensor, _deletions) = import_versioned(&Says::bytes(&[1, 2, 3]));
    let tensor = tensor.unwrap();
    assert_eq!(tensor.as_packed_bytes(), Some(&[1, 2, 3][..]));
    assert_eq!(tensor.region().access(), Access::ReadWrite);
    assert!(!tensor.is_read_only() && !tensor.was_copied());
    // SAFETY: the producer said that the bytes may be written, and no slice of them is alive.
    unsafe { tensor.as_ptr().write(9) };
    assert_eq!(tensor.view::<u8, 1>().unwrap().get([0]), Some(9));
}

#[test]
fn the_last_clone_calls_the_deleter_on_its_own_thread() {
    let (tensor, deletions) = import_versioned(&Says::bytes(&[1, 2, 3]));
    let tensor = tensor.unwrap();
    let clone = tensor.clone();
    drop(tensor);
    assert_eq!(deletions.count(), 0);
    std::thread::spawn(move || drop(clone)).join().unwrap();
    assert_eq!(deletions.count(), 1);
}

#[test]
fn a_null_deleter_is_never_called() {
    import_without_deleter(&Says::bytes(&[5, 6]), |tensor| {
        assert_eq!(tensor.as_packed_bytes(), Some(&[5, 6][..]));
    });
}

#[test]
fn every_minor_version_of_major_1_is_taken() {
    for minor in [0, 1, 2, 3, 4, u32::MAX] {
        let says = Says { version: DLPackVersion { major: 1, minor }, ..Says::bytes(&[1]) };
        assert!(import_versioned(&says).0.is_ok(), "minor {minor}");
    }
}

#[test]
fn another_major_version_gets_its_deleter_call_and_nothing_is_read() {
    for major in [0, 2, u32::MAX] {
        let version = DLPackVersion { major, minor: 7 };
        // Were the axes read, 7 would be more than there are, and Miri would say so.
        let says = Says { version, ndim: 7, ..Says::bytes(&[1]) };
        let (imported, deletions) = import_versioned(&says);
        let error = imported.unwrap_err();
        assert_eq!(error, DlpackError::Version { major, minor: 7 });
        assert_eq!(error.kind(), ErrorKind::VersionMismatch);
        assert_eq!(deletions.count(), 1);
    }
}

#[test]
fn flags_say_read_only_and_copied() {
    for flags in [0, FLAG_READ_ONLY, FLAG_IS_COPIED, FLAG_READ_ONLY | FLAG_IS_COPIED] {
        let tensor = import_versioned(&Says { flags, ..Says::bytes(&[1]) }).0.unwrap();
        assert_eq!(tensor.is_read_only(), flags & FLAG_READ_ONLY != 0);
        assert_eq!(tensor.region().access() == Access::ReadOnly, flags & FLAG_READ_ONLY != 0);
        assert_eq!(tensor.was_copied(), flags & FLAG_IS_COPIED != 0);
    }
}

#[test]
fn unknown_flags_change_nothing() {
    let flags = !(FLAG_READ_ONLY | FLAG_IS_COPIED | FLAG_IS_SUBBYTE_TYPE_PADDED);
    let tensor = import_versioned(&Says { flags, ..Says::bytes(&[1]) }).0.unwrap();
    assert!(!tensor.is_read_only() && !tensor.was_copied());
}

#[test]
fn padded_sub_byte_elements_are_refused_and_packed_ones_are_not() {
    let fp4 = Says { dtype: DType::F4_E2M1FN, ..Says::bytes(&[0x21, 0x43]) }.with_axes(&[4], Some(&[1]));
    assert_eq!(packed(&fp4), [0x21, 0x43]);
    let (imported, deletions) = import_versioned(&Says { flags: FLAG_IS_SUBBYTE_TYPE_PADDED, ..fp4 });
    let error = imported.unwrap_err();
    assert_eq!(error, DlpackError::PaddedSubByte { dtype: DType::F4_E2M1FN });
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(deletions.count(), 1);
}

#[test]
fn padding_means_nothing_for_whole_bytes() {
    // Two 4-bit lanes are a byte, which is how torch says its pairs.
    for dtype in [DType::U8, DType::F4_E2M1FN.with_lanes(2)] {
        let says = Says { flags: FLAG_IS_SUBBYTE_TYPE_PADDED, dtype, ..Says::bytes(&[1, 2]) };
        assert!(import_versioned(&says).0.is_ok(), "{dtype}");
    }
}

#[test]
fn null_strides_mean_c_order() {
    let says = Says::bytes(&[0, 1, 2, 3, 4, 5]).with_axes(&[2, 3], None);
    assert_eq!(packed(&says), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn an_array_without_axes_needs_neither_shape_nor_strides() {
    let says = Says { ndim: 0, shape: None, strides: None, ..Says::bytes(&[7]) };
    assert_eq!(packed(&says), [7]);
    assert_eq!(import_versioned(&says).0.unwrap().layout().ndim(), 0);
}

#[test]
fn strides_may_lead_below_element_0() {
    let says = Says { byte_offset: 3, ..Says::bytes(&[0, 1, 2, 3, 4, 5]) };
    let says = says.with_axes(&[2, 3], Some(&[-3, 1]));
    assert_eq!(packed(&says), [3, 4, 5, 0, 1, 2]);
    let tensor = import_versioned(&says).0.unwrap();
    assert_eq!(tensor.region().len_bytes(), 6, "the region covers the rows on both sides of element 0");
    assert_eq!(tensor.offset_bytes(), 3);
}

#[test]
fn byte_offset_leads_to_element_0() {
    let says = Says { byte_offset: 2, ..Says::bytes(&[9, 9, 1, 2]) }.with_axes(&[2], Some(&[1]));
    assert_eq!(packed(&says), [1, 2]);
}

#[test]
fn broadcast_axes_are_taken() {
    let says = Says::bytes(&[1, 2]).with_axes(&[3, 2], Some(&[0, 1]));
    assert_eq!(packed(&says), [1, 2, 1, 2, 1, 2]);
}

#[test]
fn without_elements_data_may_be_null_or_anything() {
    for data_at in [Some(0), Some(1), Some(usize::MAX), None] {
        for byte_offset in [0, 64, u64::MAX] {
            let says =
                Says { data_at, byte_offset, ..Says::bytes(&[]) }.with_axes(&[4, 0], Some(&[1 << 40, 1]));
            assert_eq!(packed(&says), [] as [u8; 0]);
        }
    }
}

#[test]
fn elements_without_data_are_refused() {
    for byte_offset in [0, 16] {
        let says = Says { data_at: Some(0), byte_offset, ..Says::bytes(&[1, 2, 3]) };
        assert_eq!(refused(&says), DlpackError::NullData { len_elems: 3 });
    }
}

#[test]
fn more_than_8_axes_and_less_than_none_are_refused() {
    let eight = Says::bytes(&[1]).with_axes(&[1; 8], Some(&[1; 8]));
    assert_eq!(packed(&eight), [1]);
    let nine = Says::bytes(&[1]).with_axes(&[1; 9], Some(&[1; 9]));
    assert_eq!(refused(&nine), DlpackError::Ndim { ndim: 9 });
    for ndim in [-1, i32::MIN, i32::MAX] {
        assert_eq!(refused(&Says { ndim, ..Says::bytes(&[1]) }), DlpackError::Ndim { ndim });
    }
}

#[test]
fn axes_without_shape_are_refused() {
    assert_eq!(refused(&Says { shape: None, ..Says::bytes(&[1]) }), DlpackError::NullShape { ndim: 1 });
}

#[test]
fn a_negative_extent_is_refused() {
    let says = Says::bytes(&[1]).with_axes(&[1, -1], Some(&[1, 1]));
    assert_eq!(refused(&says), DlpackError::NegativeExtent { axis: 1, extent: -1 });
}

#[test]
fn sizes_and_strides_beyond_the_address_space_are_refused() {
    let impossible: [(&[i64], Option<&[i64]>); 5] = [
        (&[i64::MAX, i64::MAX], None),
        (&[1 << 32, 1 << 32], Some(&[1 << 32, 1])),
        (&[2], Some(&[i64::MAX])),
        (&[3], Some(&[i64::MIN])),
        (&[i64::MAX, 2], Some(&[1, i64::MAX])),
    ];
    for (shape, strides) in impossible {
        let says = Says { dtype: DType::F64, ..Says::bytes(&[0; 16]) }.with_axes(shape, strides);
        assert_eq!(refused(&says).kind(), ErrorKind::InvalidLayout, "{shape:?} {strides:?}");
    }
}

#[test]
fn elements_outside_the_address_space_are_refused() {
    let far = Says { device: Device::cuda(0), ..Says::bytes(&[0; 16]) };
    let cases = [
        Says { data_at: Some(usize::MAX - 15), ..far.clone() },
        Says { data_at: Some(16), byte_offset: u64::MAX, ..far.clone() },
        Says { data_at: Some(16), ..far.clone() }.with_axes(&[3], Some(&[-9])),
    ];
    for says in cases {
        assert!(matches!(refused(&says), DlpackError::AddressOverflow { .. }), "{says:?}");
    }
    let last = Says { data_at: Some(usize::MAX - 16), ..far };
    assert!(import_versioned(&last).0.is_ok(), "the last bytes of the address space are still inside");
}

#[test]
fn impossible_bits_of_a_known_dtype_are_refused() {
    let impossible = [(DTypeCode::FLOAT, 7, 1), (DTypeCode::FLOAT4_E2M1FN, 8, 1), (DTypeCode::UINT, 8, 0)];
    for (code, bits, lanes) in impossible {
        let says = Says { dtype: DType::new(code, bits, lanes), ..Says::bytes(&[1]) };
        assert_eq!(refused(&says).kind(), ErrorKind::InvalidDType, "{code:?} {bits} {lanes}");
    }
}

#[test]
fn an_unknown_dtype_code_is_bytes_and_comes_out_as_it_went_in() {
    let unknown = DType::new(DTypeCode(99), 32, 1);
    let says = Says { dtype: unknown, ..Says::bytes(&[1, 2, 3, 4]) }.with_axes(&[1], Some(&[1]));
    assert_eq!(packed(&says), [1, 2, 3, 4]);
    assert_eq!(import_versioned(&says).0.unwrap().layout().dtype(), unknown);
    let sizeless = Says { dtype: DType::new(DTypeCode(99), 0, 1), ..says };
    assert_eq!(refused(&sizeless).kind(), ErrorKind::InvalidDType);
}

#[test]
fn device_memory_is_held_and_never_read() {
    let says = Says { device: Device::cuda(1), data_at: Some(0x7000), ..Says::bytes(&[0; 8]) };
    let (tensor, deletions) = import_versioned(&says);
    let tensor = tensor.unwrap();
    assert_eq!(tensor.device(), Device::cuda(1));
    assert_eq!(tensor.address(), 0x7000);
    assert_eq!(tensor.region().as_bytes(), None);
    assert_eq!(tensor.as_packed_bytes(), None);
    assert!(tensor.view::<u8, 1>().is_err());
    assert!(tensor.copy_packed_into(&mut [0; 8]).is_err());
    drop(tensor);
    assert_eq!(deletions.count(), 1);
}

#[test]
fn an_offset_stays_beside_a_handle() {
    // OpenCL data is a cl_mem, and of a kind from the future nothing is known.
    for kind in [DeviceKind::OPENCL, DeviceKind::VULKAN, DeviceKind::METAL, DeviceKind(99)] {
        let device = Device::new(kind, 0);
        let says = Says { device, data_at: Some(0x1001), byte_offset: 6, ..Says::bytes(&[0; 4]) };
        let tensor = import_versioned(&says.with_axes(&[4], Some(&[-2]))).0.unwrap();
        assert_eq!(tensor.region().address(), 0x1001, "{device}");
        assert_eq!(tensor.offset_bytes(), 6, "{device}");
        assert!(tensor.region().part(1, 1, ()).is_err(), "{device}");
    }
}

#[test]
fn a_handle_has_nothing_below_its_offset() {
    let device = Device::new(DeviceKind::OPENCL, 0);
    let says = Says { device, data_at: Some(0x1001), byte_offset: 5, ..Says::bytes(&[0; 4]) };
    let error = refused(&says.with_axes(&[4], Some(&[-2])));
    assert_eq!(error.kind(), ErrorKind::InvalidLayout);
}

#[test]
fn every_refusal_says_what_to_do_in_one_line() {
    let says = Says::bytes(&[1, 2, 3]);
    let errors = [
        refused(&says.clone().with_axes(&[1; 9], None)),
        refused(&Says { shape: None, ..says.clone() }),
        refused(&says.clone().with_axes(&[-1], None)),
        refused(&Says { data_at: Some(0), ..says.clone() }),
        import_versioned(&Says { version: DLPackVersion { major: 2, ..VERSION }, ..says }).0.unwrap_err(),
    ];
    for error in errors {
        let message = error.to_string();
        assert!(message.contains(": "), "no advice: {message}");
        assert!(!message.ends_with('.') && !message.contains('\n'), "{message}");
        assert!(message.starts_with(|first: char| first.is_lowercase() || first.is_numeric()), "{message}");
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! Layouts by example: the shapes and strides that producers really send, and the ones that only a broken one sends.

use uncopy_core::{DType, DTypeCode, ErrorKind, Layout, LayoutError, MAX_NDIM};

fn strided(shape: &[usize], strides_elems: &[isize]) -> Result<Layout, LayoutError> {
    Layout::strided(DType::F32, shape, strides_elems)
}

#[test]
fn c_order_strides_count_items_from_the_last_axis() -> Result<(), LayoutError> {
    let layout = Layout::contiguous(DType::U16, &[2, 3, 4])?;
    assert_eq!(layout.strides_elems(), [12, 4, 1]);
    assert_eq!((layout.ndim(), layout.len_elems(), layout.len_bytes(), layout.span_bytes()), (3, 24, 48, 48));
    assert_eq!(layout.extent_bytes(), (0, 48));
    assert!(layout.is_c_contiguous() && !layout.is_f_contiguous() && !layout.has_overlap());
    Ok(())
}

#[test]
fn no_axes_are_one_item() -> Result<(), LayoutError> {
    for layout in [Layout::contiguous(DType::F64, &[])?, Layout::strided(DType::F64, &[], &[])?] {
        assert_eq!((layout.ndim(), layout.len_elems(), layout.len_bytes()), (0, 1, 8));
        assert_eq!((layout.shape(), layout.strides_elems()), (&[][..], &[][..]));
        assert_eq!(layout.extent_bytes(), (0, 8));
        assert!(layout.is_c_contiguous() && layout.is_f_contiguous() && !layout.has_overlap());
        assert_eq!(layout.offset_bytes(&[]), Some(0));
        assert_eq!(layout.to_string(), "float64[]");
    }
    Ok(())
}

#[test]
fn an_empty_axis_leaves_nothing_to_reach_whatever_the_strides() -> Result<(), LayoutError> {
    for strides in [[4, 4, 1], [isize::MIN, isize::MAX, isize::MIN], [0, 0, 0]] {
        let layout = strided(&[3, 0, 4], &strides)?;
        assert!(
            layout.is_empty()
                && layout.is_c_contiguous()
                && layout.is_f_contiguous()
                && !layout.has_overlap()
        );
        assert_eq!((layout.len_elems(), layout.len_bytes(), layout.span_bytes()), (0, 0, 0));
        assert_eq!(layout.extent_bytes(), (0, 0));
        assert_eq!(layout.offset_bytes(&[0, 0, 0]), None);
        layout.fits(0, 0)?;
        layout.fits(16, 16)?;
        assert!(layout.fits(16, 17).is_err(), "even nothing is not placed outside its region");
    }
    Ok(())
}

#[test]
fn c_order_strides_step_over_an_empty_axis_as_if_it_were_one_long() -> Result<(), LayoutError> {
    assert_eq!(Layout::contiguous(DType::F32, &[3, 0, 4])?.strides_elems(), [4, 4, 1]);
    assert_eq!(Layout::contiguous(DType::F32, &[3, 0])?.strides_elems(), [1, 1]);
    Ok(())
}

#[test]
fn negative_strides_put_element_0_above_the_lowest_byte() -> Result<(), LayoutError> {
    let flipped = strided(&[4, 3], &[-3, -1])?;
    assert_eq!(flipped.extent_bytes(), (-44, 4));
    assert_eq!(flipped.span_bytes(), 48);
    assert!(!flipped.is_c_contiguous() && !flipped.is_f_contiguous() && !flipped.has_overlap());
    assert_eq!(flipped.offset_bytes(&[3, 2]), Some(-44));
    flipped.fits(48, 44)?;
    for (len_bytes, offset_bytes) in [(48, 43), (48, 45), (47, 44), (48, 0), (48, usize::MAX)] {
        let error = flipped.fits(len_bytes, offset_bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidLayout, "{error}");
    }
    Ok(())
}

#[test]
fn a_broadcast_axis_takes_no_memory_and_overlaps() -> Result<(), LayoutError> {
    let broadcast = strided(&[1000, 3], &[0, 1])?;
    assert_eq!((broadcast.span_bytes(), broadcast.len_bytes()), (12, 12_000));
    assert!(broadcast.has_overlap() && !broadcast.is_c_contiguous());
    broadcast.fits(12, 0)?;
    Ok(())
}

#[test]
fn the_stride_of_an_axis_of_one_is_kept_and_never_used() -> Result<(), LayoutError> {
    for unused in [0, 1, -7, isize::MIN, isize::MAX] {
        let layout = strided(&[1, 3, 1], &[unused, 1, unused])?;
        assert_eq!(layout.strides_elems(), [unused, 1, unused]);
        assert_eq!(layout.extent_bytes(), (0, 12));
        assert!(layout.is_c_contiguous() && layout.is_f_contiguous() && !layout.has_overlap());
        assert_eq!(layout.to_string(), "float32[1, 3, 1]");
        assert_eq!(layout.offset_bytes(&[0, 2, 0]), Some(8));
    }
    Ok(())
}

#[test]
fn rows_with_a_pitch_are_neither_order_and_pack_to_c_order() -> Result<(), LayoutError> {
    let pitched = Layout::strided(DType::U8, &[3, 5, 4], &[256, 4, 1])?;
    assert!(!pitched.is_c_contiguous() && !pitched.is_f_contiguous() && !pitched.has_overlap());
    assert_eq!((pitched.len_bytes(), pitched.span_bytes()), (60, 2 * 256 + 20));
    let packed = pitched.to_c_contiguous();
    assert_eq!(packed, Layout::contiguous(DType::U8, &[3, 5, 4])?);
    assert_ne!(packed, pitched);
    assert_eq!(pitched.to_string(), "uint8[3, 5, 4] strides [256, 4, 1]");
    assert_eq!(format!("{packed:?}"), "uint8[3, 5, 4] strides [20, 4, 1]");
    Ok(())
}

#[test]
fn fortran_order_is_told_from_c_order() -> Result<(), LayoutError> {
    let fortran = strided(&[2, 3, 4], &[1, 2, 6])?;
    assert!(fortran.is_f_contiguous() && !fortran.is_c_contiguous() && !fortran.has_overlap());
    assert!(!strided(&[2, 3, 4], &[1, 2, 7])?.is_f_contiguous());
    assert!(!strided(&[2, 3, 4], &[-1, 2, 6])?.is_f_contiguous());
    let vector = strided(&[5], &[1])?;
    assert!(vector.is_f_contiguous() && vector.is_c_contiguous());
    Ok(())
}

#[test]
fn a_sliding_window_overlaps_and_an_every_second_slice_does_not() -> Result<(), LayoutError> {
    assert!(strided(&[6, 3], &[1, 1])?.has_overlap());
    assert!(strided(&[6, 3], &[2, 1])?.has_overlap());
    assert!(!strided(&[6, 3], &[3, 1])?.has_overlap());
    assert!(!strided(&[6, 3], &[-6, 2])?.has_overlap());
    Ok(())
}

#[test]
fn nine_and_sixty_five_axes_are_refused() {
    assert!(Layout::contiguous(DType::U8, &[1; MAX_NDIM]).is_ok());
    for ndim in [9, 65, 256, 257, 264] {
        let shape = vec![1; ndim];
        let expected = Err(LayoutError::TooManyAxes { ndim });
        assert_eq!(Layout::contiguous(DType::U8, &shape), expected);
        assert_eq!(Layout::strided(DType::U8, &shape, &vec![1; ndim]), expected);
        assert_eq!(Layout::from_strides_bytes(DType::U8, &shape, &vec![1; ndim]), expected);
    }
}

#[test]
fn strides_of_another_number_than_axes_are_refused() {
    for strides in [&[][..], &[1], &[1, 1, 1], &[1; 70]] {
        let expected = Err(LayoutError::StridesLength { axes: 2, strides: strides.len() });
        assert_eq!(strided(&[2, 2], strides), expected);
        assert_eq!(Layout::from_strides_bytes(DType::F32, &[2, 2], strides), expected);
    }
}

#[test]
fn the_limit_is_isize_max_bytes_and_not_one_more() -> Result<(), LayoutError> {
    let most = isize::MAX as usize;
    assert_eq!(Layout::contiguous(DType::U8, &[most])?.extent_bytes(), (0, isize::MAX));
    assert!(matches!(Layout::contiguous(DType::U8, &[most + 1]), Err(LayoutError::TooLarge { .. })));
    assert!(matches!(Layout::contiguous(DType::U16, &[most / 2 + 1]), Err(LayoutError::TooLarge { .. })));
    assert!(matches!(Layout::contiguous(DType::U8, &[0, most + 1]), Err(LayoutError::TooLarge { .. })));
    assert!(matches!(
        Layout::contiguous(DType::U8, &[1 << 32, 1 << 32, 0]),
        Err(LayoutError::TooLarge { .. })
    ));

    let apart = |stride| Layout::strided(DType::U8, &[2], &[stride]);
    assert_eq!(apart(isize::MAX - 1)?.extent_bytes(), (0, isize::MAX));
    assert!(matches!(apart(isize::MAX), Err(LayoutError::ExtentTooLarge { .. })));
    assert_eq!(apart(-(isize::MAX - 1))?.span_bytes(), most);
    assert!(matches!(apart(-isize::MAX), Err(LayoutError::ExtentTooLarge { .. })));
    assert!(matches!(apart(isize::MIN), Err(LayoutError::ExtentTooLarge { .. })));

    let both_ways = [isize::MAX / 2, -(isize::MAX / 2) - 1];
    let error = Layout::strided(DType::U8, &[2, 2], &both_ways).unwrap_err();
    assert!(matches!(error, LayoutError::ExtentTooLarge { .. }), "each way fits, the distance does not");
    Ok(())
}

#[test]
fn a_broadcast_that_no_copy_could_hold_is_refused() {
    let error = Layout::strided(DType::U8, &[1 << 32, 1 << 32], &[0, 0]).unwrap_err();
    assert!(matches!(error, LayoutError::TooLarge { .. }), "len_bytes would overflow");
}

#[test]
fn items_of_no_size_are_refused_and_unknown_codes_are_not() -> Result<(), LayoutError> {
    for dtype in [DType::U8.with_lanes(0), DType::new(DTypeCode::UINT, 0, 1)] {
        let error = Layout::contiguous(dtype, &[1]).unwrap_err();
        assert_eq!((error.kind(), error.clone()), (ErrorKind::InvalidDType, LayoutError::NoBits { dtype }));
    }
    let newer = DType::new(DTypeCode(18), 32, 1);
    assert_eq!(Layout::contiguous(newer, &[2])?.len_bytes(), 8);
    Ok(())
}

#[test]
fn items_under_a_byte_are_packed_and_only_in_c_order() -> Result<(), LayoutError> {
    let packed = Layout::contiguous(DType::F4_E2M1FN, &[3, 3])?;
    assert_eq!((packed.len_elems(), packed.len_bytes(), packed.extent_bytes()), (9, 5, (0, 5)));
    assert_eq!(Layout::strided(DType::F4_E2M1FN, &[3, 3], &[3, 1])?, packed);
    assert_eq!((packed.offset_bytes(&[0, 0]), packed.strides_bytes()), (None, None));
    let error = Layout::strided(DType::F4_E2M1FN, &[3, 3], &[1, 3]).unwrap_err();
    assert!(matches!(error, LayoutError::PackedItems { .. }), "{error}");

    let pairs = Layout::strided(DType::F4_E2M1FN.with_lanes(2), &[3, 3], &[1, 3])?;
    assert_eq!((pairs.len_bytes(), pairs.is_f_contiguous()), (9, true));
    Ok(())
}

#[test]
fn strides_in_bytes_become_strides_in_items() -> Result<(), LayoutError> {
    let in_bytes = |strides: &[isize]| Layout::from_strides_bytes(DType::F32, &[2, 3], strides);
    assert_eq!(in_bytes(&[12, 4])?, strided(&[2, 3], &[3, 1])?);
    assert_eq!(in_bytes(&[-12, 0])?, strided(&[2, 3], &[-3, 0])?);
    for (strides, axis, stride_bytes) in [([12, 6], 1, 6), ([-2, 4], 0, -2), ([isize::MAX, 4], 0, isize::MAX)]
    {
        let expected = LayoutError::StrideWithinItem { dtype: DType::F32, axis, stride_bytes };
        assert_eq!(in_bytes(&strides), Err(expected));
    }
    assert!(matches!(in_bytes(&[isize::MIN, 4]), Err(LayoutError::ExtentTooLarge { .. })));
    Ok(())
}

#[test]
fn odd_strides_in_bytes_that_are_never_used_become_those_of_c_order() -> Result<(), LayoutError> {
    let one_row = Layout::from_strides_bytes(DType::F32, &[1, 3], &[5, 4])?;
    assert_eq!(one_row.strides_elems(), [3, 1]);
    let empty = Layout::from_strides_bytes(DType::F32, &[0, 3], &[7, 5])?;
    assert_eq!(empty.strides_elems(), [3, 1]);
    let kept = Layout::from_strides_bytes(DType::F32, &[1, 3], &[400, 4])?;
    assert_eq!(kept.strides_elems(), [100, 1]);
    Ok(())
}

#[test]
fn strides_in_bytes_read_back_and_unused_ones_are_cut_to_what_fits() -> Result<(), LayoutError> {
    let layout = strided(&[2, 1, 3], &[-3, isize::MIN, 1])?;
    assert_eq!(layout.strides_bytes(), Some([-12, isize::MIN, 4, 0, 0, 0, 0, 0]));
    Ok(())
}

#[test]
fn an_index_outside_the_shape_has_no_offset() -> Result<(), LayoutError> {
    let layout = strided(&[2, 3], &[3, 1])?;
    assert_eq!(layout.offset_bytes(&[1, 2]), Some(20));
    for index in [&[2, 0][..], &[0, 3], &[0], &[0, 0, 0], &[usize::MAX, usize::MAX]] {
        assert_eq!(layout.offset_bytes(index), None);
    }
    Ok(())
}

#[test]
fn every_refusal_says_the_numbers_and_what_to_try() -> Result<(), LayoutError> {
    let region = strided(&[2, 3], &[-3, 1])?.fits(20, 12).unwrap_err();
    assert_eq!(
        region.to_string(),
        "float32[2, 3] strides [-3, 1] needs bytes -12 to 12 around its element 0 and does not fit at offset 12 of 20 \
         bytes: give a larger region or another offset"
    );
    let refusals = [
        strided(&[2], &[1, 1]),
        strided(&[1 << 62], &[1]),
        strided(&[2], &[1 << 62]),
        Layout::contiguous(DType::U8.with_lanes(0), &[]),
        Layout::strided(DType::I4, &[2, 2], &[1, 2]),
        Layout::from_strides_bytes(DType::I32, &[2], &[3]),
    ];
    for refusal in refusals {
        let text = refusal.unwrap_err().to_string();
        assert!(text.contains(": ") && text.contains(|c: char| c.is_ascii_digit()), "{text}");
        assert!(!text.ends_with('.') && !text.starts_with(|c: char| c.is_ascii_uppercase()), "{text}");
    }
    Ok(())
}

#[test]
fn equal_layouts_hash_alike_and_unequal_strides_differ() -> Result<(), LayoutError> {
    let mut seen = std::collections::HashSet::new();
    assert!(seen.insert(strided(&[2, 3], &[3, 1])?));
    assert!(!seen.insert(Layout::contiguous(DType::F32, &[2, 3])?));
    assert!(seen.insert(strided(&[2, 3], &[1, 2])?));
    assert!(seen.insert(Layout::contiguous(DType::I32, &[2, 3])?));
    assert!(seen.insert(Layout::contiguous(DType::F32, &[2, 3, 1])?));
    Ok(())
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! Layouts for any shape and strides: nothing panics or wraps, and what is said agrees with visiting every item.

use proptest::prelude::*;
use std::collections::HashMap;
use uncopy_core::{DType, DTypeCode, Layout, MAX_NDIM};

/// Lengths of every size, most of them where arithmetic goes wrong.
fn any_length() -> impl Strategy<Value = usize> {
    prop_oneof![
        Just(0),
        Just(1),
        Just(2),
        Just(isize::MAX as usize),
        Just(isize::MAX as usize + 1),
        Just(usize::MAX),
        0_usize..100,
        any::<usize>(),
        (0_u32..64).prop_map(|shift| 1_usize << shift),
    ]
}

fn any_stride() -> impl Strategy<Value = isize> {
    prop_oneof![
        Just(0),
        Just(1),
        Just(-1),
        Just(isize::MIN),
        Just(isize::MIN + 1),
        Just(isize::MAX),
        -100_isize..100,
        any::<isize>(),
        (0_u32..63).prop_map(|shift| 1_isize << shift),
        (0_u32..63).prop_map(|shift| -(1_isize << shift)),
    ]
}

/// Any four bytes that may arrive as a dtype.
fn any_dtype() -> impl Strategy<Value = DType> {
    prop_oneof![
        prop::sample::select(DType::named().collect::<Vec<_>>()),
        (any::<u8>(), any::<u8>(), any::<u16>()).prop_map(|(code, bits, lanes)| DType::new(
            DTypeCode(code),
            bits,
            lanes
        )),
    ]
}

/// Shapes and strides of lengths that mostly agree.
fn any_axes() -> impl Strategy<Value = (Vec<usize>, Vec<isize>)> {
    let matching = (0..MAX_NDIM + 3).prop_flat_map(|ndim| {
        (prop::collection::vec(any_length(), ndim), prop::collection::vec(any_stride(), ndim))
    });
    let any = (prop::collection::vec(any_length(), 0..70), prop::collection::vec(any_stride(), 0..70));
    prop_oneof![9 => matching, 1 => any]
}

/// Small shapes, with strides small enough to meet each other often.
fn small_axes() -> impl Strategy<Value = (Vec<usize>, Vec<isize>)> {
    (0_usize..5).prop_flat_map(|ndim| {
        (prop::collection::vec(0_usize..5, ndim), prop::collection::vec(-13_isize..14, ndim))
    })
}

/// Every index of a shape, in C order.
fn indices(shape: &[usize]) -> Vec<Vec<usize>> {
    shape.iter().fold(vec![vec![]], |outer, &length| {
        outer.iter().flat_map(|index| (0..length).map(move |at| [&index[..], &[at]].concat())).collect()
    })
}

/// Extent in bytes computed with numbers that cannot overflow, or `None` when it is beyond them.
fn extent_in_wide_numbers(shape: &[usize], strides: &[isize], item_bytes: usize) -> Option<(i128, i128)> {
    let (mut lowest, mut highest) = (0_i128, 0_i128);
    for (&length, &stride) in shape.iter().zip(strides) {
        let reach = (length as i128 - 1).checked_mul(stride as i128)?.checked_mul(item_bytes as i128)?;
        lowest = lowest.checked_add(reach.min(0))?;
        highest = highest.checked_add(reach.max(0))?;
    }
    Some((lowest, highest.checked_add(item_bytes as i128)?))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_shape_and_strides_give_a_sound_layout_or_an_error(
        dtype in any_dtype(), (shape, strides) in any_axes(), len_bytes in any_length(), offset_bytes in any_length()
    ) {
        let built = [
            Layout::contiguous(dtype, &shape),
            Layout::strided(dtype, &shape, &strides),
            Layout::from_strides_bytes(dtype, &shape, &strides),
        ];
        for layout in built {
            let layout = match layout {
                Ok(layout) => layout,
                Err(error) => {
                    prop_assert!(!error.to_string().is_empty());
                    continue;
                }
            };
            let (lowest, highest) = layout.extent_bytes();
            prop_assert!(lowest <= 0 && highest >= 0);
            prop_assert_eq!(layout.span_bytes() as i128, highest as i128 - lowest as i128);
            prop_assert!(layout.span_bytes() <= isize::MAX as usize);
            prop_assert!(layout.len_bytes() <= isize::MAX as usize);
            prop_assert_eq!(layout.shape(), &shape[..]);
            if let (Some(item_bytes), false) = (dtype.item_bytes(), layout.is_empty()) {
                let wide = extent_in_wide_numbers(&shape, layout.strides_elems(), item_bytes);
                prop_assert_eq!(wide, Some((lowest as i128, highest as i128)));
            }
            let inside = offset_bytes as i128 + lowest as i128 >= 0
                && offset_bytes as i128 + highest as i128 <= len_bytes as i128;
            prop_assert_eq!(layout.fits(len_bytes, offset_bytes).is_ok(), inside);

            let packed = layout.to_c_contiguous();
            prop_assert!(packed.is_c_contiguous());
            prop_assert_eq!((packed.shape(), packed.dtype()), (layout.shape(), dtype));
            prop_assert_eq!(packed.span_bytes(), layout.len_bytes());
            prop_assert!(layout.is_empty() || !packed.has_overlap());
            let _ = (layout.has_overlap(), layout.is_f_contiguous(), layout.to_string(), layout.strides_bytes());
            let _ = layout.offset_bytes(&shape);
        }
    }

    #[test]
    fn what_is_refused_would_really_not_fit(
        dtype in prop::sample::select(DType::named().collect::<Vec<_>>()),
        (shape, strides) in any_axes().prop_filter("strides for each axis", |(shape, strides)| shape.len() == strides.len())
    ) {
        prop_assume!(shape.len() <= MAX_NDIM);
        let Some(item_bytes) = dtype.item_bytes() else { return Ok(()) };
        let most = isize::MAX as i128;
        let packed = shape.iter().try_fold(item_bytes as i128, |len, &axis| len.checked_mul(axis.max(1) as i128));
        let fits_packed = packed.is_some_and(|bytes| bytes <= most);
        let spread = extent_in_wide_numbers(&shape, &strides, item_bytes);
        let fits_spread = shape.contains(&0) || spread.and_then(|(low, high)| high.checked_sub(low)).is_some_and(|span| span <= most);
        prop_assert_eq!(Layout::contiguous(dtype, &shape).is_ok(), fits_packed);
        prop_assert_eq!(Layout::strided(dtype, &shape, &strides).is_ok(), fits_packed && fits_spread);
    }

    #[test]
    fn extent_and_offsets_agree_with_visiting_every_item((shape, strides) in small_axes()) {
        let layout = Layout::strided(DType::U32, &shape, &strides).unwrap();
        let offsets: Vec<_> = indices(&shape).iter().map(|index| layout.offset_bytes(index).unwrap()).collect();
        prop_assert_eq!(offsets.len(), layout.len_elems());
        let expected = match (offsets.iter().min(), offsets.iter().max()) {
            (Some(lowest), Some(highest)) => (*lowest, highest + 4),
            _ => (0, 0),
        };
        prop_assert_eq!(layout.extent_bytes(), expected);
    }

    #[test]
    fn contiguity_agrees_with_visiting_every_item((shape, strides) in small_axes()) {
        let layout = Layout::strided(DType::U8, &shape, &strides).unwrap();
        let side_by_side = |offsets: Vec<isize>| offsets.iter().zip(0..).all(|(offset, expected)| *offset == expected);
        let in_c_order: Vec<_> = indices(&shape).iter().map(|index| layout.offset_bytes(index).unwrap()).collect();
        prop_assert_eq!(layout.is_c_contiguous(), side_by_side(in_c_order));
        let reversed: Vec<_> = shape.iter().rev().copied().collect();
        let in_f_order = indices(&reversed).into_iter().map(|mut index| {
            index.reverse();
            layout.offset_bytes(&index).unwrap()
        });
        prop_assert_eq!(layout.is_f_contiguous(), side_by_side(in_f_order.collect()));
    }

    #[test]
    fn overlap_is_never_denied_when_two_indices_meet((shape, strides) in small_axes()) {
        let layout = Layout::strided(DType::U8, &shape, &strides).unwrap();
        let mut visits = HashMap::new();
        for index in indices(&shape) {
            *visits.entry(layout.offset_bytes(&index).unwrap()).or_insert(0) += 1;
        }
        if visits.values().any(|count| *count > 1) {
            prop_assert!(layout.has_overlap());
        }
        let is_broadcast = shape.iter().zip(&strides).any(|(length, stride)| *length > 1 && *stride == 0);
        if is_broadcast && !layout.is_empty() {
            prop_assert!(layout.has_overlap());
        }
    }

    #[test]
    fn slices_steps_flips_and_permutations_of_a_packed_array_do_not_overlap(
        axes in prop::collection::vec((1_usize..5, 1_usize..4, any::<bool>()), 0..=MAX_NDIM)
            .prop_flat_map(|axes| (Just(axes.clone()), Just((0..axes.len()).collect::<Vec<_>>()).prop_shuffle()))
    ) {
        let (axes, order) = axes;
        let (mut shape, mut strides, mut pitch) = (vec![], vec![], 1_isize);
        for (length, step, flip) in axes {
            let stride = pitch * step as isize;
            shape.push(length);
            strides.push(if flip { -stride } else { stride });
            pitch = stride * length as isize;
        }
        let shape: Vec<_> = order.iter().map(|&axis| shape[axis]).collect();
        let strides: Vec<_> = order.iter().map(|&axis| strides[axis]).collect();
        prop_assert!(!Layout::strided(DType::U8, &shape, &strides).unwrap().has_overlap());
    }

    #[test]
    fn strides_in_items_and_in_bytes_describe_the_same_layout((shape, strides) in small_axes()) {
        let layout = Layout::strided(DType::F64, &shape, &strides).unwrap();
        let strides_bytes = layout.strides_bytes().unwrap();
        let again = Layout::from_strides_bytes(DType::F64, &shape, &strides_bytes[..shape.len()]);
        prop_assert_eq!(again, Ok(layout));
    }
}

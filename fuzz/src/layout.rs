// SPDX-License-Identifier: MIT OR Apache-2.0
//! Shapes and strides of any kind: negative, overlapping, huge, too many, empty.
//!
//! Input: u8 code, u8 bits, u16 lanes, u8 axes, u8 strides, u64 length of a memory, u64 offset in it, then u64 length
//! and i64 stride of each axis.

use std::collections::HashSet;

use uncopy::{DType, DTypeCode, Layout, LayoutError, MAX_NDIM};

use crate::{Body, Input, Seed, Target};

/// See the [module](self).
pub const TARGET: Target = Target { name: "layout", begin: || -> Body { Box::new(check) }, seeds };

/// More axes than anything has; NumPy's own limit is 64.
const MOST_AXES: usize = 70;
/// Arrays with at most so many items are visited item by item.
const FEW_ITEMS: usize = 1 << 10;
const MOST_BYTES: i128 = isize::MAX as i128;

/// What an input asks for.
struct Asked {
    dtype: DType,
    shape: Vec<usize>,
    strides: Vec<isize>,
    len_bytes: usize,
    offset_bytes: usize,
}

impl Asked {
    fn read(input: &[u8]) -> Self {
        let mut input = Input::new(input);
        let dtype = DType::new(DTypeCode(input.number()), input.number(), input.number());
        let axes = usize::from(input.number::<u8>()).min(MOST_AXES);
        let strides = usize::from(input.number::<u8>()).min(MOST_AXES);
        let (len_bytes, offset_bytes) = (input.number(), input.number());
        let pairs: Vec<(usize, isize)> =
            (0..axes.max(strides)).map(|_| (input.number(), input.number())).collect();
        Self {
            dtype,
            shape: pairs.iter().take(axes).map(|pair| pair.0).collect(),
            strides: pairs.iter().take(strides).map(|pair| pair.1).collect(),
            len_bytes,
            offset_bytes,
        }
    }
}

fn check(input: &[u8]) {
    let asked = Asked::read(input);
    let Asked { dtype, ref shape, ref strides, .. } = asked;
    let packed = Layout::contiguous(dtype, shape);
    assert_eq!(packed.is_ok(), packed_bytes(dtype, shape).is_some(), "{packed:?}");
    let strided = Layout::strided(dtype, shape, strides);
    assert_eq!(strided.is_ok(), is_possible(dtype, shape, strides), "{strided:?}");
    let in_bytes = Layout::from_strides_bytes(dtype, shape, strides);
    for layout in [packed, strided, in_bytes] {
        match layout {
            Ok(layout) => check_layout(&layout, &asked),
            Err(error) => check_error(&error),
        }
    }
}

/// Bytes of the items side by side, axes of length 0 counted as 1; `None` beyond what memory has.
fn packed_bytes(dtype: DType, shape: &[usize]) -> Option<i128> {
    if shape.len() > MAX_NDIM || dtype.item_bits() == 0 {
        return None;
    }
    let items = shape.iter().try_fold(1_i128, |items, len| items.checked_mul((*len).max(1) as i128))?;
    let bytes = items.checked_mul(dtype.item_bits().into())?.checked_add(7)? / 8;
    (items <= MOST_BYTES && bytes <= MOST_BYTES).then_some(bytes)
}

/// Lowest and one past the highest byte of any item, for items of whole bytes.
fn extent(item_bytes: usize, shape: &[usize], strides: &[isize]) -> Option<(i128, i128)> {
    if shape.contains(&0) {
        return Some((0, 0));
    }
    let (mut lowest, mut highest) = (0_i128, item_bytes as i128);
    for (len, stride) in shape.iter().zip(strides) {
        let reach = (*len as i128 - 1).checked_mul(*stride as i128)?.checked_mul(item_bytes as i128)?;
        lowest = lowest.checked_add(reach.min(0))?;
        highest = highest.checked_add(reach.max(0))?;
    }
    Some((lowest, highest))
}

fn is_possible(dtype: DType, shape: &[usize], strides: &[isize]) -> bool {
    if packed_bytes(dtype, shape).is_none() || shape.len() != strides.len() {
        return false;
    }
    match dtype.item_bytes() {
        Some(item) => extent(item, shape, strides)
            .is_some_and(|(low, high)| high.checked_sub(low).is_some_and(|span| span <= MOST_BYTES)),
        // Items that share bytes can only be packed.
        None => is_c_order(shape, strides),
    }
}

fn is_c_order(shape: &[usize], strides: &[isize]) -> bool {
    let mut expected = 1_i128;
    shape.contains(&0)
        || shape.iter().zip(strides).rev().all(|(len, stride)| {
            let is_next = *len == 1 || *stride as i128 == expected;
            expected = expected.saturating_mul(*len as i128);
            is_next
        })
}

fn check_layout(layout: &Layout, asked: &Asked) {
    let (shape, strides) = (layout.shape(), layout.strides_elems());
    assert_eq!((layout.dtype(), shape), (asked.dtype, &asked.shape[..]));
    let (lowest, highest) = layout.extent_bytes();
    if let Some(item_bytes) = asked.dtype.item_bytes() {
        assert_eq!(extent(item_bytes, shape, strides), Some((lowest as i128, highest as i128)));
    }
    assert_eq!(layout.span_bytes() as i128, highest as i128 - lowest as i128);
    assert_eq!(layout.is_c_contiguous(), is_c_order(shape, strides), "{layout:?}");
    let at = asked.offset_bytes as i128;
    let is_inside = at + lowest as i128 >= 0 && at + highest as i128 <= asked.len_bytes as i128;
    assert_eq!(layout.fits(asked.len_bytes, asked.offset_bytes).is_ok(), is_inside, "{layout:?}");
    let packed = layout.to_c_contiguous();
    assert!(packed.is_c_contiguous() && packed.span_bytes() == layout.len_bytes());
    assert!(!layout.to_string().is_empty());
    if layout.len_elems() <= FEW_ITEMS && asked.dtype.item_bytes().is_some() {
        visit(layout);
    }
}

/// Looks at every item: offsets inside the extent, and no overlap that is denied.
fn visit(layout: &Layout) {
    let (lowest, highest) = layout.extent_bytes();
    let mut index = vec![0; layout.ndim()];
    let mut seen = HashSet::new();
    let mut meets = false;
    for number in 0..layout.len_elems() {
        let mut rest = number;
        for (at, len) in index.iter_mut().zip(layout.shape()).rev() {
            (*at, rest) = (rest % len, rest / len);
        }
        let offset = layout.offset_bytes(&index).expect("an index inside the shape");
        assert!(lowest <= offset && offset < highest, "{layout:?} at {index:?}");
        meets |= !seen.insert(offset);
    }
    assert!(!meets || layout.has_overlap(), "{layout:?} denies that two indices meet");
}

fn check_error(error: &LayoutError) {
    let shown = error.to_string();
    assert!(!shown.is_empty() && !shown.contains('\n'), "{shown}");
}

/// Name, dtype, and length and stride of each axis.
type Case = (&'static str, (u8, u8, u16), &'static [(u64, i64)]);

fn seeds() -> Vec<Seed> {
    let f32 = (2, 32, 1);
    let u8 = (1, 8, 1);
    let cases: &[Case] = &[
        ("no-axes", u8, &[]),
        ("image", u8, &[(1080, 7680), (1920, 4), (4, 1)]),
        ("flipped", u8, &[(4, -16), (16, 1)]),
        ("broadcast", f32, &[(3, 1), (4, 0)]),
        ("window", f32, &[(5, 1), (3, 1)]),
        ("transposed", f32, &[(4, 1), (3, 4)]),
        ("empty", f32, &[(5, 9), (0, -7)]),
        ("huge-and-empty", f32, &[(u64::MAX, 1), (0, 1)]),
        ("product-wraps", u8, &[(1 << 32, 1 << 32), (1 << 32, 1)]),
        ("largest", u8, &[(i64::MAX as u64, 1)]),
        ("lowest-stride", u8, &[(2, i64::MIN), (1, i64::MAX)]),
        ("two-lowest-strides", u8, &[(2, i64::MIN), (2, i64::MIN)]),
        ("two-highest-strides", u8, &[(2, i64::MAX), (2, i64::MAX)]),
        ("unused-stride", f32, &[(1, i64::MIN), (3, 1)]),
        ("half-bytes", (17, 4, 1), &[(3, 5), (5, 1)]),
        ("no-bits", (1, 0, 1), &[(2, 1)]),
        ("nine-axes", u8, &[(1, 1); 9]),
        ("sixty-five-axes", u8, &[(1, 1); 65]),
        ("span-of-everything", u8, &[(2, i64::MAX), (2, -i64::MAX)]),
    ];
    cases.iter().map(|(name, dtype, axes)| ((*name).into(), seed(*dtype, axes))).collect()
}

fn seed((code, bits, lanes): (u8, u8, u16), axes: &[(u64, i64)]) -> Vec<u8> {
    let mut bytes = vec![code, bits];
    bytes.extend(lanes.to_le_bytes());
    bytes.extend([axes.len() as u8, axes.len() as u8]);
    bytes.extend(4096u64.to_le_bytes());
    bytes.extend(64u64.to_le_bytes());
    for (len, stride) in axes {
        bytes.extend(len.to_le_bytes());
        bytes.extend(stride.to_le_bytes());
    }
    bytes
}

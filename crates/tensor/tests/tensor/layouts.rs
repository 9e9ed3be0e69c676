// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random tensors, and the plainest way to read one that there is.

use proptest::prelude::*;
use uncopy_core::{DType, DTypeCode, Layout};
use uncopy_tensor::{Region, Tensor};

/// Few cases under Miri, which is slow.
pub fn config() -> ProptestConfig {
    let cases = if cfg!(miri) { 6 } else { 1500 };
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Items of every size that has its own loop, and of some that have none.
pub fn dtype() -> impl Strategy<Value = DType> {
    let lanes = |code, bits| (1_u16..=8).prop_map(move |lanes| DType::new(code, bits, lanes));
    prop_oneof![
        lanes(DTypeCode::UINT, 8),
        lanes(DTypeCode::FLOAT, 16),
        lanes(DTypeCode::FLOAT, 32),
        lanes(DTypeCode::FLOAT4_E2M1FN, 4).prop_filter("whole bytes", |dtype| dtype.item_bytes().is_some()),
        Just(DType::COMPLEX128),
    ]
}

/// Strides from nowhere: overlapping, interleaved, broadcast, backwards.
fn wild_axes() -> impl Strategy<Value = Vec<(usize, isize)>> {
    prop::collection::vec((0_usize..5, -9_isize..10), 0..=5)
}

/// Strides as views have them: a packed array with padding, of which axes were swapped, flipped, cut and broadcast.
fn view_axes() -> impl Strategy<Value = Vec<(usize, isize)>> {
    #[derive(Clone, Copy, Debug)]
    enum Step {
        Keep,
        Flip,
        EverySecond,
        Broadcast,
    }
    let step = prop_oneof![3 => Just(Step::Keep), 1 => Just(Step::Flip), 1 => Just(Step::EverySecond), 1 => Just(Step::Broadcast)];
    let axis = (1_usize..5, prop_oneof![2 => Just(0_usize), 1 => 1_usize..3], step);
    prop::collection::vec(axis, 0..=5)
        .prop_map(|axes| {
            let mut pitch = 1;
            let mut strided = Vec::new();
            for (len, gap, step) in axes {
                strided.push(match step {
                    Step::Keep => (len, pitch),
                    Step::Flip => (len, -pitch),
                    Step::EverySecond => (len.div_ceil(2), 2 * pitch),
                    Step::Broadcast => (len, 0),
                });
                pitch *= isize::try_from(len + gap).unwrap();
            }
            strided.reverse();
            strided
        })
        .prop_flat_map(|axes| prop_oneof![Just(axes.clone()), Just(axes).prop_shuffle()])
}

/// A layout with items of `dtype`.
pub fn layout(dtype: impl Strategy<Value = DType>) -> impl Strategy<Value = Layout> {
    (dtype, prop_oneof![wild_axes(), view_axes()]).prop_map(|(dtype, axes)| {
        let (shape, strides): (Vec<_>, Vec<_>) = axes.into_iter().unzip();
        Layout::strided(dtype, &shape, &strides).unwrap()
    })
}

/// A tensor of `layout` in a region that is larger by some bytes on both sides, all bytes distinct as far as they go.
pub fn tensor_of(layout: Layout) -> Tensor {
    const MARGIN: usize = 16;
    let (lowest, _) = layout.extent_bytes();
    let len_bytes = layout.span_bytes() + 2 * MARGIN;
    // A multiplier coprime to 2^32 repeats no byte pattern at the distances in these tests.
    let bytes = (0..len_bytes as u32).map(|at| (at.wrapping_mul(0x9E37_79B1) >> 13) as u8).collect();
    let offset = MARGIN + lowest.unsigned_abs();
    Tensor::new(Region::from_vec(bytes), layout, offset).unwrap()
}

/// Every index of `shape` in C order.
pub fn indices(shape: &[usize]) -> Vec<Vec<usize>> {
    shape.iter().fold(vec![vec![]], |outer, &len| {
        outer.iter().flat_map(|index| (0..len).map(|at| [index.as_slice(), &[at]].concat())).collect()
    })
}

/// The packed bytes, found one item at a time through safe slices.
pub fn packed_one_by_one(tensor: &Tensor) -> Vec<u8> {
    let (layout, region) = (tensor.layout(), tensor.region().as_bytes().unwrap());
    let item = layout.dtype().item_bytes().unwrap();
    let mut packed = Vec::new();
    for index in indices(layout.shape()) {
        let steps = index
            .iter()
            .zip(layout.strides_elems())
            .map(|(&at, stride)| isize::try_from(at).unwrap() * stride);
        let at = tensor
            .offset_bytes()
            .checked_add_signed(steps.sum::<isize>() * isize::try_from(item).unwrap())
            .unwrap();
        packed.extend_from_slice(&region[at..at + item]);
    }
    packed
}

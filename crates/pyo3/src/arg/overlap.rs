// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether two arrays in one memory may have a byte in common.
//!
//! Exactly that is a hard question of integers. This answers "no" for what lies apart, and for what is interleaved, as the
//! alpha channel and the colours of one picture are: each array is taken as runs of bytes, all of whose distances are
//! multiples of one number, and so are the runs of both.

use uncopy::{Found, Layout};

/// Runs of bytes: the first begins at `begin`, all lie from `lowest` to `highest`, and apart by multiples of `step_bytes`.
struct Runs {
    begin: usize,
    len_bytes: usize,
    /// 0: there is one.
    step_bytes: usize,
    lowest: usize,
    highest: usize,
}

impl Runs {
    /// `None` without items, and for what can't lie in memory.
    fn of(found: &Found<'_>) -> Option<Self> {
        let layout = match found.strides_elems {
            Some(strides) => Layout::strided(found.dtype, found.shape, strides),
            None => Layout::contiguous(found.dtype, found.shape),
        };
        let layout = layout.ok().filter(|layout| !layout.is_empty())?;
        let (mut len_bytes, mut step_bytes) = (layout.dtype().item_bytes()?, 0);
        let strides = layout.strides_bytes()?;
        let longer = layout.shape().iter().zip(strides).rev().filter(|(len, _)| **len > 1);
        for (len, stride) in longer {
            let stride = stride.unsigned_abs();
            // Axes that go on where the one within ends make the runs longer.
            match step_bytes == 0 && stride == len_bytes && layout.extent_bytes().0 == 0 {
                true => len_bytes *= len,
                false => step_bytes = gcd(step_bytes, stride),
            }
        }
        let (lowest, highest) = layout.extent_bytes();
        let at = |offset| found.address.wrapping_add_signed(offset);
        Some(Runs { begin: found.address, len_bytes, step_bytes, lowest: at(lowest), highest: at(highest) })
    }
}

/// Whether they may have a byte in common; "no" is certain.
pub(super) fn may_overlap(one: &Found<'_>, other: &Found<'_>) -> bool {
    let (Some(one), Some(other)) = (Runs::of(one), Runs::of(other)) else { return false };
    if one.highest <= other.lowest || other.highest <= one.lowest {
        return false;
    }
    let step = gcd(one.step_bytes, other.step_bytes);
    if step == 0 {
        return true;
    }
    // Where the other's runs begin after one's, counted around.
    let after =
        other.begin.wrapping_sub(one.begin).cast_signed().rem_euclid(step.cast_signed()).unsigned_abs();
    !(one.len_bytes <= after && after + other.len_bytes <= step)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! The loops that copy a plan's units.
//!
//! The source is read through pointers only: another process may map the same memory, so no `&[u8]` is made of it. The
//! destination is an ordinary slice, cut into chunks, and needs no unsafe code.
//!
//! The two innermost axes are one loop nest, compiled apart for the unit sizes of numbers and pixels. Two shapes get a
//! nest of their own: rows of a few units (planes into interleaved pixels), for which counting costs more than copying,
//! and transposed planes, which are walked in tiles so that each cache line of the source is fetched once.

use std::ops::Range;

use super::plan::Axis;

/// Units per side of a tile: sixteen lines of the source, few enough for any cache also at power-of-two distances.
const TILE: usize = 16;

/// Copies the units along `axes` from `source` into `out`, in C order.
///
/// # Safety
///
/// For every index along `axes`, `unit_bytes` bytes at `source` plus the sum of index times stride are readable, and
/// none of them is a byte of `out`.
pub(super) unsafe fn copy_axes(axes: &[Axis], unit_bytes: usize, source: *const u8, out: &mut [u8]) {
    match *axes {
        [] => {
            // SAFETY: with no axes there is one unit, readable at `source`, and it shares no byte with `out`
            // (contract).
            unsafe { copy_unit(source, unit_bytes, out) }
        }
        [inner] => {
            // SAFETY: an outer axis of one step adds no index, so the contract is the same.
            unsafe { copy_plane(Axis { len: 1, stride_bytes: 0 }, inner, unit_bytes, source, out) }
        }
        [outer, inner] => {
            // SAFETY: the contract is the same, its two axes named.
            unsafe { copy_plane(outer, inner, unit_bytes, source, out) }
        }
        [first, ref rest @ ..] => {
            let chunk_len = (out.len() / first.len).max(1);
            for (step, chunk) in out.chunks_exact_mut(chunk_len).take(first.len).enumerate() {
                // SAFETY: `step` is an index along `first`, so every index along `rest` continues one of `axes`.
                unsafe { copy_axes(rest, unit_bytes, along(source, first, step), chunk) }
            }
        }
    }
}

/// The address `steps` steps along an axis.
fn along(source: *const u8, axis: Axis, steps: usize) -> *const u8 {
    source.wrapping_offset(steps.cast_signed().wrapping_mul(axis.stride_bytes))
}

/// # Safety
///
/// As [`copy_axes`] with the axes `outer` and `inner`.
unsafe fn copy_plane(outer: Axis, inner: Axis, unit_bytes: usize, source: *const u8, out: &mut [u8]) {
    macro_rules! by_unit {
        ($($unit:literal)*) => {
            match unit_bytes {
                $($unit => {
                    // SAFETY: the unit size is the one matched; the rest of the contract is passed on.
                    unsafe { copy_small_units::<$unit>(outer, inner, source, out) }
                })*
                _ => {
                    // SAFETY: the contract is passed on.
                    unsafe { copy_runs(outer, inner, unit_bytes, source, out) }
                }
            }
        };
    }
    by_unit!(1 2 3 4 6 8 12 16)
}

/// # Safety
///
/// As [`copy_axes`] with the axes `outer` and `inner` and units of `UNIT` bytes.
unsafe fn copy_small_units<const UNIT: usize>(outer: Axis, inner: Axis, source: *const u8, out: &mut [u8]) {
    let is_transposed = outer.stride_bytes.unsigned_abs() < inner.stride_bytes.unsigned_abs();
    match inner.len {
        // SAFETY: the length is the one matched; the rest of the contract is passed on.
        2 => unsafe { copy_short_rows::<UNIT, 2>(outer, inner, source, out) },
        // SAFETY: as above.
        3 => unsafe { copy_short_rows::<UNIT, 3>(outer, inner, source, out) },
        // SAFETY: as above.
        4 => unsafe { copy_short_rows::<UNIT, 4>(outer, inner, source, out) },
        len if is_transposed && len >= TILE && outer.len >= TILE => {
            // SAFETY: the contract is passed on.
            unsafe { copy_tiles::<UNIT>(outer, inner, source, out) }
        }
        len => {
            // SAFETY: the contract is passed on, for all columns.
            unsafe { copy_columns::<UNIT>(outer, inner, 0..len, source, out) }
        }
    }
}

/// Rows of `LEN` units, unrolled.
///
/// # Safety
///
/// As [`copy_small_units`], and `inner.len` is `LEN`.
unsafe fn copy_short_rows<const UNIT: usize, const LEN: usize>(
    outer: Axis,
    inner: Axis,
    mut source: *const u8,
    out: &mut [u8],
) {
    for row in out.chunks_exact_mut(UNIT * LEN).take(outer.len) {
        for (step, unit) in row.chunks_exact_mut(UNIT).enumerate() {
            // SAFETY: `row` has LEN units, so `step` is inside the inner axis, and `source` is at a step of the outer
            // one: UNIT bytes are readable (contract); a byte array needs no alignment, and any bytes are one.
            let bytes = unsafe { along(source, inner, step).cast::<[u8; UNIT]>().read() };
            unit.copy_from_slice(&bytes);
        }
        source = source.wrapping_offset(outer.stride_bytes);
    }
}

/// A plane whose source runs down the columns of the destination, in tiles.
///
/// # Safety
///
/// As [`copy_small_units`].
unsafe fn copy_tiles<const UNIT: usize>(outer: Axis, inner: Axis, source: *const u8, out: &mut [u8]) {
    for (block, rows) in out.chunks_mut(UNIT * inner.len * TILE).enumerate() {
        let source = along(source, outer, block * TILE);
        for first in (0..inner.len).step_by(TILE) {
            let columns = first..inner.len.min(first + TILE);
            // SAFETY: `rows` is what the plane has of the TILE rows from `source` on, and it alone limits how many are
            // copied; the columns of this tile are inside the plane (contract).
            unsafe { copy_columns::<UNIT>(outer, inner, columns, source, rows) }
        }
    }
}

/// Some columns of every row.
///
/// # Safety
///
/// As [`copy_small_units`], for indices along `inner` inside `columns`, which ends at `inner.len` or before.
unsafe fn copy_columns<const UNIT: usize>(
    outer: Axis,
    inner: Axis,
    columns: Range<usize>,
    source: *const u8,
    out: &mut [u8],
) {
    for (step, row) in out.chunks_exact_mut(UNIT * inner.len).take(outer.len).enumerate() {
        let mut source = along(along(source, outer, step), inner, columns.start);
        let part = row.get_mut(columns.start * UNIT..columns.end * UNIT).unwrap_or_default();
        for unit in part.chunks_exact_mut(UNIT) {
            // SAFETY: `part` has one unit for each of the columns, so `source` stands at an index inside both axes,
            // where UNIT bytes are readable (contract); a byte array needs no alignment, and any bytes are one.
            let bytes = unsafe { source.cast::<[u8; UNIT]>().read() };
            unit.copy_from_slice(&bytes);
            source = source.wrapping_offset(inner.stride_bytes);
        }
    }
}

/// Units of any size, each with one `memcpy`.
///
/// # Safety
///
/// As [`copy_axes`] with the axes `outer` and `inner`.
unsafe fn copy_runs(outer: Axis, inner: Axis, unit_bytes: usize, source: *const u8, out: &mut [u8]) {
    for (step, row) in out.chunks_exact_mut(unit_bytes * inner.len).take(outer.len).enumerate() {
        let mut source = along(source, outer, step);
        for unit in row.chunks_exact_mut(unit_bytes) {
            // SAFETY: `row` has `inner.len` units, so `source` stands at an index inside both axes (contract).
            unsafe { copy_unit(source, unit_bytes, unit) }
            source = source.wrapping_offset(inner.stride_bytes);
        }
    }
}

/// # Safety
///
/// `unit_bytes` bytes at `source` are readable, and none of them is a byte of `out`.
unsafe fn copy_unit(source: *const u8, unit_bytes: usize, out: &mut [u8]) {
    let len = unit_bytes.min(out.len());
    // SAFETY: `len` bytes are readable at `source` and writable in `out`, and the two do not overlap (contract).
    unsafe { std::ptr::copy_nonoverlapping(source, out.as_mut_ptr(), len) }
}

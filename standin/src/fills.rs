// SPDX-License-Identifier: MIT OR Apache-2.0
//! Fills, each a piece of work in a stream; those without `Async` in the legacy default stream. None waits for it.

#![expect(unsafe_code, reason = "exports C entries, fills memory by address")]

use crate::{
    capture,
    code::{Answer, Code},
    copies::copy_bytes,
    entry::entries,
    place::{Named, Use, pieces},
    queue::Work,
    space::WRITE,
    streams,
};
use std::{
    ffi::{c_uchar, c_uint, c_ushort},
    ptr,
};

/// Fills rows with elements of 1, 2 or 4 bytes.
struct Fill {
    call: &'static str,
    stream: u64,
    address: u64,
    pitch: usize,
    value: u32,
    value_bytes: usize,
    width: usize,
    height: usize,
}

impl Fill {
    fn submit(self) -> Answer {
        let (_, context) = streams::find(self.stream)?;
        let width = self.width.checked_mul(self.value_bytes).ok_or(Code::INVALID_VALUE)?;
        if !self.address.is_multiple_of(self.value_bytes as u64) || (self.height > 1 && self.pitch < width) {
            return Err(Code::INVALID_VALUE);
        }
        if width == 0 || self.height == 0 {
            return Ok(());
        }
        let used = Use { access: WRITE, context: &context };
        let mut rows = Vec::new();
        for row in 0..self.height {
            let start = self.address.checked_add((row * self.pitch) as u64).ok_or(Code::INVALID_VALUE)?;
            rows.extend(pieces(start, width, Named::Device, used)?);
        }
        let (call, value, value_bytes) = (self.call, self.value.to_le_bytes(), self.value_bytes);
        let work = Work::of(move |stream| {
            for (place, len) in &rows {
                // Mappings begin and end at multiples of every element's size, and so do their pieces.
                fill_bytes(place.address(call, stream), *len, value.get(..value_bytes).unwrap_or_default());
                place.address(call, stream);
            }
        });
        streams::put(self.stream, work).map(|_| ())
    }
}

fn fill_bytes(start: usize, len: usize, element: &[u8]) {
    match element {
        [byte] => {
            // SAFETY: as in `copy_bytes`, for the one range.
            unsafe { ptr::write_bytes(ptr::with_exposed_provenance_mut::<u8>(start), *byte, len) };
        }
        _ => {
            let block: Vec<u8> = element.iter().copied().cycle().take(len.min(1 << 16)).collect();
            let from = block.as_ptr().expose_provenance();
            // Blocks are whole elements: 65536 is a multiple of each size.
            for done in (0..len).step_by(1 << 16) {
                copy_bytes(start + done, from, block.len().min(len - done));
            }
        }
    }
}

fn fill(
    call: &'static str,
    stream: u64,
    address: u64,
    (value, value_bytes): (u32, usize),
    count: usize,
) -> Answer {
    Fill { call, stream, address, pitch: 0, value, value_bytes, width: count, height: 1 }.submit()
}

fn fill_now(call: &'static str, address: u64, value: (u32, usize), count: usize) -> Answer {
    capture::forbid()?;
    fill(call, 0, address, value, count)
}

entries! {
    #![unsafe(no_mangle)]

    Context fn cuMemsetD8_v2(to: u64, value: c_uchar, count: usize) {
        fill_now("cuMemsetD8_v2", to, (value.into(), 1), count)
    }

    Context fn cuMemsetD16_v2(to: u64, value: c_ushort, count: usize) {
        fill_now("cuMemsetD16_v2", to, (value.into(), 2), count)
    }

    Context fn cuMemsetD32_v2(to: u64, value: c_uint, count: usize) {
        fill_now("cuMemsetD32_v2", to, (value, 4), count)
    }

    Context fn cuMemsetD8Async(to: u64, value: c_uchar, count: usize, stream: u64) {
        fill("cuMemsetD8Async", stream, to, (value.into(), 1), count)
    }

    Context fn cuMemsetD16Async(to: u64, value: c_ushort, count: usize, stream: u64) {
        fill("cuMemsetD16Async", stream, to, (value.into(), 2), count)
    }

    Context fn cuMemsetD32Async(to: u64, value: c_uint, count: usize, stream: u64) {
        fill("cuMemsetD32Async", stream, to, (value, 4), count)
    }

    Context fn cuMemsetD2D8Async(to: u64, pitch: usize, value: c_uchar, width: usize, height: usize, stream: u64) {
        let (call, value, value_bytes) = ("cuMemsetD2D8Async", value.into(), 1);
        Fill { call, stream, address: to, pitch, value, value_bytes, width, height }.submit()
    }

    Context fn cuMemsetD2D32Async(to: u64, pitch: usize, value: c_uint, width: usize, height: usize, stream: u64) {
        let (call, value_bytes) = ("cuMemsetD2D32Async", 4);
        Fill { call, stream, address: to, pitch, value, value_bytes, width, height }.submit()
    }
}

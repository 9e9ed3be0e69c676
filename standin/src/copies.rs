// SPDX-License-Identifier: MIT OR Apache-2.0
//! Copies, each a piece of work in a stream.
//!
//! | call | the caller gets back |
//! |---|---|
//! | `...Async` between pinned or device memory | at once; the source is read when the work is done |
//! | `...Async` from ordinary host memory | when the source has been read |
//! | `...Async` to ordinary host memory | when the copy is done |
//! | without `Async`, host on one side | when the copy is done, in the legacy default stream |
//! | without `Async`, device to device | at once, in the legacy default stream |

#![expect(unsafe_code, reason = "exports C entries, copies memory by address")]

use crate::{
    abi::{Copy2d, Copy3d, In, Side},
    capture,
    code::{Answer, Code},
    contexts::{self, Context},
    entry::entries,
    place::{Named, Place, Use, pieces, whole},
    queue::{Queue, Work},
    space::{READ, WRITE},
    streams,
};
use std::{ffi::c_void, ptr, sync::Arc};

/// Rows of bytes, in slices.
#[derive(Clone, Copy)]
struct Shape {
    width: usize,
    height: usize,
    depth: usize,
}

/// How far it is from row to row and from slice to slice.
#[derive(Clone, Copy)]
struct Pitch {
    row: usize,
    slice: usize,
}

impl Shape {
    fn line(width: usize) -> Shape {
        Shape { width, height: 1, depth: 1 }
    }

    fn is_empty(self) -> bool {
        self.width == 0 || self.height == 0 || self.depth == 0
    }

    /// From the first byte to the last, in memory of this pitch.
    fn span(self, pitch: Pitch) -> Answer<usize> {
        let rows = pitch.row.checked_mul(self.height - 1);
        let slices = pitch.slice.checked_mul(self.depth - 1);
        let sum =
            rows.zip(slices).and_then(|(rows, slices)| rows.checked_add(slices)?.checked_add(self.width));
        sum.ok_or(Code::INVALID_VALUE)
    }

    fn rows(self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.depth).flat_map(move |z| (0..self.height).map(move |y| (y, z)))
    }
}

/// Where a copy reads.
enum Source {
    At(Place),
    /// Read already, in rows that follow each other.
    Staged(Vec<u8>),
}

struct Copy {
    shape: Shape,
    to: Place,
    to_pitch: Pitch,
    from: Source,
    from_pitch: Pitch,
}

impl Copy {
    fn run(&self, call: &str, stream: &Queue) {
        for (y, z) in self.shape.rows() {
            let to = self.to.address(call, stream) + y * self.to_pitch.row + z * self.to_pitch.slice;
            let from = match &self.from {
                Source::At(place) => place.address(call, stream),
                Source::Staged(bytes) => bytes.as_ptr().expose_provenance(),
            };
            copy_bytes(to, from + y * self.from_pitch.row + z * self.from_pitch.slice, self.shape.width);
        }
        // What was taken away meanwhile was taken too early.
        self.to.address(call, stream);
        if let Source::At(place) = &self.from {
            place.address(call, stream);
        }
    }
}

/// Copies bytes between addresses that the stand-in can use.
pub fn copy_bytes(to: usize, from: usize, len: usize) {
    let (to, from) = (ptr::with_exposed_provenance_mut::<u8>(to), ptr::with_exposed_provenance::<u8>(from));
    // SAFETY: (1) both ranges were found in mappings that their `Place` keeps, or the caller of the entry answers for
    // them; (2) like a card's copy engine, this may race with whoever uses the memory without waiting, and no
    // reference to it is made; (3) `copy` minds no overlap.
    unsafe { ptr::copy(from, to, len) };
}

/// When a caller gets back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Returns {
    AtOnce,
    WhenDone,
}

struct Order {
    call: &'static str,
    stream: u64,
    returns: Returns,
}

impl Order {
    fn submit(self, copies: Vec<Copy>) -> Answer {
        let call = self.call;
        let is_awaited = self.returns == Returns::WhenDone || copies.iter().any(|copy| copy.to.is_pageable());
        let copies = Arc::new(copies);
        let work = Work::of(move |stream| copies.iter().for_each(|copy| copy.run(call, stream)));
        let ticket = streams::put(self.stream, work)?;
        if let Some(ticket) = ticket.filter(|_| is_awaited) {
            ticket.wait();
            contexts::current()?.check_sound()?;
        }
        Ok(())
    }

    /// Copies bytes that follow each other.
    fn line(self, to: (u64, Named, &Context), from: (u64, Named, &Context), len: usize) -> Answer {
        if len == 0 {
            return streams::find(self.stream).map(|_| ());
        }
        let to = pieces(to.0, len, to.1, Use { access: WRITE, context: to.2 })?;
        let from = pieces(from.0, len, from.1, Use { access: READ, context: from.2 })?;
        let pitch = Pitch { row: 0, slice: 0 };
        let (mut copies, mut done) = (Vec::new(), 0);
        while done < len {
            let (to, to_left) = at(&to, done)?;
            let (from, from_left) = at(&from, done)?;
            let width = to_left.min(from_left);
            let from = staged_if_pageable(from, Shape::line(width), pitch);
            copies.push(Copy { shape: Shape::line(width), to, to_pitch: pitch, from, from_pitch: pitch });
            done += width;
        }
        self.submit(copies)
    }

    /// Copies a box.
    fn rectangle(self, to: Side, from: Side, shape: Shape) -> Answer {
        if shape.is_empty() {
            return streams::find(self.stream).map(|_| ());
        }
        let (_, context) = streams::find(self.stream)?;
        let (to, to_pitch) = side(to, shape, Use { access: WRITE, context: &context })?;
        let (from, from_pitch) = side(from, shape, Use { access: READ, context: &context })?;
        let is_staged = from.is_pageable();
        let from = staged_if_pageable(from, shape, from_pitch);
        let packed = Pitch { row: shape.width, slice: shape.width * shape.height };
        let from_pitch = if is_staged { packed } else { from_pitch };
        self.submit(vec![Copy { shape, to, to_pitch, from, from_pitch }])
    }
}

/// Ordinary memory of the host is read before the call returns.
fn staged_if_pageable(place: Place, shape: Shape, pitch: Pitch) -> Source {
    let Place::Pageable(host) = place else { return Source::At(place) };
    let mut bytes = vec![0_u8; shape.width * shape.height * shape.depth];
    let to = bytes.as_mut_ptr().expose_provenance();
    for (index, (y, z)) in shape.rows().enumerate() {
        let from = usize::try_from(host).unwrap_or_default() + y * pitch.row + z * pitch.slice;
        copy_bytes(to + index * shape.width, from, shape.width);
    }
    Source::Staged(bytes)
}

/// The place `offset` bytes into pieces that follow each other, and how many bytes are left there.
fn at(pieces: &[(Place, usize)], offset: usize) -> Answer<(Place, usize)> {
    let mut before = 0;
    for (place, len) in pieces {
        if offset < before + len {
            return Ok((place.ahead(offset - before), before + len - offset));
        }
        before += len;
    }
    Err(Code::INVALID_VALUE)
}

fn side(side: Side, shape: Shape, used: Use<'_>) -> Answer<(Place, Pitch)> {
    let (base, named) = match side.kind {
        1 => (side.host, Named::Host),
        2 => (side.device, Named::Device),
        4 => (side.device, Named::Any),
        3 => return Err(Code::NOT_SUPPORTED),
        _ => return Err(Code::INVALID_VALUE),
    };
    let row = if side.pitch_bytes == 0 { shape.width } else { side.pitch_bytes };
    let height = if side.height == 0 { shape.height } else { side.height };
    let slice = row.checked_mul(height).ok_or(Code::INVALID_VALUE)?;
    let reaches_over = side.x_bytes.checked_add(shape.width).is_none_or(|end| end > row);
    if reaches_over && shape.height > 1 {
        return Err(Code::INVALID_VALUE);
    }
    let pitch = Pitch { row, slice };
    let lead = side.y.checked_mul(row).zip(side.z.checked_mul(slice));
    let lead = lead.and_then(|(rows, slices)| rows.checked_add(slices)?.checked_add(side.x_bytes));
    let start = lead.and_then(|lead| base.checked_add(lead as u64)).ok_or(Code::INVALID_VALUE)?;
    Ok((whole(start, shape.span(pitch)?, named, used)?, pitch))
}

fn sides_2d(copy: &Copy2d) -> (Side, Side, Shape) {
    let to = Side {
        kind: copy.dst_kind,
        host: copy.dst_host,
        device: copy.dst_device,
        x_bytes: copy.dst_x,
        y: copy.dst_y,
        z: 0,
        pitch_bytes: copy.dst_pitch,
        height: 0,
    };
    let from = Side {
        kind: copy.src_kind,
        host: copy.src_host,
        device: copy.src_device,
        x_bytes: copy.src_x,
        y: copy.src_y,
        z: 0,
        pitch_bytes: copy.src_pitch,
        height: 0,
    };
    (to, from, Shape { width: copy.width, height: copy.height, depth: 1 })
}

fn sides_3d(copy: &Copy3d) -> (Side, Side, Shape) {
    let to = Side {
        kind: copy.dst_kind,
        host: copy.dst_host,
        device: copy.dst_device,
        x_bytes: copy.dst_x,
        y: copy.dst_y,
        z: copy.dst_z,
        pitch_bytes: copy.dst_pitch,
        height: copy.dst_height,
    };
    let from = Side {
        kind: copy.src_kind,
        host: copy.src_host,
        device: copy.src_device,
        x_bytes: copy.src_x,
        y: copy.src_y,
        z: copy.src_z,
        pitch_bytes: copy.src_pitch,
        height: copy.src_height,
    };
    (to, from, Shape { width: copy.width, height: copy.height, depth: copy.depth })
}

/// The default stream's calls: unsafe in a capture, and done before they return unless both sides are the card's.
fn now(call: &'static str, is_between_devices: bool) -> Answer<Order> {
    capture::forbid()?;
    let returns = if is_between_devices { Returns::AtOnce } else { Returns::WhenDone };
    Ok(Order { call, stream: 0, returns })
}

fn later(call: &'static str, stream: u64) -> Order {
    Order { call, stream, returns: Returns::AtOnce }
}

/// A copy by address alone, in the context of its stream.
fn simple(order: Order, to: (u64, Named), from: (u64, Named), len: usize) -> Answer {
    let (_, context) = streams::find(order.stream)?;
    order.line((to.0, to.1, &context), (from.0, from.1, &context), len)
}

entries! {
    #![unsafe(no_mangle)]

    Context fn cuMemcpyHtoD_v2(to: u64, from: In<c_void>, len: usize) {
        simple(now("cuMemcpyHtoD_v2", false)?, (to, Named::Device), (from.address(), Named::Host), len)
    }

    Context fn cuMemcpyDtoH_v2(to: In<c_void>, from: u64, len: usize) {
        simple(now("cuMemcpyDtoH_v2", false)?, (to.address(), Named::Host), (from, Named::Device), len)
    }

    Context fn cuMemcpyDtoD_v2(to: u64, from: u64, len: usize) {
        simple(now("cuMemcpyDtoD_v2", true)?, (to, Named::Device), (from, Named::Device), len)
    }

    Context fn cuMemcpy(to: u64, from: u64, len: usize) {
        simple(now("cuMemcpy", false)?, (to, Named::Any), (from, Named::Any), len)
    }

    Context fn cuMemcpyHtoDAsync_v2(to: u64, from: In<c_void>, len: usize, stream: u64) {
        simple(later("cuMemcpyHtoDAsync_v2", stream), (to, Named::Device), (from.address(), Named::Host), len)
    }

    Context fn cuMemcpyDtoHAsync_v2(to: In<c_void>, from: u64, len: usize, stream: u64) {
        simple(later("cuMemcpyDtoHAsync_v2", stream), (to.address(), Named::Host), (from, Named::Device), len)
    }

    Context fn cuMemcpyDtoDAsync_v2(to: u64, from: u64, len: usize, stream: u64) {
        simple(later("cuMemcpyDtoDAsync_v2", stream), (to, Named::Device), (from, Named::Device), len)
    }

    Context fn cuMemcpyAsync(to: u64, from: u64, len: usize, stream: u64) {
        simple(later("cuMemcpyAsync", stream), (to, Named::Any), (from, Named::Any), len)
    }

    Context fn cuMemcpyPeer(to: u64, to_context: u64, from: u64, from_context: u64, len: usize) {
        let (to_context, from_context) = (contexts::by_handle(to_context)?, contexts::by_handle(from_context)?);
        now("cuMemcpyPeer", true)?.line((to, Named::Device, &to_context), (from, Named::Device, &from_context), len)
    }

    Context fn cuMemcpyPeerAsync(to: u64, to_context: u64, from: u64, from_context: u64, len: usize, stream: u64) {
        let (to_context, from_context) = (contexts::by_handle(to_context)?, contexts::by_handle(from_context)?);
        let order = later("cuMemcpyPeerAsync", stream);
        order.line((to, Named::Device, &to_context), (from, Named::Device, &from_context), len)
    }

    Context fn cuMemcpy2D_v2(copy: In<Copy2d>) {
        let (to, from, shape) = sides_2d(&copy.get()?);
        now("cuMemcpy2D_v2", to.kind == 2 && from.kind == 2)?.rectangle(to, from, shape)
    }

    Context fn cuMemcpy2DUnaligned_v2(copy: In<Copy2d>) {
        let (to, from, shape) = sides_2d(&copy.get()?);
        now("cuMemcpy2DUnaligned_v2", to.kind == 2 && from.kind == 2)?.rectangle(to, from, shape)
    }

    Context fn cuMemcpy2DAsync_v2(copy: In<Copy2d>, stream: u64) {
        let (to, from, shape) = sides_2d(&copy.get()?);
        later("cuMemcpy2DAsync_v2", stream).rectangle(to, from, shape)
    }

    Context fn cuMemcpy3D_v2(copy: In<Copy3d>) {
        let (to, from, shape) = sides_3d(&copy.get()?);
        now("cuMemcpy3D_v2", to.kind == 2 && from.kind == 2)?.rectangle(to, from, shape)
    }

    Context fn cuMemcpy3DAsync_v2(copy: In<Copy3d>, stream: u64) {
        let (to, from, shape) = sides_3d(&copy.get()?);
        later("cuMemcpy3DAsync_v2", stream).rectangle(to, from, shape)
    }
}

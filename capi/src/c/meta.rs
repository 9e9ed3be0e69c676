// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a frame carries beside its elements.

use std::ffi::c_void;

use uncopy::{CaptureClock, Captured, LinkError, MAX_META_BYTES, Meta};

use super::pointers::slice;
use super::sized::{read_optional, sized_struct};
use crate::failure::Failure;

/// `uncopy_meta.kind`: there are no bytes.
pub const UNCOPY_META_NONE: u32 = 0;
/// `uncopy_meta.kind`: bytes that only the two ends understand.
pub const UNCOPY_META_RAW: u32 = 1;
/// `uncopy_meta.kind`: UTF-8 JSON text, which the link does not parse.
pub const UNCOPY_META_JSON: u32 = 2;
/// The most bytes of metadata that a frame carries.
pub const UNCOPY_MAX_META_BYTES: usize = 4096;
const _: () = assert!(UNCOPY_MAX_META_BYTES == MAX_META_BYTES);

/// `captured_clock`: the producer did not say when the content came to be.
pub const UNCOPY_CLOCK_NONE: u32 = 0;
/// `captured_clock`: `CLOCK_MONOTONIC` of this machine, comparable with `published_nanos`.
pub const UNCOPY_CLOCK_MONOTONIC: u32 = 1;
/// `captured_clock`: time since the Unix epoch.
pub const UNCOPY_CLOCK_REALTIME: u32 = 2;
/// `captured_clock`: a clock of the producer's own.
pub const UNCOPY_CLOCK_OTHER: u32 = 3;

/// What a frame carries beside its elements. Begin with `UNCOPY_META_INIT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct uncopy_meta {
    /// `sizeof(uncopy_meta)`.
    pub size_bytes: u32,
    /// 1.
    pub version: u32,
    /// Copied by the call.
    pub bytes: *const c_void,
    /// At most `UNCOPY_MAX_META_BYTES`.
    pub len_bytes: u64,
    /// `UNCOPY_META_*`: what the bytes are.
    pub kind: u32,
    /// `UNCOPY_CLOCK_*`: the clock of `captured_nanos`.
    pub captured_clock: u32,
    /// When the content came to be, in nanoseconds.
    pub captured_nanos: i64,
}
sized_struct!(uncopy_meta, "UNCOPY_META_INIT", 40);

/// What a frame carries, from the caller's struct; null for nothing.
///
/// # Safety
/// `meta` is null or leads to such a struct, whose bytes are there.
pub unsafe fn meta_of(meta: *const uncopy_meta) -> Result<Meta, Failure> {
    // SAFETY: passed on.
    let given = unsafe { read_optional("meta", meta) }?;
    let Some(given) = given else { return Ok(Meta::default()) };
    let mut meta = Meta::default();
    if given.captured_clock != UNCOPY_CLOCK_NONE {
        let clock = u8::try_from(given.captured_clock).map_err(|_| {
            Failure::Argument(format!(
                "captured_clock is one of UNCOPY_CLOCK_*, not {}",
                given.captured_clock
            ))
        })?;
        meta = meta.captured(Captured { nanos: given.captured_nanos, clock: CaptureClock(clock) });
    }
    // Lossless on 64-bit targets.
    let len = given.len_bytes as usize;
    // More is refused by the link, with its words; so much is not even copied.
    let len = len.min(UNCOPY_MAX_META_BYTES + 1);
    // SAFETY: passed on.
    let bytes = unsafe { slice::<u8>("meta->bytes", given.bytes.cast(), len) }?;
    if given.len_bytes > UNCOPY_MAX_META_BYTES as u64 {
        let (len_bytes, limit_bytes) = (given.len_bytes as usize, UNCOPY_MAX_META_BYTES);
        return Err(LinkError::MetaTooLarge { len_bytes, limit_bytes }.into());
    }
    match given.kind {
        UNCOPY_META_NONE if bytes.is_empty() => Ok(meta),
        UNCOPY_META_NONE => Err(Failure::Argument(
            "meta has bytes and no kind; say UNCOPY_META_RAW or UNCOPY_META_JSON".to_owned(),
        )),
        UNCOPY_META_RAW => Ok(meta.raw(bytes)),
        UNCOPY_META_JSON => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(meta.json(text)),
            Err(error) => Err(Failure::Argument(format!("JSON is UTF-8, and the metadata is not: {error}"))),
        },
        other => Err(Failure::Argument(format!("meta->kind is one of UNCOPY_META_*, not {other}"))),
    }
}

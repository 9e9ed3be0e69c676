// SPDX-License-Identifier: MIT OR Apache-2.0
//! What travels with a frame beside its pixels: capture time, user metadata and the record of copies.

use uncopy_core::{CopyRecord, MAX_COPY_RECORDS};

use crate::error::LinkError;

/// The most bytes of user metadata that one frame carries.
pub const MAX_META_BYTES: usize = 4096;

/// The clock that a capture time was read from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(transparent)]
pub struct CaptureClock(pub u8);

impl CaptureClock {
    /// `CLOCK_MONOTONIC` of this machine: comparable with [`Frame::published_nanos`](crate::Frame::published_nanos).
    pub const MONOTONIC: Self = Self(1);
    /// Time since the Unix epoch. It can step; never compute a latency from it.
    pub const REALTIME: Self = Self(2);
    /// A clock of the caller's own: a camera, a media timeline.
    pub const OTHER: Self = Self(3);
}

/// When the content of a frame came to be, by the caller's own clock.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Captured {
    /// Nanoseconds on `clock`.
    pub nanos: i64,
    /// The clock that was read.
    pub clock: CaptureClock,
}

/// What the bytes of the user's metadata are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(transparent)]
pub struct MetaKind(pub u8);

impl MetaKind {
    /// There is none.
    pub const NONE: Self = Self(0);
    /// Bytes that only the two ends understand.
    pub const RAW: Self = Self(1);
    /// UTF-8 JSON text. The link does not parse it.
    pub const JSON: Self = Self(2);
}

/// What a producer says of a frame when it publishes it.
///
/// ```
/// use uncopy_link::{CaptureClock, Captured, Meta};
/// let meta = Meta::default()
///     .json(r#"{"lens": 35}"#)
///     .captured(Captured { nanos: 1_000_000, clock: CaptureClock::OTHER });
/// # let _ = meta;
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Meta {
    pub(crate) captured: Option<Captured>,
    pub(crate) kind: MetaKind,
    pub(crate) bytes: Vec<u8>,
    pub(crate) copies: Vec<CopyRecord>,
}

impl Meta {
    /// With the time at which the content came to be.
    #[must_use]
    pub fn captured(self, captured: Captured) -> Self {
        Self { captured: Some(captured), ..self }
    }

    /// With bytes of the caller's own, at most [`MAX_META_BYTES`]; checked when the frame is published.
    #[must_use]
    pub fn raw(self, bytes: impl Into<Vec<u8>>) -> Self {
        Self { kind: MetaKind::RAW, bytes: bytes.into(), ..self }
    }

    /// With JSON text, at most [`MAX_META_BYTES`] bytes of UTF-8; checked when the frame is published.
    #[must_use]
    pub fn json(self, text: impl Into<String>) -> Self {
        Self { kind: MetaKind::JSON, bytes: text.into().into_bytes(), ..self }
    }

    /// With the record of one more copy that the content went through on its way here.
    #[must_use]
    pub fn copied(mut self, record: CopyRecord) -> Self {
        self.copies.push(record);
        self
    }

    pub(crate) fn check(&self) -> Result<(), LinkError> {
        if self.bytes.len() > MAX_META_BYTES {
            return Err(LinkError::MetaTooLarge { len_bytes: self.bytes.len(), limit_bytes: MAX_META_BYTES });
        }
        if self.copies.len() > MAX_COPY_RECORDS {
            return Err(LinkError::TooManyCopyRecords { limit: MAX_COPY_RECORDS });
        }
        Ok(())
    }
}

/// The user's metadata of a received frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UserMeta<'a> {
    /// What the bytes are.
    pub kind: MetaKind,
    /// The bytes as the producer gave them; empty for [`MetaKind::NONE`].
    pub bytes: &'a [u8],
}

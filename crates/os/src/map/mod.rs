// SPDX-License-Identifier: MIT OR Apache-2.0
//! Shared memory: making it, mapping a peer's, and reaching into it.
//!
//! | type | memory | bytes are reached through |
//! |---|---|---|
//! | [`SharedMemory`] | ours, anonymous, cannot shrink or grow | [`Words`]: atomics |
//! | [`SlotMemory`], [`SlotMut`] | ours, `n` frame slots; nobody else can write it | `&mut [u8]` of one claimed slot |
//! | [`Mapping`] | a peer's | [`Words`], and read-only [`Region`]s of frame memory |
//!
//! # Why a mapping never faults
//!
//! Touching a page that the system cannot supply kills the process with SIGBUS. So memory is made in this order: every
//! limit is read ([`available_bytes`]), every page is allocated (`fallocate`), the size is sealed, and only then is it
//! mapped. A peer's memory is refused unless its size is sealed in both directions and covers what its description
//! needs; no more than that is mapped.
//!
//! # Why `&[u8]` over a leased slot is handed out
//!
//! Control words are reached through atomics and never otherwise. Frame bytes are megabytes that NumPy, torch and Rust
//! code read as plain memory, so at some point a plain reference to memory that another process can name has to exist.
//! [`Mapping::region`] and [`SlotMut`] are that point; `docs/decisions/0001-references-over-leased-frames.md` argues
//! it at length. In short:
//!
//! 1. **Nobody else can write it.** The kernel refuses a second writable mapping of frame memory
//!    ([`SharedMemory::freeze_writes`]); [`Mapping::region`] insists on that seal. Only the producer's own mapping
//!    writes.
//! 2. **The producer does not write a leased slot.** That is the protocol. Peers of the same user are trusted to follow
//!    it: they could write our memory through `/proc/PID/mem` anyway. They are not trusted to be free of bugs, so:
//! 3. **Any byte pattern is a value.** References are to `u8` only; what is read from them is never a length, an
//!    offset, an enum or a `bool` of ours, and nothing is read twice with the expectation that it stays. A producer
//!    that breaks rule 2 makes a wrong picture, not a wrong program.
//! 4. **Within this process the borrow checker or a count enforces it.** One [`SlotMut`] per slot; while a region of it
//!    lives, neither `&mut` to the slot nor a second claim is given.
//!
//! ```
//! # #[cfg(target_os = "linux")] {
//! use std::sync::Arc;
//! use uncopy_os::{Mapping, SlotMemory};
//! use uncopy_tensor::Access;
//!
//! let frames = SlotMemory::create("camera", 4, 8192)?;
//! let mut slot = frames.claim(2)?;
//! slot[..5].copy_from_slice(b"frame");
//! drop(slot);
//!
//! let seen = Arc::new(Mapping::open(&frames.share()?, frames.len_bytes(), Access::ReadOnly)?);
//! let lease = (); // whatever keeps the producer from writing: a link's lease
//! let region = seen.region(2 * 8192, 5, lease)?;
//! assert_eq!(region.as_bytes(), Some(&b"frame"[..]));
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::io;
use std::sync::Arc;

use uncopy_core::Device;
use uncopy_tensor::{Access, Import, Region, ShareHandle};

use crate::OsError;

#[cfg_attr(windows, expect(dead_code, reason = "the Windows twin reads no limits yet"))]
mod available;
#[cfg_attr(windows, expect(dead_code, reason = "the Windows twin maps nothing yet"))]
mod words;

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

pub use available::Available;
pub use system::{Mapping, SharedMemory, SlotMemory, SlotMut, available_bytes, slot_align_bytes};
pub use words::Words;

/// The smallest page size, in bytes; what slots are aligned to here is [`slot_align_bytes`].
pub const PAGE_BYTES: usize = 4096;

/// What the kernel no longer permits on a piece of shared memory. Seals can be added and never taken away.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Seals {
    /// It cannot become smaller: reading inside its size never faults.
    pub shrink: bool,
    /// It cannot become larger.
    pub grow: bool,
    /// Nobody can map it writable from now on, nor write it by a system call; mappings made before still write.
    pub future_write: bool,
    /// Nobody can write it at all.
    pub write: bool,
    /// No seal can be added.
    pub seal: bool,
}

impl Seals {
    /// Whether only mappings that were writable before the seal can write: what frame memory must have.
    pub fn are_frozen(self) -> bool {
        self.future_write || self.write
    }
}

impl fmt::Display for Seals {
    /// `shrink+grow`, or `not at all`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = [
            (self.shrink, "shrink"),
            (self.grow, "grow"),
            (self.future_write, "future-write"),
            (self.write, "write"),
            (self.seal, "seal"),
        ];
        let mut separator = "";
        for (_, name) in named.into_iter().filter(|(is_set, _)| *is_set) {
            write!(f, "{separator}{name}")?;
            separator = "+";
        }
        if separator.is_empty() { f.write_str("not at all") } else { Ok(()) }
    }
}

/// Imports frame memory of a peer as one read-only region: [`Mapping`] behind the [`Import`] trait.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct HostMemory;

impl Import for HostMemory {
    fn device(&self) -> Device {
        Device::CPU
    }

    /// Write access is refused ([`io::ErrorKind::PermissionDenied`]): frames of a peer are never writable.
    fn import(&self, handle: ShareHandle, len_bytes: usize, access: Access) -> io::Result<Region> {
        if access == Access::ReadWrite {
            let refusal = "frame memory of a peer cannot be mapped for writing; copy it instead";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, refusal));
        }
        let opened = Mapping::open(&handle, len_bytes, access).map(Arc::new);
        let region = opened.and_then(|mapping| mapping.region(0, len_bytes, ()));
        region.map_err(OsError::into_io)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seals_print_as_a_list() {
        let seals = Seals { shrink: true, grow: true, ..Seals::default() };
        assert_eq!(seals.to_string(), "shrink+grow");
        assert_eq!(Seals::default().to_string(), "not at all");
    }
}

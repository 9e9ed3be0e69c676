// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory of somebody else, mapped here after it has been checked.
#![expect(unsafe_code, reason = "fence: frame memory of a peer becomes a region; see the header of `map`")]

use std::ptr::NonNull;
use std::sync::Arc;

use rustix::fs::{fstat, fstatfs};
use uncopy_core::Device;
use uncopy_tensor::{Access, Region, ShareHandle, SharedPages};

use super::pages::{InChild, Pages};
use super::seals_of;
use crate::OsError;
use crate::map::{Seals, Words};

/// A peer's shared memory, mapped into this process until drop. It outlives the peer.
///
/// A forked child shares what was mapped for writing (control memory). What was mapped for reading only (frames) is not
/// there in a child: it could not know when its parent gives a frame back.
#[derive(Debug)]
pub struct Mapping {
    pages: Pages,
    seals: Seals,
    access: Access,
}

impl Mapping {
    /// Maps the first `min_len_bytes` (1 or more) of the memory behind `handle`, and the rest of the last page where
    /// the memory has it. The handle stays the caller's and may be dropped.
    ///
    /// The memory must be sealed against shrinking and growing and have at least `min_len_bytes`. It may have more, of
    /// which nothing is mapped: what a description does not speak of costs no address space. What the handle really is
    /// (a file, a pipe, unsealed memory) and how long it really is, is asked of the kernel, never of the peer.
    ///
    /// # Errors
    ///
    /// [`OsError::NotSealed`], [`OsError::TooSmall`], [`OsError::NotAllocated`], [`OsError::BadLength`];
    /// [`OsError::System`] of kind `PermissionDenied` for write access to frozen memory; [`OsError::OutOfMemory`]
    /// without address space; [`OsError::TooManyGuarded`].
    pub fn open(handle: &ShareHandle, min_len_bytes: usize, access: Access) -> Result<Mapping, OsError> {
        let seals = seals_of(handle)?;
        if !(seals.shrink && seals.grow) {
            return Err(OsError::NotSealed { wanted: "shrink+grow", found: seals });
        }
        // The size cannot change any more, so it is asked after the seals were seen.
        let failed = |call| move |errno| OsError::from_errno(call, "a peer's memory", errno);
        let stat = fstat(handle).map_err(failed("fstat"))?;
        let got_bytes = u64::try_from(stat.st_size).unwrap_or(0);
        if got_bytes < min_len_bytes as u64 {
            return Err(OsError::TooSmall { need_bytes: min_len_bytes as u64, got_bytes });
        }
        // The kernel maps and unmaps memory in pages of its own size, which may be huge ones.
        let page_bytes =
            u64::try_from(fstatfs(handle).map_err(failed("fstatfs"))?.f_bsize).unwrap_or(0).max(1);
        let len_bytes =
            (min_len_bytes as u64).checked_next_multiple_of(page_bytes).unwrap_or(u64::MAX).min(got_bytes);
        let len_bytes =
            usize::try_from(len_bytes).ok().filter(|len| *len > 0 && isize::try_from(*len).is_ok());
        let Some(len_bytes) = len_bytes else {
            return Err(OsError::BadLength { what: "a peer's memory", len_bytes: min_len_bytes as u64 });
        };
        // Memory is mapped with all its pages. What its maker has not allocated would be allocated here, on this
        // process's account, or kill it where there is no more.
        let allocated_bytes = u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512);
        if allocated_bytes < got_bytes {
            return Err(OsError::NotAllocated { len_bytes: got_bytes, allocated_bytes });
        }
        let in_child = match access {
            Access::ReadOnly => InChild::Absent,
            Access::ReadWrite => InChild::Shared,
        };
        let pages = Pages::map(handle, len_bytes, access, in_child)?;
        Ok(Mapping { pages, seals, access })
    }

    /// The seals that the memory had when it was mapped.
    pub fn seals(&self) -> Seals {
        self.seals
    }

    /// How many bytes are mapped: those that were asked for, and the rest of their last page where the memory has it.
    #[inline]
    pub fn len_bytes(&self) -> usize {
        self.pages.len_bytes()
    }

    /// Whether this process mapped it for reading only.
    pub fn access(&self) -> Access {
        self.access
    }

    /// Where it is mapped in this process.
    pub fn address(&self) -> usize {
        self.pages.base().addr().get()
    }

    /// As [`SharedMemory::shared_pages`](super::SharedMemory::shared_pages), of memory that was mapped for writing.
    ///
    /// # Errors
    ///
    /// Also [`OsError::Unsupported`] for memory that was mapped for reading only.
    pub fn shared_pages(
        self: &Arc<Mapping>,
        offset_bytes: usize,
        len_bytes: usize,
    ) -> Result<SharedPages, OsError> {
        if self.access == Access::ReadOnly {
            return Err(OsError::Unsupported { what: "a device that writes memory mapped for reading only" });
        }
        self.pages.shared(offset_bytes, len_bytes, Arc::clone(self) as _)
    }

    /// The memory as atomic words; those of a read-only mapping can be loaded only, and in a forked child it has none.
    #[inline]
    pub fn words(&self) -> &Words {
        self.pages.words()
    }

    /// `len_bytes` bytes at `offset_bytes`, borrowed: what a caller reads who holds the lease for as long as the
    /// slice lives (see the module's header for what happens if it does not).
    ///
    /// # Errors
    ///
    /// As for [`Mapping::region`].
    #[inline]
    pub fn bytes(&self, offset_bytes: usize, len_bytes: usize) -> Result<&[u8], OsError> {
        let first = self.first_byte(offset_bytes, len_bytes)?;
        // SAFETY: 1. the range lies inside the mapping (`first_byte`), which `self` keeps mapped and which is at most
        // `isize::MAX` long. 2. File pages are initialised, and readable. 3. Nobody writes them while the caller's
        // lease lives: as in `region`.
        Ok(unsafe { std::slice::from_raw_parts(first.as_ptr(), len_bytes) })
    }

    /// The first of `len_bytes` bytes of frozen memory that this process has.
    #[inline]
    fn first_byte(&self, offset_bytes: usize, len_bytes: usize) -> Result<NonNull<u8>, OsError> {
        if !self.seals.are_frozen() {
            return Err(OsError::NotSealed { wanted: "future-write", found: self.seals });
        }
        let of_bytes = self.len_bytes();
        if offset_bytes.checked_add(len_bytes).is_none_or(|end| end > of_bytes) {
            return Err(OsError::OutOfBounds { offset_bytes, len_bytes, of_bytes });
        }
        self.pages.check_not_forked()?;
        // Inside a mapping that does not start at address 0, so never null.
        let first = self.pages.base().as_ptr().wrapping_add(offset_bytes);
        Ok(NonNull::new(first).unwrap_or(self.pages.base()))
    }

    /// Asks the processor to fetch the line at `offset_bytes`, which is about to be read; a hint without effect
    /// outside.
    #[inline]
    pub fn prefetch(&self, offset_bytes: usize) {
        self.words().prefetch(offset_bytes);
    }

    /// `len_bytes` bytes at `offset_bytes` as a read-only host region: shared, never copied.
    ///
    /// The region keeps the mapping and `hold` alive; its last clone drops `hold` on whatever thread that happens.
    /// `hold` is the lease: while it lives, the producer leaves the bytes alone (see the module's header for what
    /// happens if it does not).
    ///
    /// # Errors
    ///
    /// [`OsError::OutOfBounds`], and [`OsError::NotSealed`] for memory that anybody with a handle could still write:
    /// only frozen memory holds frames. [`OsError::Forked`] in a forked child.
    pub fn region(
        self: &Arc<Mapping>,
        offset_bytes: usize,
        len_bytes: usize,
        hold: impl Send + Sync + 'static,
    ) -> Result<Region, OsError> {
        let address = self.first_byte(offset_bytes, len_bytes)?;
        // Fields drop in order: the lease ends first, the mapping after it.
        let owner = (hold, Arc::clone(self));
        // SAFETY: 1. the range lies inside the mapping (checked), which `owner` keeps mapped and which is at most
        // `isize::MAX` long; in a forked child pages take its place that end the process when touched
        // (`crate::fork`), since it was mapped for reading only: nobody can map frozen memory for writing. 2. File
        // pages are initialised, the mapping is readable from every thread, and the region is read-only. 3. Nobody
        // but the producer can write: the memory is frozen (checked), this process cannot have mapped it writable
        // after that, and `Words` of ours give no atomics on what is mapped for reading only. The producer does not
        // write while `hold`, the lease, lives: that is the protocol, and decision 0001 says what remains if it is
        // broken.
        Ok(unsafe { Region::from_raw(address, len_bytes, Device::CPU, Access::ReadOnly, owner) })
    }
}

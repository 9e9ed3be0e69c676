// SPDX-License-Identifier: MIT OR Apache-2.0
//! A shared file mapping as an owned value: mapped on creation, unmapped on drop.
#![expect(unsafe_code, reason = "fence: mmap, mprotect and munmap")]

use std::any::Any;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap, mprotect, munmap};
use uncopy_tensor::{Access, SharedPages};

use super::limits;
use crate::OsError;
use crate::fork::KeptFromChild;
use crate::map::{PAGE_BYTES, Words};

/// Pages of a shared file, mapped until drop. All of them are backed by the file: see [`Pages::map`].
#[derive(Debug)]
pub(super) struct Pages {
    base: NonNull<u8>,
    len_bytes: usize,
    words: Words,
    /// `None` for pages that a forked child shares.
    kept: Option<KeptFromChild>,
}

/// Whether a forked child gets a mapping.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum InChild {
    /// It shares the pages, as it does by default.
    Shared,
    /// It does not: see [`crate::fork`].
    Absent,
}

// SAFETY: the value owns an address range and never reads or writes it itself; what it lends is argued where lent.
unsafe impl Send for Pages {}
// SAFETY: shared use reads the fields and calls mprotect, which the kernel serialises.
unsafe impl Sync for Pages {}

impl Pages {
    /// Maps the first `len_bytes` of `file`, shared, with the page tables filled at once.
    ///
    /// The caller has checked that the file has at least `len_bytes` (1 or more, at most `isize::MAX`) and is sealed
    /// against shrinking, so that no page of the mapping can be without memory behind it.
    pub(super) fn map(
        file: impl AsFd,
        len_bytes: usize,
        access: Access,
        in_child: InChild,
    ) -> Result<Pages, OsError> {
        let protection = match access {
            Access::ReadOnly => ProtFlags::READ,
            Access::ReadWrite => ProtFlags::READ | ProtFlags::WRITE,
        };
        // SAFETY: a null hint without MAP_FIXED makes the kernel choose a range that nothing else uses, so no memory
        // that Rust knows of is touched.
        let mapped = unsafe {
            mmap(ptr::null_mut(), len_bytes, protection, MapFlags::SHARED | MapFlags::POPULATE, file, 0)
        };
        let address = match mapped {
            Ok(address) => address,
            Err(Errno::NOMEM) => return Err(limits::no_address_space(len_bytes as u64)),
            Err(errno) => {
                let detail = format!("{len_bytes} bytes of shared memory, {access:?}");
                return Err(OsError::from_errno("mmap", detail, errno));
            }
        };
        let Some(base) = NonNull::new(address.cast::<u8>()) else {
            // Address 0 is only given where vm.mmap_min_addr is 0 and nothing else is left.
            return Err(limits::no_address_space(len_bytes as u64));
        };
        // SAFETY: 1. the mapping is page-aligned, readable and (for ReadWrite) writable, file pages are initialised,
        // and the last page is mapped as a whole, so the rest of the last word is too. `words` is dropped with `self`,
        // which unmaps. 2. References to these pages are made by `SlotMemory` and `Mapping` only, which say how they
        // keep them apart from writes.
        let words = unsafe { Words::new(base, len_bytes, access == Access::ReadWrite) };
        let mut pages = Pages { base, len_bytes, words, kept: None };
        if in_child == InChild::Absent {
            // SAFETY: the range was just mapped for this value alone, whose drop unmaps it after that of `kept`, and
            // not in a child. There `words` gives nothing, `check_not_forked` stops the makers of references, and
            // older references find pages that end the process when touched.
            pages.kept = Some(unsafe { KeptFromChild::keep(base, len_bytes) }?);
        }
        Ok(pages)
    }

    /// Whether the pages stayed with the parent process when this one was forked: nothing is at [`Pages::base`].
    #[inline]
    fn are_in_parent(&self) -> bool {
        self.kept.as_ref().is_some_and(KeptFromChild::is_from_parent)
    }

    /// Refuses in a process to which the pages do not belong.
    #[inline]
    pub(super) fn check_not_forked(&self) -> Result<(), OsError> {
        if self.are_in_parent() { Err(OsError::Forked) } else { Ok(()) }
    }

    pub(super) fn base(&self) -> NonNull<u8> {
        self.base
    }

    pub(super) fn len_bytes(&self) -> usize {
        self.len_bytes
    }

    /// The pages as words; none at all in a forked child that does not share them.
    #[inline]
    pub(super) fn words(&self) -> &Words {
        static NONE: Words = Words::none();
        if self.are_in_parent() { &NONE } else { &self.words }
    }

    /// Whole pages at `offset_bytes`, for a device; `owner` keeps this value alive.
    pub(super) fn shared(
        &self,
        offset_bytes: usize,
        len_bytes: usize,
        owner: Arc<dyn Any + Send + Sync>,
    ) -> Result<SharedPages, OsError> {
        let of_bytes = self.len_bytes;
        if offset_bytes.checked_add(len_bytes).is_none_or(|end| end > of_bytes) {
            return Err(OsError::OutOfBounds { offset_bytes, len_bytes, of_bytes });
        }
        for (what, value) in [("offset of pages", offset_bytes), ("length of pages", len_bytes)] {
            if !value.is_multiple_of(PAGE_BYTES) {
                return Err(OsError::BadAlignment { what, value, multiple_of: PAGE_BYTES });
            }
        }
        self.check_not_forked()?;
        // Inside a mapping that does not start at address 0, so never null.
        let first = NonNull::new(self.base.as_ptr().wrapping_add(offset_bytes)).unwrap_or(self.base);
        // SAFETY: 1. the range lies inside the mapping (checked), which its owner, `owner`, keeps mapped; callers map
        // it for writing. 2. Control memory is reached through `Words` only, which are atomics; frame memory that is
        // handed to a device has every slot claimed for ever, so that no slice of it is made.
        Ok(unsafe { SharedPages::from_raw(first, len_bytes, owner) })
    }

    /// Changes what this process may do with `len_bytes` at `offset_bytes`, both multiples of the page size.
    ///
    /// # Safety
    ///
    /// The range lies inside the pages. If `access` is `ReadOnly`, nothing in this process writes the range, through
    /// [`Words`] or references, until it is made writable again.
    pub(super) unsafe fn protect(
        &self,
        offset_bytes: usize,
        len_bytes: usize,
        access: Access,
    ) -> Result<(), OsError> {
        let flags = match access {
            Access::ReadOnly => MprotectFlags::READ,
            Access::ReadWrite => MprotectFlags::READ | MprotectFlags::WRITE,
        };
        self.check_not_forked()?;
        let address = self.base.as_ptr().wrapping_add(offset_bytes).cast();
        // SAFETY: the caller promises a range inside our own mapping, and that taking away write access surprises no
        // writer. The memory stays readable either way.
        let changed = unsafe { mprotect(address, len_bytes, flags) };
        changed.map_err(|errno| match errno {
            // Splitting a mapping needs a further one.
            Errno::NOMEM => limits::no_address_space(len_bytes as u64),
            errno => OsError::from_errno("mprotect", format!("{len_bytes} bytes, {access:?}"), errno),
        })
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        if self.are_in_parent() {
            // Whatever is at these addresses in a forked child is not this mapping.
            return;
        }
        drop(self.kept.take());
        // SAFETY: exactly the range that `map` mapped, unmapped once. Everything that refers to it borrows or owns
        // (`Arc`) this value, so nothing can reach it any more.
        let unmapped = unsafe { munmap(self.base.as_ptr().cast(), self.len_bytes) };
        // Fails only for a range that is not ours, or when splitting a merged mapping exceeds vm.max_map_count; then
        // the memory stays mapped, which costs address space and no correctness.
        if let Err(error) = unmapped {
            tracing::warn!(%error, len_bytes = self.len_bytes, "shared memory could not be unmapped");
        }
    }
}

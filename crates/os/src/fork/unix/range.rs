// SPDX-License-Identifier: MIT OR Apache-2.0
//! Mappings that a forked child does not get.
//!
//! The kernel leaves them out of the child (`MADV_DONTFORK`), which leaves a hole there; and whatever the child maps
//! next tends to land in a hole. An inherited view would then show it as a frame. So a fork handler fills each hole
//! with pages that nobody may touch, before the child can map anything.
#![expect(unsafe_code, reason = "fence: madvise, and a mapping made in the child")]

use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::mm::{Advice, madvise};

use super::{GENERATION, TableLock, installed};
use crate::OsError;
use crate::fork::MAX_GUARDED;

/// One mapping; free when `len_bytes` is 0. Changed under the table's lock, so that no fork sees it half changed.
struct Place {
    start: AtomicUsize,
    len_bytes: AtomicUsize,
}

/// Zeroed memory, so it costs nothing until used.
static PLACES: [Place; MAX_GUARDED] =
    [const { Place { start: AtomicUsize::new(0), len_bytes: AtomicUsize::new(0) } }; MAX_GUARDED];

/// Keeps one mapping out of forked children until drop, which comes before it is unmapped.
#[derive(Debug)]
pub(crate) struct KeptFromChild {
    entry: usize,
    generation: u32,
}

impl KeptFromChild {
    /// # Safety
    ///
    /// The range is page-aligned and a mapping of the caller's alone, and what refers to it is ready to find, in a
    /// forked child, that touching it ends the child. The caller unmaps it after the drop of this value, and not at all
    /// in a child ([`KeptFromChild::is_from_parent`]).
    pub(crate) unsafe fn keep(base: NonNull<u8>, len_bytes: usize) -> Result<KeptFromChild, OsError> {
        let generation = installed()?;
        // A fork before the entry is made leaves the child a mapping or a hole that nothing there refers to: the thread
        // that is making it does not exist in the child.
        // SAFETY: the range is the caller's mapping; the advice changes nothing in this process, and what it does in a
        // child the caller is ready for.
        unsafe { madvise(base.as_ptr().cast(), len_bytes, Advice::LinuxDontFork) }.map_err(|errno| {
            OsError::from_errno("madvise(MADV_DONTFORK)", format!("{len_bytes} bytes"), errno)
        })?;
        let _held = TableLock::take();
        let free = PLACES.iter().enumerate().find(|(_, place)| place.len_bytes.load(Ordering::Relaxed) == 0);
        let Some((entry, place)) = free else { return Err(OsError::TooManyGuarded { max: MAX_GUARDED }) };
        place.start.store(base.addr().get(), Ordering::Relaxed);
        place.len_bytes.store(len_bytes, Ordering::Relaxed);
        Ok(KeptFromChild { entry, generation })
    }

    /// Whether this process is a forked child of the one that has the mapping.
    #[inline]
    pub(crate) fn is_from_parent(&self) -> bool {
        GENERATION.load(Ordering::Relaxed) != self.generation
    }
}

impl Drop for KeptFromChild {
    fn drop(&mut self) {
        // In a child the table was emptied, and the entry may be another's by now.
        if self.is_from_parent() {
            return;
        }
        let _held = TableLock::take();
        if let Some(place) = PLACES.get(self.entry) {
            place.len_bytes.store(0, Ordering::Relaxed);
        }
    }
}

/// In the child, from the fork handler: fills the holes and empties the table.
pub(super) fn fill_holes() {
    for place in &PLACES {
        let len_bytes = place.len_bytes.swap(0, Ordering::Relaxed);
        if len_bytes != 0 {
            fill(place.start.load(Ordering::Relaxed), len_bytes);
        }
    }
}

/// Makes a range of addresses refer to nothing. It is not taken from who has it by now, if anybody does.
fn fill(start: usize, len_bytes: usize) {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED_NOREPLACE;
    // SAFETY: a new mapping, which replaces none (MAP_FIXED_NOREPLACE; kernels before 4.17 take the address as a mere
    // hint). Nothing can be read or written through it. mmap is a plain system call, as is needed between fork and
    // exec.
    unsafe { libc::mmap(ptr::without_provenance_mut(start), len_bytes, libc::PROT_NONE, flags, -1, 0) };
}

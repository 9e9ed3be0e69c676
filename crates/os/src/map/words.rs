// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bounds-checked atomic words over shared memory: the only way to reach memory that two processes write.
//!
//! It never lends a `&T` or `&mut T` over the memory, atomics aside, and refuses what is misaligned or out of bounds
//! with `None`. Loads of plain bytes go word by word through relaxed atomics, so a peer that writes meanwhile can mix
//! words but cannot make the program undefined.
#![expect(unsafe_code, reason = "fence: addresses become atomics here, after the bounds check")]

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Shared memory seen as atomic words. Borrowed from a mapping, which keeps the memory mapped.
///
/// Offsets are in bytes from the start of the memory. Every access is checked; a memory that was mapped for reading
/// only gives no atomics ([`Words::u32_at`], [`Words::u64_at`], [`Words::store_bytes`] answer `None`) and is read
/// through the `load_` functions.
///
/// ```
/// # #[cfg(target_os = "linux")] {
/// use std::sync::atomic::Ordering;
///
/// let memory = uncopy_os::SharedMemory::create("words", 4096)?;
/// let words = memory.words();
/// words.store_bytes(8, b"uncopy").ok_or("inside")?;
/// assert_eq!(words.load_u64(8, Ordering::Acquire).map(u64::to_le_bytes), Some(*b"uncopy\0\0"));
/// assert!(words.u64_at(4).is_none(), "misaligned");
/// assert!(words.u64_at(4096).is_none(), "out of bounds");
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Words {
    base: NonNull<u8>,
    len_bytes: usize,
    /// `len_bytes`, or 0 where the memory may not be written: one comparison answers both questions.
    writable_bytes: usize,
}

// SAFETY: the memory is reached through atomics only, which any thread may use; the fields never change.
unsafe impl Send for Words {}
// SAFETY: as for `Send`: shared use is atomic loads and stores.
unsafe impl Sync for Words {}

impl Words {
    /// Words over `len_bytes` bytes at `base`.
    ///
    /// # Safety
    ///
    /// While the value lives:
    /// 1. `base` is aligned to 8, and `base..base + len_bytes` is initialised, mapped and readable, and writable if
    ///    `is_writable`; so is the rest of the last 8-byte word, if `len_bytes` ends inside one.
    /// 2. This process reaches the memory only through atomics, or through references that the caller keeps apart from
    ///    every write.
    pub(crate) unsafe fn new(base: NonNull<u8>, len_bytes: usize, is_writable: bool) -> Words {
        Words { base, len_bytes, writable_bytes: if is_writable { len_bytes } else { 0 } }
    }

    /// No words at all.
    pub(crate) const fn none() -> Words {
        Words { base: NonNull::<u64>::dangling().cast(), len_bytes: 0, writable_bytes: 0 }
    }

    /// Length of the memory in bytes.
    #[inline]
    pub fn len_bytes(&self) -> usize {
        self.len_bytes
    }

    /// Whether there are no words at all.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len_bytes == 0
    }

    /// The 32-bit word at `offset_bytes`; `None` when misaligned, out of bounds, or mapped for reading only.
    #[inline]
    pub fn u32_at(&self, offset_bytes: usize) -> Option<&AtomicU32> {
        let address = self.address_of::<4>(offset_bytes, self.writable_bytes)?;
        // SAFETY: 1. `address_of` checked that four bytes from here lie inside the writable memory, which stays mapped
        // while `self` is borrowed (contract of `new`). 2. It checked the offset's alignment, and the base is aligned
        // to 8. 3. Conflicting plain accesses do not happen: contract of `new`.
        Some(unsafe { AtomicU32::from_ptr(address.cast()) })
    }

    /// The 64-bit word at `offset_bytes`; `None` when misaligned, out of bounds, or mapped for reading only.
    #[inline]
    pub fn u64_at(&self, offset_bytes: usize) -> Option<&AtomicU64> {
        let address = self.address_of::<8>(offset_bytes, self.writable_bytes)?;
        // SAFETY: as in `u32_at`, for eight bytes.
        Some(unsafe { AtomicU64::from_ptr(address.cast()) })
    }

    /// `N` 64-bit words from `offset_bytes` on, checked once: `None` where [`Words::u64_at`] would give `None` for any.
    #[inline]
    pub fn u64s_at<const N: usize>(&self, offset_bytes: usize) -> Option<&[AtomicU64; N]> {
        let end = offset_bytes.checked_add(N.checked_mul(8)?)?;
        if end > self.writable_bytes || !offset_bytes.is_multiple_of(8) {
            return None;
        }
        let first = self.base.as_ptr().wrapping_add(offset_bytes);
        // SAFETY: 1. the words lie inside the writable memory (checked), which outlives `self`. 2. Base and offset are
        // multiples of 8, and an array of atomics has their alignment. 3. Atomics may be shared; as in `u64_at`, nobody
        // makes a plain reference to this memory.
        Some(unsafe { &*first.cast::<[AtomicU64; N]>() })
    }

    /// Loads the 32-bit word at `offset_bytes`, also from memory that is mapped for reading only. `order` must be one
    /// for loads: `Relaxed`, `Acquire` or `SeqCst`.
    #[inline]
    pub fn load_u32(&self, offset_bytes: usize, order: Ordering) -> Option<u32> {
        let address = self.address_of::<4>(offset_bytes, self.len_bytes)?;
        // SAFETY: as in `u32_at`; the memory may be read-only, and the reference is used for one load of a size that
        // the processor loads without writing.
        let word = unsafe { AtomicU32::from_ptr(address.cast()) };
        Some(word.load(order))
    }

    /// Loads the 64-bit word at `offset_bytes`, also from memory that is mapped for reading only. `order` as for
    /// [`Words::load_u32`].
    #[inline]
    pub fn load_u64(&self, offset_bytes: usize, order: Ordering) -> Option<u64> {
        let address = self.address_of::<8>(offset_bytes, self.len_bytes)?;
        // SAFETY: as in `load_u32`, for eight bytes.
        let word = unsafe { AtomicU64::from_ptr(address.cast()) };
        Some(word.load(order))
    }

    /// Copies `out.len()` bytes from `offset_bytes`, a multiple of 8, word by word with relaxed loads.
    ///
    /// `None`, with `out` untouched, when misaligned or out of bounds. Words written meanwhile by a peer may be old or
    /// new, each by itself: validate the copy, and order it with an acquire of your own.
    pub fn load_bytes(&self, offset_bytes: usize, out: &mut [u8]) -> Option<()> {
        self.check_range(offset_bytes, out.len(), self.len_bytes)?;
        for (index, chunk) in out.chunks_mut(8).enumerate() {
            let word = self.word(offset_bytes + 8 * index).load(Ordering::Relaxed).to_le_bytes();
            for (to, from) in chunk.iter_mut().zip(word) {
                *to = from;
            }
        }
        Some(())
    }

    /// Copies `bytes` to `offset_bytes`, a multiple of 8, word by word with relaxed stores.
    ///
    /// `None`, with nothing written, when misaligned, out of bounds, or mapped for reading only. The other bytes of a
    /// last partial word keep their values. Order it with a release of your own.
    pub fn store_bytes(&self, offset_bytes: usize, bytes: &[u8]) -> Option<()> {
        self.check_range(offset_bytes, bytes.len(), self.writable_bytes)?;
        let (whole, tail) = bytes.as_chunks::<8>();
        for (index, word) in whole.iter().enumerate() {
            self.word(offset_bytes + 8 * index).store(u64::from_le_bytes(*word), Ordering::Relaxed);
        }
        if !tail.is_empty() {
            let word = self.word(offset_bytes + 8 * whole.len());
            let merge = |old: u64| {
                let mut bytes = old.to_le_bytes();
                for (to, from) in bytes.iter_mut().zip(tail) {
                    *to = *from;
                }
                Some(u64::from_le_bytes(bytes))
            };
            // A closure that always answers `Some` always succeeds.
            let _ = word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, merge);
        }
        Some(())
    }

    /// Asks the processor to fetch the line at `offset_bytes` for reading. A hint: it never faults, whatever the
    /// offset, and does nothing on processors without it.
    #[inline]
    pub fn prefetch(&self, offset_bytes: usize) {
        prefetch::for_reading(self.base.as_ptr().wrapping_add(offset_bytes));
    }

    /// As [`Words::prefetch`], but asks for the line in a state that can be written at once: for words that are about
    /// to be changed by a compare-and-swap.
    #[inline]
    pub fn prefetch_for_write(&self, offset_bytes: usize) {
        prefetch::for_writing(self.base.as_ptr().wrapping_add(offset_bytes));
    }

    /// Asks the processor to move the line at `offset_bytes` out of its private caches to where other processors reach
    /// it sooner: for words that were just written and are about to be read by another process. A hint: it never
    /// faults, whatever the offset, changes nothing that a program can see, and does nothing on processors without it.
    #[inline]
    pub fn demote(&self, offset_bytes: usize) {
        prefetch::demote(self.base.as_ptr().wrapping_add(offset_bytes));
    }

    /// The address of `SIZE` bytes, a power of two, if they lie inside `len_bytes` and are aligned.
    #[inline]
    fn address_of<const SIZE: usize>(&self, offset_bytes: usize, len_bytes: usize) -> Option<*mut u8> {
        let end = offset_bytes.checked_add(SIZE)?;
        (end <= len_bytes && offset_bytes.is_multiple_of(SIZE))
            .then(|| self.base.as_ptr().wrapping_add(offset_bytes))
    }

    fn check_range(&self, offset_bytes: usize, len: usize, len_bytes: usize) -> Option<()> {
        let end = offset_bytes.checked_add(len)?;
        (end <= len_bytes && offset_bytes.is_multiple_of(8)).then_some(())
    }

    /// The word at an offset that `check_range` has accepted, which may end past `len_bytes` by less than 8.
    fn word(&self, offset_bytes: usize) -> &AtomicU64 {
        debug_assert!(offset_bytes < self.len_bytes && offset_bytes.is_multiple_of(8));
        // SAFETY: 1. callers have checked that at least one byte of this aligned word lies inside the memory, and `new`
        // was promised the rest of the last word. 2. Base and offset are multiples of 8. 3. As in `u32_at`; where the
        // memory is read-only, callers only load.
        unsafe { AtomicU64::from_ptr(self.base.as_ptr().wrapping_add(offset_bytes).cast()) }
    }
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
mod prefetch {
    use std::arch::asm;
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

    #[inline]
    pub(super) fn for_reading(address: *const u8) {
        // SAFETY: a prefetch only hints; it reads nothing that the program can see and ignores addresses that are not
        // mapped (Intel SDM, PREFETCHh). SSE is part of x86-64.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }

    #[inline]
    pub(super) fn for_writing(address: *const u8) {
        // Written out: without the `prfchw` target feature the compiler turns the intrinsic into a read hint, which
        // brings the line in a state that the coming write has to upgrade.
        // SAFETY: as above (Intel SDM, PREFETCHW); it changes neither memory, stack nor flags. Processors that do not
        // know the hint treat its encoding as no operation.
        unsafe { asm!("prefetchw [{}]", in(reg) address, options(nostack, preserves_flags, readonly)) }
    }

    #[inline]
    pub(super) fn demote(address: *const u8) {
        // The bytes are `cldemote [rax]`, written out because not every assembler knows its name.
        // SAFETY: CLDEMOTE only hints and ignores addresses that are not mapped; processors without it execute its
        // encoding as a no-operation (Intel SDM, CLDEMOTE). It changes no register, flag or memory content.
        unsafe { asm!(".byte 0x0f, 0x1c, 0x00", in("rax") address, options(nostack, preserves_flags)) }
    }
}

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
mod prefetch {
    #[inline]
    pub(super) fn for_reading(_address: *const u8) {}

    #[inline]
    pub(super) fn for_writing(_address: *const u8) {}

    #[inline]
    pub(super) fn demote(_address: *const u8) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words over memory of this process, so that the tests also run under Miri.
    struct Owned {
        words: Words,
        memory: *mut [u64],
    }

    impl Owned {
        fn new(len_bytes: usize, is_writable: bool) -> Owned {
            let memory = Box::into_raw(vec![0u64; len_bytes.div_ceil(8)].into_boxed_slice());
            let base = NonNull::new(memory.cast::<u8>()).expect("a box is not null");
            // SAFETY: the box has whole words of initialised memory, lives until drop, and is reached only through the
            // words until then.
            let words = unsafe { Words::new(base, len_bytes, is_writable) };
            Owned { words, memory }
        }
    }

    impl Drop for Owned {
        fn drop(&mut self) {
            // SAFETY: the pointer came from `Box::into_raw` and is freed once.
            drop(unsafe { Box::from_raw(self.memory) });
        }
    }

    #[test]
    fn words_are_given_inside_the_memory_and_aligned_only() {
        let owned = Owned::new(24, true);
        let words = &owned.words;
        assert!(words.u64_at(0).is_some() && words.u64_at(16).is_some());
        assert!(words.u32_at(20).is_some());
        for offset in [1, 4, 12, 17, 24, 32, usize::MAX, usize::MAX - 7] {
            assert!(words.u64_at(offset).is_none(), "u64 at {offset}");
        }
        for offset in [1, 2, 22, 24, usize::MAX - 3] {
            assert!(words.u32_at(offset).is_none(), "u32 at {offset}");
        }
    }

    #[test]
    fn a_word_cut_by_the_end_is_not_given_but_its_bytes_are() {
        let owned = Owned::new(20, true);
        assert!(owned.words.u64_at(16).is_none());
        assert_eq!(owned.words.store_bytes(16, b"tail"), Some(()));
        let mut out = [0; 4];
        assert_eq!(owned.words.load_bytes(16, &mut out), Some(()));
        assert_eq!(&out, b"tail");
        assert_eq!(owned.words.store_bytes(16, b"tails"), None, "one byte too many");
    }

    #[test]
    fn bytes_of_every_length_come_back_and_leave_their_neighbours_alone() {
        for len in 0..=33 {
            let owned = Owned::new(64, true);
            let words = &owned.words;
            words.store_bytes(0, &[0xEE; 64]).expect("inside");
            let bytes: Vec<u8> = (1..=len).collect();
            words.store_bytes(8, &bytes).expect("inside");
            let mut out = vec![0; bytes.len()];
            words.load_bytes(8, &mut out).expect("inside");
            assert_eq!(out, bytes);
            let mut all = [0; 64];
            words.load_bytes(0, &mut all).expect("inside");
            assert_eq!(all[..8], [0xEE; 8]);
            assert!(all[8 + bytes.len()..].iter().all(|byte| *byte == 0xEE), "{len}: {all:?}");
        }
    }

    #[test]
    fn byte_copies_refuse_misaligned_and_outside_ranges_and_touch_nothing() {
        let owned = Owned::new(32, true);
        for (offset, len) in [(4, 4), (32, 1), (24, 9), (40, 0), (usize::MAX - 7, 8)] {
            let mut out = vec![0xAA; len];
            assert_eq!(owned.words.load_bytes(offset, &mut out), None, "load {len} at {offset}");
            assert!(out.iter().all(|byte| *byte == 0xAA));
            assert_eq!(owned.words.store_bytes(offset, &out), None, "store {len} at {offset}");
        }
        assert_eq!(owned.words.load_bytes(32, &mut []), Some(()), "nothing at the very end is inside");
    }

    #[test]
    fn read_only_memory_gives_loads_and_no_atomics() {
        let owned = Owned::new(32, false);
        assert!(owned.words.u32_at(0).is_none());
        assert!(owned.words.u64_at(0).is_none());
        assert_eq!(owned.words.store_bytes(0, &[1]), None);
        assert_eq!(owned.words.load_u32(4, Ordering::Acquire), Some(0));
        assert_eq!(owned.words.load_u64(8, Ordering::Acquire), Some(0));
        assert_eq!(owned.words.load_bytes(0, &mut [0; 32]), Some(()));
    }

    #[test]
    fn a_run_of_words_is_the_same_words_and_ends_with_the_memory() {
        let owned = Owned::new(64, true);
        let run = owned.words.u64s_at::<4>(16).expect("32 bytes at 16 of 64");
        run[3].store(7, Ordering::Relaxed);
        assert_eq!(owned.words.u64_at(40).map(|word| word.load(Ordering::Relaxed)), Some(7));
        assert!(owned.words.u64s_at::<4>(32).is_some());
        for offset in [4, 20, 40, 64, usize::MAX - 7, usize::MAX] {
            assert!(owned.words.u64s_at::<4>(offset).is_none(), "offset {offset}");
        }
        assert!(Owned::new(64, false).words.u64s_at::<1>(0).is_none(), "read-only memory");
    }

    #[test]
    fn a_prefetch_outside_the_memory_is_harmless() {
        let owned = Owned::new(16, true);
        for offset in [0, 8, 4096, usize::MAX / 2, usize::MAX] {
            owned.words.prefetch(offset);
            owned.words.prefetch_for_write(offset);
            owned.words.demote(offset);
        }
    }
}

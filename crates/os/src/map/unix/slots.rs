// SPDX-License-Identifier: MIT OR Apache-2.0
//! The producer's frame memory: equal slots that nobody else can write.
#![expect(unsafe_code, reason = "fence: a claimed slot becomes a slice; see the header of `map`")]

use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use uncopy_core::Device;
use uncopy_tensor::{Access, Export, Region, ShareHandle, SharedPages};

use super::memory::SharedMemory;
use super::pages::InChild;
use crate::OsError;
use crate::map::PAGE_BYTES;

/// A [`SlotMut`] exists, or `protect` is at work.
const CLAIMED: u32 = 1 << 31;
/// The pages are mapped for reading only.
const PROTECTED: u32 = 1 << 30;
/// The rest counts the regions that are alive.
const LENT: u32 = PROTECTED - 1;

/// What the stride of [`SlotMemory`] must be a multiple of, in bytes: the system's page size, and at least 4096. A
/// power of two.
#[inline]
pub fn slot_align_bytes() -> usize {
    rustix::param::page_size().max(PAGE_BYTES)
}

/// `slots` slots of `stride_bytes` each in one piece of shared memory, which only this process can write.
///
/// A slot's bytes are reached by [claiming](SlotMemory::claim) it. The claim is exclusive within this process; which
/// slot may be claimed when, with respect to consumers, is the link's protocol.
///
/// A forked child does not have the memory, so that it cannot change a frame that others read: calls that would touch
/// it answer [`OsError::Forked`], and touching a view that was inherited ends the child.
pub struct SlotMemory {
    memory: SharedMemory,
    stride_bytes: usize,
    states: Box<[AtomicU32]>,
}

impl SlotMemory {
    /// Makes zeroed, frozen memory for `slots` (at least 1) slots of `stride_bytes`, a multiple of
    /// [`slot_align_bytes`].
    ///
    /// # Errors
    ///
    /// [`OsError::BadAlignment`], [`OsError::BadLength`] (nothing, or too much), [`OsError::TooManyGuarded`], and those
    /// of [`SharedMemory::create`] and [`SharedMemory::freeze_writes`].
    pub fn create(label: &str, slots: usize, stride_bytes: usize) -> Result<Arc<SlotMemory>, OsError> {
        let multiple_of = slot_align_bytes();
        if !stride_bytes.is_multiple_of(multiple_of) {
            return Err(OsError::BadAlignment { what: "slot stride", value: stride_bytes, multiple_of });
        }
        let Some(len_bytes) = slots.checked_mul(stride_bytes) else {
            return Err(OsError::BadLength { what: "frame memory", len_bytes: u64::MAX });
        };
        let memory = SharedMemory::create_for(label, len_bytes, InChild::Absent)?;
        memory.freeze_writes()?;
        let states = (0..slots).map(|_| AtomicU32::new(0)).collect();
        Ok(Arc::new(SlotMemory { memory, stride_bytes, states }))
    }

    /// A handle for one consumer, who can map the memory for reading only.
    ///
    /// # Errors
    ///
    /// [`OsError::OutOfDescriptors`].
    pub fn share(&self) -> Result<ShareHandle, OsError> {
        self.memory.share()
    }

    /// The memory's own handle, lent: see [`SharedMemory::handle`].
    pub fn handle(&self) -> &ShareHandle {
        self.memory.handle()
    }

    /// Distance from one slot to the next, in bytes.
    pub fn stride_bytes(&self) -> usize {
        self.stride_bytes
    }

    /// How many slots there are.
    pub fn slots(&self) -> usize {
        self.states.len()
    }

    /// Address of the first slot in this process.
    pub fn address(&self) -> usize {
        self.memory.pages().base().addr().get()
    }

    /// Length of all slots together, in bytes.
    pub fn len_bytes(&self) -> usize {
        self.memory.len_bytes()
    }

    /// All slots, for a device that writes them in place of this process. While it or a clone lives no slot may be
    /// [claimed](SlotMemory::claim): who hands it out sees to that.
    ///
    /// # Errors
    ///
    /// [`OsError::SlotTaken`] where a slot is claimed or lent; [`OsError::Forked`].
    pub fn shared_pages(self: &Arc<SlotMemory>) -> Result<SharedPages, OsError> {
        // Claimed for ever: the device's writes are nobody's `&mut` here.
        for slot in 0..self.slots() {
            self.lock(slot, CLAIMED | LENT)?;
        }
        self.memory.pages().shared(0, self.len_bytes(), Arc::clone(self) as _)
    }

    /// Asks the processor to fetch the line at `offset_in_slot` of `slot` for writing; a hint without effect outside.
    #[inline]
    pub fn prefetch_for_write(&self, slot: usize, offset_in_slot: usize) {
        let offset_bytes = slot.wrapping_mul(self.stride_bytes).wrapping_add(offset_in_slot);
        self.memory.words().prefetch_for_write(offset_bytes);
    }

    /// Claims `slot` for writing, exclusively within this process, until the returned value is dropped. A slot that
    /// was [protected](SlotMemory::protect) becomes writable again.
    ///
    /// # Errors
    ///
    /// [`OsError::SlotTaken`] while it is claimed, or while a region of an earlier claim is alive;
    /// [`OsError::NoSuchSlot`]; [`OsError::System`] when a protected slot cannot be made writable;
    /// [`OsError::Forked`].
    pub fn claim(self: &Arc<SlotMemory>, slot: usize) -> Result<SlotMut, OsError> {
        let was_protected = self.lock(slot, CLAIMED | LENT)?;
        let claimed = SlotMut { memory: Arc::clone(self), slot };
        if was_protected {
            // On failure the drop of `claimed` gives the claim back, still marked as protected.
            self.set_protection(slot, Access::ReadWrite)?;
        }
        Ok(claimed)
    }

    /// Changes whether this process can write `slot`'s pages: a debugging aid that turns a stray write through an old
    /// view (a region that outlived its claim) into a crash at the culprit. One system call.
    ///
    /// # Errors
    ///
    /// [`OsError::SlotTaken`] while it is claimed, [`OsError::NoSuchSlot`], [`OsError::Forked`], [`OsError::System`].
    pub fn protect(&self, slot: usize, access: Access) -> Result<(), OsError> {
        let was_protected = self.lock(slot, CLAIMED)?;
        let is_change = was_protected != (access == Access::ReadOnly);
        let changed = if is_change { self.set_protection(slot, access) } else { Ok(()) };
        self.unlock(slot);
        changed
    }

    /// Takes the claim bit of a slot whose state has none of the `excluded` bits; says whether the slot is protected.
    fn lock(&self, slot: usize, excluded: u32) -> Result<bool, OsError> {
        self.memory.pages().check_not_forked()?;
        let state = self.state(slot)?;
        let claim = |old: u32| (old & excluded == 0).then_some(old | CLAIMED);
        // Acquire pairs with the release in `unlock` and in the drop of `Loan`: their writes come before ours.
        match state.fetch_update(Ordering::Acquire, Ordering::Relaxed, claim) {
            Ok(old) => Ok(old & PROTECTED != 0),
            Err(old) => Err(OsError::SlotTaken { slot, lent: old & CLAIMED == 0 }),
        }
    }

    /// Gives the claim bit back.
    fn unlock(&self, slot: usize) {
        if let Ok(state) = self.state(slot) {
            // pairs with: `lock`
            state.fetch_and(!CLAIMED, Ordering::Release);
        }
    }

    /// Changes the pages' protection. The caller holds the claim bit.
    fn set_protection(&self, slot: usize, access: Access) -> Result<(), OsError> {
        let state = self.state(slot)?;
        let pages = self.memory.pages();
        // SAFETY: the slot exists (`state`), so the range lies inside the pages. Taking write access away surprises no
        // writer: the claim bit was free, so no `SlotMut` exists; `Words` of frame memory are never handed out;
        // regions that outlived their claim are written by raw pointers only, and such a write, which the caller wants
        // to catch, ends the process. `claim` gives write access back before it makes another `SlotMut`.
        unsafe { pages.protect(slot * self.stride_bytes, self.stride_bytes, access) }?;
        match access {
            Access::ReadOnly => state.fetch_or(PROTECTED, Ordering::Relaxed),
            Access::ReadWrite => state.fetch_and(!PROTECTED, Ordering::Relaxed),
        };
        Ok(())
    }

    fn state(&self, slot: usize) -> Result<&AtomicU32, OsError> {
        self.states.get(slot).ok_or(OsError::NoSuchSlot { slot, slots: self.states.len() })
    }

    /// The first byte of a slot that exists.
    fn first_byte(&self, slot: usize) -> NonNull<u8> {
        let base = self.memory.pages().base();
        // `slot * stride` lies inside a mapping that does not start at address 0, so the sum is never null.
        NonNull::new(base.as_ptr().wrapping_add(slot * self.stride_bytes)).unwrap_or(base)
    }
}

impl fmt::Debug for SlotMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlotMemory")
            .field("slots", &self.slots())
            .field("stride_bytes", &self.stride_bytes)
            .finish_non_exhaustive()
    }
}

impl Export for SlotMemory {
    fn device(&self) -> Device {
        Device::CPU
    }

    fn len_bytes(&self) -> usize {
        self.memory.len_bytes()
    }

    fn share(&self) -> io::Result<ShareHandle> {
        Export::share(&self.memory)
    }
}

/// A claimed slot: the only way to write frame memory. Dropping it gives the claim back.
///
/// Derefs to the slot's `stride_bytes` bytes, which hold whatever the last frame left. While a
/// [region](SlotMut::region) of the slot is alive the bytes belong to it: use [`SlotMut::bytes_mut`] where that may be.
#[derive(Debug)]
pub struct SlotMut {
    memory: Arc<SlotMemory>,
    slot: usize,
}

impl SlotMut {
    /// Which slot it is.
    pub fn slot(&self) -> usize {
        self.slot
    }

    /// The memory that it is a slot of.
    pub fn memory(&self) -> &Arc<SlotMemory> {
        &self.memory
    }

    /// Where its first byte is mapped in this process.
    pub fn address(&self) -> usize {
        self.memory.first_byte(self.slot).addr().get()
    }

    /// The slot's bytes.
    ///
    /// # Errors
    ///
    /// [`OsError::SlotTaken`] while a region of the slot is alive; [`OsError::Forked`].
    pub fn bytes(&self) -> Result<&[u8], OsError> {
        self.check_ours()?;
        let first = self.memory.first_byte(self.slot).as_ptr();
        // SAFETY: 1. `stride_bytes` bytes from here are one slot of the mapping, which `self.memory` keeps mapped in
        // the process that made it, and that is this one (checked); file pages are initialised. 2. Nobody writes them
        // while the slice lives: other processes cannot (frozen), and in this process writing takes `&mut self`,
        // which the slice's borrow excludes, or a region, of which there was none. One made while the slice lives is
        // written under the writing rule of the tensor crate's front page, which forbids writes while a slice is
        // lent.
        Ok(unsafe { slice::from_raw_parts(first, self.memory.stride_bytes) })
    }

    /// The slot's bytes, for writing.
    ///
    /// # Errors
    ///
    /// [`OsError::SlotTaken`] while a region of the slot is alive; [`OsError::Forked`].
    pub fn bytes_mut(&mut self) -> Result<&mut [u8], OsError> {
        self.check_ours()?;
        let first = self.memory.first_byte(self.slot).as_ptr();
        // SAFETY: 1. As in `bytes`; the pages are writable, since `claim` saw to that and `protect` refuses a claimed
        // slot. 2. The slice is the only way to the bytes: other processes cannot map them writable, there is one
        // `SlotMut` per slot (claim bit), it is mutably borrowed, no region is alive (checked), and making one takes
        // `&self`. Consumers that read meanwhile, against the protocol, read their own mapping in their own process.
        Ok(unsafe { slice::from_raw_parts_mut(first, self.memory.stride_bytes) })
    }

    /// The first `len_bytes` bytes as a writable host region, for writers that take pointers (NumPy, DLPack).
    ///
    /// Shared, never copied. The region keeps the memory and `hold` alive. While it, or a clone, lives, the slot's
    /// bytes are its own: [`SlotMut::bytes_mut`] refuses, and the slot cannot be claimed again even after this claim
    /// is dropped, so that a forgotten view never writes into a later frame.
    ///
    /// # Errors
    ///
    /// [`OsError::OutOfBounds`], [`OsError::Forked`].
    pub fn region(&self, len_bytes: usize, hold: impl Send + Sync + 'static) -> Result<Region, OsError> {
        let of_bytes = self.memory.stride_bytes;
        if len_bytes > of_bytes {
            return Err(OsError::OutOfBounds { offset_bytes: 0, len_bytes, of_bytes });
        }
        self.memory.memory.pages().check_not_forked()?;
        let loan = Loan::new(&self.memory, self.slot)?;
        let address = self.memory.first_byte(self.slot);
        // Fields drop in order: the caller's hold ends before the slot can be claimed again.
        let owner = (hold, loan);
        // SAFETY: 1. The range lies inside one slot of the mapping, which the loan keeps mapped; in a forked child
        // pages take its place that end the process when touched (`crate::fork`). 2. The pages are readable and
        // writable from every thread, and initialised. 3. Other processes cannot write them (frozen). In this process
        // the count that the loan holds makes `bytes`, `bytes_mut`, `claim` and `protect` refuse, so only holders of
        // the region write, under its own rule.
        Ok(unsafe { Region::from_raw(address, len_bytes, Device::CPU, Access::ReadWrite, owner) })
    }

    /// Refuses while the bytes belong to a region, or to the parent of this process.
    fn check_ours(&self) -> Result<(), OsError> {
        self.memory.memory.pages().check_not_forked()?;
        // Acquire pairs with the release in the drop of `Loan`: what was written through the region comes first.
        let state = self.memory.state(self.slot)?.load(Ordering::Acquire);
        if state & LENT == 0 { Ok(()) } else { Err(OsError::SlotTaken { slot: self.slot, lent: true }) }
    }
}

impl Drop for SlotMut {
    fn drop(&mut self) {
        self.memory.unlock(self.slot);
    }
}

impl Deref for SlotMut {
    type Target = [u8];

    /// # Panics
    ///
    /// While a region of the slot is alive, as [`RefCell`](std::cell::RefCell) does, and in a forked child;
    /// [`SlotMut::bytes`] does not.
    fn deref(&self) -> &[u8] {
        match self.bytes() {
            Ok(bytes) => bytes,
            Err(error) => panic!("{error}"),
        }
    }
}

impl DerefMut for SlotMut {
    /// # Panics
    ///
    /// While a region of the slot is alive, as [`RefCell`](std::cell::RefCell) does, and in a forked child;
    /// [`SlotMut::bytes_mut`] does not.
    fn deref_mut(&mut self) -> &mut [u8] {
        match self.bytes_mut() {
            Ok(bytes) => bytes,
            Err(error) => panic!("{error}"),
        }
    }
}

/// One living region of a slot, counted in the slot's state.
struct Loan {
    memory: Arc<SlotMemory>,
    slot: usize,
}

impl Loan {
    fn new(memory: &Arc<SlotMemory>, slot: usize) -> Result<Loan, OsError> {
        let count = |old: u32| (old & LENT < LENT).then_some(old + 1);
        let counted = memory.state(slot)?.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count);
        counted.map_err(|_| OsError::SlotTaken { slot, lent: true })?;
        Ok(Loan { memory: Arc::clone(memory), slot })
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        // pairs with: `lock` and `check_ours`
        if let Ok(state) = self.memory.state(self.slot) {
            state.fetch_sub(1, Ordering::Release);
        }
    }
}

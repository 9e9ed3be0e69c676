// SPDX-License-Identifier: MIT OR Apache-2.0
//! The memory of a card: a memfd, which is gone with its last descriptor and mapping, also when processes are killed.
//!
//! The stand-in reaches it through a mapping that nobody else is told of. A page behind the memory says what it
//! is, so that a descriptor of something else is refused.

#![expect(unsafe_code, reason = "maps files, and fills mapped memory")]

use crate::{
    code::{Answer, Code},
    random, usage,
};
use rustix::{
    fs::{FallocateFlags, MemfdFlags, fallocate, fstat, ftruncate, memfd_create},
    io::{fcntl_dupfd_cloexec, pread, pwrite},
    mm::{MapFlags, ProtFlags, mmap, munmap},
};
use std::{
    ffi::c_void,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    ptr,
    sync::atomic::{AtomicBool, Ordering},
};

/// Memory is given out in pieces of this size, as an H200 does.
pub const GRANULE: usize = 2 << 20;
/// The page behind the memory.
const LABEL_LEN: usize = 4096;
const MAGIC: u64 = 0x6e69_646e_6174_7321;

/// New memory holds this, never what somebody else left there and never zeros.
pub const UNWRITTEN: u8 = 0xCD;
/// Freed memory holds this, for whoever still reads it.
pub const FREED: u8 = 0xDD;

/// What a piece of memory was made for; only the like of it can be imported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `cuMemAlloc`: shared by legacy handle.
    Legacy,
    /// `cuMemCreate`: shared by descriptor.
    Virtual,
    /// A pool, most of which is a hole.
    Pool,
}

/// A piece of memory of one card, mapped for the stand-in alone.
#[derive(Debug)]
pub struct Physical {
    file: OwnedFd,
    /// Address of the mapping.
    base: usize,
    pub len: usize,
    pub card: usize,
    pub kind: Kind,
    /// Random, so that no other memory is taken for this one.
    pub serial: u64,
    is_own: bool,
    /// Whether another process may have it.
    pub is_shared: AtomicBool,
}

impl Physical {
    /// Makes memory on a card, `len` bytes rounded up to the granule.
    pub fn make(card: usize, len: usize, kind: Kind) -> Answer<Physical> {
        let len = rounded_up(len)?;
        if kind != Kind::Pool {
            usage::take(card, len)?;
        }
        let made = Physical::made(card, len, kind);
        if made.is_err() && kind != Kind::Pool {
            usage::give_back(card, len);
        }
        made
    }

    fn made(card: usize, len: usize, kind: Kind) -> Answer<Physical> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = memfd_create(usage::file_name(card), flags).map_err(|_| Code::OUT_OF_MEMORY)?;
        let total = u64::try_from(len + LABEL_LEN).map_err(|_| Code::OUT_OF_MEMORY)?;
        ftruncate(&file, total).map_err(|_| Code::OUT_OF_MEMORY)?;
        let serial = random::number();
        let label = [MAGIC, kind as u64, card as u64, len as u64, serial];
        let bytes: Vec<u8> = label.iter().flat_map(|word| word.to_le_bytes()).collect();
        if pwrite(&file, &bytes, len as u64) != Ok(bytes.len()) {
            return Err(Code::OUT_OF_MEMORY);
        }
        let base = mapped(file.as_fd(), len)?;
        let memory =
            Physical { file, base, len, card, kind, serial, is_own: true, is_shared: AtomicBool::new(false) };
        if kind != Kind::Pool {
            memory.fill(0, len, UNWRITTEN);
        }
        Ok(memory)
    }

    /// Takes memory that another process made, by a descriptor that the caller keeps. What the descriptor leads to
    /// is checked.
    pub fn import(descriptor: BorrowedFd<'_>, kind: Kind) -> Answer<Physical> {
        let file = fcntl_dupfd_cloexec(descriptor, 3).map_err(|_| Code::INVALID_VALUE)?;
        let size = fstat(&file).map_err(|_| Code::INVALID_VALUE)?.st_size;
        let len = usize::try_from(size)
            .ok()
            .and_then(|size| size.checked_sub(LABEL_LEN))
            .ok_or(Code::INVALID_VALUE)?;
        let mut bytes = [0; 40];
        if pread(&file, &mut bytes, len as u64) != Ok(40) {
            return Err(Code::INVALID_VALUE);
        }
        let (words, _) = bytes.as_chunks::<8>();
        let [magic, said_kind, card, said_len, serial] = *words else { return Err(Code::INVALID_VALUE) };
        let is_ours = u64::from_le_bytes(magic) == MAGIC
            && u64::from_le_bytes(said_kind) == kind as u64
            && u64::from_le_bytes(said_len) == len as u64;
        if !is_ours {
            return Err(Code::INVALID_VALUE);
        }
        let card = usize::try_from(u64::from_le_bytes(card)).map_err(|_| Code::INVALID_VALUE)?;
        let serial = u64::from_le_bytes(serial);
        let base = mapped(file.as_fd(), len)?;
        Ok(Physical { file, base, len, card, kind, serial, is_own: false, is_shared: AtomicBool::new(true) })
    }

    /// Another descriptor of it, for another process.
    pub fn export(&self) -> Answer<OwnedFd> {
        self.is_shared.store(true, Ordering::Relaxed);
        fcntl_dupfd_cloexec(&self.file, 3).map_err(|_| Code::OPERATING_SYSTEM)
    }

    /// The descriptor by which other processes may find it (`/proc/PID/fd`).
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Where the stand-in itself sees byte `offset`.
    pub fn address(&self, offset: usize) -> usize {
        self.base + offset
    }

    /// Writes one byte all over a part of it; what lies outside is left alone.
    pub fn fill(&self, offset: usize, len: usize, byte: u8) {
        let offset = offset.min(self.len);
        let len = len.min(self.len - offset);
        let start = ptr::with_exposed_provenance_mut::<u8>(self.base + offset);
        // SAFETY: the part lies in our mapping, which lives as long as `self`; that other threads and processes may
        // use it at the same time is what a card's memory is like, and no reference to it is ever made.
        unsafe { ptr::write_bytes(start, byte, len) };
    }

    /// Gives the pages of a part back; it is made of zeros then.
    pub fn punch(&self, offset: usize, len: usize) {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        // Memory that stays in use is all that can come of a failure.
        let _ = fallocate(&self.file, flags, offset as u64, len as u64);
    }
}

impl Drop for Physical {
    fn drop(&mut self) {
        let start = ptr::with_exposed_provenance_mut::<c_void>(self.base);
        // SAFETY: the mapping is ours, and whoever uses it holds `self`.
        // A failure would leave address space mapped, which nobody can be told of here.
        let _ = unsafe { munmap(start, self.len) };
        if self.is_own && self.kind != Kind::Pool {
            usage::give_back(self.card, self.len);
        }
    }
}

/// Rounds up to whole granules.
pub fn rounded_up(len: usize) -> Answer<usize> {
    len.checked_next_multiple_of(GRANULE).ok_or(Code::OUT_OF_MEMORY)
}

fn mapped(file: BorrowedFd<'_>, len: usize) -> Answer<usize> {
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping at a place of the kernel's choice disturbs no other one.
    let base =
        unsafe { mmap(ptr::null_mut(), len, protection, MapFlags::SHARED | MapFlags::NORESERVE, file, 0) };
    base.map(|base| base.expose_provenance()).map_err(|_| Code::OUT_OF_MEMORY)
}

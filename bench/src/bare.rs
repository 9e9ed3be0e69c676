// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the references are made of: one page of words that two processes share, and nothing around it.
#![expect(unsafe_code, reason = "maps the page that the bare references share")]

use crate::failure::Failure;
use rustix::{
    fd::{AsRawFd, OwnedFd},
    fs::{MemfdFlags, ftruncate, memfd_create},
    mm::{MapFlags, ProtFlags, mmap, munmap},
};
use std::{
    fs::File,
    path::Path,
    ptr::NonNull,
    sync::atomic::{AtomicU32, AtomicU64},
};

const PAGE_BYTES: usize = 4096;
/// Words lie this far apart, so that no two share a cache line or a pair of lines that is fetched together.
const LINE_BYTES: usize = 128;

/// A word of the page, by what it is for.
#[derive(Clone, Copy)]
pub enum Line {
    /// Round trips begun.
    Ping,
    /// Round trips answered.
    Pong,
    /// What a sleeper sleeps on.
    Bell,
    /// When the bell was rung.
    Stamp,
    /// Why the bell was rung.
    Tick,
    /// The block whose end a sleeper has seen.
    Acknowledged,
}

/// A page shared by two processes.
pub struct Page {
    start: NonNull<u8>,
    /// The other process opens it by [`Page::path`].
    file: OwnedFd,
}

impl Page {
    /// A new page.
    ///
    /// # Errors
    /// The system refuses.
    pub fn create() -> Result<Self, Failure> {
        let file = memfd_create("uncopy-bench-bare", MemfdFlags::CLOEXEC)
            .map_err(|e| Failure::system("create a shared page", e))?;
        ftruncate(&file, PAGE_BYTES as u64).map_err(|e| Failure::system("size a shared page", e))?;
        Self::map(file)
    }

    /// The page that another process created, by its path there.
    ///
    /// # Errors
    /// The system refuses.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Failure> {
        let path = path.as_ref();
        let file = File::options().read(true).write(true).open(path);
        Self::map(file.map_err(|e| Failure::system(format!("open {}", path.display()), e))?.into())
    }

    /// Where another process of this user opens the page while this one lives.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }

    fn map(file: OwnedFd) -> Result<Self, Failure> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses touches no memory of ours.
        let start = unsafe { mmap(std::ptr::null_mut(), PAGE_BYTES, protection, MapFlags::SHARED, &file, 0) }
            .map_err(|e| Failure::system("map a shared page", e))?;
        let start =
            NonNull::new(start.cast()).ok_or_else(|| Failure::Side("mapped at address 0".to_owned()))?;
        Ok(Self { start, file })
    }

    #[inline]
    fn address(&self, line: Line) -> NonNull<u8> {
        const { assert!((Line::Acknowledged as usize + 1) * LINE_BYTES <= PAGE_BYTES) };
        // SAFETY: the last line ends within the page, asserted above, and the page is one mapping.
        unsafe { self.start.add(line as usize * LINE_BYTES) }
    }

    /// A word of 32 bits.
    #[must_use]
    #[inline]
    pub fn word32(&self, line: Line) -> &AtomicU32 {
        // SAFETY: 1. the address is aligned to 128 bytes and stays mapped for as long as `self` is borrowed.
        // 2. Both processes access it through atomics only, and each line with one width: see `Line`'s users.
        unsafe { AtomicU32::from_ptr(self.address(line).as_ptr().cast()) }
    }

    /// A word of 64 bits.
    #[must_use]
    #[inline]
    pub fn word64(&self, line: Line) -> &AtomicU64 {
        // SAFETY: as in `word32`.
        unsafe { AtomicU64::from_ptr(self.address(line).as_ptr().cast()) }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: `map` made this mapping, of this length, and no borrow of it outlives `self`.
        // A failure leaves the page mapped until the process ends.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), PAGE_BYTES) };
    }
}

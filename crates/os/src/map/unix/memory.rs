// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory of ours that a peer may map: a sealed memfd.

use std::io;
use std::sync::Arc;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{
    FallocateFlags, MemfdFlags, Mode, SealFlags, fallocate, fchmod, fcntl_add_seals, memfd_create,
};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use uncopy_core::Device;
use uncopy_tensor::{Access, Export, ShareHandle, SharedPages};

use super::pages::{InChild, Pages};
use super::{limits, seals_of};
use crate::OsError;
use crate::map::{Seals, Words};

/// What is allocated in one call, at first and at least. The kernel gives up an allocation that a signal interrupts and
/// undoes that call's share, so in a process with a profiling timer a large one might never end: each interruption
/// halves the next.
const ALLOCATION_STEP_BYTES: (u64, u64) = (64 << 20, 64 << 10);

/// Anonymous shared memory made by this process, mapped for reading and writing.
///
/// Its size is sealed, all its pages are allocated, and it starts zeroed. It has no name in any file system, mode
/// 0600, and ends with the last mapping or handle in any process: nothing is left behind by a crash. A forked child
/// shares it.
#[derive(Debug)]
pub struct SharedMemory {
    file: ShareHandle,
    pages: Pages,
}

impl SharedMemory {
    /// Makes `len_bytes` (1 to `isize::MAX`) of zeroed shared memory. `label` shows in `/proc/PID/maps` as
    /// `memfd:uncopy:LABEL`; it may have 200 bytes and no NUL.
    ///
    /// # Errors
    ///
    /// [`OsError::OutOfMemory`] when a limit leaves too little: read before anything is allocated, so neither
    /// SIGBUS nor the out-of-memory killer comes instead. [`OsError::BadLength`], [`OsError::InvalidPath`] (label),
    /// [`OsError::OutOfDescriptors`], [`OsError::System`].
    pub fn create(label: &str, len_bytes: usize) -> Result<SharedMemory, OsError> {
        SharedMemory::create_for(label, len_bytes, InChild::Shared)
    }

    /// As [`SharedMemory::create`], for memory that forked children may not have.
    pub(super) fn create_for(
        label: &str,
        len_bytes: usize,
        in_child: InChild,
    ) -> Result<SharedMemory, OsError> {
        if len_bytes == 0 || isize::try_from(len_bytes).is_err() {
            return Err(OsError::BadLength { what: "shared memory", len_bytes: len_bytes as u64 });
        }
        limits::check_room(len_bytes as u64)?;
        let file = anonymous_file(label)?;
        // The kernel's default lets everybody in who can name the file through /proc/PID/fd.
        fchmod(&file, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| OsError::from_errno("fchmod", label, errno))?;
        allocate(&file, len_bytes as u64)?;
        add_seals(&file, SealFlags::SHRINK | SealFlags::GROW)?;
        let pages = Pages::map(&file, len_bytes, Access::ReadWrite, in_child)?;
        Ok(SharedMemory { file: ShareHandle::from(file), pages })
    }

    /// From now on nobody, this process included, can map the memory writable, and no seal can be added. The mapping
    /// made by `create` keeps writing.
    ///
    /// # Errors
    ///
    /// [`OsError::Unsupported`] before Linux 5.1; [`OsError::System`] when sealed already.
    pub fn freeze_writes(&self) -> Result<(), OsError> {
        match fcntl_add_seals(&self.file, SealFlags::FUTURE_WRITE | SealFlags::SEAL) {
            Err(Errno::INVAL) => Err(OsError::Unsupported {
                what: "memory that only its producer can write (F_SEAL_FUTURE_WRITE)",
            }),
            other => other.map_err(sealing_failed),
        }
    }

    /// From now on nobody, peers included, can add a seal: write access stays possible for those who map it later.
    /// Mappings go on as they are. For control memory, before its first handle is given away.
    ///
    /// # Errors
    ///
    /// [`OsError::System`] when sealed already.
    pub fn seal(&self) -> Result<(), OsError> {
        add_seals(&self.file, SealFlags::SEAL)
    }

    /// The seals that are set.
    ///
    /// # Errors
    ///
    /// [`OsError::System`].
    pub fn seals(&self) -> Result<Seals, OsError> {
        seals_of(&self.file)
    }

    /// A handle for one peer. Whoever holds it may map the memory; it keeps the memory alive on its own and is not
    /// inherited by child programs.
    ///
    /// # Errors
    ///
    /// [`OsError::OutOfDescriptors`].
    pub fn share(&self) -> Result<ShareHandle, OsError> {
        self.duplicate()
            .map_err(|errno| OsError::from_errno("fcntl(F_DUPFD_CLOEXEC)", "shared memory", errno))
    }

    /// The memory's own handle, lent: a message with it gives the peer a duplicate and needs no descriptor here.
    pub fn handle(&self) -> &ShareHandle {
        &self.file
    }

    fn duplicate(&self) -> Result<ShareHandle, Errno> {
        // At 3 or above: a program that was started without standard streams must not get memory as its stdout.
        fcntl_dupfd_cloexec(&self.file, 3).map(ShareHandle::from)
    }

    /// The memory as atomic words.
    #[inline]
    pub fn words(&self) -> &Words {
        self.pages.words()
    }

    /// Length in bytes, as asked for.
    #[inline]
    pub fn len_bytes(&self) -> usize {
        self.pages.len_bytes()
    }

    /// `len_bytes` bytes at `offset_bytes`, both whole pages, for a device that reads and writes them as atomic words
    /// do. The pages stay mapped for as long as the returned value or a clone lives.
    ///
    /// # Errors
    ///
    /// [`OsError::OutOfBounds`], [`OsError::BadAlignment`]; [`OsError::Forked`] in a forked child.
    pub fn shared_pages(
        self: &Arc<SharedMemory>,
        offset_bytes: usize,
        len_bytes: usize,
    ) -> Result<SharedPages, OsError> {
        self.pages.shared(offset_bytes, len_bytes, Arc::clone(self) as _)
    }

    pub(super) fn pages(&self) -> &Pages {
        &self.pages
    }
}

impl Export for SharedMemory {
    fn device(&self) -> Device {
        Device::CPU
    }

    fn len_bytes(&self) -> usize {
        self.pages.len_bytes()
    }

    fn share(&self) -> io::Result<ShareHandle> {
        self.duplicate().map_err(io::Error::from)
    }
}

/// An empty file in memory that can be sealed and cannot be executed.
fn anonymous_file(label: &str) -> Result<OwnedFd, OsError> {
    if label.len() > 200 || label.contains('\0') {
        let reason = "a memory label has at most 200 bytes and no NUL";
        return Err(OsError::InvalidPath { path: label.into(), reason });
    }
    let name = format!("uncopy:{label}");
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let made = match memfd_create(&name, flags | MemfdFlags::NOEXEC_SEAL) {
        // Before Linux 6.3 the flag is not known, and no memfd is refused for lacking it.
        Err(Errno::INVAL) => memfd_create(&name, flags),
        other => other,
    };
    made.map_err(|errno| match errno {
        Errno::NOSYS => OsError::Unsupported { what: "anonymous shared memory (memfd_create)" },
        errno => OsError::from_errno("memfd_create", name.as_str(), errno),
    })
}

/// Gives `file` its size with memory behind every page of it.
fn allocate(file: &OwnedFd, len_bytes: u64) -> Result<(), OsError> {
    let allocated = in_steps(len_bytes, |offset, len| fallocate(file, FallocateFlags::empty(), offset, len));
    allocated.map_err(|errno| match errno {
        Errno::NOSPC | Errno::NOMEM | Errno::DQUOT => limits::refused(len_bytes),
        errno => OsError::from_errno("fallocate", format!("{len_bytes} bytes of shared memory"), errno),
    })
}

/// Calls `step` with offset and length until `len_bytes` are done; what was interrupted is tried again in halves.
fn in_steps(len_bytes: u64, mut step: impl FnMut(u64, u64) -> Result<(), Errno>) -> Result<(), Errno> {
    let (mut step_bytes, least_bytes) = ALLOCATION_STEP_BYTES;
    let mut done_bytes = 0;
    while done_bytes < len_bytes {
        let now_bytes = step_bytes.min(len_bytes - done_bytes);
        match step(done_bytes, now_bytes) {
            Ok(()) => done_bytes += now_bytes,
            Err(Errno::INTR) => step_bytes = (step_bytes / 2).max(least_bytes),
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn add_seals(file: impl AsFd, seals: SealFlags) -> Result<(), OsError> {
    fcntl_add_seals(file, seals).map_err(sealing_failed)
}

fn sealing_failed(errno: Errno) -> OsError {
    OsError::from_errno("fcntl(F_ADD_SEALS)", "shared memory", errno)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn an_allocation_is_made_whole_and_in_order() {
        for len_bytes in [1, 4096, 64 * MIB, 64 * MIB + 1, 200 * MIB + 12345] {
            let mut next = 0;
            in_steps(len_bytes, |offset, len| {
                assert_eq!(offset, next);
                assert!(len > 0);
                next = offset + len;
                Ok(())
            })
            .expect("no step fails");
            assert_eq!(next, len_bytes);
        }
    }

    #[test]
    fn an_allocation_ends_when_all_but_short_steps_are_interrupted() {
        let mut next = 0;
        in_steps(100 * MIB, |offset, len| {
            assert_eq!(offset, next);
            if len > 64 << 10 {
                return Err(Errno::INTR);
            }
            next = offset + len;
            Ok(())
        })
        .expect("interruptions are no failure");
        assert_eq!(next, 100 * MIB);
    }

    #[test]
    fn an_allocation_stops_at_the_first_refusal() {
        let mut calls = 0;
        let refused = in_steps(200 * MIB, |_, _| {
            calls += 1;
            if calls == 2 { Err(Errno::NOSPC) } else { Ok(()) }
        });
        assert_eq!((refused, calls), (Err(Errno::NOSPC), 2));
    }
}

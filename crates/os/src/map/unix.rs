// SPDX-License-Identifier: MIT OR Apache-2.0
//! Shared memory on Linux: sealed memfds.

mod limits;
mod mapping;
mod memory;
mod pages;
mod slots;

pub use limits::available_bytes;
pub use mapping::Mapping;
pub use memory::SharedMemory;
pub use slots::{SlotMemory, SlotMut, slot_align_bytes};

use rustix::fd::AsFd;
use rustix::fs::{SealFlags, fcntl_get_seals};

use super::Seals;
use crate::OsError;

/// The seals of `file`; none for a file that cannot be sealed.
fn seals_of(file: impl AsFd) -> Result<Seals, OsError> {
    let flags = match fcntl_get_seals(file) {
        Ok(flags) => flags,
        Err(rustix::io::Errno::INVAL) => SealFlags::empty(),
        Err(errno) => return Err(OsError::from_errno("fcntl(F_GET_SEALS)", "shared memory", errno)),
    };
    Ok(Seals {
        shrink: flags.contains(SealFlags::SHRINK),
        grow: flags.contains(SealFlags::GROW),
        future_write: flags.contains(SealFlags::FUTURE_WRITE),
        write: flags.contains(SealFlags::WRITE),
        seal: flags.contains(SealFlags::SEAL),
    })
}

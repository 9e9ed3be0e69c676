// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whole pages of host memory that other processes share and that a device may be let at.
#![expect(unsafe_code, reason = "fence: addresses are paired with their owners here")]

use std::any::Any;
use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;

/// Mapped, writable pages of host memory, for a driver to pin and for a device to read and write.
///
/// Unlike a [`Region`](crate::Region) they are no bytes to look at: other processes and devices change them at any
/// time. Clones share the owner, which keeps the pages mapped.
#[derive(Clone)]
pub struct SharedPages {
    address: NonNull<u8>,
    len_bytes: usize,
    owner: Arc<dyn Any + Send + Sync>,
}

// SAFETY: the address is a plain value here, and nothing is read or written through it; the owner is `Send` and `Sync`
// by its type.
unsafe impl Send for SharedPages {}
// SAFETY: as above.
unsafe impl Sync for SharedPages {}

impl SharedPages {
    /// Describes `len_bytes` bytes at `address`.
    ///
    /// # Safety
    ///
    /// 1. The bytes are mapped for reading and writing until `owner` is dropped, and cover whole pages of the system.
    /// 2. Nobody in this process has, or gets, a reference to any of them but to atomics, for as long as `owner` lives
    ///    and a device may write them.
    pub unsafe fn from_raw(
        address: NonNull<u8>,
        len_bytes: usize,
        owner: Arc<dyn Any + Send + Sync>,
    ) -> SharedPages {
        SharedPages { address, len_bytes, owner }
    }

    /// The first byte.
    pub fn address(&self) -> NonNull<u8> {
        self.address
    }

    /// Length in bytes.
    pub fn len_bytes(&self) -> usize {
        self.len_bytes
    }

    /// What keeps the pages mapped.
    pub fn owner(&self) -> &Arc<dyn Any + Send + Sync> {
        &self.owner
    }
}

impl fmt::Debug for SharedPages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedPages({} bytes at {:p})", self.len_bytes, self.address)
    }
}

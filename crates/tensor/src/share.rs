// SPDX-License-Identifier: MIT OR Apache-2.0
//! The seam between kinds of memory and the links that carry them.
//!
//! A link moves descriptions and [`ShareHandle`]s and never learns what memory stands behind them; a kind of memory
//! implements [`Export`] on the side that owns it and [`Import`] on the side that maps it, and never learns how the
//! handle travelled.
//!
//! It refuses to know byte formats or transports: see the link and os crates.
//!
//! ```
//! use uncopy_tensor::{Export, ShareHandle};
//!
//! /// Anything exportable can be handed to a link behind a pointer.
//! fn handle_for_a_peer(memory: &dyn Export) -> std::io::Result<ShareHandle> {
//!     memory.share()
//! }
//! ```

use std::io;

use uncopy_core::Device;

use crate::{Access, Region};

#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
#[cfg(windows)]
use std::os::windows::io::{AsHandle, BorrowedHandle, OwnedHandle};

/// An owned operating-system handle to memory that another process may map: a file descriptor on unix, a `HANDLE` on
/// Windows. Closed on drop; closing it does not end the memory while anybody has it mapped.
#[derive(Debug)]
pub struct ShareHandle(#[cfg(unix)] OwnedFd, #[cfg(windows)] OwnedHandle);

impl ShareHandle {
    /// A second handle to the same memory, owned apart and not inherited by child programs.
    ///
    /// # Errors
    ///
    /// The system's error, most often that no descriptor is left.
    pub fn try_clone(&self) -> io::Result<ShareHandle> {
        self.0.try_clone().map(ShareHandle)
    }
}

#[cfg(unix)]
impl AsFd for ShareHandle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(unix)]
impl From<OwnedFd> for ShareHandle {
    fn from(descriptor: OwnedFd) -> Self {
        ShareHandle(descriptor)
    }
}

#[cfg(unix)]
impl From<ShareHandle> for OwnedFd {
    fn from(handle: ShareHandle) -> Self {
        handle.0
    }
}

#[cfg(windows)]
impl AsHandle for ShareHandle {
    fn as_handle(&self) -> BorrowedHandle<'_> {
        self.0.as_handle()
    }
}

#[cfg(windows)]
impl From<OwnedHandle> for ShareHandle {
    fn from(handle: OwnedHandle) -> Self {
        ShareHandle(handle)
    }
}

#[cfg(windows)]
impl From<ShareHandle> for OwnedHandle {
    fn from(handle: ShareHandle) -> Self {
        handle.0
    }
}

/// Memory of ours that another process may map.
pub trait Export {
    /// The device whose memory it is.
    fn device(&self) -> Device;

    /// How many bytes a peer gets to map.
    fn len_bytes(&self) -> usize;

    /// A new handle for one peer. The memory stays ours; the peer's mapping outlives both the handle and us.
    ///
    /// # Errors
    ///
    /// The system's error, with the crate's own error inside where there is more to say.
    fn share(&self) -> io::Result<ShareHandle>;
}

/// The other end: maps memory that a peer exported.
pub trait Import {
    /// The device whose memory this importer maps.
    fn device(&self) -> Device;

    /// Maps `len_bytes` bytes behind `handle` and gives them out as one region, which unmaps with its last clone.
    ///
    /// The handle is consumed, also on refusal. Cut the region with [`Region::part`], whose `hold` keeps a lease.
    ///
    /// # Errors
    ///
    /// The system's error, also when the memory is smaller than `len_bytes` or may not be mapped with `access`. What
    /// the peer said about its memory is checked, never believed.
    fn import(&self, handle: ShareHandle, len_bytes: usize, access: Access) -> io::Result<Region>;
}

/// When the bytes of a received region may be read.
///
/// Host memory is ready as soon as it is announced; device memory will name what to wait for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Ready {
    /// Now.
    Now,
}

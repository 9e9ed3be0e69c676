// SPDX-License-Identifier: MIT OR Apache-2.0
//! Descriptors that a peer may send along: the right ones, and others.

use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use uncopy::ShareHandle;

/// A doorbell.
pub fn bell() -> ShareHandle {
    ShareHandle::from(eventfd(0, EventfdFlags::CLOEXEC).expect("a descriptor"))
}

/// The writing end of a pipe whose other end is gone.
pub fn pipe() -> ShareHandle {
    let (_, writer) = rustix::pipe::pipe().expect("two descriptors");
    ShareHandle::from(writer)
}

/// Memory that looks large and has no pages.
pub fn hollow() -> ShareHandle {
    memory(1 << 30, SealFlags::SHRINK | SealFlags::GROW | SealFlags::FUTURE_WRITE | SealFlags::SEAL)
}

/// Memory that can be cut off under its reader.
pub fn unsealed() -> ShareHandle {
    memory(1 << 16, SealFlags::empty())
}

fn memory(len: u64, seals: SealFlags) -> ShareHandle {
    let file =
        memfd_create("uncopy-fuzz", MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC).expect("a descriptor");
    ftruncate(&file, len).expect("no pages are allocated");
    fcntl_add_seals(&file, seals).expect("memory that was just made");
    ShareHandle::from(file)
}

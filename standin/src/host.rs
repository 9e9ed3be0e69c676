// SPDX-License-Identifier: MIT OR Apache-2.0
//! The host's memory, pinned: allocated by the driver, or registered by its owner.
//!
//! Registered memory has a device address of its own, so that whoever confuses the two is found out. Neither
//! freeing nor unregistering waits for the card: work that still needs the memory ends the process.

#![expect(unsafe_code, reason = "exports C entries, maps and unmaps memory")]

use crate::{
    abi::{In, Out},
    capture,
    code::{Answer, Code},
    contexts,
    entry::entries,
    physical::{GRANULE, UNWRITTEN},
    space::{Origin, READ, READ_WRITE, Wanted, space},
};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use std::{
    ffi::{c_uint, c_void},
    fs, ptr,
};

const PORTABLE: c_uint = 1;
const DEVICE_MAP: c_uint = 2;
const WRITE_COMBINED: c_uint = 4;
const IO_MEMORY: c_uint = 4;
const READ_ONLY: c_uint = 8;
const PAGE: u64 = 4096;

fn allocate(len: usize, flags: c_uint) -> Answer<u64> {
    let context = contexts::current()?;
    if len == 0 || flags & !(PORTABLE | DEVICE_MAP | WRITE_COMBINED) != 0 {
        return Err(Code::INVALID_VALUE);
    }
    // SAFETY: a new mapping at a place of the kernel's choice disturbs no other one.
    let base = unsafe {
        mmap_anonymous(ptr::null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
    };
    let base = base.map_err(|_| Code::OUT_OF_MEMORY)?;
    // SAFETY: `len` bytes were mapped just now, and nobody else knows of them yet.
    unsafe { ptr::write_bytes(base.cast::<u8>(), UNWRITTEN, len) };
    let base = base.expose_provenance();
    let (start, origin, owner) = (base as u64, Origin::HostAlloc, context.ordinal);
    space().map(Wanted { start, len, base, memory: None, origin, owner, access: READ_WRITE });
    Ok(start)
}

/// Whether the process has this range mapped, and may use it so.
fn is_usable(start: u64, len: usize, is_written: bool) -> bool {
    let Ok(maps) = fs::read_to_string("/proc/self/maps") else { return false };
    let end = start.saturating_add(len as u64);
    let mut at = start;
    for line in maps.lines() {
        let mut fields = line.split_whitespace();
        let (Some(range), Some(rights)) = (fields.next(), fields.next()) else { continue };
        let bounds =
            range.split_once('-').map(|(from, to)| [from, to].map(|hex| u64::from_str_radix(hex, 16)));
        let Some([Ok(from), Ok(to)]) = bounds else { continue };
        let is_allowed = rights.starts_with('r') && (!is_written || rights.get(1..2) == Some("w"));
        if (from..to).contains(&at) && is_allowed {
            at = to;
        }
        if at >= end {
            return true;
        }
    }
    false
}

fn register(host: u64, len: usize, flags: c_uint) -> Answer {
    let context = contexts::current()?;
    if host == 0 || len == 0 || flags & !(PORTABLE | DEVICE_MAP | IO_MEMORY | READ_ONLY) != 0 {
        return Err(Code::INVALID_VALUE);
    }
    if flags & IO_MEMORY != 0 {
        return Err(Code::NOT_SUPPORTED);
    }
    let is_written = flags & READ_ONLY == 0;
    // Read on an H200: a read-only mapping is refused without the flag that says so.
    if !is_usable(host, len, is_written) {
        return Err(Code::INVALID_VALUE);
    }
    let mut space = space();
    if space.is_pinned_anywhere(host, len) {
        return Err(Code::HOST_MEMORY_ALREADY_REGISTERED);
    }
    let in_page = host % PAGE;
    let start = space.take(len.saturating_add(4096), 0)? + in_page;
    let base = usize::try_from(host).map_err(|_| Code::INVALID_VALUE)?;
    let access = if is_written { READ_WRITE } else { READ };
    let origin = Origin::HostRegistered { host };
    space.map(Wanted { start, len, base, memory: None, origin, owner: context.ordinal, access });
    Ok(())
}

entries! {
    #![unsafe(no_mangle)]

    Context fn cuMemHostAlloc(out: Out<u64>, len: usize, flags: c_uint) {
        out.check()?;
        capture::forbid()?;
        out.put(allocate(len, flags)?)
    }

    Context fn cuMemAllocHost_v2(out: Out<u64>, len: usize) {
        out.check()?;
        capture::forbid()?;
        out.put(allocate(len, 0)?)
    }

    Context fn cuMemFreeHost(host: In<c_void>) {
        capture::forbid()?;
        let mut space = space();
        let mapping = space.starting_at(host.address());
        let is_own = mapping.is_some_and(|mapping| matches!(mapping.origin, Origin::HostAlloc));
        let mapping = if is_own { space.unmap(host.address()) } else { None };
        let mapping = mapping.ok_or(Code::INVALID_VALUE)?;
        // SAFETY: `allocate` mapped exactly this range, it is unmapped once, and the caller gives it up.
        let unmapped = unsafe { munmap(ptr::with_exposed_provenance_mut(mapping.base), mapping.len) };
        unmapped.map_err(|_| Code::INVALID_VALUE)
    }

    Context fn cuMemHostRegister_v2(host: In<c_void>, len: usize, flags: c_uint) {
        capture::forbid()?;
        register(host.address(), len, flags)
    }

    Context fn cuMemHostUnregister(host: In<c_void>) {
        capture::forbid()?;
        let mut space = space();
        let mapping = space.pinned_starting_at(host.address()).ok_or(Code::HOST_MEMORY_NOT_REGISTERED)?;
        if matches!(mapping.origin, Origin::HostAlloc) {
            return Err(Code::INVALID_VALUE);
        }
        let start = mapping.start;
        space.unmap(start);
        space.release(start - start % GRANULE as u64);
        Ok(())
    }

    Context fn cuMemHostGetDevicePointer_v2(out: Out<u64>, host: In<c_void>, flags: c_uint) {
        if flags != 0 {
            return Err(Code::INVALID_VALUE);
        }
        let space = space();
        let mapping = space.pinned_at(host.address()).ok_or(Code::INVALID_VALUE)?;
        out.put(mapping.start + (host.address() - mapping.base as u64))
    }

    Context fn cuMemHostGetFlags(flags: Out<c_uint>, host: In<c_void>) {
        let space = space();
        let mapping = space.pinned_at(host.address()).ok_or(Code::INVALID_VALUE)?;
        let is_read_only = mapping.access_of(mapping.owner) == READ;
        flags.put(DEVICE_MAP | if is_read_only { READ_ONLY } else { 0 })
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! Virtual memory management: memory, addresses and access as three things, and memory that travels as a descriptor.

#![expect(unsafe_code, reason = "exports C entries")]

use crate::{
    abi::{AccessDesc, AllocationProp, In, Location, ON_DEVICE, Out},
    capture,
    code::{Answer, Code},
    devices,
    entry::entries,
    lock::lock,
    physical::{GRANULE, Kind, Physical},
    space::{Mapping, Origin, READ, READ_WRITE, Wanted, space},
};
use std::{
    collections::BTreeMap,
    ffi::{c_int, c_void},
    os::fd::{BorrowedFd, IntoRawFd, RawFd},
    sync::{Arc, Mutex},
};

/// `CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR` and `..._FABRIC`
pub const DESCRIPTOR: c_int = 1;
pub const FABRIC: c_int = 8;
/// `CU_MEM_ALLOCATION_TYPE_PINNED`
const PINNED: c_int = 1;
/// Nothing lies there.
const FIRST_HANDLE: u64 = 0xA110_0000_0000;

struct Handle {
    memory: Arc<Physical>,
    references: usize,
    handle_types: c_int,
}

static HANDLES: Mutex<BTreeMap<u64, Handle>> = Mutex::new(BTreeMap::new());

fn keep(memory: Physical, handle_types: c_int) -> u64 {
    static MADE: Mutex<u64> = Mutex::new(0);
    let mut made = lock(&MADE);
    *made += 1;
    let handle = FIRST_HANDLE + 0x100 * *made;
    lock(&HANDLES).insert(handle, Handle { memory: Arc::new(memory), references: 1, handle_types });
    handle
}

/// The card on which memory with these properties would lie.
fn card_of(prop: &AllocationProp) -> Answer<usize> {
    if prop.kind != PINNED || prop.location.kind != ON_DEVICE {
        return Err(Code::INVALID_VALUE);
    }
    devices::card(prop.location.id)
}

fn is_granular(number: usize) -> bool {
    number > 0 && number.is_multiple_of(GRANULE)
}

/// The mappings that fill a range exactly, in order.
fn filling(start: u64, len: usize) -> Answer<Vec<Arc<Mapping>>> {
    let found = space().touching(start, len);
    let mut at = start;
    for mapping in &found {
        if mapping.start != at || !matches!(mapping.origin, Origin::Virtual { .. }) {
            return Err(Code::INVALID_VALUE);
        }
        at = mapping.address_behind();
    }
    if at == start + len as u64 && !found.is_empty() { Ok(found) } else { Err(Code::INVALID_VALUE) }
}

/// Borrows a descriptor that the caller passed as a pointer.
fn with_descriptor<T>(handle: In<c_void>, body: impl FnOnce(BorrowedFd<'_>) -> Answer<T>) -> Answer<T> {
    let raw = RawFd::try_from(handle.address()).map_err(|_| Code::INVALID_VALUE)?;
    // SAFETY: the caller passes a descriptor of its own, open until the call returns; -1 can't come out of the
    // conversion, and a number that is not open only makes the calls on it fail.
    let descriptor = unsafe { BorrowedFd::borrow_raw(raw) };
    body(descriptor)
}

/// As `cuMemImportFromShareableHandle` takes it, memory of this kind.
pub fn import(handle: In<c_void>, handle_type: c_int, kind: Kind) -> Answer<Physical> {
    match handle_type {
        DESCRIPTOR => {}
        FABRIC => return Err(Code::NOT_PERMITTED),
        _ => return Err(Code::INVALID_VALUE),
    }
    let memory = with_descriptor(handle, |descriptor| Physical::import(descriptor, kind))?;
    // Memory of a card that this process doesn't see.
    if devices::ordinal_of(memory.card).is_none() {
        return Err(Code::INVALID_DEVICE);
    }
    Ok(memory)
}

entries! {
    #![unsafe(no_mangle)]

    Sound fn cuMemGetAllocationGranularity(out: Out<usize>, prop: In<AllocationProp>, option: c_int) {
        card_of(&prop.get()?)?;
        if !(0..=1).contains(&option) {
            return Err(Code::INVALID_VALUE);
        }
        out.put(GRANULE)
    }

    Sound fn cuMemCreate(out: Out<u64>, len: usize, prop: In<AllocationProp>, flags: u64) {
        out.check()?;
        capture::forbid()?;
        let prop = prop.get()?;
        let card = card_of(&prop)?;
        if flags != 0 || !is_granular(len) {
            return Err(Code::INVALID_VALUE);
        }
        // Read on an H200: the attribute says fabric, but a single node without IMEX may not.
        if prop.handle_types & FABRIC != 0 {
            return Err(Code::NOT_PERMITTED);
        }
        if prop.handle_types & !DESCRIPTOR != 0 {
            return Err(Code::NOT_SUPPORTED);
        }
        out.put(keep(Physical::make(card, len, Kind::Virtual)?, prop.handle_types))
    }

    Sound fn cuMemRelease(handle: u64) {
        let mut handles = lock(&HANDLES);
        let held = handles.get_mut(&handle).ok_or(Code::INVALID_VALUE)?;
        held.references -= 1;
        if held.references == 0 {
            handles.remove(&handle);
        }
        Ok(())
    }

    Sound fn cuMemRetainAllocationHandle(out: Out<u64>, address: In<c_void>) {
        out.check()?;
        let space = space();
        let Some(Origin::Virtual { handle }) = space.at(address.address()).map(|mapping| &mapping.origin) else {
            return Err(Code::INVALID_VALUE);
        };
        let mut handles = lock(&HANDLES);
        // A mapping may outlive its handle; then there is none to retain here.
        handles.get_mut(handle).ok_or(Code::INVALID_VALUE)?.references += 1;
        out.put(*handle)
    }

    Sound fn cuMemGetAllocationPropertiesFromHandle(out: Out<AllocationProp>, handle: u64) {
        let handles = lock(&HANDLES);
        let held = handles.get(&handle).ok_or(Code::INVALID_VALUE)?;
        let id = devices::ordinal_of(held.memory.card).and_then(|ordinal| c_int::try_from(ordinal).ok());
        let location = Location { kind: ON_DEVICE, id: id.unwrap_or(-1) };
        let handle_types = held.handle_types;
        out.put(AllocationProp { kind: PINNED, handle_types, location, win32: 0, flags: [0; 8] })
    }

    // A new descriptor each time, the caller's own.
    Sound fn cuMemExportToShareableHandle(out: Out<c_int>, handle: u64, handle_type: c_int, flags: u64) {
        out.check()?;
        let handles = lock(&HANDLES);
        let held = handles.get(&handle).ok_or(Code::INVALID_VALUE)?;
        if flags != 0 || handle_type != DESCRIPTOR || held.handle_types & DESCRIPTOR == 0 {
            return Err(Code::INVALID_VALUE);
        }
        out.put(held.memory.export()?.into_raw_fd())
    }

    // The descriptor stays the caller's.
    Sound fn cuMemImportFromShareableHandle(out: Out<u64>, handle: In<c_void>, handle_type: c_int) {
        out.check()?;
        capture::forbid()?;
        out.put(keep(import(handle, handle_type, Kind::Virtual)?, DESCRIPTOR))
    }

    Sound fn cuMemAddressReserve(out: Out<u64>, len: usize, alignment: usize, _address: u64, flags: u64) {
        out.check()?;
        let is_aligned = alignment == 0 || alignment.is_power_of_two();
        if flags != 0 || !is_granular(len) || !is_aligned {
            return Err(Code::INVALID_VALUE);
        }
        out.put(space().take(len, alignment as u64)?)
    }

    Sound fn cuMemAddressFree(address: u64, len: usize) {
        let mut space = space();
        if space.reserved_len(address) != Some(len) || !space.touching(address, len).is_empty() {
            return Err(Code::INVALID_VALUE);
        }
        space.release(address);
        Ok(())
    }

    Sound fn cuMemMap(address: u64, len: usize, offset: usize, handle: u64, flags: u64) {
        capture::forbid()?;
        let memory = lock(&HANDLES).get(&handle).map(|held| Arc::clone(&held.memory)).ok_or(Code::INVALID_VALUE)?;
        let mut space = space();
        let is_aligned = address.is_multiple_of(GRANULE as u64);
        let is_free = space.is_reserved(address, len) && space.touching(address, len).is_empty();
        if flags != 0 || offset != 0 || !is_granular(len) || !is_aligned || !is_free {
            return Err(Code::INVALID_VALUE);
        }
        if len > memory.len {
            // Read on an H100, driver 580.159; `cuda.h` does not name it.
            return Err(Code::NOT_SUPPORTED);
        }
        let owner = devices::ordinal_of(memory.card).unwrap_or_default();
        let (base, origin) = (memory.address(0), Origin::Virtual { handle });
        space.map(Wanted { start: address, len, base, memory: Some(memory), origin, owner, access: 0 });
        Ok(())
    }

    // Does not wait for the card: read on an H200. Work that still needs the range ends the process.
    Sound fn cuMemUnmap(address: u64, len: usize) {
        capture::forbid()?;
        let mappings = filling(address, len)?;
        let mut space = space();
        mappings.iter().for_each(|mapping| {
            space.unmap(mapping.start);
        });
        Ok(())
    }

    Sound fn cuMemSetAccess(address: u64, len: usize, descs: In<AccessDesc>, count: usize) {
        capture::forbid()?;
        let mappings = filling(address, len)?;
        for index in 0..count {
            let desc = descs.get_at(index)?;
            let access = u8::try_from(desc.flags).map_err(|_| Code::INVALID_VALUE)?;
            if desc.location.kind != ON_DEVICE || !matches!(access, 0 | READ | READ_WRITE) {
                return Err(Code::INVALID_VALUE);
            }
            let card = devices::card(desc.location.id)?;
            let ordinal = usize::try_from(desc.location.id).map_err(|_| Code::INVALID_DEVICE)?;
            for mapping in &mappings {
                let is_near = mapping.card().is_some_and(|own| own == card || devices::can_reach(card, own));
                if !is_near {
                    return Err(Code::INVALID_DEVICE);
                }
                mapping.allow(ordinal, access);
            }
        }
        if count == 0 { Err(Code::INVALID_VALUE) } else { Ok(()) }
    }

    Sound fn cuMemGetAccess(flags: Out<u64>, location: In<Location>, address: u64) {
        let location = location.get()?;
        devices::card(location.id)?;
        let space = space();
        let mapping = space.at(address).ok_or(Code::INVALID_VALUE)?;
        let ordinal = usize::try_from(location.id).map_err(|_| Code::INVALID_DEVICE)?;
        flags.put(u64::from(mapping.access_of(ordinal)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_granules_are_granular() {
        assert!(is_granular(GRANULE) && is_granular(3 * GRANULE));
        assert!(!is_granular(0) && !is_granular(GRANULE + 1));
    }
}

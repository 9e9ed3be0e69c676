// SPDX-License-Identifier: MIT OR Apache-2.0
//! Legacy handles: 64 bytes by which one process opens memory or an event of another.

#![expect(unsafe_code, reason = "exports C entries")]

use crate::{
    abi::{Opaque, Out},
    capture,
    code::{Answer, Code},
    contexts, devices,
    entry::entries,
    events,
    lock::lock,
    physical::{self, Physical},
    seal::{self, Clear, Kind},
    shared_events::SharedEvent,
    space::{Origin, READ_WRITE, Wanted, space},
};
use std::{
    collections::BTreeMap,
    ffi::c_uint,
    os::fd::{AsFd, AsRawFd},
    process,
    sync::{Arc, Mutex, atomic::Ordering},
};

/// `CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS`, without which nothing is opened.
const LAZY_PEER_ACCESS: c_uint = 1;

/// What this process has opened, by serial number: where it lies, and how often.
static OPENED: Mutex<BTreeMap<u64, (u64, usize)>> = Mutex::new(BTreeMap::new());

fn sealed(kind: Kind, (descriptor, index): (u32, u32), serial: u64, len: u64) -> Opaque {
    let pid = process::id();
    let started = seal::start_of(pid).unwrap_or_default();
    seal::seal(&Clear { kind: kind as u32, pid, started, descriptor, index, serial, len })
}

fn open(handle: &Opaque, flags: c_uint) -> Answer<u64> {
    let context = contexts::current()?;
    if flags != LAZY_PEER_ACCESS {
        return Err(Code::INVALID_VALUE);
    }
    let clear = seal::open(handle, Kind::Memory).ok_or(Code::INVALID_VALUE)?;
    if clear.is_own() {
        return Err(Code::INVALID_CONTEXT);
    }
    let mut opened = lock(&OPENED);
    if let Some((start, count)) = opened.get_mut(&clear.serial) {
        *count += 1;
        return Ok(*start);
    }
    if !clear.is_maker_alive() {
        return Err(Code::INVALID_HANDLE);
    }
    let file = clear.open_descriptor().ok_or(Code::INVALID_VALUE)?;
    let memory = Physical::import(file.as_fd(), physical::Kind::Legacy)?;
    if memory.serial != clear.serial || devices::ordinal_of(memory.card).is_none() {
        return Err(Code::INVALID_VALUE);
    }
    let len = usize::try_from(clear.len).ok().filter(|len| *len <= memory.len).ok_or(Code::INVALID_VALUE)?;
    let mut space = space();
    let start = space.take(memory.len, 0)?;
    let (base, memory) = (memory.address(0), Some(Arc::new(memory)));
    let origin = Origin::LegacyImport;
    space.map(Wanted { start, len, base, memory, origin, owner: context.ordinal, access: READ_WRITE });
    opened.insert(clear.serial, (start, 1));
    Ok(start)
}

entries! {
    #![unsafe(no_mangle)]

    // A pointer into an allocation gives the handle of the whole.
    Context fn cuIpcGetMemHandle(out: Out<Opaque>, address: u64) {
        let space = space();
        let mapping = space.at(address).filter(|mapping| matches!(mapping.origin, Origin::Legacy));
        let mapping = mapping.ok_or(Code::INVALID_VALUE)?;
        let memory = mapping.memory.as_ref().ok_or(Code::INVALID_VALUE)?;
        memory.is_shared.store(true, Ordering::Relaxed);
        let descriptor = u32::try_from(memory.descriptor().as_raw_fd()).unwrap_or_default();
        out.put(sealed(Kind::Memory, (descriptor, 0), memory.serial, mapping.len as u64))
    }

    Context fn cuIpcOpenMemHandle_v2(out: Out<u64>, handle: Opaque, flags: c_uint) {
        out.check()?;
        capture::forbid()?;
        out.put(open(&handle, flags)?)
    }

    // Waits for the card before the last of them goes.
    Context fn cuIpcCloseMemHandle(address: u64) {
        capture::forbid()?;
        let mut opened = lock(&OPENED);
        let serial = opened.iter().find(|(_, (start, _))| *start == address).map(|(serial, _)| *serial);
        let serial = serial.ok_or(Code::INVALID_VALUE)?;
        let Some((_, count)) = opened.get_mut(&serial) else { return Err(Code::INVALID_VALUE) };
        *count -= 1;
        if *count > 0 {
            return Ok(());
        }
        opened.remove(&serial);
        drop(opened);
        contexts::wait_for_all();
        let mut space = space();
        space.unmap(address);
        space.release(address);
        Ok(())
    }

    Context fn cuIpcGetEventHandle(out: Out<Opaque>, event: u64) {
        let shared = events::shared(event)?;
        let place = shared.place().ok_or(Code::INVALID_HANDLE)?;
        out.put(sealed(Kind::Event, place, shared.serial, 0))
    }

    Context fn cuIpcOpenEventHandle(out: Out<u64>, handle: Opaque) {
        out.check()?;
        let clear = seal::open(&handle, Kind::Event).ok_or(Code::MAP_FAILED)?;
        if clear.is_own() {
            return Err(Code::INVALID_CONTEXT);
        }
        out.put(events::opened(SharedEvent::open(&clear)?))
    }
}

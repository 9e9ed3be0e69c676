// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory pools: allocations and frees that take their turn in a stream, and pools that travel as a descriptor.

#![expect(unsafe_code, reason = "exports C entries")]

use crate::{
    abi::{AccessDesc, In, Location, ON_DEVICE, Opaque, Out, PoolProps},
    capture,
    code::{Answer, Code},
    contexts, devices,
    entry::entries,
    lock::lock,
    physical::{FREED, GRANULE, Kind, Physical, UNWRITTEN, rounded_up},
    queue::Work,
    seal::{self, Clear},
    settings::settings,
    space::{Mapping, Origin, READ_WRITE, Wanted, space},
    streams, usage, vmm,
};
use std::{
    collections::BTreeMap,
    ffi::{c_int, c_void},
    os::fd::IntoRawFd,
    sync::{Arc, Mutex, atomic::Ordering},
};

/// Nothing lies there.
const FIRST_HANDLE: u64 = 0x9001_0000_0000;
/// `CU_MEMPOOL_ATTR_RELEASE_THRESHOLD`
const RELEASE_THRESHOLD: c_int = 4;

struct Pool {
    memory: Arc<Physical>,
    /// What is given out, by offset.
    taken: BTreeMap<usize, usize>,
    handle_types: c_int,
    is_imported: bool,
    is_default_of: Option<usize>,
    release_threshold: u64,
}

static POOLS: Mutex<BTreeMap<u64, Pool>> = Mutex::new(BTreeMap::new());

fn keep(pool: Pool) -> u64 {
    let mut pools = lock(&POOLS);
    let handle = pools.last_key_value().map_or(FIRST_HANDLE, |(last, _)| last + 0x100);
    pools.insert(handle, pool);
    handle
}

fn make(card: usize, handle_types: c_int, is_default_of: Option<usize>) -> Answer<u64> {
    // As long as all of the card's memory, and nearly all of it a hole.
    let memory = Arc::new(Physical::make(card, settings().memory_bytes, Kind::Pool)?);
    Ok(keep(Pool {
        memory,
        taken: BTreeMap::new(),
        handle_types,
        is_imported: false,
        is_default_of,
        release_threshold: 0,
    }))
}

fn default_of(ordinal: usize) -> Answer<u64> {
    let known =
        lock(&POOLS).iter().find(|(_, pool)| pool.is_default_of == Some(ordinal)).map(|(handle, _)| *handle);
    let context = contexts::of_ordinal(ordinal).ok_or(Code::INVALID_DEVICE)?;
    known.map_or_else(|| make(context.card, 0, Some(ordinal)), Ok)
}

impl Pool {
    /// The first hole that is large enough.
    fn take(&mut self, len: usize) -> Answer<usize> {
        let mut offset = 0;
        for (other, other_len) in &self.taken {
            if offset + len <= *other {
                break;
            }
            offset = other + other_len;
        }
        if offset + len > self.memory.len {
            return Err(Code::OUT_OF_MEMORY);
        }
        usage::take(self.memory.card, len)?;
        self.taken.insert(offset, len);
        Ok(offset)
    }
}

/// The memory is there at once, the stream need not be asked: it is only too early for other streams.
fn allocate(len: usize, handle: u64, stream: u64) -> Answer<u64> {
    let (queue, context) = streams::find(stream)?;
    if capture::status(queue.handle).0 != 0 {
        return Err(Code::NOT_SUPPORTED);
    }
    if len == 0 {
        return Err(Code::INVALID_VALUE);
    }
    let mut pools = lock(&POOLS);
    let pool = pools.get_mut(&handle).filter(|pool| !pool.is_imported).ok_or(Code::INVALID_VALUE)?;
    let rounded = rounded_up(len)?;
    let offset = pool.take(rounded)?;
    pool.memory.fill(offset, rounded, UNWRITTEN);
    let mut space = space();
    let start = space.take(rounded, 0)?;
    let (base, memory) = (pool.memory.address(offset), Some(Arc::clone(&pool.memory)));
    let origin = Origin::Pool { pool: handle, offset };
    space.map(Wanted { start, len, base, memory, origin, owner: context.ordinal, access: READ_WRITE });
    Ok(start)
}

/// Takes memory back; work that comes later finds it gone, and whoever reads it anyway finds it overwritten.
fn reclaim(mapping: &Mapping) {
    mapping.end();
    if let (Origin::Pool { pool, offset }, Some(memory)) = (&mapping.origin, &mapping.memory) {
        let taken = lock(&POOLS).get_mut(pool).and_then(|pool| pool.taken.remove(offset));
        if let Some(len) = taken {
            memory.fill(*offset, len, FREED);
            if !memory.is_shared.load(Ordering::Relaxed) {
                memory.punch(*offset, len);
            }
            usage::give_back(memory.card, len);
        }
    }
    space().release(mapping.start);
}

fn hidden(address: u64) -> Answer<Arc<Mapping>> {
    let mut space = space();
    let of_pool =
        |mapping: &&Arc<Mapping>| matches!(mapping.origin, Origin::Pool { .. } | Origin::PoolImport { .. });
    space.starting_at(address).filter(of_pool).ok_or(Code::INVALID_VALUE)?;
    space.hide(address).ok_or(Code::INVALID_VALUE)
}

/// `cuMemFree` of memory that came from a pool.
pub fn free_now(address: u64) -> Answer {
    let mapping = hidden(address)?;
    contexts::wait_for_all();
    reclaim(&mapping);
    Ok(())
}

entries! {
    #![unsafe(no_mangle)]

    Sound fn cuMemPoolCreate(out: Out<u64>, props: In<PoolProps>) {
        out.check()?;
        let props = props.get()?;
        let has_unknown_types = props.handle_types & !(vmm::DESCRIPTOR | vmm::FABRIC) != 0;
        if props.kind != 1 || props.location.kind != ON_DEVICE || has_unknown_types {
            return Err(Code::INVALID_VALUE);
        }
        if props.handle_types & vmm::FABRIC != 0 {
            return Err(Code::NOT_PERMITTED);
        }
        out.put(make(devices::card(props.location.id)?, props.handle_types, None)?)
    }

    Sound fn cuMemPoolDestroy(handle: u64) {
        let mut pools = lock(&POOLS);
        // Its allocations keep the memory.
        match pools.get(&handle) {
            Some(pool) if pool.is_default_of.is_none() => pools.remove(&handle).map(|_| ()).ok_or(Code::INVALID_VALUE),
            _ => Err(Code::INVALID_VALUE),
        }
    }

    Sound fn cuMemPoolTrimTo(handle: u64, _keep: usize) {
        lock(&POOLS).get(&handle).map(|_| ()).ok_or(Code::INVALID_VALUE)
    }

    Sound fn cuMemPoolSetAttribute(handle: u64, number: c_int, value: In<c_void>) {
        let mut pools = lock(&POOLS);
        let pool = pools.get_mut(&handle).ok_or(Code::INVALID_VALUE)?;
        match number {
            1..=3 => Ok(()),
            RELEASE_THRESHOLD => {
                pool.release_threshold = value.cast::<u64>().get()?;
                Ok(())
            }
            _ => Err(Code::INVALID_VALUE),
        }
    }

    Sound fn cuMemPoolGetAttribute(handle: u64, number: c_int, out: Out<c_void>) {
        let pools = lock(&POOLS);
        let pool = pools.get(&handle).ok_or(Code::INVALID_VALUE)?;
        let used: usize = pool.taken.values().sum();
        match number {
            1..=3 => out.cast::<c_int>().put(1),
            RELEASE_THRESHOLD => out.cast::<u64>().put(pool.release_threshold),
            // What is reserved is what is used: nothing is kept.
            5..=8 => out.cast::<u64>().put(used as u64),
            _ => Err(Code::INVALID_VALUE),
        }
    }

    Sound fn cuMemPoolSetAccess(handle: u64, descs: In<AccessDesc>, count: usize) {
        let pools = lock(&POOLS);
        let pool = pools.get(&handle).ok_or(Code::INVALID_VALUE)?;
        for index in 0..count {
            let card = devices::card(descs.get_at(index)?.location.id)?;
            if card != pool.memory.card && !devices::can_reach(card, pool.memory.card) {
                return Err(Code::INVALID_DEVICE);
            }
        }
        Ok(())
    }

    Sound fn cuMemPoolGetAccess(flags: Out<c_int>, handle: u64, location: In<Location>) {
        devices::card(location.get()?.id)?;
        lock(&POOLS).get(&handle).ok_or(Code::INVALID_VALUE)?;
        flags.put(c_int::from(READ_WRITE))
    }

    Sound fn cuDeviceGetDefaultMemPool(out: Out<u64>, device: c_int) {
        devices::card(device)?;
        out.put(default_of(usize::try_from(device).map_err(|_| Code::INVALID_DEVICE)?)?)
    }

    Sound fn cuDeviceGetMemPool(out: Out<u64>, device: c_int) {
        devices::card(device)?;
        out.put(default_of(usize::try_from(device).map_err(|_| Code::INVALID_DEVICE)?)?)
    }

    Context fn cuMemAllocAsync(out: Out<u64>, len: usize, stream: u64) {
        out.check()?;
        let pool = default_of(streams::find(stream)?.1.ordinal)?;
        out.put(allocate(len, pool, stream)?)
    }

    Context fn cuMemAllocFromPoolAsync(out: Out<u64>, len: usize, pool: u64, stream: u64) {
        out.check()?;
        out.put(allocate(len, pool, stream)?)
    }

    Context fn cuMemFreeAsync(address: u64, stream: u64) {
        let (queue, context) = streams::find(stream)?;
        if capture::status(queue.handle).0 != 0 {
            return Err(Code::NOT_SUPPORTED);
        }
        let mapping = hidden(address)?;
        let work = Work::of(move |_| reclaim(&mapping));
        streams::put_into(&queue, &context, work).map(|_| ())
    }

    Sound fn cuMemPoolExportToShareableHandle(out: Out<c_int>, handle: u64, handle_type: c_int, flags: u64) {
        out.check()?;
        let pools = lock(&POOLS);
        let pool = pools.get(&handle).ok_or(Code::INVALID_VALUE)?;
        let is_shareable = pool.handle_types & vmm::DESCRIPTOR != 0 && !pool.is_imported;
        if flags != 0 || handle_type != vmm::DESCRIPTOR || !is_shareable {
            return Err(Code::INVALID_VALUE);
        }
        out.put(pool.memory.export()?.into_raw_fd())
    }

    Sound fn cuMemPoolImportFromShareableHandle(out: Out<u64>, handle: In<c_void>, handle_type: c_int, flags: u64) {
        out.check()?;
        if flags != 0 {
            return Err(Code::INVALID_VALUE);
        }
        let memory = Arc::new(vmm::import(handle, handle_type, Kind::Pool)?);
        out.put(keep(Pool {
            memory,
            taken: BTreeMap::new(),
            handle_types: 0,
            is_imported: true,
            is_default_of: None,
            release_threshold: 0,
        }))
    }

    Context fn cuMemPoolExportPointer(out: Out<Opaque>, address: u64) {
        let mapping = space().starting_at(address).cloned().ok_or(Code::INVALID_VALUE)?;
        let Origin::Pool { pool, offset } = mapping.origin else { return Err(Code::INVALID_VALUE) };
        let pools = lock(&POOLS);
        let pool = pools.get(&pool).filter(|pool| pool.handle_types & vmm::DESCRIPTOR != 0).ok_or(Code::INVALID_VALUE)?;
        let index = u32::try_from(offset / GRANULE).map_err(|_| Code::INVALID_VALUE)?;
        let (kind, serial, len) = (seal::Kind::PoolPointer as u32, pool.memory.serial, mapping.len as u64);
        out.put(seal::seal(&Clear { kind, pid: 0, started: 0, descriptor: 0, index, serial, len }))
    }

    Context fn cuMemPoolImportPointer(out: Out<u64>, handle: u64, data: In<Opaque>) {
        out.check()?;
        let context = contexts::current()?;
        let clear = seal::open(&data.get()?, seal::Kind::PoolPointer).ok_or(Code::INVALID_VALUE)?;
        let pools = lock(&POOLS);
        let of_it = |pool: &&Pool| pool.is_imported && pool.memory.serial == clear.serial;
        let pool = pools.get(&handle).filter(of_it).ok_or(Code::INVALID_VALUE)?;
        let offset = usize::try_from(clear.index).map_err(|_| Code::INVALID_VALUE)? * GRANULE;
        let len = usize::try_from(clear.len).map_err(|_| Code::INVALID_VALUE)?;
        if offset.checked_add(len).is_none_or(|end| end > pool.memory.len) {
            return Err(Code::INVALID_VALUE);
        }
        let mut space = space();
        let start = space.take(len, 0)?;
        let (base, memory) = (pool.memory.address(offset), Some(Arc::clone(&pool.memory)));
        let origin = Origin::PoolImport { pool: handle };
        space.map(Wanted { start, len, base, memory, origin, owner: context.ordinal, access: READ_WRITE });
        out.put(start)
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cuMemAlloc` and `cuMemFree`, and which allocation an address is in.

#![expect(unsafe_code, reason = "exports C entries")]

use crate::{
    abi::Out,
    capture,
    code::{Answer, Code},
    contexts,
    entry::entries,
    physical::{FREED, Kind, Physical},
    pools,
    space::{Mapping, Origin, READ_WRITE, Wanted, space},
};
use std::sync::{Arc, atomic::Ordering};

fn allocate(len: usize) -> Answer<u64> {
    let context = contexts::current()?;
    if len == 0 {
        return Err(Code::INVALID_VALUE);
    }
    let memory = Physical::make(context.card, len, Kind::Legacy)?;
    let mut space = space();
    let start = space.take(memory.len, 0)?;
    let (base, memory) = (memory.address(0), Some(Arc::new(memory)));
    let owner = context.ordinal;
    space.map(Wanted { start, len, base, memory, origin: Origin::Legacy, owner, access: READ_WRITE });
    Ok(start)
}

/// Overwrites freed memory, unless another process may still have it: what that one sees stays as it was (read on
/// an H200).
fn poison(mapping: &Mapping) {
    if let Some(memory) = mapping.memory.as_ref().filter(|memory| !memory.is_shared.load(Ordering::Relaxed)) {
        memory.fill(0, memory.len, FREED);
    }
}

entries! {
    #![unsafe(no_mangle)]

    Context fn cuMemAlloc_v2(out: Out<u64>, len: usize) {
        out.check()?;
        capture::forbid()?;
        out.put(allocate(len)?)
    }

    Context fn cuMemAllocPitch_v2(out: Out<u64>, pitch: Out<usize>, width: usize, height: usize, element: u32) {
        out.check()?;
        capture::forbid()?;
        if !matches!(element, 4 | 8 | 16) {
            return Err(Code::INVALID_VALUE);
        }
        let row = width.checked_next_multiple_of(512).ok_or(Code::INVALID_VALUE)?;
        let len = row.checked_mul(height).ok_or(Code::INVALID_VALUE)?;
        pitch.put(row)?;
        out.put(allocate(len)?)
    }

    // Waits for the card, as it did on an H200.
    Context fn cuMemFree_v2(address: u64) {
        capture::forbid()?;
        let origin = space().starting_at(address).map(|mapping| matches!(mapping.origin, Origin::Legacy));
        match origin {
            Some(true) => {}
            Some(false) => return pools::free_now(address),
            None => return Err(Code::INVALID_VALUE),
        }
        contexts::wait_for_all();
        let mut space = space();
        let mapping = space.unmap(address).ok_or(Code::INVALID_VALUE)?;
        space.release(address);
        poison(&mapping);
        Ok(())
    }

    Context fn cuMemGetAddressRange_v2(base: Out<u64>, len: Out<usize>, address: u64) {
        let space = space();
        let mapping = space.at(address).ok_or(Code::NOT_FOUND)?;
        base.put_if_wanted(mapping.start);
        len.put_if_wanted(mapping.len);
        Ok(())
    }
}

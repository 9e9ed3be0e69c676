// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stream memory operations: words that a stream writes when it gets there, and waits for.

#![expect(unsafe_code, reason = "exports C entries, reads and writes words by address")]

use crate::{
    abi::{BatchOp, In},
    code::{Answer, Code},
    entry::entries,
    place::{Named, Place, Use, whole},
    poll,
    queue::{Queue, Work},
    space::{READ, WRITE},
    streams,
};
use std::{
    ffi::c_uint,
    ptr,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

/// `CU_STREAM_WAIT_VALUE_*`
const GEQ: c_uint = 0;
const EQ: c_uint = 1;
const AND: c_uint = 2;
const NOR: c_uint = 3;
const FLUSH: c_uint = 1 << 30;
/// `CU_STREAM_WRITE_VALUE_NO_MEMORY_BARRIER`
const NO_BARRIER: c_uint = 1;
/// The most operations that one batch may have.
const MOST: c_uint = 256;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Width {
    Four = 4,
    Eight = 8,
}

#[derive(Clone, Copy)]
enum What {
    Wait(c_uint),
    Write,
}

/// One operation.
struct Op {
    place: Place,
    width: Width,
    value: u64,
    what: What,
}

impl Op {
    fn of(stream: u64, address: u64, width: Width, value: u64, what: What) -> Answer<Op> {
        let (_, context) = streams::find(stream)?;
        if !address.is_multiple_of(width as u64) {
            return Err(Code::INVALID_VALUE);
        }
        let access = match what {
            // The attribute says that this card can't flush.
            What::Wait(flags) if flags & FLUSH != 0 => return Err(Code::NOT_SUPPORTED),
            What::Wait(GEQ | EQ | AND | NOR) => READ,
            What::Wait(_) => return Err(Code::INVALID_VALUE),
            What::Write => WRITE,
        };
        // Memory of the host must be registered, and named by its device address.
        let place = whole(address, width as usize, Named::Device, Use { access, context: &context })?;
        Ok(Op { place, width, value, what })
    }

    fn run(&self, call: &str, stream: &Queue) {
        match self.what {
            What::Write => self.store(call, stream),
            What::Wait(how) => poll::until(stream, || self.is_reached(how, self.load(call, stream))),
        }
    }

    fn load(&self, call: &str, stream: &Queue) -> u64 {
        let address = self.place.address(call, stream);
        match self.width {
            Width::Four => {
                // SAFETY: (1) the word was found in a mapping that `place` keeps; (2) it is aligned; (3) whoever
                // shares it uses it as a word, as the driver asks.
                let word = unsafe { AtomicU32::from_ptr(ptr::with_exposed_provenance_mut(address)) };
                u64::from(word.load(Ordering::Acquire))
            }
            Width::Eight => {
                // SAFETY: as above.
                let word = unsafe { AtomicU64::from_ptr(ptr::with_exposed_provenance_mut(address)) };
                word.load(Ordering::Acquire)
            }
        }
    }

    fn store(&self, call: &str, stream: &Queue) {
        let address = self.place.address(call, stream);
        match self.width {
            Width::Four => {
                // SAFETY: as in `load`; and the mapping may be written, which was checked.
                let word = unsafe { AtomicU32::from_ptr(ptr::with_exposed_provenance_mut(address)) };
                word.store(low_word(self.value), Ordering::Release);
            }
            Width::Eight => {
                // SAFETY: as above.
                let word = unsafe { AtomicU64::from_ptr(ptr::with_exposed_provenance_mut(address)) };
                word.store(self.value, Ordering::Release);
            }
        }
    }

    fn is_reached(&self, how: c_uint, now: u64) -> bool {
        match (how, self.width) {
            // Cyclic: what is less than half the numbers ahead counts as reached.
            (GEQ, Width::Four) => low_word(now).wrapping_sub(low_word(self.value)).cast_signed() >= 0,
            (GEQ, Width::Eight) => now.wrapping_sub(self.value).cast_signed() >= 0,
            (EQ, Width::Four) => low_word(now) == low_word(self.value),
            (EQ, Width::Eight) => now == self.value,
            (AND, _) => now & self.value != 0,
            (_, Width::Four) => low_word(!(now | self.value)) != 0,
            (_, Width::Eight) => !(now | self.value) != 0,
        }
    }
}

fn low_word(value: u64) -> u32 {
    u32::try_from(value & 0xFFFF_FFFF).unwrap_or_default()
}

fn put(call: &'static str, stream: u64, ops: Vec<Op>) -> Answer {
    let is_seen_outside = ops.iter().any(|op| matches!(op.what, What::Write));
    let work = Work::of(move |stream| ops.iter().for_each(|op| op.run(call, stream)));
    streams::put(stream, Work { is_seen_outside, ..work }).map(|_| ())
}

fn wait(
    call: &'static str,
    stream: u64,
    address: u64,
    (value, width): (u64, Width),
    flags: c_uint,
) -> Answer {
    put(call, stream, vec![Op::of(stream, address, width, value, What::Wait(flags))?])
}

fn write(
    call: &'static str,
    stream: u64,
    address: u64,
    (value, width): (u64, Width),
    flags: c_uint,
) -> Answer {
    if flags & !NO_BARRIER != 0 {
        return Err(Code::INVALID_VALUE);
    }
    put(call, stream, vec![Op::of(stream, address, width, value, What::Write)?])
}

fn op_of_batch(stream: u64, op: BatchOp) -> Answer<Option<Op>> {
    let value = |width| if width == Width::Four { op.value & 0xFFFF_FFFF } else { op.value };
    let wait = |width| Op::of(stream, op.address, width, value(width), What::Wait(op.flags)).map(Some);
    let write = |width| match op.flags & !NO_BARRIER {
        0 => Op::of(stream, op.address, width, value(width), What::Write).map(Some),
        _ => Err(Code::INVALID_VALUE),
    };
    match op.operation {
        1 => wait(Width::Four),
        4 => wait(Width::Eight),
        2 => write(Width::Four),
        5 => write(Width::Eight),
        // A barrier: work of a stream is never reordered here.
        6 => Ok(None),
        3 | 8 => Err(Code::NOT_SUPPORTED),
        _ => Err(Code::INVALID_VALUE),
    }
}

entries! {
    #![unsafe(no_mangle)]

    Context fn cuStreamWaitValue32_v2(stream: u64, address: u64, value: c_uint, flags: c_uint) {
        wait("cuStreamWaitValue32_v2", stream, address, (value.into(), Width::Four), flags)
    }

    Context fn cuStreamWaitValue64_v2(stream: u64, address: u64, value: u64, flags: c_uint) {
        wait("cuStreamWaitValue64_v2", stream, address, (value, Width::Eight), flags)
    }

    Context fn cuStreamWriteValue32_v2(stream: u64, address: u64, value: c_uint, flags: c_uint) {
        write("cuStreamWriteValue32_v2", stream, address, (value.into(), Width::Four), flags)
    }

    Context fn cuStreamWriteValue64_v2(stream: u64, address: u64, value: u64, flags: c_uint) {
        write("cuStreamWriteValue64_v2", stream, address, (value, Width::Eight), flags)
    }

    // All or nothing is put in.
    Context fn cuStreamBatchMemOp_v2(stream: u64, count: c_uint, ops: In<BatchOp>, flags: c_uint) {
        if flags != 0 || count == 0 || count > MOST {
            return Err(Code::INVALID_VALUE);
        }
        let count = usize::try_from(count).map_err(|_| Code::INVALID_VALUE)?;
        let ops: Answer<Vec<Option<Op>>> = (0..count).map(|index| op_of_batch(stream, ops.get_at(index)?)).collect();
        put("cuStreamBatchMemOp_v2", stream, ops?.into_iter().flatten().collect())
    }
}

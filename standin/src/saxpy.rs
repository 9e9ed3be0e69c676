// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel of the C++ and Rust array tests: `s[i] = a * x[i] + y[i]` over floats, each array with a stride of its own.
//!
//! It multiplies and then adds, as its PTX says: a card rounds twice too.

#![expect(unsafe_code, reason = "reads and writes floats by address")]

use crate::{
    abi::KernelArguments,
    code::{Answer, Code},
    contexts::Context,
    place::{Named, Place, Use, whole},
    queue::Queue,
    space::{self, READ},
};
use std::{
    ptr,
    sync::atomic::{AtomicU32, Ordering},
};

const CALL: &str = "cuLaunchKernel";

/// A float every `stride` floats, from an address on.
struct Floats {
    /// The bytes from the lowest float to the highest; None where a card would fault.
    place: Option<Place>,
    /// From the start of `place` to float 0.
    first_bytes: usize,
    stride: i64,
}

impl Floats {
    /// Looked up at the call, so that it is noticed when they are taken away before the kernel runs. A wrong address is
    /// no error yet.
    fn at(address: u64, count: u64, stride: i64, context: &Context) -> Answer<Floats> {
        if !address.is_multiple_of(4) {
            return Err(Code::MISALIGNED_ADDRESS);
        }
        let last = i64::try_from(count.saturating_sub(1)).map_err(|_| Code::INVALID_VALUE)?;
        let reach = last.checked_mul(stride).and_then(|floats| floats.checked_mul(4));
        let reach = reach.ok_or(Code::INVALID_VALUE)?;
        let below = reach.min(0).unsigned_abs();
        let len = usize::try_from(reach.unsigned_abs()).map_err(|_| Code::INVALID_VALUE)? + 4;
        let found = whole(address.wrapping_sub(below), len, Named::Any, Use { access: READ, context });
        let is_near = |place: &Place| match place {
            Place::Mapped { mapping, .. } => space::is_reachable(mapping, context),
            Place::Pageable(_) => false,
        };
        let first_bytes = usize::try_from(below).map_err(|_| Code::INVALID_VALUE)?;
        Ok(Floats { place: found.ok().filter(is_near), first_bytes, stride })
    }

    /// Float `index` for the kernel; None where a card would fault.
    fn get(&self, index: u64, stream: &Queue) -> Option<&AtomicU32> {
        let start = self.place.as_ref()?.address(CALL, stream) + self.first_bytes;
        let offset =
            isize::try_from(i64::try_from(index).ok()?.checked_mul(self.stride)?.checked_mul(4)?).ok()?;
        let address = start.checked_add_signed(offset)?;
        // SAFETY: (1) the bytes from the lowest float to the highest were found in a mapping, which the place keeps;
        // (2) floats lie at multiples of four; (3) as atomics they may race with whoever does not wait.
        Some(unsafe { AtomicU32::from_ptr(ptr::with_exposed_provenance_mut(address)) })
    }
}

/// A launched `uncopy_saxpy`.
pub struct Saxpy {
    s: Floats,
    x: Floats,
    y: Floats,
    a: f32,
    count: u64,
}

impl Saxpy {
    /// Arguments: `u64 s, u64 x, u64 y, f32 a, u64 n, s64 stride_s, s64 stride_x, s64 stride_y`; strides count floats.
    pub fn of(arguments: KernelArguments, context: &Context) -> Answer<Saxpy> {
        let word = |index| arguments.get_at(index)?.cast::<u64>().get();
        let stride = |index| arguments.get_at(index)?.cast::<i64>().get();
        let count = word(4)?;
        Ok(Saxpy {
            s: Floats::at(word(0)?, count, stride(5)?, context)?,
            x: Floats::at(word(1)?, count, stride(6)?, context)?,
            y: Floats::at(word(2)?, count, stride(7)?, context)?,
            a: arguments.get_at(3)?.cast::<f32>().get()?,
            count,
        })
    }

    /// None where a card would fault.
    pub fn run(&self, stream: &Queue, context: &Context) -> Option<()> {
        if self.count > 0 && !self.s.place.as_ref()?.is_writable_by(context.ordinal) {
            return None;
        }
        for index in 0..self.count {
            let read =
                |floats: &Floats| Some(f32::from_bits(floats.get(index, stream)?.load(Ordering::Relaxed)));
            let value = self.a * read(&self.x)? + read(&self.y)?;
            self.s.get(index, stream)?.store(value.to_bits(), Ordering::Relaxed);
        }
        Some(())
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernels, by name: PTX is searched for its entries, and those that the stand-in knows it does itself, on the CPU.
//!
//! | kernel | arguments | what it does |
//! |---|---|---|
//! | `uncopy_fill` | `u64 ptr, u64 n_words, u64 seed` | word i becomes `splitmix64(seed + i)` |
//! | `uncopy_check` | `u64 ptr, u64 n_words, u64 seed, u64 out` | adds to `out[0]` how many words are not that, and lowers `out[1]` to the first of them |
//! | `uncopy_spin` | `u64 nanoseconds` | keeps its stream busy for so long |
//! | `uncopy_saxpy` | `u64 s, u64 x, u64 y, f32 a, u64 n, s64 stride_s, s64 stride_x, s64 stride_y` | float `s[i]` becomes `a * x[i] + y[i]` |
//!
//! The same kernels for a card are in `tests/gpu/src/kernels.ptx`, which says what a word is, and the last one in
//! `capi/tests/arrays/pycai/saxpy.hpp`. The grid doesn't matter: each strides over all words.

#![expect(unsafe_code, reason = "exports C entries, reads and writes words by address")]

use crate::{
    abi::{HostCall, HostFn, In, KernelArguments, Out},
    capture,
    code::{Answer, Code},
    contexts::Context,
    entry::entries,
    lock::lock,
    place::{Named, Place, Use, whole},
    poll,
    queue::{Queue, Work},
    saxpy::Saxpy,
    space::{self, READ},
    streams,
};
use std::{
    collections::BTreeMap,
    ffi::{c_char, c_int, c_uint, c_void},
    ptr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Nothing lies there.
const FIRST_HANDLE: u64 = 0x30D0_0000_0000;

#[derive(Default)]
struct Modules {
    made: u64,
    /// The entries of each module.
    entries: BTreeMap<u64, Vec<String>>,
    /// Module and entry of each function that was asked for.
    functions: BTreeMap<u64, (u64, String)>,
}

static MODULES: Mutex<Modules> =
    Mutex::new(Modules { made: 0, entries: BTreeMap::new(), functions: BTreeMap::new() });

impl Modules {
    fn next(&mut self) -> u64 {
        self.made += 1;
        FIRST_HANDLE + 0x100 * self.made
    }
}

fn load(image: In<c_void>) -> Answer<u64> {
    if image.cast::<[u8; 4]>().get()? == *b"\x7fELF" {
        return Err(Code::NO_BINARY_FOR_GPU);
    }
    let text = image.cast::<c_char>().text()?;
    let entries = entries_of(&text);
    if !text.contains(".version") || entries.is_empty() {
        return Err(Code::INVALID_PTX);
    }
    let mut modules = lock(&MODULES);
    let module = modules.next();
    modules.entries.insert(module, entries);
    Ok(module)
}

/// The names behind `.entry`, comments aside.
fn entries_of(ptx: &str) -> Vec<String> {
    let code: Vec<&str> = ptx.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let code = code.join("\n");
    let is_in_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
    let names = code.split(".entry").skip(1).map(|rest| rest.trim_start().split(|c| !is_in_name(c)).next());
    names.flatten().filter(|name| !name.is_empty()).map(str::to_string).collect()
}

/// A word of a frame: `splitmix64(seed + i)`, as `tests/gpu/src/kernels.ptx` has it.
pub fn word(seed: u64, index: u64) -> u64 {
    let mut z = seed.wrapping_add(index).wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Words that a kernel was given the address of.
struct Words {
    place: Option<Place>,
    count: u64,
}

impl Words {
    /// Looked up at the call, so that it is noticed when they are taken away before the kernel runs. A wrong
    /// address is no error yet.
    fn at(address: u64, count: u64, context: &Context) -> Answer<Words> {
        if !address.is_multiple_of(8) {
            return Err(Code::MISALIGNED_ADDRESS);
        }
        let len =
            usize::try_from(count).ok().and_then(|count| count.checked_mul(8)).ok_or(Code::INVALID_VALUE)?;
        let found = whole(address, len, Named::Any, Use { access: READ, context });
        let is_near = |place: &Place| match place {
            Place::Mapped { mapping, .. } => space::is_reachable(mapping, context),
            Place::Pageable(_) => false,
        };
        let place = found.ok().filter(|place| count > 0 && is_near(place));
        Ok(Words { place, count })
    }

    /// Word `index` for a kernel; None where a card would fault.
    fn get(&self, index: u64, call: &str, stream: &Queue) -> Option<&AtomicU64> {
        let start = self.place.as_ref()?.address(call, stream);
        let address = start + usize::try_from(index).ok()? * 8;
        // SAFETY: (1) `count` words from the place on were found in a mapping, which the place keeps; (2) they are
        // aligned; (3) as atomics they may race with whoever does not wait.
        Some(unsafe { AtomicU64::from_ptr(ptr::with_exposed_provenance_mut(address)) })
    }

    fn is_writable(&self, context: &Context) -> bool {
        self.place.as_ref().is_some_and(|place| place.is_writable_by(context.ordinal))
    }
}

/// A launched kernel.
enum Kernel {
    Fill { words: Words, seed: u64 },
    Check { words: Words, seed: u64, out: Words },
    Spin(Duration),
    Saxpy(Saxpy),
}

impl Kernel {
    fn of(name: &str, arguments: KernelArguments, context: &Context) -> Answer<Kernel> {
        let argument = |index| arguments.get_at(index)?.cast::<u64>().get();
        Ok(match name {
            "uncopy_fill" => {
                Kernel::Fill { words: Words::at(argument(0)?, argument(1)?, context)?, seed: argument(2)? }
            }
            "uncopy_check" => Kernel::Check {
                words: Words::at(argument(0)?, argument(1)?, context)?,
                seed: argument(2)?,
                out: Words::at(argument(3)?, 2, context)?,
            },
            "uncopy_saxpy" => Kernel::Saxpy(Saxpy::of(arguments, context)?),
            "uncopy_spin" => Kernel::Spin(Duration::from_nanos(argument(0)?)),
            _ => return Err(Code::NOT_SUPPORTED),
        })
    }

    /// None where a card would fault.
    fn run(&self, stream: &Queue, context: &Context) -> Option<()> {
        let call = "cuLaunchKernel";
        match self {
            Kernel::Spin(time) => {
                let end = Instant::now() + *time;
                poll::until(stream, || Instant::now() >= end);
            }
            Kernel::Saxpy(saxpy) => saxpy.run(stream, context)?,
            Kernel::Fill { words, seed } if words.count > 0 => {
                if !words.is_writable(context) {
                    return None;
                }
                for index in 0..words.count {
                    words.get(index, call, stream)?.store(word(*seed, index), Ordering::Relaxed);
                }
            }
            Kernel::Check { words, seed, out } if words.count > 0 => {
                if !out.is_writable(context) {
                    return None;
                }
                for index in 0..words.count {
                    if words.get(index, call, stream)?.load(Ordering::Relaxed) != word(*seed, index) {
                        out.get(0, call, stream)?.fetch_add(1, Ordering::Relaxed);
                        out.get(1, call, stream)?.fetch_min(index, Ordering::Relaxed);
                    }
                }
            }
            Kernel::Fill { .. } | Kernel::Check { .. } => {}
        }
        Some(())
    }
}

fn function_name(function: u64) -> Answer<String> {
    let modules = lock(&MODULES);
    let (module, name) = modules.functions.get(&function).ok_or(Code::INVALID_HANDLE)?;
    modules.entries.get(module).ok_or(Code::INVALID_HANDLE)?;
    Ok(name.clone())
}

entries! {
    #![unsafe(no_mangle)]

    Context fn cuModuleLoadData(out: Out<u64>, image: In<c_void>) {
        out.check()?;
        capture::forbid()?;
        out.put(load(image)?)
    }

    Context fn cuModuleLoadDataEx(
        out: Out<u64>, image: In<c_void>, _count: c_uint, _options: In<c_int>, _values: In<In<c_void>>,
    ) {
        out.check()?;
        capture::forbid()?;
        out.put(load(image)?)
    }

    Context fn cuModuleUnload(module: u64) {
        lock(&MODULES).entries.remove(&module).map(|_| ()).ok_or(Code::INVALID_HANDLE)
    }

    Context fn cuModuleGetFunction(out: Out<u64>, module: u64, name: In<c_char>) {
        out.check()?;
        let name = name.text()?;
        let mut modules = lock(&MODULES);
        let entries = modules.entries.get(&module).ok_or(Code::INVALID_HANDLE)?;
        if !entries.contains(&name) {
            return Err(Code::NOT_FOUND);
        }
        let function = modules.next();
        modules.functions.insert(function, (module, name));
        out.put(function)
    }

    Context fn cuLaunchKernel(
        function: u64, grid_x: c_uint, grid_y: c_uint, grid_z: c_uint, block_x: c_uint, block_y: c_uint,
        block_z: c_uint, _shared: c_uint, stream: u64, arguments: KernelArguments, extra: In<c_void>,
    ) {
        let name = function_name(function)?;
        let (queue, context) = streams::find(stream)?;
        let threads = [block_x, block_y, block_z].iter().map(|size| u64::from(*size)).product::<u64>();
        if [grid_x, grid_y, grid_z].contains(&0) || !(1..=1024).contains(&threads) {
            return Err(Code::INVALID_VALUE);
        }
        if !extra.is_null() {
            return Err(Code::NOT_SUPPORTED);
        }
        let kernel = Kernel::of(&name, arguments, &context)?;
        let in_context = Arc::clone(&context);
        let work = Work::of(move |stream| {
            if kernel.run(stream, &in_context).is_none() {
                in_context.break_down(Code::ILLEGAL_ADDRESS);
            }
        });
        streams::put_into(&queue, &context, work).map(|_| ())
    }

    Context fn cuLaunchHostFunc(stream: u64, function: HostFn, argument: In<c_void>) {
        let argument = usize::try_from(argument.address()).map_err(|_| Code::INVALID_VALUE)?;
        function.ok_or(Code::INVALID_VALUE)?;
        let call = HostCall { function, argument };
        streams::put(stream, Work::seen(move |_| call.run())).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_and_comments_are_not() {
        let ptx =
            ".version 7.0\n// .entry no\n.visible .entry one(\n.param .u64 a)\n{ ret; }\n.entry two_2 () {}";
        assert_eq!(entries_of(ptx), ["one", "two_2"]);
    }

    #[test]
    fn a_word_is_that_of_splitmix64() {
        // The first numbers of the generator that was seeded with 0: its state grows by the constant that `word`
        // adds.
        assert_eq!(word(0, 0), 0xE220_A839_7B1D_CDAF);
        assert_eq!(word(0x9E37_79B9_7F4A_7C15, 0), 0x6E78_9E6A_A1B9_65F4);
        assert_eq!(word(5, 7), word(12, 0));
    }
}

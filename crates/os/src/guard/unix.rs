// SPDX-License-Identifier: MIT OR Apache-2.0
//! The SIGSEGV handler, and the table that it reads.
#![expect(unsafe_code, reason = "fence: sigaction, and what its handler may do")]

use std::ffi::c_void;
use std::mem::{self, MaybeUninit};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, AtomicUsize, Ordering};

use super::{MAX_WATCH_NOTE_BYTES, MAX_WATCHED};
use crate::ForkLock;
use crate::fork::{fork_generation, generation_now};

/// One watched range. All atomics: the handler may run in any thread at any moment. A note that is replaced while a
/// dying thread prints it comes out mixed, and nothing worse.
struct Entry {
    /// FREE, FILLING or WATCHED.
    state: AtomicU32,
    /// The fork generation of the process that began to watch.
    generation: AtomicU32,
    start: AtomicUsize,
    end: AtomicUsize,
    note_len: AtomicUsize,
    note: [AtomicU8; MAX_WATCH_NOTE_BYTES],
}

const FREE: u32 = 0;
const FILLING: u32 = 1;
const WATCHED: u32 = 2;

/// Zeroed memory, so it costs nothing until used. Never freed: a handler may be reading it.
static ENTRIES: [Entry; MAX_WATCHED] = [const {
    Entry {
        state: AtomicU32::new(FREE),
        generation: AtomicU32::new(0),
        start: AtomicUsize::new(0),
        end: AtomicUsize::new(0),
        note_len: AtomicUsize::new(0),
        note: [const { AtomicU8::new(0) }; MAX_WATCH_NOTE_BYTES],
    }
}; MAX_WATCHED];

/// The handler that was there before ours; null until ours is installed. Points to memory that is never freed.
static PREVIOUS: AtomicPtr<libc::sigaction> = AtomicPtr::new(ptr::null_mut());

/// A watched range; dropping it ends the watch.
#[derive(Debug)]
#[must_use = "dropping the guard ends the watch"]
pub struct WatchGuard {
    entry: Option<usize>,
}

impl WatchGuard {
    /// Whether the range is watched. It is not when the table was full or the system refused the handler.
    pub fn is_active(&self) -> bool {
        self.entry.is_some()
    }
}

impl Drop for WatchGuard {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.and_then(|index| ENTRIES.get(index)) {
            // pairs with: `watch_read_only`
            entry.state.store(FREE, Ordering::Release);
        }
    }
}

/// Watches `range`, first and one past the last address, of memory that is mapped for reading only. A write to it
/// prints `note`, one line, before the process ends.
///
/// Memory is only looked up by address: nothing is read or changed, and ordinary accesses cost nothing.
pub fn watch_read_only(range: (usize, usize), note: String) -> WatchGuard {
    if !install() {
        return WatchGuard { entry: None };
    }
    let free = ENTRIES.iter().position(|entry| {
        // Acquire pairs with the release in `WatchGuard::drop`: the entry's former owner is done with it.
        entry.state.compare_exchange(FREE, FILLING, Ordering::Acquire, Ordering::Relaxed).is_ok()
    });
    if let Some(entry) = free.and_then(|index| ENTRIES.get(index)) {
        entry.generation.store(fork_generation(), Ordering::Relaxed);
        entry.start.store(range.0, Ordering::Relaxed);
        entry.end.store(range.1, Ordering::Relaxed);
        for (place, byte) in entry.note.iter().zip(note.bytes()) {
            place.store(byte, Ordering::Relaxed);
        }
        entry.note_len.store(note.len().min(MAX_WATCH_NOTE_BYTES), Ordering::Relaxed);
        // pairs with: `report`
        entry.state.store(WATCHED, Ordering::Release);
    }
    WatchGuard { entry: free }
}

/// Installs the handler, once; says whether it is there.
fn install() -> bool {
    static INSTALLING: ForkLock<()> = ForkLock::new();
    let is_there = || !PREVIOUS.load(Ordering::Acquire).is_null();
    if is_there() {
        return true;
    }
    let _held = INSTALLING.lock();
    if is_there() {
        return true;
    }
    // First look, then replace: the handler must find its predecessor from its first moment on.
    let Some(before) = exchange_handler(None) else { return false };
    PREVIOUS.store(Box::into_raw(Box::new(before)), Ordering::Release);
    match exchange_handler(Some(&our_action())) {
        // Another thread installed one in between: that is the predecessor.
        Some(replaced) if replaced.sa_sigaction != before.sa_sigaction => {
            PREVIOUS.store(Box::into_raw(Box::new(replaced)), Ordering::Release);
        }
        Some(_) => {}
        None => PREVIOUS.store(ptr::null_mut(), Ordering::Release),
    }
    is_there()
}

fn our_action() -> libc::sigaction {
    let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut c_void) = on_fault;
    let mut action = default_action();
    action.sa_sigaction = handler as usize;
    // On the alternative stack, so that a stack overflow, which is also SIGSEGV, still reaches the previous handler.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    action
}

fn default_action() -> libc::sigaction {
    // SAFETY: all fields are integers or optional functions, for which zero is a value: SIG_DFL, no signal masked.
    unsafe { mem::zeroed() }
}

/// Replaces the handler of SIGSEGV, or leaves it for `None`; answers the one before. Async-signal-safe.
fn exchange_handler(action: Option<&libc::sigaction>) -> Option<libc::sigaction> {
    let action = action.map_or(ptr::null(), ptr::from_ref);
    let mut before = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: `action` is null or a live action whose handler is one of: ours, which lives as long as this library; the
    // default. `before` has room for an action.
    let answer = unsafe { libc::sigaction(libc::SIGSEGV, action, before.as_mut_ptr()) };
    // SAFETY: on success the call filled it.
    (answer == 0).then(|| unsafe { before.assume_init() })
}

/// Runs at a fault, on the faulting thread. Only atomics and async-signal-safe calls from here on.
extern "C" fn on_fault(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: SA_SIGINFO handlers get a pointer to live information, or, from a sloppy chaining handler, null.
    let Some(fault) = (unsafe { info.as_ref() }) else { return chain(signal, info, context, 0) };
    // No page is there; or one that does not permit the access.
    const SEGV_MAPERR: libc::c_int = 1;
    const SEGV_ACCERR: libc::c_int = 2;
    if matches!(fault.si_code, SEGV_MAPERR | SEGV_ACCERR) {
        // SAFETY: for SIGSEGV raised by a fault the union's address member is set (sigaction(2)).
        let address = unsafe { fault.si_addr() } as usize;
        report(address, fault.si_code == SEGV_ACCERR);
    }
    chain(signal, info, context, fault.si_code);
}

/// What is printed before and after the address, ahead of the note.
const READ_ONLY: (&[u8], &[u8]) = (b"uncopy: write to read-only memory at 0x", b": ");
const FORKED: (&[u8], &[u8]) = (
    b"uncopy: access to memory of the parent process at 0x",
    b": this process was forked after the frame was received or lent; open the link again in the child: ",
);

/// Prints the note of the range that holds `address`, if one does. `is_mapped`: whether anything is there.
fn report(address: usize, is_mapped: bool) {
    let hit = ENTRIES.iter().find(|entry| {
        // Acquire pairs with the release in `watch_read_only`.
        entry.state.load(Ordering::Acquire) == WATCHED
            && (entry.start.load(Ordering::Relaxed)..entry.end.load(Ordering::Relaxed)).contains(&address)
    });
    let Some(entry) = hit else { return };
    let mut note = [0; MAX_WATCH_NOTE_BYTES];
    for (byte, place) in note.iter_mut().zip(&entry.note) {
        *byte = place.load(Ordering::Relaxed);
    }
    // What is watched stays mapped in its process, and is not there in a child, also of a raw `clone`.
    let is_forked = !is_mapped || entry.generation.load(Ordering::Relaxed) != generation_now();
    let (before, after): (&[u8], &[u8]) = if is_forked { FORKED } else { READ_ONLY };
    print(before);
    print(&hexadecimal(address));
    print(after);
    print(note.get(..entry.note_len.load(Ordering::Relaxed)).unwrap_or_default());
    print(b"\n");
}

fn hexadecimal(mut number: usize) -> [u8; 16] {
    let mut digits = [b'0'; 16];
    for digit in digits.iter_mut().rev() {
        let value = (number % 16) as u8;
        *digit = if value < 10 { b'0' + value } else { b'a' + value - 10 };
        number /= 16;
    }
    digits
}

/// Writes to standard error, as much as it takes.
fn print(mut text: &[u8]) {
    while !text.is_empty() {
        // SAFETY: pointer and length are those of a live slice; write is async-signal-safe.
        let written = unsafe { libc::write(libc::STDERR_FILENO, text.as_ptr().cast(), text.len()) };
        match usize::try_from(written) {
            Ok(written) if written > 0 => text = text.get(written..).unwrap_or_default(),
            _ => return,
        }
    }
}

/// Hands the signal to the previous handler, or lets the system's default end the process.
fn chain(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut c_void, code: libc::c_int) {
    // SAFETY: null, or an action that is never freed.
    let previous = unsafe { PREVIOUS.load(Ordering::Acquire).as_ref() };
    let handler = previous.map_or(libc::SIG_DFL, |previous| previous.sa_sigaction);
    // Faults have positive codes; with others the signal was sent by somebody.
    let was_sent = code <= 0;
    if handler == libc::SIG_IGN && was_sent {
        return;
    }
    if handler == libc::SIG_DFL || handler == libc::SIG_IGN {
        // Returning repeats the faulting instruction, which then ends the process with the right signal and address.
        exchange_handler(Some(&default_action()));
        if was_sent {
            // SAFETY: raise is async-signal-safe; the signal is delivered when this handler returns.
            unsafe { libc::raise(signal) };
        }
        return;
    }
    if previous.is_some_and(|previous| previous.sa_flags & libc::SA_SIGINFO != 0) {
        // SAFETY: with SA_SIGINFO the kernel would call this address with these three arguments; so do we.
        let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut c_void) =
            unsafe { mem::transmute(handler) };
        handler(signal, info, context);
    } else {
        // SAFETY: without SA_SIGINFO the kernel would call this address with the signal alone; so do we.
        let handler: extern "C" fn(libc::c_int) = unsafe { mem::transmute(handler) };
        handler(signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_print_as_sixteen_digits() {
        assert_eq!(&hexadecimal(0), b"0000000000000000");
        assert_eq!(&hexadecimal(0x7f00_dead_beef), b"00007f00deadbeef");
        assert_eq!(&hexadecimal(usize::MAX), b"ffffffffffffffff");
    }
}

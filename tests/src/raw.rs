// SPDX-License-Identifier: MIT OR Apache-2.0
//! What only unsafe code can do to a process: fork it, change whom it acts as, signal it, write where it must not.
#![expect(
    unsafe_code,
    reason = "fence: fork, setfsuid, sigaction, shared words, and stray reads and writes that tests are about"
)]

use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

/// Which of the two a process is after [`fork`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forked {
    /// The new one.
    Child,
    /// The old one, with the number of the new one.
    Parent(i32),
}

/// Forks this process, as `os.fork` of Python does: other threads are not in the child.
///
/// # Panics
/// When the system makes no more processes.
#[must_use]
pub fn fork() -> Forked {
    // SAFETY: in the child only the calling thread exists. Peers call this from their main thread while the other
    // threads (uncopy's service) hold no lock of the C library for longer than a call, which its own fork handlers
    // wait for; the child does what a test asks for and ends.
    match unsafe { libc::fork() } {
        0 => Forked::Child,
        -1 => panic!("no more processes: {}", std::io::Error::last_os_error()),
        pid => Forked::Parent(pid),
    }
}

/// Ends a forked child without running what is registered for the end of its parent.
pub fn leave_child(code: i32) -> ! {
    // SAFETY: ends the process; nothing of it is used after.
    unsafe { libc::_exit(code) }
}

/// Makes this process act as user `uid` towards peers, while it still opens files as root. Says whether it could.
#[must_use]
pub fn act_as(uid: u32) -> bool {
    // SAFETY: changes the effective user of this process; there is no memory in it.
    if unsafe { libc::seteuid(uid) } != 0 {
        return false;
    }
    // SAFETY: as above, for the user that files are opened as.
    unsafe { libc::setfsuid(0) };
    // SAFETY: an impossible user changes nothing and asks who it is.
    (unsafe { libc::setfsuid(u32::MAX) }) == 0
}

static SIGNALS: AtomicU32 = AtomicU32::new(0);

extern "C" fn count(_: libc::c_int) {
    SIGNALS.fetch_add(1, SeqCst);
}

/// From now on SIGUSR1 only counts, and interrupts waits (no `SA_RESTART`).
pub fn count_signals() {
    let handler: extern "C" fn(libc::c_int) = count;
    // SAFETY: all fields are integers or optional functions, for which zero is a value.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as usize;
    // SAFETY: `action` is live and its handler only adds to an atomic.
    let answer = unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()) };
    assert_eq!(answer, 0, "SIGUSR1 can be handled");
}

/// How many have come.
#[must_use]
pub fn signals() -> u32 {
    SIGNALS.load(SeqCst)
}

/// Writes one byte to an address of this process, permitted or not: what a stray pointer of an application does.
pub fn stray_write(address: usize, byte: u8) {
    // SAFETY: none. That is the test: the process must end here, or the address is a live view that may be written.
    unsafe { std::ptr::write_volatile(address as *mut u8, byte) };
}

/// Copies mapped bytes that another process may be writing: what a reader without a lease would see.
#[must_use]
pub fn read_unheld(address: usize, len_bytes: usize) -> Vec<u8> {
    let mut copy = vec![0; len_bytes];
    // SAFETY: the caller keeps the mapping alive. That others write meanwhile is the point of it: the copy is made by
    // the C library outside of what the compiler knows, and any bytes are good ones.
    unsafe { libc::memcpy(copy.as_mut_ptr().cast(), address as *const libc::c_void, len_bytes) };
    copy
}

/// A word of a file that two processes have mapped: by it they tell each other something without a system call.
pub struct SharedWord(&'static AtomicU32);

impl SharedWord {
    /// Maps the first word of a file of at least four bytes, for the life of this process.
    ///
    /// # Panics
    /// When it can't be mapped.
    #[must_use]
    pub fn map(file: &File) -> Self {
        let (read_write, fd) = (libc::PROT_READ | libc::PROT_WRITE, file.as_raw_fd());
        // SAFETY: a new mapping of a page; nothing of this process is replaced.
        let page = unsafe { libc::mmap(std::ptr::null_mut(), 4096, read_write, libc::MAP_SHARED, fd, 0) };
        assert_ne!(page, libc::MAP_FAILED, "{}", std::io::Error::last_os_error());
        // SAFETY: the page is aligned, never unmapped, and holds a word, which the other process changes by atomics
        // too.
        Self(unsafe { &*page.cast::<AtomicU32>() })
    }

    /// What it says.
    #[must_use]
    pub fn get(&self) -> u32 {
        self.0.load(SeqCst)
    }

    /// Says something.
    pub fn set(&self, value: u32) {
        self.0.store(value, SeqCst);
    }
}

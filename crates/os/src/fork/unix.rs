// SPDX-License-Identifier: MIT OR Apache-2.0
//! Fork handlers, and the tables of what they take away from the child.
#![expect(unsafe_code, reason = "fence: pthread_atfork, and what its handlers may do")]

use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use rustix::fd::AsRawFd;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};

use super::MAX_GUARDED;
use crate::OsError;

mod lock;
mod range;

use lock::Holder;
pub use lock::{ForkGuard, ForkLock};
pub(crate) use range::KeptFromChild;

/// 0 until the handlers are installed, then one more in each child than in its parent.
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// Guarded descriptors, each plus one; 0 is a free entry. Zeroed memory, so it costs nothing until used.
static TABLE: [AtomicI32; MAX_GUARDED] = [const { AtomicI32::new(0) }; MAX_GUARDED];

/// Held while a guarded descriptor is made or closed, and across `fork`: a child then sees no descriptor that is in no
/// entry, and no entry whose number has been closed or taken by something else.
static TABLE_LOCK: Holder = Holder::nobody();

/// Which process this is, counted along its line of forks: differs between a parent and its children.
#[inline]
pub fn fork_generation() -> u32 {
    match GENERATION.load(Ordering::Relaxed) {
        0 => first_generation(),
        generation => generation,
    }
}

/// The generation as it stands: async-signal-safe, as nothing is installed.
pub(crate) fn generation_now() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// Installing fails for want of memory only; then 0 stands for every process, and the next call tries again.
#[cold]
fn first_generation() -> u32 {
    install().unwrap_or(0)
}

/// A descriptor that a forked child lets go of. Used for locks, listeners and connections.
#[derive(Debug)]
pub struct CloseInChild {
    /// `None` only while it is being dropped.
    descriptor: Option<OwnedFd>,
    entry: usize,
    generation: u32,
}

impl CloseInChild {
    /// Runs `make` and guards what it returns. No `fork` comes between the two, so `make` must not wait.
    ///
    /// # Errors
    ///
    /// Those of `make`; [`OsError::TooManyGuarded`], after which the descriptor is closed; [`OsError::System`] when the
    /// handlers cannot be installed.
    pub fn make(make: impl FnOnce() -> Result<OwnedFd, OsError>) -> Result<CloseInChild, OsError> {
        let generation = installed()?;
        let held = TableLock::take();
        CloseInChild::enter(make()?, generation, &held)
    }

    /// As [`CloseInChild::make`], for a call that makes two descriptors.
    ///
    /// # Errors
    ///
    /// As for [`CloseInChild::make`]; then neither is left open.
    pub fn make_two(
        make: impl FnOnce() -> Result<(OwnedFd, OwnedFd), OsError>,
    ) -> Result<(CloseInChild, CloseInChild), OsError> {
        let generation = installed()?;
        let held = TableLock::take();
        let (one, other) = make()?;
        let mut one = CloseInChild::enter(one, generation, &held)?;
        match CloseInChild::enter(other, generation, &held) {
            Ok(other) => Ok((one, other)),
            Err(error) => {
                one.leave(&held);
                Err(error)
            }
        }
    }

    fn enter(descriptor: OwnedFd, generation: u32, _held: &TableLock) -> Result<CloseInChild, OsError> {
        let free = TABLE.iter().enumerate().find(|(_, place)| place.load(Ordering::Relaxed) == 0);
        let Some((entry, place)) = free else { return Err(OsError::TooManyGuarded { max: MAX_GUARDED }) };
        place.store(descriptor.as_raw_fd() + 1, Ordering::Relaxed);
        Ok(CloseInChild { descriptor: Some(descriptor), entry, generation })
    }

    /// Closes the descriptor and frees its entry, once.
    fn leave(&mut self, _held: &TableLock) {
        let Some(descriptor) = self.descriptor.take() else { return };
        // In a child the table was emptied, and the entry may be another's by now.
        if !self.is_from_parent()
            && let Some(place) = TABLE.get(self.entry)
        {
            place.store(0, Ordering::Relaxed);
        }
        drop(descriptor);
    }

    /// The descriptor, in the process that made it.
    ///
    /// # Errors
    ///
    /// [`OsError::Forked`] in a forked child.
    #[inline]
    pub fn get(&self) -> Result<BorrowedFd<'_>, OsError> {
        if self.is_from_parent() { Err(OsError::Forked) } else { Ok(self.as_fd()) }
    }

    /// Whether this process is a forked child of the one that made it.
    #[inline]
    pub fn is_from_parent(&self) -> bool {
        GENERATION.load(Ordering::Relaxed) != self.generation
    }
}

impl AsFd for CloseInChild {
    /// In a forked child: a descriptor on which every operation fails.
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.descriptor {
            Some(descriptor) => descriptor.as_fd(),
            None => unreachable!("taken by drop only, which nothing follows"),
        }
    }
}

impl Drop for CloseInChild {
    fn drop(&mut self) {
        if self.descriptor.is_some() {
            self.leave(&TableLock::take());
        }
    }
}

/// The table's lock as a guard. Not a `Mutex`: a fork handler has to release it in two processes.
struct TableLock;

impl TableLock {
    fn take() -> TableLock {
        TABLE_LOCK.take(GENERATION.load(Ordering::Relaxed));
        TableLock
    }
}

impl Drop for TableLock {
    fn drop(&mut self) {
        TABLE_LOCK.release();
    }
}

/// The generation, once the handlers are installed.
fn installed() -> Result<u32, OsError> {
    match GENERATION.load(Ordering::Relaxed) {
        0 => install(),
        generation => Ok(generation),
    }
}

/// The process of which a thread installs the handlers, 0 when none does. A child that is forked meanwhile finds the
/// number of its parent there and knows that nobody is at it: a mutex would stay locked for ever.
static INSTALLER: AtomicI32 = AtomicI32::new(0);

/// The right to install, for one thread of a process.
struct Installing;

impl Installing {
    fn begin() -> Installing {
        let us = rustix::process::getpid().as_raw_nonzero().get();
        loop {
            let seen = INSTALLER.load(Ordering::Relaxed);
            if seen == us {
                std::thread::yield_now();
            // pairs with: the drop. What another thread has installed is seen.
            } else if INSTALLER.compare_exchange(seen, us, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                return Installing;
            }
        }
    }
}

impl Drop for Installing {
    fn drop(&mut self) {
        INSTALLER.store(0, Ordering::Release);
    }
}

/// Installs the handlers once per process line; answers the generation.
///
/// A child that is forked between the two steps has its first generation from the handler itself: as nothing of ours
/// was made before the parent has its own, the two can't be taken for each other.
#[cold]
fn install() -> Result<u32, OsError> {
    let _installing = Installing::begin();
    let generation = GENERATION.load(Ordering::Relaxed);
    if generation != 0 {
        return Ok(generation);
    }
    // SAFETY: the handlers are functions of this library that live as long as it is loaded (the C library forgets them
    // when it is unloaded), do not unwind, and in the child do only what is safe there: atomics and system calls.
    let code = unsafe {
        libc::pthread_atfork(Some(before_fork), Some(after_fork_in_parent), Some(after_fork_in_child))
    };
    if code != 0 {
        let errno = rustix::io::Errno::from_raw_os_error(code);
        return Err(OsError::from_errno("pthread_atfork", "fork handlers", errno));
    }
    GENERATION.store(1, Ordering::Relaxed);
    Ok(1)
}

extern "C" fn before_fork() {
    TABLE_LOCK.take(GENERATION.load(Ordering::Relaxed));
}

extern "C" fn after_fork_in_parent() {
    TABLE_LOCK.release();
}

/// Runs in the child, whose only thread is the one that forked.
extern "C" fn after_fork_in_child() {
    let next = GENERATION.load(Ordering::Relaxed).wrapping_add(1).max(1);
    GENERATION.store(next, Ordering::Relaxed);
    let mut inert = -1;
    for place in &TABLE {
        let guarded = place.swap(0, Ordering::Relaxed);
        if guarded != 0 {
            inert = replace_by_inert(guarded - 1, inert);
        }
    }
    close(inert);
    range::fill_holes();
    TABLE_LOCK.release();
}

/// Makes `descriptor` refer to something inert; answers a descriptor of that inert thing for the next call.
fn replace_by_inert(descriptor: i32, inert: i32) -> i32 {
    let inert = if inert < 0 { open_inert() } else { inert };
    if duplicate_over(inert, descriptor) {
        return inert;
    }
    // No descriptor was left to open the inert thing with. Closing this one makes room; nothing else runs in this
    // process, so the number cannot be taken by anybody else in between.
    close(descriptor);
    let inert = open_inert();
    if inert == descriptor {
        // It is in its place; the next call opens another or ends here in the same way.
        return -1;
    }
    duplicate_over(inert, descriptor);
    inert
}

/// The root directory as a mere path: readable, writable and lockable for nobody. Negative when that fails.
fn open_inert() -> i32 {
    // SAFETY: the path is a C string; open is async-signal-safe, as is needed between fork and exec.
    unsafe { libc::open(c"/".as_ptr(), libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC) }
}

/// Whether `number` refers to what `source` refers to now.
fn duplicate_over(source: i32, number: i32) -> bool {
    // SAFETY: `number` is a guarded descriptor of this child, which an object of ours owns; replacing what it refers
    // to, and not closing it, keeps that object's ownership true. dup3 is async-signal-safe.
    source >= 0 && unsafe { libc::dup3(source, number, libc::O_CLOEXEC) } == number
}

fn close(descriptor: i32) {
    if descriptor >= 0 {
        // SAFETY: called with the inert descriptor opened here, once, or with a guarded one that is opened again at
        // once (see `replace_by_inert`). close is async-signal-safe.
        unsafe { libc::close(descriptor) };
    }
}

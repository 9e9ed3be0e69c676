// SPDX-License-Identifier: MIT OR Apache-2.0
//! Locks that a forked child can take, whoever held them in its parent.
#![expect(unsafe_code, reason = "fence: the value behind a lock is lent by its guard")]

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::{self, NonNull};
use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use super::fork_generation;
use crate::wake::{futex_wait, futex_wake};

/// Who holds a lock: 0 for nobody, else the fork generation of the holder's process.
///
/// A hold of another generation is one that a thread of the parent had at the moment of `fork`. That thread does not
/// exist here and will not let go, so the hold counts for nothing.
#[derive(Debug)]
pub(super) struct Holder(AtomicU32);

impl Holder {
    pub(super) const fn nobody() -> Holder {
        Holder(AtomicU32::new(0))
    }

    /// Waits until no thread of this process holds the lock, and takes it for `generation`, this process's own.
    pub(super) fn take(&self, generation: u32) {
        // Handlers that cannot be installed leave generation 0: every process is then the same, as with any lock.
        let own = generation.max(1);
        loop {
            let held = self.0.load(Ordering::Relaxed);
            if held == own {
                futex_wait(&self.0, own, None);
            // Acquire pairs with the release in `release`.
            } else if self.0.compare_exchange(held, own, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                return;
            }
        }
    }

    /// Lets go of what `take` took.
    pub(super) fn release(&self) {
        // pairs with: `take`
        self.0.store(0, Ordering::Release);
        futex_wake(&self.0, 1);
    }
}

/// A lock around process-wide state that starts anew in a forked child.
///
/// With a [`Mutex`] a child whose parent's other thread held it at the moment of `fork` waits for ever. Here the first
/// [`ForkLock::lock`] in each process, the first one included, starts with `T::default()`. What a child inherited is
/// never looked at, since it may be half changed, and never dropped, since it speaks of threads and descriptors of the
/// parent: it stays behind as memory.
///
/// A panic while it is held leaves the value as it was then; there is no poisoning. It is not fair, and taking it twice
/// in one thread waits for ever.
///
/// ```
/// use uncopy_os::ForkLock;
///
/// static OPEN_LINKS: ForkLock<Vec<String>> = ForkLock::new();
///
/// OPEN_LINKS.lock().push("camera".into());
/// assert_eq!(OPEN_LINKS.lock().len(), 1);
/// ```
pub struct ForkLock<T> {
    holder: Holder,
    /// The generation whose first `lock` made `value`. Read and changed by the holder only, as `value` is.
    made_in: AtomicU32,
    /// From `Box::into_raw`; null until the first `lock`. A box of its own for each generation, so that a guard that a
    /// thread took along through `fork` and the first one of the child never lend the same value.
    value: AtomicPtr<T>,
    /// May be shared and sent exactly where a `Mutex` may.
    as_mutex: PhantomData<Mutex<T>>,
}

impl<T: Default> ForkLock<T> {
    /// A lock whose value is made by the first [`ForkLock::lock`].
    pub const fn new() -> ForkLock<T> {
        ForkLock {
            holder: Holder::nobody(),
            made_in: AtomicU32::new(0),
            value: AtomicPtr::new(ptr::null_mut()),
            as_mutex: PhantomData,
        }
    }

    /// Waits until no other thread of this process holds the lock, and takes it until the guard is dropped.
    pub fn lock(&self) -> ForkGuard<'_, T> {
        let generation = fork_generation();
        self.holder.take(generation);
        // From here on a panic in `T::default` lets go.
        let held = Held { holder: &self.holder, generation };
        let value = NonNull::new(self.value.load(Ordering::Relaxed))
            .filter(|_| self.made_in.load(Ordering::Relaxed) == generation)
            .unwrap_or_else(|| self.start_anew(generation));
        ForkGuard { value, _held: held, lends: PhantomData }
    }

    /// Forgets the value of another generation. The caller holds the lock.
    #[cold]
    fn start_anew(&self, generation: u32) -> NonNull<T> {
        let value = NonNull::from(Box::leak(Box::<T>::default()));
        self.value.store(value.as_ptr(), Ordering::Relaxed);
        self.made_in.store(generation, Ordering::Relaxed);
        value
    }
}

impl<T: Default> Default for ForkLock<T> {
    fn default() -> ForkLock<T> {
        ForkLock::new()
    }
}

impl<T> Drop for ForkLock<T> {
    fn drop(&mut self) {
        let value = *self.value.get_mut();
        if value.is_null() || *self.made_in.get_mut() != fork_generation() {
            return;
        }
        // SAFETY: 1. the pointer came from a box made by `start_anew` in this process (generation), which nothing frees
        // but this drop, once. 2. Guards borrow `self`, so none of this lock is alive.
        drop(unsafe { Box::from_raw(value) });
    }
}

impl<T> fmt::Debug for ForkLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForkLock").field("holder", &self.holder).finish_non_exhaustive()
    }
}

/// The value of a [`ForkLock`], for as long as this lives.
///
/// In a child whose only thread held it at the moment of `fork` it still shows the parent's value, and holds nothing.
#[must_use = "dropping the guard lets go of the lock"]
pub struct ForkGuard<'a, T> {
    value: NonNull<T>,
    _held: Held<'a>,
    lends: PhantomData<&'a mut T>,
}

impl<T> Deref for ForkGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: 1. the value is a live box of the lock, which this guard borrows: it is freed by the lock's drop, or
        // never. 2. Nobody else reaches it: while the guard's process lives, no second guard is given (`Holder`); in a
        // forked child other guards lend another box (`start_anew`). 3. `&self` excludes `deref_mut`.
        unsafe { self.value.as_ref() }
    }
}

impl<T> DerefMut for ForkGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`; `&mut self` excludes every other reference through this guard.
        unsafe { self.value.as_mut() }
    }
}

impl<T: fmt::Debug> fmt::Debug for ForkGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// Lets go on drop, in the process that took it: in a forked child the lock may be another's by then.
struct Held<'a> {
    holder: &'a Holder,
    generation: u32,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.generation == fork_generation() {
            self.holder.release();
        }
    }
}

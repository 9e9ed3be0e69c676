// SPDX-License-Identifier: MIT OR Apache-2.0
//! One end of a link in C: used by one thread at a time, interrupted and destroyed from any.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use uncopy::{LinkError, Subscriber, Waker};

use crate::failure::Failure;

/// What stands behind a handle of an end.
pub trait Inner {
    /// The type's name in the header.
    const WHAT: &'static str;

    /// What makes its waits look up.
    fn waker(&self) -> Waker;

    /// Ends it.
    fn close(self);
}

impl Inner for Subscriber {
    const WHAT: &'static str = "uncopy_subscriber";

    fn waker(&self) -> Waker {
        self.waker()
    }

    fn close(self) {
        self.close();
    }
}

/// An end, and what other threads want of it.
pub struct End<T: Inner, C> {
    name: String,
    /// What the caller wants to be told while it waits.
    pub calls: C,
    waker: Waker,
    closing: AtomicBool,
    interrupted: AtomicBool,
    inner: Mutex<Option<T>>,
}

impl<T: Inner, C> End<T, C> {
    pub fn new(name: &str, inner: T, calls: C) -> Self {
        End {
            name: name.to_owned(),
            calls,
            waker: inner.waker(),
            closing: AtomicBool::new(false),
            interrupted: AtomicBool::new(false),
            inner: Mutex::new(Some(inner)),
        }
    }

    /// Uses the end on this thread.
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> Result<R, Failure>) -> Result<R, Failure> {
        let mut guard = self.enter()?;
        let result = guard.as_mut().map(f);
        self.leave(guard);
        match result {
            Some(Err(Failure::Link(LinkError::Interrupted))) if self.closing.load(SeqCst) => {
                Err(self.closed())
            }
            Some(result) => result,
            None => Err(self.closed()),
        }
    }

    /// Takes the end for this thread; see [`leave`](Self::leave).
    pub fn enter(&self) -> Result<MutexGuard<'_, Option<T>>, Failure> {
        match self.inner.try_lock() {
            Ok(guard) => Ok(guard),
            // Whatever panicked inside left a publisher or subscriber that its own checks still hold for.
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => Err(Failure::InUse { what: T::WHAT, name: self.name.clone() }),
        }
    }

    /// Gives it back, and ends it if that was asked for meanwhile.
    pub fn leave(&self, guard: MutexGuard<'_, Option<T>>) {
        drop(guard);
        if self.closing.load(SeqCst) {
            self.finish();
        }
    }

    /// Makes the wait that goes on now, or else the next one, end with [`LinkError::Interrupted`].
    pub fn interrupt(&self) {
        self.interrupted.store(true, SeqCst);
        self.waker.wake();
    }

    /// Whether a wait may go on; an interruption is spent by the one that it ends.
    pub fn may_wait(&self) -> bool {
        !self.closing.load(SeqCst) && !self.interrupted.swap(false, SeqCst)
    }

    /// Ends it now, or when who is inside leaves.
    pub fn close(&self) {
        self.closing.store(true, SeqCst);
        self.finish();
        self.waker.wake();
    }

    /// Whether somebody wants it ended.
    pub fn is_closing(&self) -> bool {
        self.closing.load(SeqCst)
    }

    fn finish(&self) {
        let inner = match self.inner.try_lock() {
            Ok(mut guard) => guard.take(),
            Err(TryLockError::Poisoned(poisoned)) => PoisonError::into_inner(poisoned).take(),
            Err(TryLockError::WouldBlock) => None,
        };
        if let Some(inner) = inner {
            inner.close();
        }
    }

    /// What its users are told once it is closed.
    pub fn closed(&self) -> Failure {
        LinkError::Closed { name: self.name.clone() }.into()
    }
}

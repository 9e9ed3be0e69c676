// SPDX-License-Identifier: MIT OR Apache-2.0
//! One end of a link as Python objects share it: one thread at a time uses it, any thread closes it.
//!
//! Two threads in one publisher are told so; they never race and never wait for each other unseen. Closing from another
//! thread, or from a signal handler in the midst of a wait, only leaves word: whoever is inside closes on the way out.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use pyo3::prelude::*;
use uncopy::os::fork_generation;
use uncopy::{ErrorKind, LinkError, Waker};

use crate::ending::{self, Closable, Detached};
use crate::errors::Failure;

/// What an end is made of.
pub trait Inner: Send + 'static {
    /// What it shows to other threads.
    type Seen: Copy + Send;

    /// Looks; costs little, as it is done after every call.
    fn look(&self) -> Self::Seen;

    /// What makes its waits look up.
    fn waker(&self) -> Waker;

    /// Waits for what its devices still owe to others, at most so long.
    fn flush(&mut self, _limit: Duration) {}
}

/// A publisher or subscriber, and whether it is closed.
pub struct End<T: Inner> {
    what: &'static str,
    name: Arc<str>,
    generation: u32,
    closing: AtomicBool,
    waker: Waker,
    /// As it was after the last call.
    seen: Mutex<T::Seen>,
    inner: Mutex<Option<T>>,
}

impl<T: Inner> End<T> {
    pub fn new(what: &'static str, name: &str, inner: T) -> Arc<Self> {
        let end = Arc::new(End {
            what,
            name: name.into(),
            generation: fork_generation(),
            closing: AtomicBool::new(false),
            waker: inner.waker(),
            seen: Mutex::new(inner.look()),
            inner: Mutex::new(Some(inner)),
        });
        ending::remember(&end);
        end
    }

    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Set as soon as somebody wants it closed.
    pub fn closing(&self) -> &AtomicBool {
        &self.closing
    }

    pub fn is_closed(&self) -> bool {
        self.closing.load(SeqCst)
    }

    /// Uses the end on this thread, holding the GIL.
    pub fn with<R, E: Into<Failure>>(&self, f: impl FnOnce(&mut T) -> Result<R, E>) -> Result<R, Failure> {
        let mut guard = self.enter()?;
        let result = match guard.as_mut() {
            Some(inner) => f(inner).map_err(Into::into),
            None => Err(self.closed()),
        };
        self.leave(guard);
        result
    }

    /// Uses the end on this thread without the GIL.
    pub fn with_detached<R: Send, E: Send + Into<Failure>>(
        &self,
        py: Python<'_>,
        f: impl FnOnce(&mut T) -> Result<R, E> + Send,
    ) -> Result<R, Failure> {
        let mut guard = self.enter()?;
        let inner = &mut *guard;
        let result = py.detach(move || {
            let detached = Detached::enter();
            let result = inner.as_mut().map(f);
            if ending::leaves_this_thread_behind() {
                drop(inner.take());
                detached.stay();
            }
            result
        });
        self.leave(guard);
        match result {
            Some(result) => result.map_err(Into::into),
            None => Err(self.closed()),
        }
    }

    /// What it shows now, or after the last call while another thread is inside, and once it is closed.
    pub fn seen(&self) -> T::Seen {
        if self.generation == fork_generation()
            && let Ok(guard) = self.inner.try_lock()
            && let Some(inner) = guard.as_ref()
        {
            *locked(&self.seen) = inner.look();
        }
        *locked(&self.seen)
    }

    /// What its users are told once it is closed.
    pub fn closed(&self) -> Failure {
        LinkError::Closed { name: self.name.to_string() }.into()
    }

    fn enter(&self) -> Result<MutexGuard<'_, Option<T>>, Failure> {
        ending::stay_if_left_behind();
        // Before the lock: in a forked child it may be held for ever, by a thread that is not there.
        if self.generation != fork_generation() {
            return Err(LinkError::Forked { name: self.name.to_string() }.into());
        }
        if self.is_closed() {
            return Err(self.closed());
        }
        match self.inner.try_lock() {
            Ok(guard) => Ok(guard),
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => Err(Failure::Said(ErrorKind::Unsupported, self.in_use())),
        }
    }

    fn leave(&self, guard: MutexGuard<'_, Option<T>>) {
        if let Some(inner) = guard.as_ref() {
            *locked(&self.seen) = inner.look();
        }
        drop(guard);
        // Somebody may have left word between our last look and giving back the lock.
        if self.is_closed() {
            self.finish();
            // Whoever is inside closes on the way out, and may be asleep.
            self.waker.wake();
        }
    }

    /// Closes if nobody is inside; else whoever is does it in `leave`.
    fn finish(&self) {
        let inner = match self.inner.try_lock() {
            Ok(mut guard) => guard.take(),
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner().take(),
            Err(TryLockError::WouldBlock) => None,
        };
        drop(inner);
    }

    fn in_use(&self) -> String {
        format!(
            "this {} of '{}' is in use by another thread; give each thread its own, or guard it with a threading.Lock",
            self.what, self.name
        )
    }

    /// Warns of an end that nobody closed; called when its Python object goes.
    pub fn warn_if_forgotten(&self) {
        if let Some(what) = self.unclosed() {
            Python::try_attach(|py| ending::warn_unclosed(py, &what));
        }
    }
}

impl<T: Inner> Closable for End<T> {
    fn unclosed(&self) -> Option<String> {
        let ours = self.generation == fork_generation();
        (ours && !self.is_closed()).then(|| format!("{} of '{}'", self.what, self.name))
    }

    fn flush(&self, limit: Duration) {
        if self.generation == fork_generation()
            && let Ok(mut guard) = self.inner.try_lock()
            && let Some(inner) = guard.as_mut()
        {
            inner.flush(limit);
        }
    }

    fn close(&self) {
        self.closing.store(true, SeqCst);
        // In a forked child there is nothing to close, and the lock may be held for ever.
        if self.generation == fork_generation() {
            self.finish();
        }
    }
}

/// Uses several ends at once on this thread, without the GIL; see [`End::with_detached`].
pub fn with_all_detached<T: Inner, R: Send, E: Send + Into<Failure>>(
    py: Python<'_>,
    ends: &[Arc<End<T>>],
    f: impl FnOnce(&mut [&mut T]) -> Result<R, E> + Send,
) -> Result<R, Failure> {
    let mut guards = Vec::with_capacity(ends.len());
    for end in ends {
        match end.enter() {
            Ok(guard) => guards.push(guard),
            Err(error) => {
                leave_all(ends, guards);
                return Err(error);
            }
        }
    }
    let mut inners: Vec<&mut Option<T>> = guards.iter_mut().map(|guard| &mut **guard).collect();
    let result = py.detach(move || {
        let detached = Detached::enter();
        let mut open: Vec<&mut T> = inners.iter_mut().filter_map(|inner| inner.as_mut()).collect();
        let result = (open.len() == ends.len()).then(|| f(&mut open));
        if ending::leaves_this_thread_behind() {
            inners.iter_mut().for_each(|inner| drop(inner.take()));
            detached.stay();
        }
        result
    });
    let closed = ends.iter().zip(&guards).find(|(_, guard)| guard.is_none()).map(|(end, _)| end.closed());
    leave_all(ends, guards);
    match (result, closed) {
        (Some(result), _) => result.map_err(Into::into),
        (None, closed) => Err(closed.unwrap_or_else(|| LinkError::Interrupted.into())),
    }
}

fn leave_all<T: Inner>(ends: &[Arc<End<T>>], guards: Vec<MutexGuard<'_, Option<T>>>) {
    for (end, guard) in ends.iter().zip(guards) {
        end.leave(guard);
    }
}

/// The value in a lock that no panic of ours leaves half-written.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

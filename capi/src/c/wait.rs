// SPDX-License-Identifier: MIT OR Apache-2.0
//! Waiting for frames of several links at once.

use std::sync::Arc;

use uncopy::{LinkError, Subscriber, Waiting};

use super::call::call;
use super::error::uncopy_status;
use super::pointers::{Out, slice, slice_mut};
use super::subscriber::{self, Joined, uncopy_subscriber};
use super::waiting::{Attentive, time_of};
use crate::failure::Failure;

/// Asks every end's program.
struct All<'a>(&'a [Arc<Joined>]);

impl Waiting for All<'_> {
    fn keep_waiting(&mut self) -> bool {
        self.0.iter().all(|joined| Attentive(&joined.end).keep_waiting())
    }
}

/// Waits until some of `count` subscribers have something to receive, at most `timeout_nanos` nanoseconds or
/// `UNCOPY_FOREVER`. `ready[i]` becomes 1 for each that has, else 0; `*ready_count` is how many have, 0 when the time is
/// over, which is no failure. Nothing is received here: each that is ready gives a frame, or an error that is to be seen, with
/// its next `uncopy_subscriber_poll`.
///
/// Errors: `UNCOPY_ERROR_UNSUPPORTED` where another thread is inside one of them, or one is named twice;
/// `UNCOPY_ERROR_INTERRUPTED`, `UNCOPY_ERROR_CLOSED`, `UNCOPY_ERROR_OUT_OF_RESOURCES`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_wait(
    subscribers: *const *mut uncopy_subscriber,
    count: u64,
    timeout_nanos: i64,
    ready: *mut u8,
    ready_count: *mut u64,
) -> uncopy_status {
    call("uncopy_wait", || {
        // SAFETY: the contract of the header.
        let ready_count = unsafe { Out::at("ready_count", ready_count, 0) }?;
        // Lossless on 64-bit targets.
        let count = count as usize;
        // SAFETY: the contract of the header.
        let handles = unsafe { slice("subscribers", subscribers, count) }?;
        // SAFETY: the contract of the header.
        let flags = unsafe { slice_mut("ready", ready, count) }?;
        flags.fill(0);
        let timeout = time_of("timeout_nanos", timeout_nanos)?;
        let joined: Vec<_> =
            handles.iter().map(|handle| subscriber::get(*handle)).collect::<Result<_, _>>()?;
        let found =
            with_all(&joined, |subscribers| Ok(uncopy::wait_with(subscribers, timeout, &mut All(&joined))?))?;
        for index in &found {
            if let Some(flag) = flags.get_mut(*index) {
                *flag = 1;
            }
        }
        ready_count.put(found.len() as u64);
        Ok(())
    })
}

/// Uses several ends at once on this thread.
fn with_all<R>(
    joined: &[Arc<Joined>],
    f: impl FnOnce(&mut [&mut Subscriber]) -> Result<R, Failure>,
) -> Result<R, Failure> {
    let ends: Vec<_> = joined.iter().map(|joined| &joined.end).collect();
    let mut guards = Vec::with_capacity(ends.len());
    let mut entered = Ok(());
    for end in &ends {
        match end.enter() {
            Ok(guard) => guards.push(guard),
            Err(error) => {
                entered = Err(error);
                break;
            }
        }
    }
    let result = entered.and_then(|()| {
        let closed = ends.iter().zip(&guards).find(|(_, guard)| guard.is_none());
        match closed {
            Some((end, _)) => Err(end.closed()),
            None => f(&mut guards.iter_mut().filter_map(|guard| guard.as_mut()).collect::<Vec<_>>()),
        }
    });
    for (end, guard) in ends.iter().zip(guards) {
        end.leave(guard);
    }
    match result {
        Err(Failure::Link(LinkError::Interrupted)) => Err(ends
            .iter()
            .find(|end| end.is_closing())
            .map_or(LinkError::Interrupted.into(), |end| end.closed())),
        result => result,
    }
}

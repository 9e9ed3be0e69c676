// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ordering one stream after another, with events that are used again and again.
//!
//! `cuStreamWaitEvent` waits for the event as it was recorded last, so an event is free as soon as the wait is put in.
//! It only must not be recorded by two threads at once: a thread takes it out of the pool meanwhile. Taking and giving
//! back are one atomic operation each.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use uncopy_core::Stream;

use super::context::{Context, Entered};
use crate::CudaError;
use crate::raw::CUevent;
use crate::raw::numbers::EVENT_DISABLE_TIMING;
use crate::site::Site;

/// An event without timing.
#[derive(Debug)]
struct Event {
    context: &'static Context,
    handle: CUevent,
}

impl Event {
    #[cold]
    fn new(entered: &Entered<'_>, context: &'static Context) -> Result<Event, CudaError> {
        let _relaxed = entered.relaxed()?;
        let mut handle = CUevent::NULL;
        // SAFETY: a place for a `CUevent`, alive during the call.
        unsafe { entered.event_create(&raw mut handle, EVENT_DISABLE_TIMING) }?;
        Ok(Event { context, handle })
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        let Ok(entered) = self.context.enter() else { return };
        // SAFETY: the handle was made by `new`, and nobody else destroys it.
        let destroyed = unsafe { entered.event_destroy(self.handle) };
        // It fails when the driver is gone or the context lost, and the event with it.
        let _ = destroyed;
    }
}

/// How many threads can order streams of one device at the same moment without making an event.
const EVENTS: usize = 32;

/// The events of one context.
#[derive(Debug)]
pub(crate) struct EventPool {
    context: &'static Context,
    /// A set bit is an event that a thread has taken.
    taken: AtomicU32,
    events: [OnceLock<Event>; EVENTS],
}

impl EventPool {
    pub(crate) fn new(context: &'static Context) -> EventPool {
        EventPool { context, taken: AtomicU32::new(0), events: [const { OnceLock::new() }; EVENTS] }
    }

    /// Makes `later` wait for everything that is in `earlier` now. Nothing waits here.
    pub(crate) fn order(
        &self,
        entered: &Entered<'_>,
        earlier: Stream,
        later: Stream,
        site: Site,
    ) -> Result<(), CudaError> {
        if site.is_skipped() {
            return Ok(());
        }
        let Some(place) = self.take() else {
            return order_by(entered, &Event::new(entered, self.context)?, earlier, later);
        };
        match self.events.get(place.index()) {
            Some(cell) => order_by(entered, event_in(cell, entered, self.context)?, earlier, later),
            None => order_by(entered, &Event::new(entered, self.context)?, earlier, later),
        }
    }

    /// A free event, or none when 32 threads are here.
    fn take(&self) -> Option<Place<'_>> {
        loop {
            let taken = self.taken.load(Ordering::Relaxed);
            let bit = (!taken).checked_ilog2()?;
            // pairs with: the release in `Place::drop`; the thread before is done with the event.
            let before = self.taken.fetch_or(1 << bit, Ordering::Acquire);
            if before & (1 << bit) == 0 {
                return Some(Place { pool: self, bit });
            }
        }
    }
}

/// An event that this thread alone records.
struct Place<'p> {
    pool: &'p EventPool,
    bit: u32,
}

impl Place<'_> {
    fn index(&self) -> usize {
        self.bit as usize
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        // pairs with: the acquire in `EventPool::take`.
        self.pool.taken.fetch_and(!(1 << self.bit), Ordering::Release);
    }
}

/// The event of a place that this thread has taken, made at its first use.
fn event_in<'e>(
    cell: &'e OnceLock<Event>,
    entered: &Entered<'_>,
    context: &'static Context,
) -> Result<&'e Event, CudaError> {
    match cell.get() {
        Some(event) => Ok(event),
        None => {
            let event = Event::new(entered, context)?;
            Ok(cell.get_or_init(|| event))
        }
    }
}

fn order_by(entered: &Entered<'_>, event: &Event, earlier: Stream, later: Stream) -> Result<(), CudaError> {
    // SAFETY: the event lives while it is borrowed, and no other thread records it (it is taken, or new); the stream
    // exists (rule 2 of the layer).
    unsafe { entered.event_record(event.handle, earlier.into()) }?;
    // SAFETY: as above. The driver keeps what it needs of a destroyed or recorded-again event.
    unsafe { entered.stream_wait_event(later.into(), event.handle, 0) }
}

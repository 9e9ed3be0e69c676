// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ordering one stream after another, or after all of a context, with events that are used again and again.
//!
//! `cuStreamWaitEvent` waits for the event as it was recorded last, so an event is free as soon as the wait is put in.
//! It only must not be recorded by two threads at once: a thread takes it out of the pool meanwhile. Taking and giving
//! back are one atomic operation each.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use uncopy_core::{Device, Stream};

use super::context::{Context, Entered};
use crate::raw::CUevent;
use crate::raw::numbers::EVENT_DISABLE_TIMING;
use crate::site::Site;
use crate::{CudaError, DriverCode};

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
        if site.is_skipped() { Ok(()) } else { self.record_and_wait(entered, earlier, later) }
    }

    /// Records an event in `earlier` and has `later` wait for it. Unlike [`order`](Self::order) it has no site: it also
    /// joins streams to a capture, which orders no reader or writer after another.
    pub(crate) fn record_and_wait(
        &self,
        entered: &Entered<'_>,
        earlier: Stream,
        later: Stream,
    ) -> Result<(), CudaError> {
        self.with_event(entered, |event| {
            record(entered, event, earlier)?;
            wait(entered, event, later)
        })
    }

    /// Makes `later` wait for everything that is in any stream of the context now. Nothing waits here. A capture that
    /// goes on in the context ends by it, badly.
    pub(crate) fn order_after_all(
        &self,
        entered: &Entered<'_>,
        later: Stream,
        site: Site,
    ) -> Result<(), CudaError> {
        if site.is_skipped() {
            return Ok(());
        }
        self.with_event(entered, |event| {
            record_all(entered, event)?;
            wait(entered, event, later)
        })
    }

    /// Lends an event that no other thread records meanwhile.
    #[inline]
    fn with_event(
        &self,
        entered: &Entered<'_>,
        order: impl FnOnce(&Event) -> Result<(), CudaError>,
    ) -> Result<(), CudaError> {
        let Some(place) = self.take() else {
            return order(&Event::new(entered, self.context)?);
        };
        match self.events.get(place.index()) {
            Some(cell) => order(event_in(cell, entered, self.context)?),
            None => order(&Event::new(entered, self.context)?),
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

#[inline]
fn record(entered: &Entered<'_>, event: &Event, earlier: Stream) -> Result<(), CudaError> {
    // SAFETY: the event lives while it is borrowed, and no other thread records it (it is taken, or new); the stream
    // exists (rule 2 of the layer).
    unsafe { entered.event_record(event.handle, earlier.into()) }
}

/// Records an event behind everything that is in the context. `cuda.h`, `cuCtxRecordEvent`: while a stream of the context
/// is being captured it answers `STREAM_CAPTURE_UNSUPPORTED` and invalidates the capture, whatever the thread's mode.
fn record_all(entered: &Entered<'_>, event: &Event) -> Result<(), CudaError> {
    // Captures of other contexts are none of its business.
    let _relaxed = entered.relaxed()?;
    let context = entered.context();
    // SAFETY: the context is retained until the process ends and the event is one of its; the event as in `record`.
    let recorded = unsafe { entered.ctx_record_event(context.handle(), event.handle) };
    recorded.map_err(|error| match error {
        CudaError::Driver { code: DriverCode::CAPTURE_UNSUPPORTED, .. } => {
            CudaError::CaptureInTheWay { device: Device::cuda(context.ordinal()) }
        }
        error => error,
    })
}

#[inline]
fn wait(entered: &Entered<'_>, event: &Event, later: Stream) -> Result<(), CudaError> {
    // SAFETY: as in `record`. The driver keeps what it needs of a destroyed or recorded-again event.
    unsafe { entered.stream_wait_event(later.into(), event.handle, 0) }
}

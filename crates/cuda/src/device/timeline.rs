// SPDX-License-Identifier: MIT OR Apache-2.0
//! Words of shared host memory that streams write and wait for.

use std::io;
use std::sync::{Arc, OnceLock};

use uncopy_core::{Device, Stream};
use uncopy_tensor::{Region, SharedPages, Tensor, Timeline, TimelinePoint};

use crate::CudaError;
use crate::driver::context::{Context, Entered};
use crate::driver::event::EventPool;
use crate::driver::host::Registered;
use crate::driver::stream::OwnStream;
use crate::site::Site;

/// Registered pages, and the events by which the stream that writes waits for others.
#[derive(Debug)]
pub(super) struct CudaTimeline {
    context: &'static Context,
    events: Arc<EventPool>,
    words: Registered,
    /// Waits for everything, where that is asked for.
    own: OnceLock<OwnStream>,
}

impl CudaTimeline {
    pub fn new(
        context: &'static Context,
        events: Arc<EventPool>,
        words: SharedPages,
    ) -> Result<CudaTimeline, CudaError> {
        // Refused now: a link would otherwise find out with the first frame that somebody is still reading.
        context.enter()?.check_stream_memory_operations()?;
        Ok(CudaTimeline { context, events, words: Registered::new(context, words)?, own: OnceLock::new() })
    }

    fn put_wait(&self, stream: Stream, points: &[TimelinePoint]) -> Result<(), CudaError> {
        if points.is_empty() {
            return Ok(());
        }
        let entered = self.context.enter()?;
        entered.refuse_capturing(stream)?;
        entered.wait_for(&self.words, points, stream, Site::TIMELINE_WAIT)
    }

    #[inline]
    fn put_copy_and_write(
        &self,
        from: &Tensor,
        to: &Region,
        stream: Stream,
        point: TimelinePoint,
    ) -> Result<(), CudaError> {
        self.words.word(point.offset_bytes)?;
        let entered = self.context.enter()?;
        entered.refuse_capturing(stream)?;
        entered.copy(from, to, stream)?;
        entered.write(&self.words, point, stream)
    }

    fn put_write(&self, after: &[Stream], point: TimelinePoint) -> Result<(), CudaError> {
        let (writer, others) = after.split_last().ok_or(CudaError::NoStream)?;
        self.words.word(point.offset_bytes)?;
        let entered = self.context.enter()?;
        // All before any work is put in.
        for stream in after {
            entered.refuse_capturing(*stream)?;
        }
        self.join(&entered, *writer, others)?;
        entered.write(&self.words, point, *writer)
    }

    /// The stream that waits for everything; made at the first call.
    fn own_stream(&self) -> Result<Stream, CudaError> {
        if let Some(own) = self.own.get() {
            return Ok(own.stream());
        }
        if !self.context.enter()?.has_events_of_contexts() {
            return Err(CudaError::Unsupported {
                what: "waiting for everything in a context",
                device: Device::cuda(self.context.ordinal()),
                hint: "the driver is older than CUDA 12.5 and has no cuCtxRecordEvent; install a newer one, or let \
                       frames go by their streams",
            });
        }
        let own = OwnStream::new(self.context)?;
        Ok(self.own.get_or_init(|| own).stream())
    }

    fn put_write_after_all(
        &self,
        after: Option<TimelinePoint>,
        point: TimelinePoint,
    ) -> Result<(), CudaError> {
        self.words.word(point.offset_bytes)?;
        let stream = self.own_stream()?;
        let entered = self.context.enter()?;
        // First, since it is what a capture refuses. What it leaves in the stream if the rest fails ends by itself.
        self.events.order_after_all(&entered, stream, Site::TIMELINE_ALL)?;
        if let Some(after) = after {
            entered.wait_for(&self.words, &[after], stream, Site::TIMELINE_ALL_AFTER)?;
        }
        entered.write(&self.words, point, stream)
    }

    /// Makes `writer` wait for what is in the others now. If this fails half way, what was put in waits for work that is
    /// in its stream already, and so ends by itself.
    fn join(&self, entered: &Entered<'_>, writer: Stream, others: &[Stream]) -> Result<(), CudaError> {
        for other in others.iter().filter(|other| **other != writer) {
            self.events.order(entered, *other, writer, Site::TIMELINE_JOIN)?;
        }
        Ok(())
    }
}

impl Timeline for CudaTimeline {
    fn copy_and_write(
        &self,
        from: &Tensor,
        to: &Region,
        stream: Stream,
        point: TimelinePoint,
    ) -> io::Result<()> {
        Ok(self.put_copy_and_write(from, to, stream, point)?)
    }

    fn wait(&self, stream: Stream, points: &[TimelinePoint]) -> io::Result<()> {
        Ok(self.put_wait(stream, points)?)
    }

    fn write(&self, after: &[Stream], point: TimelinePoint) -> io::Result<()> {
        Ok(self.put_write(after, point)?)
    }

    fn prepare_after_all(&self) -> io::Result<()> {
        Ok(self.own_stream().map(drop)?)
    }

    fn write_after_all(&self, after: Option<TimelinePoint>, point: TimelinePoint) -> io::Result<()> {
        Ok(self.put_write_after_all(after, point)?)
    }
}

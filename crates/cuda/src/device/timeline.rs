// SPDX-License-Identifier: MIT OR Apache-2.0
//! Words of shared host memory that streams write and wait for.

use std::io;
use std::sync::Arc;

use uncopy_core::Stream;
use uncopy_tensor::{Region, SharedPages, Tensor, Timeline, TimelinePoint};

use crate::CudaError;
use crate::driver::context::{Context, Entered};
use crate::driver::event::EventPool;
use crate::driver::host::Registered;
use crate::site::Site;

/// Registered pages, and the events by which the stream that writes waits for others.
#[derive(Debug)]
pub(super) struct CudaTimeline {
    context: &'static Context,
    events: Arc<EventPool>,
    words: Registered,
}

impl CudaTimeline {
    pub fn new(
        context: &'static Context,
        events: Arc<EventPool>,
        words: SharedPages,
    ) -> Result<CudaTimeline, CudaError> {
        // Refused now: a link would otherwise find out with the first frame that somebody is still reading.
        context.enter()?.check_stream_memory_operations()?;
        Ok(CudaTimeline { context, events, words: Registered::new(context, words)? })
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
}

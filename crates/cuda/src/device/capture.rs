// SPDX-License-Identifier: MIT OR Apache-2.0
//! A capture that is watched without its stream.
//!
//! *Why a stream of our own takes part.* The driver is asked about a capture by one of its streams, and whoever captures
//! may destroy his at any time: a call on it then ends the process. A stream that waits for an event of a captured one is
//! captured too, until the capture ends (CUDA's programming guide, "Cross-stream Dependencies and Events"). Ours joins
//! and leads back at once, with no work between, which adds nothing to the graph.

use uncopy_core::Stream;
use uncopy_tensor::Capture;

use crate::CudaError;
use crate::driver::context::Context;
use crate::driver::event::EventPool;
use crate::driver::stream::OwnStream;

/// Asks about a capture by a stream that is not its maker's.
struct Watched {
    context: &'static Context,
    by: By,
}

enum By {
    /// A stream of ours, which takes part.
    Own(OwnStream),
    /// The legacy default stream, which is never destroyed. It is not captured itself: some blocking stream is.
    Legacy,
}

/// See [`Accelerator::capture_of`](uncopy_tensor::Accelerator::capture_of).
pub(super) fn capture_of(
    context: &'static Context,
    events: &EventPool,
    stream: Stream,
) -> Result<Option<Box<dyn Capture>>, CudaError> {
    let entered = context.enter()?;
    if !entered.is_capturing(stream)? {
        return Ok(None);
    }
    let by = match stream {
        Stream::LEGACY_DEFAULT => By::Legacy,
        stream => {
            let own = OwnStream::new(context)?;
            events.record_and_wait(&entered, stream, own.stream())?;
            events.record_and_wait(&entered, own.stream(), stream)?;
            By::Own(own)
        }
    };
    Ok(Some(Box::new(Watched { context, by })))
}

impl Capture for Watched {
    fn is_over(&self) -> bool {
        let stream = match &self.by {
            By::Own(own) => own.stream(),
            By::Legacy => Stream::LEGACY_DEFAULT,
        };
        let asked = self.context.enter().and_then(|entered| entered.is_capturing(stream));
        !matches!(asked, Ok(true))
    }
}

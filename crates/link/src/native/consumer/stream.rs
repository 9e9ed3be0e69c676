// SPDX-License-Identifier: MIT OR Apache-2.0
//! Receiving as a stream of futures, in any executor: the feature `futures`.
//!
//! The subscriber's [events](Subscriber::events) are watched by the process's one service thread, which wakes the
//! task. No executor is assumed and no thread is started for it. The executor's waker runs on that thread, and must
//! not block it.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use futures_core::{FusedStream, Stream};

use super::Subscriber;
use crate::error::LinkError;
use crate::native::frame::Frame;
use crate::service::{self, Handler, Registration, lock};

/// The frames of a subscriber as they come, made by [`Subscriber::into_stream`]. Dropping it leaves the link.
///
/// It goes through restarts of the producer like [`Subscriber::recv`], ends when the producer has closed the link and
/// no other came in the subscriber's time, and gives every other end as an error, after which it may be polled again.
pub struct FrameStream {
    /// Ends before what it watches.
    news: Registration,
    task: Arc<Task>,
    subscriber: Subscriber,
    has_ended: bool,
}

/// Who is to be woken.
#[derive(Default)]
struct Task(Mutex<Option<Waker>>);

impl Handler for Task {
    fn ready(&self, _: u64) {
        let waker = lock(&self.0).take();
        if let Some(waker) = waker {
            // It is the executor's code, and this thread is every link's.
            let woken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| waker.wake()));
            if woken.is_err() {
                tracing::error!("the waker of a stream of frames panicked");
            }
        }
    }
}

impl Subscriber {
    /// The frames as a [`Stream`], for `while let Some(frame) = frames.next().await`.
    ///
    /// ```
    /// # use std::future::poll_fn;
    /// # use std::pin::{Pin, pin};
    /// # use std::task::{Context, Poll, Waker};
    /// use futures_core::Stream;
    /// use uncopy_core::PixelFormat;
    /// use uncopy_link::{Form, LinkError, Meta, publish, subscribe};
    /// # let dir = std::env::temp_dir().join(format!("uncopy-doc-stream-{}", std::process::id()));
    /// # let mut out = publish("camera").directory(&dir).open()?;
    /// # out.loan(&Form::image(2, 3, PixelFormat::RGBA8))?.publish(Meta::default())?;
    /// let mut frames = subscribe("camera")
    /// #     .directory(&dir)
    ///     .open()?
    ///     .into_stream()?;
    /// # let receive = pin!(
    /// async {
    ///     // With an executor's `StreamExt`: frames.next().await
    ///     let next = poll_fn(|cx| Pin::new(&mut frames).poll_next(cx)).await;
    ///     let frame = next.expect("the link is open")?;
    ///     assert_eq!(frame.seq(), 1);
    ///     Ok::<(), LinkError>(())
    /// }
    /// # );
    /// # let Poll::Ready(received) = receive.poll(&mut Context::from_waker(Waker::noop())) else { unreachable!() };
    /// # received?;
    /// # drop((frames, out)); std::fs::remove_dir_all(dir).ok();
    /// # Ok::<(), LinkError>(())
    /// ```
    ///
    /// # Errors
    /// No descriptor is left for what is polled, or no thread to poll it.
    pub fn into_stream(mut self) -> Result<FrameStream, LinkError> {
        let task = Arc::new(Task::default());
        let handler: Arc<dyn Handler> = Arc::clone(&task) as _;
        let news = service::watch_once(self.shared_events()?, handler, 0)?;
        Ok(FrameStream { news, task, subscriber: self, has_ended: false })
    }
}

impl FrameStream {
    /// The subscriber, to ask it for its name and counters.
    #[must_use]
    pub fn subscriber(&self) -> &Subscriber {
        &self.subscriber
    }
}

impl Stream for FrameStream {
    type Item = Result<Frame, LinkError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.has_ended {
            return Poll::Ready(None);
        }
        // Before the look: what comes after it wakes this task.
        *lock(&this.task.0) = Some(context.waker().clone());
        match this.subscriber.poll_recv() {
            Ok(Some(frame)) => Poll::Ready(Some(Ok(frame))),
            Ok(None) => match this.news.watch_again() {
                Ok(()) => Poll::Pending,
                Err(error) => Poll::Ready(Some(Err(error.into()))),
            },
            Err(LinkError::ProducerClosed { .. }) => {
                this.has_ended = true;
                Poll::Ready(None)
            }
            Err(error) => Poll::Ready(Some(Err(error))),
        }
    }
}

impl FusedStream for FrameStream {
    fn is_terminated(&self) -> bool {
        self.has_ended
    }
}

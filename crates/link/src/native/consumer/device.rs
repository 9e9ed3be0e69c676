// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames that a device is still writing when they are published. Nothing wakes who waits for a device, so that the
//! waiter looks: it sleeps for most of the time that devices took of late, and spins for the rest.

use std::time::{Duration, Instant};

use uncopy_core::Stream;

use super::pace::{DevicePace, LOOK_EVERY, SPIN};
use super::receive::{Wait, spin_until};
use super::{Subscriber, Waiting};
use crate::error::LinkError;
use crate::native::attachment::Lease;
use crate::native::description::Description;
use crate::native::frame::Frame;
use crate::service::ask_until_done;

/// The next frame, held, which a device is still writing.
pub(super) struct Unready {
    pub(super) lease: Lease,
    pub(super) description: Description,
    /// The doorbell rings when it is there.
    is_watched: bool,
}

impl Unready {
    pub(super) fn new(lease: Lease, description: Description) -> Box<Self> {
        Box::new(Self { lease, description, is_watched: false })
    }
}

/// What is known of a held frame's content.
pub(super) enum Look {
    /// It is there, or will be before what is put into the stream that it is received for.
    There,
    /// A device is at work on it.
    Unready,
    /// It never came.
    Torn,
}

/// Looks at the content of a frame that is about to be received, for a stream or for the processor.
#[inline]
pub(super) fn look(lease: &Lease, stream: Option<Stream>) -> Result<Look, LinkError> {
    if lease.context.map.part().is_none() {
        return Ok(Look::There);
    }
    look_at_device(lease, stream)
}

#[cold]
fn look_at_device(lease: &Lease, stream: Option<Stream>) -> Result<Look, LinkError> {
    if let Some(source) = lease.loss() {
        let name = lease.context.attachment.name.clone();
        return Err(LinkError::Device { name, what: "receiving a frame", source });
    }
    let is_there = lease.is_there();
    if is_there && lease.is_torn() {
        return Ok(Look::Torn);
    }
    if lease.is_far() {
        // Perhaps it has come just now: then it is brought by the next look.
        return Ok(Look::Unready);
    }
    let (Some(stream), Some(_)) = (stream, lease.context.map.on_device()) else {
        return Ok(if is_there { Look::There } else { Look::Unready });
    };
    if !is_there && !lease.context.attachment.watches_process() {
        // Should the producer die, nobody would know, and the stream would wait for ever.
        return Ok(Look::Unready);
    }
    lease.order_after_content(stream)?;
    lease.note_use(stream);
    Ok(Look::There)
}

impl Subscriber {
    /// Like [`recv`](Self::recv), for work that is put into `stream`: the frame may still be written by its producer's
    /// device, and the stream waits for that. The frame is noted as [used](Frame::used_on) on the stream, which lives as long
    /// as that says: until the frame and every view of it is gone.
    ///
    /// This does not make the frame known sooner, and the stream's wait keeps the card from other work of this process;
    /// [`recv`](Self::recv) is the better choice unless the processor has nothing to do but to put work into the stream.
    /// Should the producer die, the stream goes on, and [`Frame::is_torn`] tells.
    ///
    /// # Errors
    /// As for [`recv`](Self::recv), [`LinkError::Capturing`] and [`LinkError::Device`].
    pub fn recv_on(&mut self, stream: Stream, timeout: Duration) -> Result<Frame, LinkError> {
        self.recv_for(stream, Some(timeout), None)
    }

    /// Like [`recv_on`](Self::recv_on), telling `waiting` about the wait; without a timeout as
    /// [`recv_with`](Self::recv_with).
    ///
    /// # Errors
    /// As for [`recv_on`](Self::recv_on), and [`LinkError::Interrupted`].
    pub fn recv_on_with(
        &mut self,
        stream: Stream,
        timeout: Option<Duration>,
        waiting: &mut dyn Waiting,
    ) -> Result<Frame, LinkError> {
        self.recv_for(stream, timeout, Some(waiting))
    }

    fn recv_for(
        &mut self,
        stream: Stream,
        timeout: Option<Duration>,
        waiting: Option<&mut dyn Waiting>,
    ) -> Result<Frame, LinkError> {
        self.for_stream = Some(stream);
        let received = self.recv_until(timeout, waiting);
        self.for_stream = None;
        self.log.noting(received)
    }

    /// Lets go of a frame that was waited for before, if this call is to give another: a newer one, for a reader of the
    /// latest, or one behind what was received meanwhile. A copy that was begun is received all the same: of a producer
    /// that is faster than copies are made, none would ever be.
    pub(super) fn look_anew(&mut self) {
        let (Some(unready), Some(attachment)) = (&self.cursor.unready, &self.attachment) else { return };
        let seq = unready.description.seq;
        let is_copy = unready.lease.is_brought();
        let is_old = !attachment.every && !is_copy && attachment.control.live().newest_seq() > seq;
        if is_old || seq <= self.cursor.after() {
            self.cursor.unready = None;
        }
    }

    /// Whether the next frame is held and a device is still writing it.
    pub(super) fn is_written(&self) -> bool {
        self.cursor.unready.is_some()
    }

    /// Waits for the device that writes the next frame. `false` when the time is over.
    pub(super) fn wait_for_device(&mut self, wait: &mut Wait<'_>) -> Result<bool, LinkError> {
        let Some(unready) = &self.cursor.unready else { return Ok(true) };
        let Unready { lease, description, .. } = &**unready;
        let published =
            crate::stamp::Stamp::new(description.published_nanos, lease.context.attachment.is_of_this_boot);
        let age = || published.age().unwrap_or_default();
        let (mut asked, mut not_yet) = (Instant::now(), age());
        let mut step = self.device_pace.first(not_yet);
        // Who spins for longer than that wants to see it come.
        step.look = step.look.max(self.spin.min(ASK_EVERY));
        loop {
            if !step.nap.is_zero() {
                let Some(left) = wait.left() else { return Ok(lease.is_there()) };
                std::thread::sleep(step.nap.min(left).min(LOOK_EVERY));
                if lease.is_there() {
                    self.device_pace.note_found(not_yet, age());
                    return Ok(true);
                }
            }
            let look = wait.left().map_or(Duration::ZERO, |left| step.look.min(left));
            if spin_until(look, || lease.is_there()) {
                self.device_pace.note_seen(age());
                return Ok(true);
            }
            if wait.left().is_none() {
                return Ok(false);
            }
            not_yet = age();
            step = DevicePace::next(not_yet);
            if asked.elapsed() >= ASK_EVERY {
                asked = Instant::now();
                wait.go_on()?;
            }
        }
    }

    /// Gives the device that writes the next frame a moment. If that is not enough, the doorbell rings when it is done.
    pub(super) fn is_there_soon(&mut self) -> bool {
        let Some(unready) = &mut self.cursor.unready else { return true };
        if let Some(events) = &self.events {
            // It has rung for this frame. Before the look, so that a ring for its being there is not lost.
            events.bell().drain();
        }
        if spin_until(SPIN, || unready.lease.is_there()) {
            return true;
        }
        let Some(bell) = unready.lease.context.attachment.bell() else { return false };
        if std::mem::replace(&mut unready.is_watched, true) {
            return false;
        }
        let mut lease = Some(unready.lease.hold());
        ask_until_done(move || {
            let is_there = lease.as_ref().is_none_or(Lease::is_there);
            if is_there {
                drop(lease.take());
                bell.ring();
            }
            is_there
        });
        false
    }
}

/// Between two times that a caller is asked whether to go on.
const ASK_EVERY: Duration = Duration::from_millis(80);

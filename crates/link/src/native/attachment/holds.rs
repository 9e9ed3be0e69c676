// SPDX-License-Identifier: MIT OR Apache-2.0
//! Holding frames: which slots this process holds, counted, and what a held frame is made of.

use std::sync::atomic::Ordering::{AcqRel, Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use uncopy_core::Stream;
use uncopy_os::{kill_point, spawn_quiet};
use uncopy_tensor::Capture;

use super::Attachment;
use super::maps::SlotMap;
use super::memory::Memory;
use super::reading::{Finished, Keeper, Uses};
use crate::error::LinkError;
use crate::form::Form;
use crate::native::control::Live;
use crate::native::description::{self, Description, FormKey};
use crate::native::frame_memory::on_device;
use crate::native::order;
use crate::native::ring::{self, Unheld};
use crate::service::{ask_until_done, lock};
use crate::site::{self, is_left_out};

/// How long a bit of ours may be set without a frame of ours: another thread clears it within a few instructions, so
/// after this nobody will, and somebody else has written it.
/// (A fuzzer writes it all the time, and stops no process.)
const RELEASE_PATIENCE: Duration = Duration::from_millis(if cfg!(feature = "fuzzing") { 0 } else { 1000 });

const RELEASE_YIELDS: u32 = if cfg!(feature = "fuzzing") { 100 } else { 10_000 };

impl Attachment {
    /// Holds the newest frame if its number is above `after`, or with `every` the oldest such frame. `context` is
    /// that of the frame before, made anew on change.
    #[inline(always)]
    pub(crate) fn hold(
        self: &Arc<Self>,
        after: u64,
        every: bool,
        context: &mut Option<Arc<FrameContext>>,
    ) -> Result<Next, LinkError> {
        let control = self.control.live();
        if let Some(context) = context {
            context.about_to_read(control, after);
        }
        let (slot, named) = match self.hold_slot(control, after, every) {
            Ok(held) => held,
            Err(Unheld::Nothing) => return Ok(Next::Nothing),
            Err(Unheld::Corrupt) => return Err(self.corrupt("the newest frame can't be held".to_owned())),
        };
        let hold = Hold { attachment: self, slot };
        kill_point("consumer.held");
        let description = description::load(control, slot).map_err(|detail| self.corrupt(detail))?;
        if description.seq < named || description.seq > ring::MAX_SEQ {
            return Err(self.corrupt(format!("frame {named} says that its number is {}", description.seq)));
        }
        let lease = match context {
            Some(context) if context.key == description.form_key() => Lease::new(Arc::clone(context), slot),
            _ => match self.set_context(slot, &description, context)? {
                Ok(context) => Lease::new(context, slot),
                Err(next) => return Ok(next),
            },
        };
        kill_point("consumer.described");
        // The lease gives back what the hold would have.
        std::mem::forget(hold);
        Ok(Next::Frame(lease, description))
    }

    /// Makes the context of the frame in `slot`, which the caller holds; or says why there is none.
    #[cold]
    #[inline(never)]
    fn set_context(
        self: &Arc<Self>,
        slot: usize,
        description: &Description,
        context: &mut Option<Arc<FrameContext>>,
    ) -> Result<Result<Arc<FrameContext>, Next>, LinkError> {
        Ok(match self.memory_of(description.epoch())? {
            Memory::Here(map) => {
                Ok(Arc::clone(context.insert(Arc::new(self.new_context(slot, description, map)?))))
            }
            Memory::Later => Err(Next::Later),
            Memory::Never => Err(Next::Unreachable { seq: description.seq }),
        })
    }

    /// The context of the frame in `slot`, which the caller holds and whose memory is `map`.
    fn new_context(
        self: &Arc<Self>,
        slot: usize,
        description: &Description,
        map: Arc<SlotMap>,
    ) -> Result<FrameContext, LinkError> {
        let form = description::load_form(self.control.live(), slot, description)
            .map_err(|detail| self.corrupt(detail))?;
        if form.len_bytes() > map.stride {
            return Err(self.corrupt(format!("{form} in a slot of {} bytes", map.stride)));
        }
        Ok(FrameContext { attachment: Arc::clone(self), map, key: description.form_key(), form })
    }

    /// A slot that is now held, and the number under which `latest` named its frame.
    #[inline(always)]
    fn hold_slot(&self, control: Live<'_>, after: u64, every: bool) -> Result<(usize, u64), Unheld> {
        let (mut begun, mut yields) = (None, 0);
        loop {
            let hold = match every {
                false => ring::hold_latest(&control, self.place, after)?,
                true => ring::hold_next(&control, self.place, after)?,
            };
            let Some(count) = self.counts.get(hold.slot) else { return Err(Unheld::Corrupt) };
            if !hold.again {
                // Our bit was clear, so no frame of ours is in this slot and nobody else changes the count.
                count.store(1, Relaxed);
                return Ok((hold.slot, hold.seq));
            }
            if count.fetch_add(1, AcqRel) > 0 {
                return Ok((hold.slot, hold.seq));
            }
            // Another thread has dropped the last frame in this slot and is about to clear our bit; the hold that we
            // saw is not ours to keep. Step back until it is done.
            count.fetch_sub(1, AcqRel);
            std::thread::yield_now();
            yields += 1;
            // Time alone proves nothing: this process may have been stopped.
            if yields > RELEASE_YIELDS && begun.get_or_insert_with(Instant::now).elapsed() > RELEASE_PATIENCE
            {
                return Err(Unheld::Corrupt);
            }
        }
    }

    /// One more frame of this process is in a slot that it holds.
    fn retain(&self, slot: usize) {
        if let Some(count) = self.counts.get(slot) {
            // The caller has a frame in the slot, so that the count is above 0 and stays so.
            count.fetch_add(1, Relaxed);
        }
    }

    /// One frame less. Says whether it was the last in the slot, which the caller then gives back.
    #[inline]
    fn is_last(&self, slot: usize) -> bool {
        // In a forked child the bit is the parent's.
        !self.is_foreign() && self.counts.get(slot).is_some_and(|count| count.fetch_sub(1, AcqRel) == 1)
    }

    /// Gives a slot back that no frame of this process is in any more.
    #[inline]
    fn give_back(&self, slot: usize) {
        kill_point("consumer.releasing");
        ring::release(&self.control.live(), self.place, slot);
        self.made_room();
    }
}

/// What there is to receive.
pub(crate) enum Next {
    Frame(Lease, Description),
    /// Nothing newer.
    Nothing,
    /// A frame whose memory is still on its way.
    Later,
    /// A frame of an epoch whose memory never arrives: it was overtaken, or published before this place was taken.
    Unreachable {
        seq: u64,
    },
}

/// What frames of one form in one epoch share, so that holding a frame takes one reference and not four.
pub(crate) struct FrameContext {
    pub(crate) attachment: Arc<Attachment>,
    pub(crate) map: Arc<SlotMap>,
    pub(crate) form: Form,
    pub(super) key: FormKey,
}

impl FrameContext {
    /// The words that say what is in its slots: the link's, or those of [copies](super::brought).
    #[inline]
    pub(crate) fn control(&self) -> Live<'_> {
        match self.map.brought() {
            None => self.attachment.control.live(),
            Some(brought) => brought.live(),
        }
    }

    /// A hint that the newest frame is about to be read, if it is above `after`: brings the first of its bytes here
    /// while its slot is being held. Most likely it lies in the same memory as the frame before.
    #[inline]
    fn about_to_read(&self, control: Live<'_>, after: u64) {
        if let Some((seq, slot)) = ring::unpack_latest(control.newest())
            && seq > after
        {
            self.map.prefetch(slot);
        }
    }
}

/// A hold of one slot that has not become a [`Lease`] yet.
struct Hold<'a> {
    attachment: &'a Attachment,
    slot: usize,
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        if self.attachment.is_last(self.slot) {
            self.attachment.give_back(self.slot);
        }
    }
}

/// A hold of one slot; dropping it gives the slot back.
pub(crate) struct Lease {
    pub(crate) context: Arc<FrameContext>,
    pub(crate) slot: usize,
    /// What reads it on a device; none in host memory, and where the hold alone is meant.
    uses: Option<Arc<Mutex<Uses>>>,
}

impl Clone for Lease {
    fn clone(&self) -> Self {
        self.hold_with(self.uses.clone())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // In a forked child both the streams and the hold are the parent's.
        let uses = self.uses.take().and_then(Arc::into_inner).map(into_inner);
        let uses = if self.context.attachment.is_foreign() {
            uses
        } else {
            uses.and_then(|uses| self.end_reading(uses))
        };
        if self.is_last() {
            self.give_back();
        }
        // Whose end may run anything: last.
        drop(uses);
    }
}

impl Lease {
    #[inline]
    fn retain(&self) {
        let FrameContext { attachment, map, .. } = &*self.context;
        match map.brought() {
            None => attachment.retain(self.slot),
            Some(brought) => brought.retain(self.slot),
        }
    }

    #[inline]
    fn is_last(&self) -> bool {
        let FrameContext { attachment, map, .. } = &*self.context;
        match map.brought() {
            None => attachment.is_last(self.slot),
            Some(brought) => !attachment.is_foreign() && brought.is_last(self.slot),
        }
    }

    #[inline]
    fn give_back(&self) {
        let FrameContext { attachment, map, .. } = &*self.context;
        match map.brought() {
            None => attachment.give_back(self.slot),
            Some(brought) => brought.give_back(self.slot),
        }
    }

    /// A lease of a slot or a buffer that the caller holds: the hold is the lease's from now on.
    #[inline]
    pub(super) fn new(context: Arc<FrameContext>, slot: usize) -> Self {
        let uses = context.map.on_device().map(|_| Arc::default());
        Self { context, slot, uses }
    }

    /// The hold alone, for whoever reads nothing: that it lives on says nothing about the streams of the others.
    pub(crate) fn hold(&self) -> Self {
        self.hold_with(None)
    }

    #[inline]
    fn hold_with(&self, uses: Option<Arc<Mutex<Uses>>>) -> Self {
        self.retain();
        Self { context: Arc::clone(&self.context), slot: self.slot, uses }
    }

    /// Notes that `stream` reads the frame, if it is on a device.
    pub(crate) fn note_use(&self, stream: Stream) {
        if let Some(uses) = &self.uses {
            lock(uses).note(stream);
        }
    }

    /// The same, and keeps `keeper` until the stream is not needed any more.
    pub(crate) fn note_use_kept(&self, stream: Stream, keeper: Keeper) {
        let Some(uses) = &self.uses else { return };
        let superfluous = {
            let mut uses = lock(uses);
            uses.note(stream);
            uses.keep(stream, keeper)
        };
        drop(superfluous);
    }

    /// Notes that something reads the frame, if it is on a device, in streams that nobody knows.
    pub(crate) fn note_use_anywhere(&self) {
        if let Some(uses) = &self.uses {
            lock(uses).note_anywhere();
        }
    }

    /// Ends what reads the frame on its device. Where that takes its time, the slot stays held for it. Gives back what is
    /// not needed for it.
    #[inline]
    fn end_reading(&self, uses: Uses) -> Option<Uses> {
        let FrameContext { attachment, map, .. } = &*self.context;
        match map.on_device().map(|map| map.finish(self.slot, &uses)) {
            None | Some(Finished::Done) => {}
            Some(Finished::Captured(captures)) => {
                self.hold_after_captures(captures, uses);
                return None;
            }
            Some(Finished::Unknown) => self.hold_until_idle(),
            Some(Finished::Failed(error)) => {
                let link = &attachment.name;
                tracing::warn!(link, %error, "a frame goes back when its device has done everything");
                self.hold_until_idle();
            }
        }
        Some(uses)
    }

    /// Whether the content is where it can be looked at.
    #[inline]
    pub(crate) fn is_there(&self) -> bool {
        let FrameContext { map, .. } = &*self.context;
        map.part().is_none_or(|part| order::is_there(&self.context.control(), self.slot, part))
    }

    /// Whether the content never came, because its producer died.
    pub(crate) fn is_torn(&self) -> bool {
        let FrameContext { map, .. } = &*self.context;
        map.part().is_some_and(|part| order::is_torn(&self.context.control(), self.slot, part))
    }

    /// Makes `stream` wait for the content, where that is still to come.
    pub(crate) fn order_after_content(&self, stream: Stream) -> Result<(), LinkError> {
        let FrameContext { attachment, map, .. } = &*self.context;
        let Some(map) = map.on_device() else { return Ok(()) };
        let is_capturing = map.accelerator().is_capturing(stream);
        if is_capturing.map_err(on_device(&attachment.name, "asking whether a stream is captured"))? {
            return Err(LinkError::Capturing { name: attachment.name.clone(), stream });
        }
        if self.is_there() || is_left_out(site::LOOK_ON_STREAM) {
            return Ok(());
        }
        let point = order::being_there(&self.context.control(), self.slot);
        let waits = map.timeline().wait(stream, &[point]);
        waits.map_err(on_device(&attachment.name, "ordering a stream after a frame"))
    }

    /// Holds the slot until captures are over. The reading ends then in the same streams where something keeps them; else
    /// with all that the device does, since they can't be asked any more.
    #[cold]
    fn hold_after_captures(&self, mut captures: Vec<Box<dyn Capture>>, uses: Uses) {
        let mut kept = Some(self.hold_with(Some(Arc::new(Mutex::new(uses.without_owner())))));
        ask_until_done(move || {
            captures.retain(|capture| !capture.is_over());
            if captures.is_empty() {
                drop(kept.take());
            }
            captures.is_empty()
        });
    }

    /// Holds the slot until the device has done everything that this process gave it: which stream reads the frame is not
    /// known, or it takes no work, so that nothing nearer tells.
    #[cold]
    fn hold_until_idle(&self) {
        // Dropped by the thread alone: elsewhere the device may still read.
        let kept = Arc::new(Mutex::new(Some(self.hold())));
        let handed = Arc::clone(&kept);
        let settle = move || {
            let Some(lease) = lock(&handed).take() else { return };
            if let Some(map) = lease.context.map.on_device() {
                map.settle();
            }
            drop(lease);
        };
        if let Err(error) = spawn_quiet("uncopy-settle", settle) {
            tracing::warn!(%error, "a slot stays held");
            std::mem::forget(lock(&kept).take());
        }
    }
}

/// What is in a lock that nobody else has.
fn into_inner<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

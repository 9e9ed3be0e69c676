// SPDX-License-Identifier: MIT OR Apache-2.0
//! Holding frames: which slots this process holds, counted, and what a held frame is made of.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use uncopy_core::Stream;
use uncopy_os::{kill_point, spawn_quiet};

use super::Attachment;
use super::maps::SlotMap;
use super::memory::Memory;
use super::reading::Finished;
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
        let (slot, named, again) = match self.hold_slot(control, after, every) {
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
            Some(context) if context.key == description.form_key() => {
                Lease { context: Arc::clone(context), slot }
            }
            _ => match self.set_context(slot, &description, context)? {
                Ok(context) => Lease { context, slot },
                Err(next) => return Ok(next),
            },
        };
        if again && let Some(map) = lease.context.map.on_device() {
            map.note_held_again(slot);
        }
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

    /// A slot that is now held, the number under which `latest` named its frame, and whether another frame of this process
    /// is in it.
    #[inline(always)]
    fn hold_slot(&self, control: Live<'_>, after: u64, every: bool) -> Result<(usize, u64, bool), Unheld> {
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
                return Ok((hold.slot, hold.seq, false));
            }
            if count.fetch_add(1, AcqRel) > 0 {
                return Ok((hold.slot, hold.seq, true));
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

    /// Whether one frame alone is in a slot that the caller holds.
    fn is_only(&self, slot: usize) -> bool {
        self.counts.get(slot).is_some_and(|count| count.load(Acquire) == 1)
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
}

impl Clone for Lease {
    fn clone(&self) -> Self {
        self.retain();
        Self { context: Arc::clone(&self.context), slot: self.slot }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let FrameContext { attachment, map, .. } = &*self.context;
        if !self.is_last() {
            return;
        }
        match map.on_device().map(|map| map.finish(self.slot)) {
            None | Some(Finished::Done) => self.give_back(),
            Some(Finished::Captured) => self.give_back_after_capture(),
            Some(Finished::Unknown) => self.give_back_when_idle(),
            Some(Finished::Failed(error)) => {
                let link = &attachment.name;
                tracing::warn!(link, %error, "a frame goes back when its device has done everything");
                self.give_back_when_idle();
            }
        }
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

    /// Whether nobody else here is in the slot.
    fn is_only(&self) -> bool {
        let FrameContext { attachment, map, .. } = &*self.context;
        match map.brought() {
            None => attachment.is_only(self.slot),
            Some(brought) => brought.is_only(self.slot),
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

    /// Takes the hold up again that this lease has just ended, as another lease.
    fn revive(&self) -> Self {
        self.retain();
        Self { context: Arc::clone(&self.context), slot: self.slot }
    }

    /// Keeps the hold until nobody captures the streams that read the frame: work can't be put into them before.
    #[cold]
    fn give_back_after_capture(&self) {
        let mut kept = Some(self.revive());
        ask_until_done(move || {
            let slot = kept.as_ref().map(|lease: &Self| lease.slot);
            let is_captured = kept
                .as_ref()
                .and_then(|lease| lease.context.map.on_device())
                .zip(slot)
                .is_some_and(|(map, slot)| map.is_captured(slot));
            if !is_captured {
                drop(kept.take());
            }
            !is_captured
        });
    }

    /// Keeps the hold until the device has done everything that this process gave it: which stream reads the frame is
    /// not known, or it takes no work (it may have been destroyed), so that nothing nearer tells.
    #[cold]
    fn give_back_when_idle(&self) {
        // Dropped by the thread alone: here it would come to this place again.
        let kept = Arc::new(Mutex::new(Some(self.revive())));
        let handed = Arc::clone(&kept);
        let settle = move || {
            let Some(lease) = lock(&handed).take() else { return };
            if let Some(map) = lease.context.map.on_device() {
                map.begin_settling(lease.slot, || lease.is_only());
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

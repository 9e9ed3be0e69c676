// SPDX-License-Identifier: MIT OR Apache-2.0
//! The producing end of a link: claims slots; publishes them, in `commit`; starts epochs, in `epoch`.
//!
//! The frame path touches no socket and makes no system call unless somebody sleeps. Everything else (joining, dying,
//! leaving) happens on the service thread, in [`server`](super::server).

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use uncopy_core::{CopyReason, CopyRecord, Device, Stream};
use uncopy_os::{OsError, PidFd, copy_packed, fork_generation, kill_point};
use uncopy_tensor::{Accelerator, Tensor, Timeline};

use super::consumer::Waiting;
use super::control::{Control, Live};
use super::description::FormWords;
use super::frame_memory::{DeviceSlots, FrameMemory, Place, timeline_over};
use super::ring::{self, Writer};
use super::server::Server;
use super::waker::Waker;
use super::wire::producer_state;
use crate::error::LinkError;
use crate::form::{AsForm, Form};
use crate::meta::Meta;

mod commit;
mod device;
mod device_loan;
mod epoch;
mod flush;
mod loan;
mod options;
mod promises;
mod retire;
mod room;

use device::Target;
use epoch::Epoch;
use loan::ClaimMemory;
pub use loan::{Claim, Loan};
pub use options::{PublishOptions, publish};
use promises::Promises;
use room::Patience;

/// What a producer does when every slot is held.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum WhenFull {
    /// The incoming frame is dropped and counted; the producer never waits.
    #[default]
    Drop,
    /// The producer waits for room, at most this long (`None`: for ever), and then fails with
    /// [`LinkError::NoFreeSlot`]. Frames that a consumer of [every frame](crate::Read::Every) has not received are
    /// kept.
    Block(Option<Duration>),
}

/// What the producer remembers of one slot.
#[derive(Default)]
struct SlotState {
    /// Shared with the tensors that were handed out of the slot's loan. More than one owner: a view of it is alive.
    views: Arc<()>,
    /// The form whose words are in the slot's block.
    form_number: u32,
    /// The frame that was published in it last, 0 for none.
    seq: u64,
    /// How often a device was let at it.
    writes: u32,
    /// Which of those made the frame that was published in it last.
    shown: u32,
    /// What is being copied into it, and by which write: kept until the device has done so. Looked at with each frame.
    sources: Vec<(Tensor, u32)>,
}

impl SlotState {
    fn has_views(&self) -> bool {
        Arc::strong_count(&self.views) > 1
    }
}

/// A timeline, the device that keeps its streams, and who looks whether that is lost.
type KeptTimeline = (Arc<dyn Accelerator>, Arc<dyn Timeline>, Arc<Promises>);

/// The producing end of a link. It can move between threads; one thread at a time uses it.
///
/// Dropping it closes the link: consumers are told, names are removed, and frames that they hold stay as they are. It
/// does not wait for a device that is still writing the last frames; [`close`](Self::close) does, for a moment.
pub struct Publisher {
    server: Arc<Server>,
    control: Control,
    generation: u32,
    writer: Writer,
    when_full: WhenFull,
    fixed: Option<Form>,
    epoch: Option<Epoch>,
    /// Frames on a device get a mirror in host memory.
    is_mirrored: bool,
    /// Over the device words, for the device that frames were last on; and who looks whether that is lost.
    timeline: Option<KeptTimeline>,
    /// Makes mirrors, on that device, which keeps it.
    mirror_stream: Option<(Arc<dyn Accelerator>, Stream)>,
    /// Who read when the link was closed.
    readers_at_close: Option<Vec<(u32, Arc<PidFd>)>>,
    /// A stream for arrays that are in none, and its device, which keeps it.
    own_stream: Option<(Arc<dyn Accelerator>, Stream)>,
    /// The form of the last loan, with its words on the wire.
    form: Option<(Arc<Form>, FormWords)>,
    slots: Vec<SlotState>,
    /// Who is in the way, where somebody may be evicted for it.
    patience: Option<Patience>,
    seq: u64,
    dropped: u64,
    /// How long it has waited for room.
    blocked: Duration,
    small_frames: u32,
}

/// Counters of a [`Publisher`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PublisherStats {
    /// Frames published.
    pub published: u64,
    /// Frames dropped because every slot was held.
    pub dropped: u64,
    /// Consumers attached now.
    pub consumers: usize,
}

/// What became of a frame that was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sent {
    /// It is the newest frame of the link.
    Published {
        /// Its number, from 1.
        seq: u64,
    },
    /// Every slot was held, so it was dropped and counted.
    Dropped,
}

impl Publisher {
    /// Lends a slot to write the next frame into: nothing is copied. The borrow ends with [`Loan::publish`]; a loan
    /// that is dropped publishes nothing. Waits for room where the link was opened with [`WhenFull::Block`].
    ///
    /// # Errors
    /// [`LinkError::NoFreeSlot`] when every slot is held (counted as a dropped frame), [`LinkError::FormMismatch`] on a
    /// fixed link, no memory for a larger form, [`LinkError::Superseded`] after a takeover.
    pub fn loan(&mut self, form: &impl AsForm) -> Result<Loan<'_>, LinkError> {
        let claim = self.claim(form)?;
        Ok(Loan { claim, publisher: self })
    }

    /// Copies a host tensor into a slot and publishes it: one copy, recorded with the frame. A strided tensor is packed
    /// in C order on the way.
    ///
    /// # Errors
    /// As for [`Publisher::loan`], but a frame that finds every slot held is [`Sent::Dropped`] in a link that drops.
    pub fn send(&mut self, source: &Tensor, meta: Meta) -> Result<Sent, LinkError> {
        let form = Form::from_layout(source.layout().to_c_contiguous());
        self.send_form(&form, source, meta)
    }

    /// Like [`Publisher::send`], with pixel format and origin from `form`, whose dtype and shape must be the tensor's.
    ///
    /// # Errors
    /// As for [`Publisher::send`], and [`LinkError::FormMismatch`] where `form` is not the tensor's.
    pub fn send_form(&mut self, form: &Form, source: &Tensor, meta: Meta) -> Result<Sent, LinkError> {
        self.send_with(form, source, meta, None)
    }

    /// Like [`Publisher::send_form`], telling `waiting` about a wait for room.
    ///
    /// # Errors
    /// As for [`Publisher::send_form`], and [`LinkError::Interrupted`].
    pub fn send_with(
        &mut self,
        form: &Form,
        source: &Tensor,
        meta: Meta,
        waiting: Option<&mut dyn Waiting>,
    ) -> Result<Sent, LinkError> {
        let sent = self.try_send(form, source, meta, waiting);
        self.server.log.noting(sent)
    }

    fn try_send(
        &mut self,
        form: &Form,
        source: &Tensor,
        meta: Meta,
        waiting: Option<&mut dyn Waiting>,
    ) -> Result<Sent, LinkError> {
        let packed = Form::from_layout(source.layout().to_c_contiguous());
        if *form.layout() != *packed.layout() {
            return Err(self.mismatch(form, &packed));
        }
        meta.check()?;
        if !source.device().is_host_accessible() {
            return self.try_send_on(form, source, meta, None, waiting);
        }
        let mut claim = match self.claim_or_wait(form, &Target::Host, waiting)? {
            Some(claim) => claim,
            None if self.when_full == WhenFull::Drop => return Ok(Sent::Dropped),
            None => return Err(self.full()),
        };
        copy_packed(source, claim.bytes_mut()?)?;
        let is_packed = source.layout().is_c_contiguous();
        let record = record_of_copy(form, is_packed, source.device(), Device::CPU);
        Ok(Sent::Published { seq: self.try_commit(&mut claim, &meta.copied(record))? })
    }

    /// Takes a slot as a value of its own, for bindings that can't express [`Loan`]'s borrow. Give it to
    /// [`Publisher::commit`]; dropping it publishes nothing.
    ///
    /// # Errors
    /// As for [`Publisher::loan`].
    pub fn claim(&mut self, form: &impl AsForm) -> Result<Claim, LinkError> {
        self.claim_with(form, None)
    }

    /// Like [`Publisher::claim`], telling `waiting` about a wait for room.
    ///
    /// # Errors
    /// As for [`Publisher::loan`], and [`LinkError::Interrupted`].
    pub fn claim_with(
        &mut self,
        form: &impl AsForm,
        waiting: Option<&mut dyn Waiting>,
    ) -> Result<Claim, LinkError> {
        let claimed = match self.claim_or_wait(form.as_form()?, &Target::Host, waiting) {
            Ok(Some(claim)) => Ok(claim),
            Ok(None) => Err(self.full()),
            Err(error) => Err(error),
        };
        self.server.log.noting(claimed)
    }

    /// A slot that nobody holds or needs; `None` after counting a dropped frame.
    fn claim_or_wait(
        &mut self,
        form: &Form,
        target: &Target,
        waiting: Option<&mut dyn Waiting>,
    ) -> Result<Option<Claim>, LinkError> {
        let mut claim = self.try_claim(form, target)?;
        if claim.is_none() {
            self.evict_overdue();
            if let WhenFull::Block(timeout) = self.when_full {
                claim = self.wait_for_room(form, target, timeout, waiting)?;
            }
        }
        if claim.is_some() {
            if let Some(patience) = &mut self.patience {
                patience.relax();
            }
        } else {
            self.dropped += 1;
            // Only this process writes the counter; readers want the latest value, not an order.
            self.control.live().dropped().store(self.dropped, Relaxed);
        }
        Ok(claim)
    }

    /// Takes a slot if there is one.
    fn try_claim(&mut self, form: &Form, target: &Target) -> Result<Option<Claim>, LinkError> {
        self.check_usable()?;
        self.prepare(form, target)?;
        let control = self.control.live();
        self.server.take_back(|slot| self.writer.abandon(&control, slot));
        if let Target::Device { stream, .. } = target {
            return self.try_claim_on(*stream);
        }
        let Some(FrameMemory::Host(memory)) = self.epoch.as_ref().map(|epoch| epoch.memory.clone()) else {
            return Err(LinkError::ForeignClaim);
        };
        while let Some(slot) = self.claim_slot(|_, _, _| true) {
            match memory.claim(slot) {
                Ok(bytes) => return self.lend(slot, ClaimMemory::Host(bytes)).map(Some),
                // The last view of it is just going; another slot may be free, and this one is for the next frame.
                Err(OsError::SlotTaken { .. }) => self.server.give_back(slot),
                Err(error) => {
                    self.server.give_back(slot);
                    return Err(error.into());
                }
            }
        }
        Ok(None)
    }

    /// The slot written longest ago that nobody holds or needs, and that `is_wanted` by the caller.
    #[inline]
    fn claim_slot(&mut self, is_wanted: impl Fn(Live<'_>, usize, &SlotState) -> bool) -> Option<usize> {
        let control = self.control.live();
        let slots = &self.slots;
        let wanted = match self.when_full {
            WhenFull::Drop => u64::MAX,
            WhenFull::Block(_) => ring::oldest_wanted(&control, self.server.every()),
        };
        // A slot of which a view is alive is not lent again, and a frame that somebody waits for is not overwritten.
        let usable = |slot: usize| {
            slots.get(slot).is_some_and(|state| {
                state.seq < wanted && !state.has_views() && is_wanted(control, slot, state)
            })
        };
        let slot = self.writer.claim(&control, self.server.attached(), usable);
        kill_point("producer.claimed");
        slot
    }

    /// A claimed slot as a value.
    #[inline]
    fn lend(&self, slot: usize, memory: ClaimMemory) -> Result<Claim, LinkError> {
        let (Some(epoch), Some((form, words))) = (&self.epoch, &self.form) else {
            return Err(LinkError::ForeignClaim);
        };
        Ok(Claim {
            memory: Some(memory),
            form: Arc::clone(form),
            slot,
            form_number: words.number(),
            epoch: epoch.number,
            server: Arc::clone(&self.server),
            views: self.slots.get(slot).map(|state| Arc::clone(&state.views)).unwrap_or_default(),
            published: false,
        })
    }
}

/// What a frame says of the copy by which it was sent, from an array that is packed already or is by the copy.
#[inline]
fn record_of_copy(form: &Form, is_packed: bool, from: Device, to: Device) -> CopyRecord {
    let reason = if is_packed { CopyReason::SEND } else { CopyReason::GATHER };
    CopyRecord { reason, from, to, len_bytes: form.len_bytes() as u64 }
}

impl Publisher {
    /// The name of the link.
    #[must_use]
    pub fn name(&self) -> &str {
        self.server.name()
    }

    /// Number of slots.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.control.slots()
    }

    /// Number of the newest frame, 0 before the first.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Consumers attached now.
    #[must_use]
    pub fn consumers(&self) -> usize {
        self.server.attached().count_ones() as usize
    }

    /// The counters of this link.
    #[must_use]
    pub fn stats(&self) -> PublisherStats {
        PublisherStats { published: self.seq, dropped: self.dropped, consumers: self.consumers() }
    }

    /// Waits until at least `wanted` consumers are attached.
    ///
    /// # Errors
    /// [`LinkError::FewConsumers`] after `timeout`; [`LinkError::Superseded`] after a takeover.
    pub fn wait_for_consumers(&self, wanted: usize, timeout: Duration) -> Result<(), LinkError> {
        let begun = Instant::now();
        loop {
            self.check_usable()?;
            let found = self.consumers();
            if found >= wanted {
                return Ok(());
            }
            let Some(left) = timeout.checked_sub(begun.elapsed()) else {
                return Err(LinkError::FewConsumers {
                    name: self.name().to_owned(),
                    wanted,
                    found,
                    waited: timeout,
                });
            };
            self.server.wait_for_change(found, left);
        }
    }

    /// What ends or hurries a wait for room, from any thread.
    #[must_use]
    pub fn waker(&self) -> Waker {
        Waker::for_room(&self.server)
    }

    /// Closes the link: consumers are told and the name is free for others.
    ///
    /// Waits before that, for [a second](Self::CLOSE_PATIENCE) at most, until devices have written what was published, as
    /// [`flush`](Self::flush) does: the process may end right after, and would take the work of its devices with it.
    /// *Dropping* a publisher closes the link without that wait.
    pub fn close(mut self) {
        // A frame that is late is late with or without us: consumers find it torn if this process ends before.
        let _ = self.flush(Self::CLOSE_PATIENCE);
    }

    fn check_usable(&self) -> Result<(), LinkError> {
        if self.generation != fork_generation() {
            return Err(LinkError::Forked { name: self.name().to_owned() });
        }
        match self.server.state() {
            producer_state::LIVE => Ok(()),
            producer_state::SUPERSEDED => Err(LinkError::Superseded { name: self.name().to_owned() }),
            _ => Err(self.closed()),
        }
    }

    /// What ended the link while this publisher lives: the loss of its device, most likely.
    #[cold]
    fn closed(&self) -> LinkError {
        let name = self.name().to_owned();
        match self.timeline.as_ref().and_then(|(.., promises)| promises.loss()) {
            Some(source) => LinkError::Device { name, what: "using the link's device", source },
            None => LinkError::Closed { name },
        }
    }

    fn mismatch(&self, wanted: &Form, got: &Form) -> LinkError {
        LinkError::FormMismatch {
            name: self.name().to_owned(),
            wanted: Box::new(*wanted),
            got: Box::new(*got),
        }
    }

    /// Who holds the slots, for a caller who asked for one.
    fn full(&self) -> LinkError {
        let views = self.slots.iter().filter(|slot| slot.has_views()).count();
        let mut holders = self.server.holders(matches!(self.when_full, WhenFull::Block(_)));
        if views > 0 {
            holders.push(format!("this process holds {views} by views kept from earlier loans"));
        }
        let holders = if holders.is_empty() {
            "each is being written or is the newest frame".to_owned()
        } else {
            holders.join("; ")
        };
        LinkError::NoFreeSlot { name: self.name().to_owned(), holders }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        if self.generation != fork_generation() {
            // The link is the parent's, and so is what its device still does.
            return;
        }
        self.readers_at_close = Some(self.server.readers());
        self.server.close(producer_state::CLOSED);
        self.retire_memory();
    }
}

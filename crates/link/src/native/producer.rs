// SPDX-License-Identifier: MIT OR Apache-2.0
//! The producing end of a link: claims slots, publishes frames, starts epochs.
//!
//! The frame path touches no socket and makes no system call unless somebody sleeps. Everything else (joining, dying,
//! leaving) happens on the service thread, in [`server`](super::server).

use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::time::{Duration, Instant};

use uncopy_core::{CopyReason, CopyRecord, Device, Stream};
use uncopy_os::{
    OsError, PidFd, WatchGuard, copy_packed, fork_generation, kill_point, monotonic_nanos, slot_align_bytes,
    watch_read_only,
};
use uncopy_tensor::{Accelerator, Access, Tensor, Timeline};

use super::consumer::Waiting;
use super::control::{Control, Live};
use super::description::{self, FormWords, Head};
use super::frame_memory::{DeviceSlots, FrameMemory, Place, timeline_over};
use super::ring::{self, Writer};
use super::server::Server;
use super::waker::Waker;
use super::wire::{MAX_FRAME_BYTES, producer_state};
use crate::error::LinkError;
use crate::form::{AsForm, Form};
use crate::meta::Meta;

mod device;
mod device_loan;
mod flush;
mod loan;
mod options;
mod promises;
mod retire;
mod room;

use device::Target;
use device_loan::on_stream;
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

/// The frame memory of the current epoch.
struct Epoch {
    number: u32,
    /// Explains the crash of a late write through a view; made when the first slot is protected. Ends before the
    /// memory.
    guard: Option<WatchGuard>,
    memory: FrameMemory,
}

impl Epoch {
    /// Makes a published slot read-only, because a view of its loan is alive. On a device nothing can.
    fn protect(&mut self, name: &str, slot: usize) -> Result<(), LinkError> {
        let FrameMemory::Host(memory) = &self.memory else { return Ok(()) };
        self.guard.get_or_insert_with(|| {
            let first = memory.address();
            let note =
                format!("a slot of link '{name}' that was published; write before the end of its loan");
            watch_read_only((first, first + memory.len_bytes()), note)
        });
        Ok(memory.protect(slot, Access::ReadOnly)?)
    }
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

    /// Publishes a claimed slot: it becomes the newest frame. Returns its number, from 1.
    ///
    /// # Errors
    /// [`LinkError::MetaTooLarge`] or [`LinkError::TooManyCopyRecords`]; [`LinkError::ForeignClaim`] where the claim is
    /// another publisher's or its epoch has ended. The frame is then not published and its slot is free again.
    pub fn commit(&mut self, mut claim: Claim, meta: Meta) -> Result<u64, LinkError> {
        self.commit_in_place(&mut claim, &meta)
    }

    /// As [`commit`](Self::commit), moving nothing: what is moved here arrives later there.
    #[inline]
    fn commit_in_place(&mut self, claim: &mut Claim, meta: &Meta) -> Result<u64, LinkError> {
        let committed = self.try_commit(claim, meta);
        let committed = match committed {
            Ok(seq) => Ok(seq),
            Err(error) => self.ending_if_lost(Err(error)),
        };
        self.server.log.noting(committed)
    }

    #[inline]
    fn try_commit(&mut self, claim: &mut Claim, meta: &Meta) -> Result<u64, LinkError> {
        self.check_usable()?;
        let control = self.control.live();
        control.about_to_publish();
        meta.check()?;
        let ours = Arc::ptr_eq(&claim.server, &self.server);
        let current = self.epoch.as_mut().filter(|epoch| ours && epoch.number == claim.epoch);
        let Some(epoch) = current else { return Err(LinkError::ForeignClaim) };
        let words = match &self.form {
            Some((_, words)) if words.number() == claim.form_number => words,
            before => {
                let words = FormWords::of(&claim.form, before.as_ref().map(|(_, words)| words));
                &self.form.insert((Arc::clone(&claim.form), words)).1
            }
        };
        let slot = claim.slot;
        let with_mirror;
        let mut meta = meta;
        if let Some(ClaimMemory::Device(loan)) = &mut claim.memory {
            // Before the frame is named: who waits for its content waits for what is bound to come.
            let finished = loan.finish(&claim.form);
            if let Some(record) = finished.map_err(|error| on_stream(&self.server, error, loan.stream()))? {
                with_mirror = meta.clone().copied(record);
                with_mirror.check()?;
                meta = &with_mirror;
            }
        }
        if let Some(state) = self.slots.get_mut(slot) {
            if Arc::strong_count(&state.views) > 2 {
                if let Some(ClaimMemory::Host(_)) = &claim.memory {
                    drop(claim.memory.take());
                }
                // More owners than the slot and this claim: a view outlives the loan. Its writes are caught from here.
                epoch.protect(self.server.name(), slot)?;
            }
            if state.form_number != words.number() {
                state.form_number = words.number();
                description::store_form(control, slot, words);
            }
        }
        let seq = self.seq + 1;
        if let Some(state) = self.slots.get_mut(slot) {
            state.seq = seq;
            if let Some(ClaimMemory::Device(_)) = &claim.memory {
                state.shown = state.writes;
            }
        }
        kill_point("producer.written");
        let head = Head { seq, epoch: epoch.number, published_nanos: monotonic_nanos() };
        description::store(control, slot, &head, words, meta);
        kill_point("producer.described");
        self.writer.publish(&control, slot, seq);
        if self.server.attached() != 0 {
            // Somebody on another processor is about to read the line that lies in our private cache.
            control.demote(slot);
        }
        let asleep = ring::somebody_sleeps(&control);
        let armed = ring::take_armed(&control);
        kill_point("producer.published");
        if asleep {
            control.wake_first();
        }
        if armed != 0 {
            self.server.ring(armed);
        }
        kill_point("producer.woken");
        claim.published = true;
        self.seq = seq;
        let small = wastes(epoch.memory.stride_bytes(), claim.form.len_bytes());
        self.small_frames = if small { self.small_frames.saturating_add(1) } else { 0 };
        Ok(seq)
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

    /// Makes sure that the slots of the current epoch can take a frame of `form`.
    fn prepare(&mut self, form: &Form, target: &Target) -> Result<(), LinkError> {
        let shrinks = self.small_frames >= SHRINK_AFTER_FRAMES;
        let is_there = |epoch: &Epoch| target.is_at(epoch.memory.place());
        let is_in_place = self.epoch.as_ref().is_some_and(is_there);
        if !shrinks && is_in_place && matches!(&self.form, Some((last, _)) if **last == *form) {
            return Ok(());
        }
        self.check_form(form)?;
        let stride = form.len_bytes().max(1).next_multiple_of(slot_align_bytes());
        let have = self.epoch.as_ref().filter(|_| is_in_place).map(|epoch| epoch.memory.stride_bytes());
        match have {
            Some(have) if stride <= have && !shrinks => {}
            Some(have) if stride <= have => {
                self.small_frames = 0;
                if wastes(have, stride)
                    && let Err(error) = self.start_epoch(stride, target)
                {
                    // Less memory would be better; what there is serves as well.
                    tracing::warn!(link = self.name(), %error, "memory could not be given back");
                }
            }
            _ => {
                self.start_epoch(stride, target)?;
                self.small_frames = 0;
            }
        }
        if !matches!(&self.form, Some((last, _)) if **last == *form) {
            let words = FormWords::of(form, self.form.as_ref().map(|(_, words)| words));
            self.form = Some((Arc::new(*form), words));
        }
        Ok(())
    }

    /// Whether this link carries frames of `form` at all.
    fn check_form(&self, form: &Form) -> Result<(), LinkError> {
        if let Some(fixed) = self.fixed.filter(|fixed| fixed != form) {
            return Err(self.mismatch(&fixed, form));
        }
        if !form.is_writable() {
            return Err(LinkError::FormNotWritable { form: Box::new(*form) });
        }
        let len_bytes = form.len_bytes();
        if len_bytes > MAX_FRAME_BYTES {
            return Err(LinkError::FrameTooLarge {
                form: Box::new(*form),
                len_bytes,
                limit_bytes: MAX_FRAME_BYTES,
            });
        }
        Ok(())
    }

    /// New frame memory: consumers get it over their sockets before a frame in it is published.
    fn start_epoch(&mut self, stride: usize, target: &Target) -> Result<(), LinkError> {
        let number = self.epoch.as_ref().map_or(1, |epoch| epoch.number.wrapping_add(1).max(1));
        let memory = self.make_memory(stride, target)?;
        kill_point("producer.epoch_made");
        self.retire_memory();
        for state in &mut self.slots {
            // Views of the old memory keep that memory; the new slots have none.
            state.views = Arc::default();
        }
        self.control.live().slot_stride().store(stride as u64, Relaxed);
        self.control.live().show_memory(&memory.info());
        self.control.live().epoch().store(number, Release);
        self.server.announce(number, memory.clone());
        kill_point("producer.epoch_told");
        self.epoch = Some(Epoch { number, memory, guard: None });
        Ok(())
    }
}

/// Frames in a row that leave most of their slots empty before memory is given back.
const SHRINK_AFTER_FRAMES: u32 = 256;

/// Whether slots of `have` bytes are far too large for frames that need `need`.
fn wastes(have: usize, need: usize) -> bool {
    have > 1 << 20 && have / 4 >= need
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

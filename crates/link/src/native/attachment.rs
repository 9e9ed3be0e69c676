// SPDX-License-Identifier: MIT OR Apache-2.0
//! One consumer's place at one producer: the mapped memory, the holds, and whether the producer is still there.
//!
//! An attachment lives as long as its subscriber or any frame received through it. The last of them says goodbye.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use uncopy_core::ErrorKind;
use uncopy_os::{
    EventFd, Mapping, OsError, PidFd, Received, WatchGuard, fork_generation, kill_point, monotonic_nanos,
    watch_read_only,
};
use uncopy_tensor::{Access, ShareHandle};

use super::control::{Control, Live};
use super::conversation::Conversation;
use super::description::{self, Description, FormKey};
use super::header::Header;
use super::ring::{self, Unheld};
use super::wire::{
    self, MAX_CONSUMERS, MAX_MESSAGE_BYTES, MAX_SLOTS, Message, MessageError, SLOT_ALIGN_BYTES, place,
    when_full,
};
use crate::ages::bucket_of;
use crate::error::LinkError;
use crate::form::Form;
use crate::service::{self, Handler, Registration, lock};
use crate::stamp::{Stamp, is_of_this_boot};

/// How long a bit of ours may be set without a frame of ours: another thread clears it within a few instructions, so
/// after this nobody will, and somebody else has written it.
/// (A fuzzer writes it all the time, and stops no process.)
const RELEASE_PATIENCE: Duration = Duration::from_millis(if cfg!(feature = "fuzzing") { 0 } else { 1000 });
const RELEASE_YIELDS: u32 = if cfg!(feature = "fuzzing") { 100 } else { 10_000 };

/// Why an attachment came to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ended {
    /// The producer closed the link or handed its name over.
    Closed,
    /// The producer died, or its socket hung up without a word.
    Lost,
    /// The producer took our place away.
    Evicted,
}

const LIVE: u32 = 0;
const CLOSED: u32 = 1;
const LOST: u32 = 2;
const EVICTED: u32 = 3;

/// The frame memory of one epoch, mapped for reading.
pub(crate) struct SlotMap {
    pub(crate) epoch: u32,
    pub(crate) stride: usize,
    /// Before the mapping, so that it ends first.
    _guard: WatchGuard,
    pub(crate) mapping: Arc<Mapping>,
}

impl SlotMap {
    fn open(
        name: &str,
        slots: usize,
        epoch: u32,
        stride: u64,
        len: u64,
        handle: &ShareHandle,
    ) -> Result<Self, LinkError> {
        let corrupt = || LinkError::Corrupt {
            name: name.to_owned(),
            detail: format!("epoch {epoch} has {slots} slots of {stride} bytes in {len} bytes"),
        };
        let stride = usize::try_from(stride).map_err(|_| corrupt())?;
        let len = usize::try_from(len).map_err(|_| corrupt())?;
        let need = stride.checked_mul(slots).ok_or_else(corrupt)?;
        if stride == 0 || stride % SLOT_ALIGN_BYTES != 0 || need > len {
            return Err(corrupt());
        }
        let mapping = Arc::new(Mapping::open(handle, need, Access::ReadOnly)?);
        if !mapping.seals().are_frozen() {
            let detail = format!("frame memory is sealed {}: anybody could write to it", mapping.seals());
            return Err(LinkError::Corrupt { name: name.to_owned(), detail });
        }
        let note =
            format!("frames of link '{name}' are shared and read-only; ask for a private copy (copy=True)");
        let guard = watch_read_only((mapping.address(), mapping.address() + mapping.len_bytes()), note);
        Ok(Self { epoch, stride, mapping, _guard: guard })
    }
}

/// Frame memory that has arrived and may still be needed.
#[derive(Default)]
struct Inbox {
    epochs: Vec<Arc<SlotMap>>,
    newest: u32,
    /// The newest epoch has not been confirmed, because too many older ones wait here.
    owes_answer: bool,
    /// Why an epoch could not be mapped; told to whoever meets a frame in it.
    failed: Option<(u32, LinkError)>,
    /// Why a message, of whatever epoch, could not be read: no descriptor was left for the memory in it.
    unread: Option<LinkError>,
    asked: Option<Instant>,
}

/// Epochs that may wait for their first frame to be held, before a consumer asks for no more.
const MAX_WAITING_EPOCHS: usize = 2;
/// How often a consumer asks for an epoch that it lacks.
const ASK_EVERY: Duration = Duration::from_millis(10);
/// Messages that are read in one go; what is more is read the next time, and others get their turn.
const MESSAGES_AT_ONCE: usize = 16;

/// A consumer's place at a producer.
pub(crate) struct Attachment {
    pub(crate) name: String,
    pub(crate) header: Header,
    pub(crate) control: Control,
    pub(crate) place: u32,
    /// Times of the producer can be compared with ours.
    pub(crate) is_of_this_boot: bool,
    /// It reads every frame.
    pub(crate) every: bool,
    /// The producer waits for room, and is told when there is some.
    blocks: bool,
    generation: u32,
    /// Dropped after everything that holds frames: from the goodbye on nothing of the producer's may be touched.
    conversation: Conversation,
    pidfd: Option<Arc<PidFd>>,
    inbox: Mutex<Inbox>,
    ended: AtomicU32,
    ended_nanos: AtomicU64,
    watches: Mutex<Vec<Registration>>,
    /// The subscriber's doorbell, where an event loop polls it.
    bell: Mutex<Option<Arc<EventFd>>>,
    /// Frames of this process per slot: the place's one bit is cleared with the last of them.
    counts: [AtomicU32; MAX_SLOTS],
}

const SOCKET_KEY: u64 = 0;
const PROCESS_KEY: u64 = 1;

struct AttachmentHandler(Weak<Attachment>);

impl Handler for AttachmentHandler {
    fn ready(&self, key: u64) {
        let Some(attachment) = self.0.upgrade() else { return };
        // First what it said: a producer that closes and ends at once has closed.
        attachment.pump();
        if key == PROCESS_KEY && attachment.pidfd.as_ref().is_some_and(|pidfd| pidfd.is_dead()) {
            attachment.end(LOST);
        }
        if attachment.ended().is_some() {
            let watches = std::mem::take(&mut *lock(&attachment.watches));
            drop(watches);
        }
    }
}

impl Attachment {
    /// Maps and checks everything that a welcome describes. On failure the place is given back.
    pub(crate) fn settle(
        conversation: Conversation,
        message: Message,
        handles: &[ShareHandle],
        every: bool,
    ) -> Result<Arc<Self>, LinkError> {
        kill_point("consumer.welcomed");
        let name = conversation.name();
        let corrupt = |detail: String| LinkError::Corrupt { name: name.to_owned(), detail };
        let Message::Welcome { place, control_len, epoch, slots, slot_stride, slots_len } = message else {
            return Err(corrupt(format!("its producer answered a greeting with {message:?}")));
        };
        let (Some(control), Ok(control_len)) = (handles.first(), usize::try_from(control_len)) else {
            return Err(corrupt("its producer sent no control memory".to_owned()));
        };
        // Nobody has checked the number of slots yet.
        let need = wire::control_len_bytes((slots as usize).min(MAX_SLOTS));
        if control_len < need {
            return Err(corrupt(format!(
                "its producer says that {control_len} bytes of control memory serve {slots} slots; {need} do"
            )));
        }
        let mapping = Mapping::open(control, control_len, Access::ReadWrite).map_err(|error| match error
            .kind()
        {
            ErrorKind::PermissionDenied => corrupt(format!("its control memory can't be written: {error}")),
            _ => error.into(),
        })?;
        let mapping = Arc::new(mapping);
        let (control, header) = Control::open(mapping, name)?;
        if header.slots != slots as usize || place as usize >= MAX_CONSUMERS {
            return Err(corrupt(format!(
                "{slots} slots and place {place}; the header has {} slots",
                header.slots
            )));
        }
        let mut inbox = Inbox::default();
        if epoch != 0 {
            let handle =
                handles.get(1).ok_or_else(|| corrupt("its producer sent no frame memory".to_owned()))?;
            let map = SlotMap::open(name, header.slots, epoch, slot_stride, slots_len, handle)?;
            inbox = Inbox { epochs: vec![Arc::new(map)], newest: epoch, ..Inbox::default() };
        }
        let pidfd = match conversation.connection().peer_pidfd()? {
            // Before Linux 6.5 the kernel gives none; the identity in the header tells a reused pid apart.
            None => PidFd::open_same(header.producer)?,
            some => some,
        };
        let blocks = control.live().when_full().load(Relaxed) == when_full::BLOCK;
        let attachment = Arc::new(Self {
            name: name.to_owned(),
            is_of_this_boot: is_of_this_boot(header.boot_id),
            header,
            control,
            place,
            every,
            blocks,
            generation: fork_generation(),
            conversation,
            pidfd: pidfd.map(Arc::new),
            inbox: Mutex::new(inbox),
            ended: AtomicU32::new(LIVE),
            ended_nanos: AtomicU64::new(0),
            watches: Mutex::default(),
            bell: Mutex::default(),
            counts: [const { AtomicU32::new(0) }; MAX_SLOTS],
        });
        attachment.watch()?;
        kill_point("consumer.attached");
        Ok(attachment)
    }

    fn watch(self: &Arc<Self>) -> Result<(), LinkError> {
        let handler: Arc<dyn Handler> = Arc::new(AttachmentHandler(Arc::downgrade(self)));
        let mut watches = vec![service::watch(
            Arc::clone(self.conversation.connection()) as _,
            Arc::clone(&handler),
            SOCKET_KEY,
        )?];
        if let Some(pidfd) = &self.pidfd {
            watches.push(service::watch(Arc::clone(pidfd) as _, handler, PROCESS_KEY)?);
        }
        // The end may have been noticed already, between the first watch and here.
        let mut kept = lock(&self.watches);
        if self.ended().is_none() {
            *kept = watches;
        }
        Ok(())
    }

    /// Why the producer is gone, `None` while it is there.
    pub(crate) fn ended(&self) -> Option<Ended> {
        match self.ended.load(Acquire) {
            LIVE => None,
            CLOSED => Some(Ended::Closed),
            EVICTED => Some(Ended::Evicted),
            _ => Some(Ended::Lost),
        }
    }

    /// How long the producer has been gone.
    pub(crate) fn ended_for(&self) -> Duration {
        Duration::from_nanos(monotonic_nanos().saturating_sub(self.ended_nanos.load(Relaxed)))
    }

    /// Whether this process was forked from the one that attached.
    pub(crate) fn is_foreign(&self) -> bool {
        self.generation != fork_generation()
    }

    /// Marks the end and wakes everyone who waits for this producer. The first reason stays.
    fn end(&self, why: u32) {
        // The time of the first call stays too, and is there before anybody sees the end.
        let _ = self.ended_nanos.compare_exchange(0, monotonic_nanos(), Relaxed, Relaxed);
        if self.ended.compare_exchange(LIVE, why, AcqRel, Relaxed).is_err() {
            return;
        }
        if why == LOST {
            ring::poison_half_written(&self.control.live());
        }
        self.control.live().kick();
        self.ring();
    }

    /// Has the producer ring this doorbell for frames, when asked; other news rings it from here.
    pub(crate) fn set_bell(&self, bell: &Arc<EventFd>) -> Result<(), LinkError> {
        let handle = bell.share()?;
        // A producer that is gone, or stopped for so long that its queue is full, rings nothing; its end does.
        let _ = self.conversation.connection().send(&Message::Watch.encode(), &[&handle]);
        *lock(&self.bell) = Some(Arc::clone(bell));
        Ok(())
    }

    fn ring(&self) {
        if let Some(bell) = &*lock(&self.bell) {
            bell.ring();
        }
    }

    /// Reads what the producer has sent. Any thread may call it.
    fn pump(&self) {
        let mut inbox = lock(&self.inbox);
        let mut buffer = [0; MAX_MESSAGE_BYTES];
        for _ in 0..MESSAGES_AT_ONCE {
            match self.conversation.connection().recv(&mut buffer) {
                Ok(Received::WouldBlock) => return,
                Ok(Received::Message { len, handles, .. }) => {
                    let message = Message::decode(buffer.get(..len).unwrap_or_default());
                    if self.take(&mut inbox, message.as_ref().ok(), &handles).is_none() {
                        self.refuse(message.err());
                        return self.end(LOST);
                    }
                }
                Ok(Received::Closed) | Err(OsError::Closed) => return self.end(LOST),
                Err(error) => {
                    // The message is gone, and with it perhaps the memory of an epoch: asking again brings it back.
                    tracing::warn!(link = %self.name, %error, "a message of the producer could not be read");
                    inbox.unread = Some(error.into());
                    return;
                }
            }
        }
    }

    /// Tells a producer that says what it may not why it is not listened to any more. The connection stays for our goodbye.
    #[cold]
    fn refuse(&self, error: Option<MessageError>) {
        let detail =
            error.map_or_else(|| "a producer does not say this".to_owned(), |error| error.to_string());
        let connection = self.conversation.connection();
        let _ = connection.send(&Message::refusal(ErrorKind::VersionMismatch, &detail).encode(), &[]);
    }

    /// Takes in one message; `None` where it is none that a producer may send.
    fn take(&self, inbox: &mut Inbox, message: Option<&Message>, handles: &[ShareHandle]) -> Option<()> {
        match message?.clone() {
            Message::Epoch { epoch, slot_stride, slots_len } => {
                let slots = self.header.slots;
                let map = match handles.first() {
                    Some(handle) => SlotMap::open(&self.name, slots, epoch, slot_stride, slots_len, handle),
                    // It was sent and did not fit: this process is at its limit of descriptors.
                    None => Err(LinkError::EpochWithoutMemory { name: self.name.clone(), epoch }),
                };
                match map {
                    Ok(map) => {
                        inbox.epochs.push(Arc::new(map));
                        inbox.unread = None;
                    }
                    Err(error) => inbox.failed = Some((epoch, error)),
                }
                if is_newer(epoch, inbox.newest) {
                    inbox.newest = epoch;
                }
                inbox.owes_answer = true;
                self.answer_epoch(inbox);
                // A frame may have waited for this memory.
                self.ring();
                kill_point("consumer.epoch_taken");
            }
            // A producer that says goodbye has closed, whatever its reason.
            Message::Bye { .. } => self.end(CLOSED),
            // It could not obey us and hangs up.
            Message::Refuse { detail, .. } => {
                tracing::warn!(link = %self.name, %detail, "the producer hangs up");
                self.end(LOST);
            }
            Message::Newer { .. } => {}
            _ => return None,
        }
        Some(())
    }

    /// Confirms the newest epoch, which lets the producer send the next. A consumer that looks at no frames keeps few.
    fn answer_epoch(&self, inbox: &mut Inbox) {
        if inbox.owes_answer && inbox.epochs.len() <= MAX_WAITING_EPOCHS {
            inbox.owes_answer = false;
            self.say_taken(inbox.newest);
        }
    }

    fn say_taken(&self, epoch: u32) {
        // A producer that can't be told sends nothing newer until it is asked again.
        let _ = self.conversation.connection().send(&Message::EpochTaken { epoch }.encode(), &[]);
    }

    /// The memory of `epoch`, in which a frame was just met.
    fn memory_of(&self, epoch: u32) -> Result<Memory, LinkError> {
        if let Some(map) = self.known(epoch) {
            return Ok(Memory::Here(map));
        }
        self.pump();
        if let Some(map) = self.known(epoch) {
            return Ok(Memory::Here(map));
        }
        let mut inbox = lock(&self.inbox);
        let failed = inbox.failed.take_if(|(failed, _)| *failed == epoch).map(|(_, error)| error);
        let failed = failed.or_else(|| inbox.unread.take());
        if self.ended().is_some() || is_newer(inbox.newest, epoch) {
            return Ok(Memory::Never);
        }
        // Ask again: the producer may have been unable to send, or we to map.
        if inbox.asked.is_none_or(|asked| asked.elapsed() >= ASK_EVERY) {
            inbox.asked = Some(Instant::now());
            inbox.owes_answer = false;
            let older = if failed.is_some() { epoch.wrapping_sub(1) } else { inbox.newest };
            self.say_taken(older);
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(Memory::Later),
        }
    }

    fn known(&self, epoch: u32) -> Option<Arc<SlotMap>> {
        let mut inbox = lock(&self.inbox);
        // Frames come in order: what is older than a frame that was held is not needed by a later one.
        inbox.epochs.retain(|map| !is_newer(epoch, map.epoch));
        self.answer_epoch(&mut inbox);
        inbox.epochs.iter().find(|map| map.epoch == epoch).cloned()
    }

    /// Waits until the producer may have sent something, at most `timeout` and not for long.
    pub(crate) fn wait_for_message(&self, timeout: Duration) -> Result<(), LinkError> {
        self.conversation.wait(timeout.min(ASK_EVERY))
    }

    /// Holds the newest frame if its number is above `after`. `context` is that of the frame before, made anew on change.
    #[inline(always)]
    pub(crate) fn hold(
        self: &Arc<Self>,
        after: u64,
        context: &mut Option<Arc<FrameContext>>,
    ) -> Result<Next, LinkError> {
        let control = self.control.live();
        if let Some(context) = context {
            context.about_to_read(control, after);
        }
        let (slot, named) = match self.hold_slot(control, after) {
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
    fn hold_slot(&self, control: Live<'_>, after: u64) -> Result<(usize, u64), Unheld> {
        let (mut begun, mut yields) = (None, 0);
        loop {
            let hold = match self.every {
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

    fn release(&self, slot: usize) {
        if self.is_foreign() {
            // The bit is the parent's.
            return;
        }
        if self.counts.get(slot).is_some_and(|count| count.fetch_sub(1, AcqRel) == 1) {
            kill_point("consumer.releasing");
            ring::release(&self.control.live(), self.place, slot);
            self.made_room();
        }
    }

    pub(crate) fn count_received(&self, received: u64, missed: u64, seq: u64) {
        let control = self.control.live();
        for (field, value) in [(place::RECEIVED, received), (place::MISSED, missed)] {
            // Only this place writes its row; observers want recent values, not an order.
            control.place_u64(self.place, field).store(value, Relaxed);
        }
        // pairs with: oldest_wanted. The frame is held, or was passed over.
        control.place_u64(self.place, place::CURSOR).store(seq, Release);
    }

    /// Counts the age that a frame has now, if it has one, for `frames` frames.
    pub(crate) fn count_age(&self, published: Stamp, now_nanos: u64, frames: u32) {
        let Some(age) = published.age_at(now_nanos) else { return };
        let age_nanos = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
        let count = self.control.live().age_count(self.place, bucket_of(age_nanos));
        // Only this place writes its row.
        count.store(count.load(Relaxed).wrapping_add(frames), Relaxed);
    }

    /// Tells a producer that waits for room.
    #[inline]
    pub(crate) fn made_room(&self) {
        if self.blocks && ring::is_room_wanted(&self.control.live()) {
            self.control.live().make_room_known();
        }
    }

    /// The number of the last frame that is of no interest to a consumer that has just attached.
    pub(crate) fn first_cursor(&self) -> u64 {
        // Anybody may have written it.
        let cursor = || self.control.live().place_u64(self.place, place::CURSOR).load(Acquire);
        if self.every { cursor().min(ring::MAX_SEQ) } else { 0 }
    }

    /// Whether the producer has taken our place away. Marks the end then.
    pub(crate) fn is_evicted(&self) -> bool {
        let state = self.control.live().place_u32(self.place, place::STATE).load(Acquire);
        if state == place::EVICTED {
            self.end(EVICTED);
        }
        state == place::EVICTED
    }

    #[cold]
    fn corrupt(&self, detail: String) -> LinkError {
        LinkError::Corrupt { name: self.name.clone(), detail }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        kill_point("consumer.leaving");
    }
}

/// Whether epoch `one` came after `other`. Numbers wrap.
fn is_newer(one: u32, other: u32) -> bool {
    one.wrapping_sub(other).cast_signed() > 0
}

/// Where the memory of an epoch is.
enum Memory {
    Here(Arc<SlotMap>),
    /// On its way, or asked for again.
    Later,
    /// A newer epoch has come, or the producer is gone.
    Never,
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
    key: FormKey,
}

impl FrameContext {
    /// A hint that the newest frame is about to be read, if it is above `after`: brings the first of its bytes here while its
    /// slot is being held. Most likely it lies in the same memory as the frame before.
    #[inline]
    fn about_to_read(&self, control: Live<'_>, after: u64) {
        if let Some((seq, slot)) = ring::unpack_latest(control.newest())
            && seq > after
        {
            self.map.mapping.prefetch(slot * self.map.stride);
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
        self.attachment.release(self.slot);
    }
}

/// A hold of one slot; dropping it gives the slot back.
pub(crate) struct Lease {
    pub(crate) context: Arc<FrameContext>,
    pub(crate) slot: usize,
}

impl Clone for Lease {
    fn clone(&self) -> Self {
        self.context.attachment.retain(self.slot);
        Self { context: Arc::clone(&self.context), slot: self.slot }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.context.attachment.release(self.slot);
    }
}

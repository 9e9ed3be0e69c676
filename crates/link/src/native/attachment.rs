// SPDX-License-Identifier: MIT OR Apache-2.0
//! One consumer's place at one producer, and whether the producer is still there. What it holds is in `holds`, what
//! the producer sends in `memory`.
//!
//! An attachment lives as long as its subscriber or any frame received through it. The last of them says goodbye.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use uncopy_core::ErrorKind;
use uncopy_os::{EventFd, Mapping, PidFd, fork_generation, kill_point, monotonic_nanos};
use uncopy_tensor::{Access, ShareHandle};

use self::maps::Maps;
use self::memory::Inbox;
use self::wanted::Wanted;
use super::control::Control;
use super::conversation::Conversation;
use super::header::Header;
use super::order;
use super::ring;
use super::wire::{self, MAX_CONSUMERS, MAX_SLOTS, Message, place, when_full};
use crate::ages::bucket_of;
use crate::error::LinkError;
use crate::service::{self, Handler, Registration, lock};
use crate::stamp::{Stamp, is_of_this_boot};

mod bringing;
mod brought;
mod holds;
mod maps;
mod memory;
mod placed;
mod reading;
mod tickets;
pub(super) mod wanted;

pub(crate) use holds::{FrameContext, Lease, Next};
pub(crate) use maps::SlotMap;
pub use maps::Where;
pub(crate) use memory::ASK_EVERY;
pub(crate) use placed::find_device;
pub(crate) use reading::{ASK_AGAIN_EVERY, captures_of, is_lost, settle};

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
    conversation: Arc<Conversation>,
    maps: Maps,
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
        let is_dead = attachment.pidfd.as_ref().is_some_and(|pidfd| pidfd.is_dead());
        if key == PROCESS_KEY && is_dead {
            attachment.end(LOST);
        }
        if attachment.ended().is_none() {
            return;
        }
        let has_process = attachment.pidfd.is_some();
        if is_dead {
            // Its devices have stopped too: what they still owed never comes.
            order::force_ready(&attachment.control.live());
        }
        let mut watches = std::mem::take(&mut *lock(&attachment.watches));
        if has_process && !is_dead {
            // It has closed the link and lives: what its devices still owe may come. The socket is the first.
            *lock(&attachment.watches) = watches.split_off(watches.len().min(1));
        }
        drop(watches);
    }
}

impl Attachment {
    /// Maps and checks everything that a welcome describes. On failure the place is given back.
    pub(crate) fn take_place(
        conversation: Conversation,
        message: Message,
        handles: &[ShareHandle],
        every: bool,
        wanted: Wanted,
    ) -> Result<Arc<Self>, LinkError> {
        kill_point("consumer.welcomed");
        let conversation = Arc::new(conversation);
        let name = conversation.name();
        let corrupt = |detail: String| LinkError::Corrupt { name: name.to_owned(), detail };
        let Message::Welcome { place, control_len, epoch, slots, memory } = message else {
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
        let pidfd = match conversation.connection().peer_pidfd()? {
            // Before Linux 6.5 the kernel gives none; the identity in the header tells a reused pid apart.
            None => PidFd::open_same(header.producer)?,
            some => some,
        };
        let pidfd = pidfd.map(Arc::new);
        let maps = Maps::new(&control, place, wanted, &conversation, &pidfd);
        let mut inbox = Inbox::default();
        if epoch != 0 {
            if handles.len() < 2 {
                return Err(corrupt("its producer sent no frame memory".to_owned()));
            }
            inbox.newest = epoch;
            match maps.open(epoch, memory, handles.get(1..).unwrap_or_default()) {
                Ok(map) => inbox.epochs.push(Arc::new(map)),
                // Told with the first frame on it: the next may be elsewhere.
                Err(error @ LinkError::DeviceUnreachable { .. }) => inbox.failed = Some((epoch, error)),
                Err(error) => return Err(error),
            }
        }
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
            conversation: Arc::clone(&conversation),
            maps,
            pidfd,
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
        if self.ended().is_some() {
            watches.drain(..1);
        }
        *kept = watches;
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

    /// Whether the death of the producer's process would be noticed.
    pub(crate) fn watches_process(&self) -> bool {
        self.pidfd.is_some()
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

    /// The subscriber's doorbell, if it has one.
    pub(crate) fn bell(&self) -> Option<Arc<EventFd>> {
        lock(&self.bell).clone()
    }

    fn ring(&self) {
        if let Some(bell) = &*lock(&self.bell) {
            bell.ring();
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

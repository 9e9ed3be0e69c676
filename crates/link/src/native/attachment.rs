// SPDX-License-Identifier: MIT OR Apache-2.0
//! One consumer's place at one producer, and whether the producer is still there. How the place is taken is in
//! `joining`, what it holds in `holds`, what the producer sends in `memory`.
//!
//! An attachment lives as long as its subscriber or any frame received through it. The last of them says goodbye.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use uncopy_os::{EventFd, PidFd, fork_generation, kill_point, monotonic_nanos};

use self::maps::Maps;
use self::memory::Inbox;
use super::control::Control;
use super::conversation::Conversation;
use super::header::Header;
use super::order;
use super::ring;
use super::wire::{MAX_SLOTS, Message, place};
use crate::ages::bucket_of;
use crate::error::LinkError;
use crate::service::{Handler, Registration, lock};
use crate::stamp::Stamp;

mod bringing;
mod brought;
mod holds;
mod joining;
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

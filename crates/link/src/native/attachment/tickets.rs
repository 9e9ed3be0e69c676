// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tickets that one place has taken for its readings on devices, as it remembers them by itself: the words that
//! tell others can be overwritten by anybody who has the link.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

use uncopy_tensor::TimelinePoint;

use crate::native::control::{Control, Live};
use crate::native::order::{self, DeviceCells, DeviceWord, Ticket};
use crate::native::wire::MAX_SLOTS;

/// The last ticket of each slot, through all epochs: a word counts on from one to the next.
pub(super) struct Tickets([AtomicU64; MAX_SLOTS]);

/// Beside a ticket's number: there is one.
const TAKEN: u64 = 1 << 32;

impl Default for Tickets {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; MAX_SLOTS])
    }
}

/// A place and its words.
#[derive(Clone)]
pub(super) struct Seat {
    pub(super) control: Control,
    pub(super) place: u32,
    pub(super) tickets: Arc<Tickets>,
}

/// A ticket that counts once it is [kept](Seat::keep).
pub(super) struct Taken {
    pub(super) ticket: Ticket,
    slot: usize,
    before: u32,
}

impl Seat {
    fn last(&self, slot: usize) -> Option<u32> {
        // Who holds the slot alone writes it, and a hold that passes to another thread brings it along.
        let ticket = self.tickets.0.get(slot)?.load(Relaxed);
        (ticket & TAKEN != 0).then_some(ticket as u32)
    }

    /// Takes a ticket for a slot, which the caller holds.
    pub(super) fn take(&self, slot: usize) -> Taken {
        let control = self.control.live();
        let (wanted, last) = (control.wanted(slot, self.place), self.last(slot));
        if let Some(last) = last {
            wanted.store(last, Relaxed);
        }
        let before = wanted.load(Relaxed);
        let mut ticket = order::take_ticket(&control, slot, self.place);
        if last.is_none() {
            // What a former occupant did not do was done when it went; what the words say else nobody is bound to.
            ticket.after = None;
        }
        Taken { ticket, slot, before }
    }

    /// A stream writes the ticket.
    pub(super) fn keep(&self, taken: &Taken) {
        if let Some(last) = self.tickets.0.get(taken.slot) {
            last.store(TAKEN | u64::from(taken.ticket.point.value), Relaxed);
        }
    }

    /// No stream writes it. Nobody has seen it: the slot is still held.
    pub(super) fn undo(&self, taken: &Taken) {
        self.control.live().wanted(taken.slot, self.place).store(taken.before, Relaxed);
    }

    /// The slots for which a ticket was taken, with the last one.
    pub(super) fn all(&self) -> impl Iterator<Item = (usize, u32)> {
        (0..MAX_SLOTS).filter_map(|slot| Some((slot, self.last(slot)?)))
    }

    /// Whether the reading of a ticket is done.
    pub(super) fn is_done(&self, (slot, value): (usize, u32)) -> bool {
        let live: Live<'_> = self.control.live();
        // Acquire: what a stream has read, it has read before.
        let done = DeviceWord::load(live.done(slot, self.place), Acquire);
        TimelinePoint { offset_bytes: 0, value }.is_reached(done)
    }

    /// The device is lost to this process, and with it all that its streams were to do: no ticket of ours will be
    /// written by them.
    pub(super) fn write_off(&self) {
        order::force_done(&self.control.live(), self.place);
    }
}

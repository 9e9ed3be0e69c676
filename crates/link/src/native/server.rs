// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a producer does beside producing: answers joins, hands out new epochs, notices leaving and dying.
//!
//! All of it runs on the service thread, except what the user's thread asks for. A consumer's holds are removed only
//! when its process is known to be dead or it has said goodbye: a socket that hangs up alone proves nothing, because a
//! forked child can keep it open and a bug can close it.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::Duration;

use uncopy_core::{ErrorKind, LinkName};
use uncopy_os::{EventFd, Listener, NameLock, PidFd, RuntimeDir, fork_generation, kill_point};

use self::clients::{Client, who};
use super::control::{Control, Live};
use super::frame_memory::FrameMemory;
use super::naming::socket_file;
use super::order;
use super::ring::{self, Cells};
use super::wire::{
    BYE_CLOSED, BYE_SUPERSEDED, MAX_CONSUMERS, Message, is_newer_epoch, place, producer_state,
};
use crate::error::LinkError;
use crate::errors::ErrorLog;
use crate::service::{self, Handler, Registration, lock};

mod clients;

/// A producer's side of everything that is not the frame path.
pub(crate) struct Server {
    name: LinkName,
    /// What this end's errors are noted in.
    pub(crate) log: Arc<ErrorLog>,
    generation: u32,
    control: Control,
    state: AtomicU32,
    attached: AtomicU32,
    /// Those of them that read every frame.
    every: AtomicU32,
    returned: AtomicU64,
    /// Places that nobody gets for a while, one bit each: late work of a device may still write their words.
    settling: Arc<AtomicU32>,
    /// What to ring for the consumer at each place. Locked by the publishing thread only for those that are armed.
    bells: [Mutex<Option<EventFd>>; MAX_CONSUMERS],
    table: Mutex<Table>,
    changed: Condvar,
}

#[derive(Default)]
struct Table {
    clients: BTreeMap<u64, Client>,
    last_key: u64,
    /// The current epoch at last; before it those that a reader of every frame of a producer that blocks has not been
    /// sent yet.
    epochs: Vec<(u32, FrameMemory)>,
    listener: Option<(Arc<Listener>, Registration)>,
    lock: Option<NameLock>,
}

impl Table {
    /// Lets go of epochs that everybody has been sent who is to have each.
    fn forget_epochs(&mut self) {
        let wanted = |number: u32| {
            self.clients
                .values()
                .any(|client| client.wants_each_epoch && is_newer_epoch(number, client.epoch_sent))
        };
        let current = self.epochs.len().saturating_sub(1);
        let mut index = 0;
        self.epochs.retain(|(number, _)| {
            index += 1;
            index > current || wanted(*number)
        });
    }
}

const LISTENER_KEY: u64 = 0;

/// Calls the server from the service thread for as long as the server lives.
struct ServerHandler(Weak<Server>);

impl Handler for ServerHandler {
    fn ready(&self, key: u64) {
        if let Some(server) = self.0.upgrade() {
            server.ready(key);
        }
    }
}

impl Server {
    /// Binds the socket of the link, whose name the caller has locked, and starts to answer it.
    pub(crate) fn open(
        dir: &RuntimeDir,
        log: Arc<ErrorLog>,
        name: LinkName,
        name_lock: NameLock,
        control: Control,
    ) -> Result<Arc<Self>, LinkError> {
        let listener = Arc::new(Listener::bind(dir, &socket_file(name.as_str()))?);
        kill_point("producer.bound");
        let server = Arc::new(Self {
            name,
            log,
            generation: fork_generation(),
            control,
            state: AtomicU32::new(producer_state::LIVE),
            attached: AtomicU32::new(0),
            every: AtomicU32::new(0),
            returned: AtomicU64::new(0),
            settling: Arc::default(),
            bells: [const { Mutex::new(None) }; MAX_CONSUMERS],
            table: Mutex::default(),
            changed: Condvar::new(),
        });
        let mut table = lock(&server.table);
        table.lock = Some(name_lock);
        match service::watch(Arc::clone(&listener) as _, server.handler(), LISTENER_KEY) {
            Ok(registration) => table.listener = Some((listener, registration)),
            Err(error) => {
                drop(table);
                server.close(producer_state::CLOSED);
                return Err(error.into());
            }
        }
        drop(table);
        Ok(server)
    }

    fn handler(self: &Arc<Self>) -> Arc<dyn Handler> {
        Arc::new(ServerHandler(Arc::downgrade(self)))
    }

    pub(crate) fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The words of the link.
    pub(crate) fn control(&self) -> Live<'_> {
        self.control.live()
    }

    /// Whether this process was forked from the one that opened the link.
    pub(crate) fn is_foreign(&self) -> bool {
        self.generation != fork_generation()
    }

    pub(crate) fn state(&self) -> u32 {
        self.state.load(Acquire)
    }

    /// The consumers that exist, one bit each.
    #[inline]
    pub(crate) fn attached(&self) -> u16 {
        // pairs with: seat/attached. A bit that is set a moment later belongs to a consumer that holds nothing yet.
        self.attached.load(Acquire) as u16
    }

    /// The consumers that want every frame, one bit each.
    #[inline]
    pub(crate) fn every(&self) -> u16 {
        // Ordered by the fences of ring::begin_to_keep and of the last publication.
        self.every.load(Acquire) as u16
    }

    /// Takes a consumer's place away: it gets nothing new, and what it holds stays its own until it lets go.
    pub(crate) fn evict(&self, place: u32) -> bool {
        let mut table = lock(&self.table);
        let Some(client) = table.clients.values_mut().find(|client| client.place == Some(place)) else {
            return false;
        };
        let is_new = !std::mem::replace(&mut client.is_evicted, true);
        if is_new {
            client.wants_each_epoch = false;
            self.every.fetch_and(!(1 << place), AcqRel);
            let control = self.control.live();
            control.place_u32(place, place::STATE).store(place::EVICTED, Release);
            // Under the table's lock: one writer at a time.
            control.evicted().store(control.evicted().load(Relaxed).wrapping_add(1), Relaxed);
            // It may sleep, unaware.
            control.kick();
            self.ring(1 << place);
            let said = format!("{} kept slots for too long; its place was taken away", who(client));
            self.log.note_as(ErrorKind::Evicted, &said);
        }
        is_new
    }

    fn set_bell(&self, place: u32, bell: Option<EventFd>) {
        if let Some(kept) = self.bells.get(place as usize) {
            *lock(kept) = bell;
        }
    }

    /// Rings the doorbells of these consumers.
    #[cold]
    pub(crate) fn ring(&self, places: u16) {
        for (place, bell) in self.bells.iter().enumerate() {
            if places & (1 << place) != 0
                && let Some(bell) = &*lock(bell)
            {
                bell.ring();
            }
        }
    }

    /// Makes a producer that waits for room look up.
    pub(crate) fn wake_for_room(&self) {
        self.control.live().make_room_known();
    }

    /// Notes that a claimed slot was not published, on whatever thread. The producer may be waiting for it.
    pub(crate) fn give_back(&self, slot: usize) {
        self.returned.fetch_or(1 << slot, Release);
        if ring::is_room_wanted(&self.control.live()) {
            self.control.live().make_room_known();
        }
    }

    /// Calls `abandon` with each slot that was given back since the last time.
    #[inline]
    pub(crate) fn take_back(&self, mut abandon: impl FnMut(usize)) {
        if self.returned.load(Relaxed) == 0 {
            return;
        }
        let mut returned = self.returned.swap(0, Acquire);
        while returned != 0 {
            abandon(returned.trailing_zeros() as usize);
            returned &= returned - 1;
        }
    }

    /// Waits until the number of consumers is no longer `known`, at most `timeout`.
    pub(crate) fn wait_for_change(&self, known: usize, timeout: Duration) {
        let table = lock(&self.table);
        let unchanged = |_: &mut Table| {
            self.attached().count_ones() as usize == known && self.state() == producer_state::LIVE
        };
        drop(
            self.changed
                .wait_timeout_while(table, timeout, unchanged)
                .unwrap_or_else(PoisonError::into_inner),
        );
    }

    /// The places that are taken, and what tells when their consumers are dead.
    pub(crate) fn readers(&self) -> Vec<(u32, Arc<PidFd>)> {
        let table = lock(&self.table);
        let known = |client: &Client| Some((client.place?, Arc::clone(&client.pidfd.as_ref()?.0)));
        table.clients.values().filter_map(known).collect()
    }

    /// Who keeps slots from the producer, in words. Who reads every frame keeps what it has not received, in a link
    /// whose producer blocks.
    pub(crate) fn holders(&self, blocks: bool) -> Vec<String> {
        let table = lock(&self.table);
        let control = self.control.live();
        let held = |place: u32| {
            let word = |slot: &usize| control.word(*slot).map_or(0, |word| word.load(Relaxed));
            (0..control.slots()).filter(|slot| ring::holders_of(word(slot)) & (1 << place) != 0).count()
        };
        let newest = control.newest_seq();
        let keeps = |client: &Client| {
            let place = client.place?;
            let who = client.process.map_or_else(
                || "a process of another pid namespace".to_owned(),
                |process| format!("process {} ({})", process.pid, process.command()),
            );
            let held = held(place);
            let unread = match blocks && self.every() & (1 << place) != 0 {
                true => newest.saturating_sub(control.cursor(place).load(Acquire)),
                false => 0,
            };
            match (held, unread) {
                (0, 0) => None,
                (held, 0) => Some(format!("{who} holds {held}")),
                (0, unread) => Some(format!("{who} has not received the last {unread}")),
                (held, unread) => Some(format!("{who} holds {held} and has not received the last {unread}")),
            }
        };
        table.clients.values().filter_map(keeps).collect()
    }

    /// Sends the memory of a new epoch to every consumer.
    pub(crate) fn announce(&self, number: u32, memory: FrameMemory) {
        let mut table = lock(&self.table);
        table.epochs.push((number, memory));
        let Table { clients, epochs, .. } = &mut *table;
        for client in clients.values_mut() {
            client.offer_epoch(epochs);
        }
        table.forget_epochs();
    }

    /// Ends the link: the name is free, consumers are told, nothing is answered any more. The first call decides why.
    pub(crate) fn close(&self, why: u32) {
        if self.is_foreign() {
            return;
        }
        if self.state.compare_exchange(producer_state::LIVE, why, AcqRel, Relaxed).is_err() {
            return;
        }
        self.control.live().producer_state().store(why, Release);
        let table = std::mem::take(&mut *lock(&self.table));
        // Removes its name, if that is still its own, while the lock is held.
        drop(table.listener);
        drop(table.lock);
        let reason = if why == producer_state::SUPERSEDED { BYE_SUPERSEDED } else { BYE_CLOSED };
        for client in table.clients.values() {
            // A client that can't be told sees the hang-up.
            let _ = client.connection.send(&Message::Bye { reason }.encode(), &[]);
        }
        self.changed.notify_all();
        self.control.live().make_room_known();
    }

    /// Ends the link because the device is lost to this process: what was published and is not there never comes, which
    /// consumers are told at once.
    pub(crate) fn end_with_device(&self) {
        if self.is_foreign() {
            return;
        }
        order::force_ready(&self.control.live());
        self.close(producer_state::CLOSED);
    }

    fn ready(self: &Arc<Self>, key: u64) {
        // What is dropped under the lock could call back into the service; collect it and drop it after.
        let mut gone = Vec::new();
        let mut table = lock(&self.table);
        if key == LISTENER_KEY {
            self.accept_all(&mut table, &mut gone);
        } else if key % 2 == 1 {
            self.remove_if_dead(&mut table, key - 1, &mut gone);
        } else {
            self.read(&mut table, key, &mut gone);
        }
        let wanted = table.clients.values().any(|client| client.wants_name);
        drop(table);
        // Somebody may have gone, or been quarantined.
        if ring::is_room_wanted(&self.control.live()) {
            self.control.live().make_room_known();
        }
        drop(gone);
        self.changed.notify_all();
        if wanted {
            self.close(producer_state::SUPERSEDED);
        }
    }
}

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
use std::time::{Duration, Instant};

use uncopy_core::{ErrorKind, LinkName};
use uncopy_os::{
    Connection, Listener, LockOutcome, NameLock, PidFd, ProcessId, Received, RuntimeDir, SlotMemory,
    current_uid, fork_generation, kill_point, monotonic_nanos,
};

use super::control::Control;
use super::conversation::{Conversation, Reached, Reply};
use super::ring::{self, Cells};
use super::wire::{
    BYE_CLOSED, BYE_SUPERSEDED, MAX_CONSUMERS, MAX_MESSAGE_BYTES, Message, Role, place, producer_state,
};
use crate::error::LinkError;
use crate::service::{self, Handler, Registration, lock};

/// The file under which a link's socket is found.
pub(crate) fn socket_file(name: &str) -> String {
    format!("{name}.sock")
}

/// The file whose lock decides who may publish under a name.
pub(crate) fn lock_file(name: &str) -> String {
    format!("{name}.lock")
}

/// How long the holder of a name has to answer a takeover.
const TAKEOVER_PATIENCE: Duration = Duration::from_secs(2);

/// Takes the name, or says who has it.
pub(crate) fn take_name(dir: &RuntimeDir, name: &LinkName, takeover: bool) -> Result<NameLock, LinkError> {
    let begun = Instant::now();
    loop {
        let holder = match dir.lock(&lock_file(name.as_str()))? {
            LockOutcome::Locked(lock) => {
                let us = ProcessId::current();
                lock.write_note(&format!(
                    "{} {} {} {}",
                    us.pid,
                    us.start_ticks,
                    monotonic_nanos(),
                    us.command()
                ))?;
                return Ok(lock);
            }
            LockOutcome::Held { holder } => Holder::parse(holder.as_deref()),
        };
        let waited = begun.elapsed();
        match holder {
            // Whoever has the lock has not written its note yet, or is removing what a dead holder left, whose note it
            // still is. Both take an instant.
            None | Some(Holder { is_alive: false, .. }) if waited < Duration::from_millis(200) => {
                std::thread::sleep(Duration::from_millis(1));
            }
            holder if !takeover => return Err(holder.unwrap_or_default().taken(name)),
            holder if waited > TAKEOVER_PATIENCE => {
                let pid = holder.unwrap_or_default().pid;
                return Err(LinkError::TakeoverUnanswered { name: name.as_str().to_owned(), pid, waited });
            }
            _ => ask_to_leave(dir, name, TAKEOVER_PATIENCE.saturating_sub(waited))?,
        }
    }
}

/// Who holds a name, as it noted in the lock file.
struct Holder {
    pid: i32,
    is_alive: bool,
    opened_nanos: u64,
    command: String,
}

impl Default for Holder {
    fn default() -> Self {
        Self { pid: 0, is_alive: false, opened_nanos: monotonic_nanos(), command: "unknown".to_owned() }
    }
}

impl Holder {
    fn parse(note: Option<&str>) -> Option<Self> {
        let mut parts = note?.splitn(4, ' ');
        let (pid, start_ticks, opened, command) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let process = ProcessId { pid: pid.parse().ok()?, start_ticks: start_ticks.parse().ok()? };
        let (is_alive, opened_nanos) = (process.is_alive(), opened.parse().ok()?);
        Some(Self { pid: process.pid, is_alive, opened_nanos, command: command.trim().to_owned() })
    }

    fn taken(self, name: &LinkName) -> LinkError {
        LinkError::NameTaken {
            name: name.as_str().to_owned(),
            pid: self.pid,
            command: self.command,
            uptime: Duration::from_nanos(monotonic_nanos().saturating_sub(self.opened_nanos)),
        }
    }
}

/// Asks the holder of a name to give it up and waits for its answer, at most `patience`.
fn ask_to_leave(dir: &RuntimeDir, name: &LinkName, patience: Duration) -> Result<(), LinkError> {
    let begun = Instant::now();
    let us = ProcessId::current().pid;
    let answered = match Conversation::begin(dir, name.as_str(), &Message::TakeOver { pid: us })? {
        Reached::Talking(conversation) => conversation.reply_by(begun + patience)?,
        // It holds the lock and does not listen (it is just opening, or just closing), or its queue is full.
        Reached::Absent | Reached::Busy(_) => Reply::Silence,
    };
    if !matches!(answered, Reply::HungUp) {
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// A producer's side of everything that is not the frame path.
pub(crate) struct Hall {
    name: LinkName,
    generation: u32,
    control: Control,
    state: AtomicU32,
    attached: AtomicU32,
    returned: AtomicU64,
    table: Mutex<Table>,
    changed: Condvar,
}

#[derive(Default)]
struct Table {
    guests: BTreeMap<u64, Guest>,
    last_key: u64,
    epoch: Option<(u32, Arc<SlotMemory>)>,
    listener: Option<(Arc<Listener>, Registration)>,
    lock: Option<NameLock>,
}

/// One connection.
struct Guest {
    connection: Arc<Connection>,
    socket: Option<Registration>,
    pidfd: Option<(Arc<PidFd>, Registration)>,
    process: Option<ProcessId>,
    place: Option<u32>,
    /// The newest epoch that was sent, and whether the guest has said that it arrived.
    epoch_sent: u32,
    epoch_taken: bool,
    said_bye: bool,
    /// It asked for the name and has not hung up since.
    wants_name: bool,
}

const LISTENER_KEY: u64 = 0;
/// Messages that are read from one guest in one go.
const MESSAGES_AT_ONCE: usize = 16;
/// Guests without a place: observers, and who has not said what it wants. Beyond this the oldest is hung up on.
const MAX_STANDING: usize = 64;

/// Calls the hall from the service thread for as long as the hall lives.
struct Door(Weak<Hall>);

impl Handler for Door {
    fn ready(&self, key: u64) {
        if let Some(hall) = self.0.upgrade() {
            hall.ready(key);
        }
    }
}

impl Hall {
    /// Binds the socket of the link, whose name the caller has locked, and starts to answer it.
    pub(crate) fn open(
        dir: &RuntimeDir,
        name: LinkName,
        name_lock: NameLock,
        control: Control,
    ) -> Result<Arc<Self>, LinkError> {
        let listener = Arc::new(Listener::bind(dir, &socket_file(name.as_str()))?);
        kill_point("producer.bound");
        let hall = Arc::new(Self {
            name,
            generation: fork_generation(),
            control,
            state: AtomicU32::new(producer_state::LIVE),
            attached: AtomicU32::new(0),
            returned: AtomicU64::new(0),
            table: Mutex::default(),
            changed: Condvar::new(),
        });
        let mut table = lock(&hall.table);
        table.lock = Some(name_lock);
        match service::watch(Arc::clone(&listener) as _, hall.door(), LISTENER_KEY) {
            Ok(registration) => table.listener = Some((listener, registration)),
            Err(error) => {
                drop(table);
                hall.close(producer_state::CLOSED);
                return Err(error.into());
            }
        }
        drop(table);
        Ok(hall)
    }

    fn door(self: &Arc<Self>) -> Arc<dyn Handler> {
        Arc::new(Door(Arc::downgrade(self)))
    }

    pub(crate) fn name(&self) -> &str {
        self.name.as_str()
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

    /// Notes that a claimed slot was not published.
    pub(crate) fn give_back(&self, slot: usize) {
        self.returned.fetch_or(1 << slot, Release);
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

    /// Who holds slots, in words.
    pub(crate) fn holders(&self) -> Vec<String> {
        let table = lock(&self.table);
        let held = |place: u32| {
            (0..self.control.slots())
                .filter(|&slot| {
                    self.control
                        .live()
                        .word(slot)
                        .is_some_and(|w| ring::holders_of(w.load(Relaxed)) & (1 << place) != 0)
                })
                .count()
        };
        table
            .guests
            .values()
            .filter_map(|guest| {
                let held = held(guest.place?);
                let who = guest.process.map_or_else(
                    || "a process of another pid namespace".to_owned(),
                    |process| format!("process {} ({})", process.pid, process.command()),
                );
                (held > 0).then(|| format!("{who} holds {held}"))
            })
            .collect()
    }

    /// Sends the memory of a new epoch to every consumer.
    pub(crate) fn announce(&self, number: u32, memory: Arc<SlotMemory>) {
        let mut table = lock(&self.table);
        table.epoch = Some((number, memory));
        let Table { guests, epoch, .. } = &mut *table;
        for guest in guests.values_mut() {
            guest.offer_epoch(epoch.as_ref());
        }
    }

    /// Ends the link: the name is free, consumers are told, nothing is answered any more. The first call decides why.
    pub(crate) fn close(&self, why: u32) {
        if self.generation != fork_generation() {
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
        for guest in table.guests.values() {
            // A guest that can't be told sees the hang-up.
            let _ = guest.connection.send(&Message::Bye { reason }.encode(), &[]);
        }
        self.changed.notify_all();
    }

    fn ready(self: &Arc<Self>, key: u64) {
        // What is dropped under the lock could call back into the service; collect it and drop it after.
        let mut gone = Vec::new();
        let mut table = lock(&self.table);
        if key == LISTENER_KEY {
            self.accept_all(&mut table, &mut gone);
        } else if key % 2 == 1 {
            self.bury_if_dead(&mut table, key - 1, &mut gone);
        } else {
            self.read(&mut table, key, &mut gone);
        }
        let wanted = table.guests.values().any(|guest| guest.wants_name);
        drop(table);
        drop(gone);
        self.changed.notify_all();
        if wanted {
            self.close(producer_state::SUPERSEDED);
        }
    }

    fn accept_all(self: &Arc<Self>, table: &mut Table, gone: &mut Vec<Guest>) {
        let Some((listener, _)) = &table.listener else { return };
        let listener = Arc::clone(listener);
        loop {
            match listener.accept() {
                Ok(Some(connection)) => self.greet(table, connection, gone),
                Ok(None) => return,
                // Left waiting, the socket would stay readable and this thread would never rest.
                Err(error) if error.kind() == ErrorKind::OutOfResources => {
                    match listener.accept_to_refuse() {
                        Ok(Some(connection)) => refuse(&connection, error.kind(), &error.to_string()),
                        Ok(None) | Err(_) => return,
                    }
                }
                Err(error) => {
                    tracing::warn!(link = self.name(), %error, "a consumer could not be accepted");
                    return;
                }
            }
        }
    }

    fn greet(self: &Arc<Self>, table: &mut Table, connection: Connection, gone: &mut Vec<Guest>) {
        let connection = Arc::new(connection);
        let peer = match connection.peer() {
            Ok(peer) if peer.uid == current_uid() => peer,
            Ok(peer) => {
                let detail = format!("it belongs to user {}, you are user {}", current_uid(), peer.uid);
                refuse(&connection, ErrorKind::PermissionDenied, &detail);
                return;
            }
            Err(error) => return refuse(&connection, ErrorKind::PermissionDenied, &error.to_string()),
        };
        let mut standing =
            table.guests.iter().filter(|(_, guest)| guest.place.is_none()).map(|(key, _)| *key);
        if let (Some(oldest), true) = (standing.next(), standing.count() + 1 >= MAX_STANDING) {
            self.turn_away(table, oldest, gone, ErrorKind::OutOfResources, "too many others are asking");
        }
        table.last_key += 2;
        let key = table.last_key;
        let socket = match service::watch(Arc::clone(&connection) as _, self.door(), key) {
            Ok(socket) => socket,
            Err(error) => return refuse(&connection, ErrorKind::OutOfResources, &error.to_string()),
        };
        let process = peer.pid.and_then(ProcessId::of);
        table.guests.insert(
            key,
            Guest {
                connection,
                socket: Some(socket),
                pidfd: None,
                process,
                place: None,
                epoch_sent: 0,
                epoch_taken: true,
                said_bye: false,
                wants_name: false,
            },
        );
    }

    fn read(self: &Arc<Self>, table: &mut Table, key: u64, gone: &mut Vec<Guest>) {
        let mut buffer = [0; MAX_MESSAGE_BYTES];
        // What is more is read the next time, after others had their turn.
        for _ in 0..MESSAGES_AT_ONCE {
            let Some(guest) = table.guests.get(&key) else { return };
            let received = guest.connection.recv(&mut buffer);
            let message = match received {
                Ok(Received::WouldBlock) => return,
                Ok(Received::Message { len, .. }) => Message::decode(buffer.get(..len).unwrap_or_default()),
                Ok(Received::Closed) | Err(_) => return self.hung_up(table, key, gone),
            };
            match message {
                Ok(message) => self.answer(table, key, message, gone),
                Err(error) => {
                    // A peer that speaks another language is told so, and only it is disconnected.
                    refuse(&guest.connection, ErrorKind::VersionMismatch, &error.to_string());
                    return self.hung_up(table, key, gone);
                }
            }
        }
    }

    fn answer(self: &Arc<Self>, table: &mut Table, key: u64, message: Message, gone: &mut Vec<Guest>) {
        match message {
            Message::Hello { role: Role::Observer, .. } => self.show(table, key, gone),
            Message::Hello { role: Role::Consumer, start_ticks, .. } => {
                self.admit(table, key, start_ticks, gone)
            }
            Message::EpochTaken { epoch } => {
                let Table { guests, epoch: current, .. } = table;
                if let Some(guest) = guests.get_mut(&key) {
                    // An older number asks again for what could not be sent.
                    guest.epoch_taken = true;
                    if epoch.wrapping_sub(guest.epoch_sent).cast_signed() < 0 {
                        guest.epoch_sent = epoch;
                    }
                    guest.offer_epoch(current.as_ref());
                }
            }
            Message::Bye { .. } => {
                if let Some(guest) = table.guests.get_mut(&key) {
                    guest.said_bye = true;
                }
            }
            Message::TakeOver { .. } => {
                // Only while it is still there: this process may have been stopped for longer than the asker's
                // patience, and then nobody would have the name. Its hang-up, if any, is read in the same turn.
                if let Some(guest) = table.guests.get_mut(&key) {
                    guest.wants_name = true;
                }
            }
            Message::Newer { .. } => {}
            Message::Welcome { .. } | Message::Refuse { .. } | Message::Epoch { .. } => {
                self.hung_up(table, key, gone);
            }
        }
    }

    /// Shows the control memory to an observer.
    fn show(&self, table: &mut Table, key: u64, gone: &mut Vec<Guest>) {
        let Some(guest) = table.guests.get(&key) else { return };
        let welcome = self.welcome(u32::MAX, None);
        let sent = guest.connection.send(&welcome.encode(), self.control.handle().as_slice());
        if let Err(error) = sent {
            self.turn_away(table, key, gone, error.kind(), &error.to_string());
        }
    }

    /// Tells a guest why it may not stay, and hangs up.
    fn turn_away(&self, table: &mut Table, key: u64, gone: &mut Vec<Guest>, kind: ErrorKind, detail: &str) {
        if let Some(guest) = table.guests.get(&key) {
            refuse(&guest.connection, kind, detail);
        }
        self.bury(table, key, gone);
    }

    fn welcome(&self, place: u32, epoch: Option<&(u32, Arc<SlotMemory>)>) -> Message {
        let slots = self.control.slots();
        Message::Welcome {
            place,
            control_len: super::wire::control_len_bytes(slots) as u64,
            epoch: epoch.map_or(0, |(number, _)| *number),
            slots: slots as u32,
            slot_stride: epoch.map_or(0, |(_, memory)| memory.stride_bytes() as u64),
            slots_len: epoch.map_or(0, |(_, memory)| memory.len_bytes() as u64),
        }
    }

    /// Gives a consumer a place, the control memory and the slots of the current epoch.
    fn admit(self: &Arc<Self>, table: &mut Table, key: u64, start_ticks: u64, gone: &mut Vec<Guest>) {
        if table.guests.get(&key).is_none_or(|guest| guest.place.is_some()) {
            return self.hung_up(table, key, gone);
        }
        self.sweep(table, gone);
        let taken = table.guests.values().filter_map(|guest| guest.place).fold(0u32, |mask, p| mask | 1 << p);
        let free = (0..MAX_CONSUMERS as u32).find(|place| taken & (1 << place) == 0);
        let Some(place) = free else {
            let detail = format!("it has {MAX_CONSUMERS} consumers, which is the most");
            return self.turn_away(table, key, gone, ErrorKind::TooManyConsumers, &detail);
        };
        let Table { guests, epoch, .. } = table;
        let Some(guest) = guests.get_mut(&key) else { return };
        if let Err(error) = self.identify(guest, key, start_ticks) {
            return self.turn_away(table, key, gone, error.kind(), &error.to_string());
        }
        self.seat(guest, place);
        kill_point("producer.seated");
        if let Err(error) = self.send_welcome(guest, place, epoch.as_ref()) {
            self.turn_away(table, key, gone, error.kind(), &error.to_string());
        }
    }

    /// Opens a handle on the guest's process, so that its death is noticed even if its socket lives on.
    fn identify(self: &Arc<Self>, guest: &mut Guest, key: u64, start_ticks: u64) -> Result<(), LinkError> {
        let gone =
            |process: ProcessId| LinkError::PeerGone { name: self.name().to_owned(), pid: process.pid };
        // A process that can't read its own start says 0.
        if let Some(process) = guest.process.filter(|p| start_ticks != 0 && p.start_ticks != start_ticks) {
            return Err(gone(process));
        }
        let pidfd = match (guest.connection.peer_pidfd()?, guest.process) {
            (Some(pidfd), _) => pidfd,
            // Before Linux 6.5 the kernel names the peer by number only, and that may be somebody else's by now.
            (None, Some(process)) => PidFd::open_same(process)?.ok_or_else(|| gone(process))?,
            // It is in another pid namespace: then the hang-up alone tells.
            (None, None) => return Ok(()),
        };
        let pidfd = Arc::new(pidfd);
        let watched = service::watch(Arc::clone(&pidfd) as _, self.door(), key + 1)?;
        guest.pidfd = Some((pidfd, watched));
        Ok(())
    }

    fn seat(&self, guest: &mut Guest, at: u32) {
        let process = guest.process.unwrap_or(ProcessId { pid: 0, start_ticks: 0 });
        // Nothing that a former occupant did late may count for this one.
        ring::reclaim(&self.control.live(), at);
        for counter in [place::RECEIVED, place::MISSED, place::CURSOR] {
            self.control.live().place_u64(at, counter).store(0, Relaxed);
        }
        self.control.live().place_u32(at, place::PID).store(process.pid.cast_unsigned(), Relaxed);
        self.control.live().place_u64(at, place::START_TICKS).store(process.start_ticks, Relaxed);
        self.control.live().place_u32(at, place::STATE).store(place::ATTACHED, Release);
        guest.place = Some(at);
        // pairs with: Hall::attached. From here on the consumer's holds count; the fence orders this before everything
        // that the consumer does once it is welcomed.
        self.attached.fetch_or(1 << at, AcqRel);
        Cells::fence(&self.control.live());
    }

    /// Removes everything a guest holds and frees its place.
    fn unseat(&self, guest: &mut Guest) {
        let Some(at) = guest.place.take() else { return };
        ring::reclaim(&self.control.live(), at);
        self.control.live().place_u32(at, place::STATE).store(place::FREE, Release);
        self.attached.fetch_and(!(1 << at), AcqRel);
    }

    fn send_welcome(
        &self,
        guest: &mut Guest,
        place: u32,
        epoch: Option<&(u32, Arc<SlotMemory>)>,
    ) -> Result<(), LinkError> {
        let slots = epoch.map(|(_, memory)| memory.handle());
        let handles: Vec<_> = self.control.handle().into_iter().chain(slots).collect();
        // The queue of a connection that has just been made is empty, so that this is sent or fails.
        let _ = guest.connection.send(&self.welcome(place, epoch).encode(), &handles)?;
        guest.epoch_sent = epoch.map_or(0, |(number, _)| *number);
        Ok(())
    }

    /// Ends the connection. What the guest holds stays, unless it left in good order or can't be watched otherwise.
    fn hung_up(&self, table: &mut Table, key: u64, gone: &mut Vec<Guest>) {
        let Some(guest) = table.guests.get_mut(&key) else { return };
        let watched = guest.pidfd.as_ref().is_some_and(|(pidfd, _)| !pidfd.is_dead());
        if guest.place.is_none() || guest.said_bye || !watched {
            return self.bury(table, key, gone);
        }
        if let Some(at) = guest.place {
            self.control.live().place_u32(at, place::STATE).store(place::QUARANTINED, Release);
        }
        // Its process handle stays registered and will tell.
        guest.socket = None;
        guest.connection.shutdown();
    }

    fn bury_if_dead(&self, table: &mut Table, key: u64, gone: &mut Vec<Guest>) {
        let dead = |guest: &Guest| guest.pidfd.as_ref().is_some_and(|(pidfd, _)| pidfd.is_dead());
        if table.guests.get(&key).is_some_and(dead) {
            self.bury(table, key, gone);
        }
    }

    fn bury(&self, table: &mut Table, key: u64, gone: &mut Vec<Guest>) {
        if let Some(mut guest) = table.guests.remove(&key) {
            self.unseat(&mut guest);
            gone.push(guest);
        }
    }

    /// Frees the places of dead guests whose death has not been reported yet.
    fn sweep(&self, table: &mut Table, gone: &mut Vec<Guest>) {
        let keys: Vec<u64> = table.guests.keys().copied().collect();
        for key in keys {
            self.bury_if_dead(table, key, gone);
        }
    }
}

impl Guest {
    /// Sends the current epoch, unless the last one is still on its way: a stopped guest keeps one, not all.
    fn offer_epoch(&mut self, epoch: Option<&(u32, Arc<SlotMemory>)>) {
        let Some((number, memory)) = epoch else { return };
        if self.place.is_none() || !self.epoch_taken || self.epoch_sent == *number {
            return;
        }
        let message = Message::Epoch {
            epoch: *number,
            slot_stride: memory.stride_bytes() as u64,
            slots_len: memory.len_bytes() as u64,
        };
        match self.connection.send(&message.encode(), &[memory.handle()]) {
            Ok(uncopy_os::Sent::Done) => {
                self.epoch_sent = *number;
                self.epoch_taken = false;
            }
            // The guest asks again when it meets a frame that it can't map.
            Ok(uncopy_os::Sent::WouldBlock) => {}
            Err(error) => tracing::debug!(%error, epoch = number, "a consumer could not be sent an epoch"),
        }
    }
}

/// Tells a client why it may not join; it also sees the hang-up.
fn refuse(connection: &Connection, kind: ErrorKind, detail: &str) {
    let _ = connection.send(&Message::refusal(kind, detail).encode(), &[]);
}

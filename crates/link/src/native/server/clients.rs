// SPDX-License-Identifier: MIT OR Apache-2.0
//! The connections of a producer: who is let in, what it is told, and when its place is free again.

use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::time::{Duration, Instant};

use uncopy_core::ErrorKind;
use uncopy_os::{Connection, EventFd, PidFd, ProcessId, Received, Sent, current_uid, kill_point};

use uncopy_tensor::ShareHandle;

use super::{Server, Table};
use crate::ages::BUCKETS;
use crate::error::LinkError;
use crate::native::frame_memory::{FrameMemory, on_device};
use crate::native::order;
use crate::native::ring::{self, Cells};
use crate::native::wire::{
    self, MAX_CONSUMERS, MAX_MESSAGE_BYTES, Message, Role, is_newer_epoch, place, read, when_full,
};
use crate::service::{self, Registration, ask_until_done};

/// Messages that are read from one client in one go.
const MESSAGES_AT_ONCE: usize = 16;
/// Clients without a place: observers, and who has not said what it wants. Beyond this the oldest is hung up on.
const MAX_STANDING: usize = 64;

/// One connection.
pub(super) struct Client {
    pub(super) connection: Arc<Connection>,
    pub(super) socket: Option<Registration>,
    pub(super) pidfd: Option<(Arc<PidFd>, Registration)>,
    pub(super) process: Option<ProcessId>,
    pub(super) place: Option<u32>,
    /// The newest epoch that was sent, and whether the client has said that it arrived.
    pub(super) epoch_sent: u32,
    pub(super) epoch_taken: bool,
    /// It reads every frame of a producer that blocks, and so needs every epoch, in order.
    pub(super) wants_each_epoch: bool,
    pub(super) said_bye: bool,
    /// Its place was taken away: it keeps what it holds and gets nothing new.
    pub(super) is_evicted: bool,
    /// It asked for the name and has not hung up since.
    pub(super) wants_name: bool,
    /// We hung up on it: of what it still says only its goodbye counts.
    pub(super) is_dismissed: bool,
}

impl Server {
    pub(super) fn accept_all(self: &Arc<Self>, table: &mut Table, gone: &mut Vec<Client>) {
        let Some((listener, _)) = &table.listener else { return };
        let listener = Arc::clone(listener);
        loop {
            match listener.accept() {
                Ok(Some(connection)) => self.add(table, connection, gone),
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
                    self.log.note_as(error.kind(), &format!("a consumer could not be accepted: {error}"));
                    return;
                }
            }
        }
    }

    fn add(self: &Arc<Self>, table: &mut Table, connection: Connection, gone: &mut Vec<Client>) {
        let connection = Arc::new(connection);
        let peer = match connection.peer() {
            Ok(peer) if peer.uid == current_uid() => peer,
            Ok(peer) => {
                let detail = format!("it belongs to user {}, you are user {}", current_uid(), peer.uid);
                refuse(&connection, ErrorKind::PermissionDenied, &detail);
                self.log.note_as(ErrorKind::PermissionDenied, &format!("a process was refused: {detail}"));
                return;
            }
            Err(error) => return refuse(&connection, ErrorKind::PermissionDenied, &error.to_string()),
        };
        self.make_way(table, gone);
        table.last_key += 2;
        let key = table.last_key;
        let socket = match service::watch(Arc::clone(&connection) as _, self.handler(), key) {
            Ok(socket) => socket,
            Err(error) => return refuse(&connection, ErrorKind::OutOfResources, &error.to_string()),
        };
        let process = peer.pid.and_then(ProcessId::of);
        table.clients.insert(
            key,
            Client {
                connection,
                socket: Some(socket),
                pidfd: None,
                process,
                place: None,
                epoch_sent: 0,
                epoch_taken: true,
                wants_each_epoch: false,
                said_bye: false,
                is_evicted: false,
                wants_name: false,
                is_dismissed: false,
            },
        );
    }

    /// Hangs up on the oldest of those without a place, if they are too many.
    fn make_way(self: &Arc<Self>, table: &mut Table, gone: &mut Vec<Client>) {
        if standing(table).count() < MAX_STANDING {
            return;
        }
        // Some have left, and some have said what they want: this thread may have been stopped for long, and they come
        // only now to their turn.
        let asked: Vec<u64> = standing(table).collect();
        asked.into_iter().for_each(|key| self.read(table, key, gone));
        let (oldest, count) = (standing(table).next(), standing(table).count());
        if let (Some(oldest), MAX_STANDING..) = (oldest, count) {
            self.refuse_client(table, oldest, gone, ErrorKind::OutOfResources, "too many others are asking");
        }
    }

    pub(super) fn read(self: &Arc<Self>, table: &mut Table, key: u64, gone: &mut Vec<Client>) {
        let mut buffer = [0; MAX_MESSAGE_BYTES];
        // What is more is read the next time, after others had their turn.
        for _ in 0..MESSAGES_AT_ONCE {
            let Some(client) = table.clients.get(&key) else { return };
            let received = client.connection.recv(&mut buffer);
            let message = match received {
                Ok(Received::WouldBlock) => return,
                Ok(Received::Message { len, handles, .. }) => {
                    Message::decode(buffer.get(..len).unwrap_or_default()).map(|message| (message, handles))
                }
                Ok(Received::Closed) => return self.hung_up(table, key, gone),
                Err(_) if client.is_dismissed => return self.hung_up(table, key, gone),
                Err(_) => return self.dismiss(table, key, gone),
            };
            match message {
                Ok((message, handles)) => self.answer(table, key, message, &handles, gone),
                Err(_) if client.is_dismissed => {}
                Err(error) => {
                    // A peer that speaks another language is told so, and only it is disconnected.
                    refuse(&client.connection, ErrorKind::VersionMismatch, &error.to_string());
                    self.log.note_as(
                        ErrorKind::VersionMismatch,
                        &format!("{} said what can't be read: {error}", who(client)),
                    );
                    return self.dismiss(table, key, gone);
                }
            }
        }
    }

    fn answer(
        self: &Arc<Self>,
        table: &mut Table,
        key: u64,
        message: Message,
        handles: &[ShareHandle],
        gone: &mut Vec<Client>,
    ) {
        let is_dismissed = table.clients.get(&key).is_some_and(|client| client.is_dismissed);
        match message {
            Message::Bye { .. } => {
                if let Some(client) = table.clients.get_mut(&key) {
                    client.said_bye = true;
                }
            }
            _ if is_dismissed => {}
            Message::Hello { role: Role::Observer, .. } => self.welcome_observer(table, key, gone),
            Message::Hello { role: Role::Consumer, start_ticks, read, .. } => {
                self.welcome_consumer(table, key, (start_ticks, read), gone)
            }
            Message::EpochTaken { epoch } => {
                let Table { clients, epochs, .. } = table;
                if let Some(client) = clients.get_mut(&key) {
                    // An older number asks again for what could not be sent.
                    client.epoch_taken = true;
                    if is_newer_epoch(client.epoch_sent, epoch) {
                        client.epoch_sent = epoch;
                    }
                    client.offer_epoch(epochs);
                    table.forget_epochs();
                }
            }
            Message::TakeOver { .. } => {
                // Only while it is still there: this process may have been stopped for longer than the asker's
                // patience, and then nobody would have the name. Its hang-up, if any, is read in the same turn.
                if let Some(client) = table.clients.get_mut(&key) {
                    client.wants_name = true;
                }
            }
            Message::Watch => {
                let place = table.clients.get(&key).and_then(|client| client.place);
                let bell = handles.first().map(EventFd::open);
                match (place, bell) {
                    (Some(place), Some(Ok(bell))) => {
                        self.set_bell(place, Some(bell));
                        // A frame may have been published since it was armed, and found no bell.
                        self.ring(1 << place);
                    }
                    _ => {
                        if let Some(client) = table.clients.get(&key) {
                            let detail = "a doorbell is an eventfd of a consumer";
                            refuse(&client.connection, ErrorKind::InvalidArgument, detail);
                        }
                        self.dismiss(table, key, gone);
                    }
                }
            }
            Message::Newer { .. } => {}
            Message::Welcome { .. } | Message::Refuse { .. } | Message::Epoch { .. } => {
                self.dismiss(table, key, gone);
            }
        }
    }

    /// Shows the control memory to an observer.
    fn welcome_observer(&self, table: &mut Table, key: u64, gone: &mut Vec<Client>) {
        let Some(client) = table.clients.get(&key) else { return };
        let welcome = self.welcome(u32::MAX, None);
        let sent = client.connection.send(&welcome.encode(), self.control.handle().as_slice());
        if let Err(error) = sent {
            self.refuse_client(table, key, gone, error.kind(), &error.to_string());
        }
    }

    /// Tells a client why it may not stay, and hangs up.
    fn refuse_client(
        &self,
        table: &mut Table,
        key: u64,
        gone: &mut Vec<Client>,
        kind: ErrorKind,
        detail: &str,
    ) {
        if let Some(client) = table.clients.get(&key) {
            refuse(&client.connection, kind, detail);
            self.log.note_as(kind, &format!("{} was refused: {detail}", who(client)));
        }
        self.remove(table, key, gone);
    }

    fn welcome(&self, place: u32, epoch: Option<&(u32, FrameMemory)>) -> Message {
        let slots = self.control.slots();
        Message::Welcome {
            place,
            control_len: wire::control_len_bytes(slots) as u64,
            epoch: epoch.map_or(0, |(number, _)| *number),
            slots: slots as u32,
            memory: epoch.map(|(_, memory)| memory.info()).unwrap_or_default(),
        }
    }

    /// Gives a consumer a place, the control memory and the slots of the current epoch.
    fn welcome_consumer(
        self: &Arc<Self>,
        table: &mut Table,
        key: u64,
        (start_ticks, read): (u64, u32),
        gone: &mut Vec<Client>,
    ) {
        if table.clients.get(&key).is_none_or(|client| client.place.is_some()) {
            return self.dismiss(table, key, gone);
        }
        self.sweep(table, gone);
        let seated = table.clients.values().filter_map(|client| client.place);
        let taken = seated.fold(self.settling.load(Acquire), |mask, place| mask | 1 << place);
        let free = (0..MAX_CONSUMERS as u32).find(|place| taken & (1 << place) == 0);
        let Some(place) = free else {
            let detail = format!("it has {MAX_CONSUMERS} consumers, which is the most");
            return self.refuse_client(table, key, gone, ErrorKind::TooManyConsumers, &detail);
        };
        let Table { clients, epochs, .. } = table;
        let Some(client) = clients.get_mut(&key) else { return };
        if let Err(error) = self.identify(client, key, start_ticks) {
            return self.refuse_client(table, key, gone, error.kind(), &error.to_string());
        }
        self.seat(client, place, read);
        kill_point("producer.seated");
        if let Err(error) = self.send_welcome(client, place, epochs.last()) {
            self.refuse_client(table, key, gone, error.kind(), &error.to_string());
        }
    }

    /// Opens a handle on the client's process, so that its death is noticed even if its socket lives on.
    fn identify(self: &Arc<Self>, client: &mut Client, key: u64, start_ticks: u64) -> Result<(), LinkError> {
        let gone =
            |process: ProcessId| LinkError::PeerGone { name: self.name().to_owned(), pid: process.pid };
        // A process that can't read its own start says 0.
        if let Some(process) = client.process.filter(|p| start_ticks != 0 && p.start_ticks != start_ticks) {
            return Err(gone(process));
        }
        let pidfd = match (client.connection.peer_pidfd()?, client.process) {
            (Some(pidfd), _) => pidfd,
            // Before Linux 6.5 the kernel names the peer by number only, and that may be somebody else's by now.
            (None, Some(process)) => PidFd::open_same(process)?.ok_or_else(|| gone(process))?,
            // It is in another pid namespace: then the hang-up alone tells.
            (None, None) => return Ok(()),
        };
        let pidfd = Arc::new(pidfd);
        let watched = service::watch(Arc::clone(&pidfd) as _, self.handler(), key + 1)?;
        client.pidfd = Some((pidfd, watched));
        Ok(())
    }

    fn seat(&self, client: &mut Client, at: u32, read: u32) {
        let process = client.process.unwrap_or(ProcessId { pid: 0, start_ticks: 0 });
        // Nothing that a former occupant did late may count for this one.
        ring::reclaim(&self.control.live(), at);
        let control = self.control.live();
        for counter in [place::RECEIVED, place::MISSED, place::CURSOR] {
            control.place_u64(at, counter).store(0, Relaxed);
        }
        for bucket in 0..BUCKETS {
            control.age_count(at, bucket).store(0, Relaxed);
        }
        control.place_u32(at, place::PID).store(process.pid.cast_unsigned(), Relaxed);
        control.place_u64(at, place::START_TICKS).store(process.start_ticks, Relaxed);
        control.place_u32(at, place::READ).store(read, Relaxed);
        control.place_u32(at, place::STATE).store(place::ATTACHED, Release);
        client.place = Some(at);
        let blocks = control.when_full().load(Relaxed) == when_full::BLOCK;
        client.wants_each_epoch = blocks && read == read::EVERY;
        if read == read::EVERY {
            ring::begin_to_keep(&control, at, &self.every);
            // For a moment it may have kept the producer waiting for more than it needs.
            if ring::is_room_wanted(&control) {
                control.make_room_known();
            }
        }
        // pairs with: Server::attached. From here on the consumer's holds count; the fence orders this before
        // everything that the consumer does once it is welcomed.
        self.attached.fetch_or(1 << at, AcqRel);
        Cells::fence(&control);
    }

    /// Removes everything a client holds and frees its place.
    fn unseat(&self, client: &mut Client) {
        let Some(at) = client.place.take() else { return };
        client.wants_each_epoch = false;
        self.every.fetch_and(!(1 << at), AcqRel);
        self.set_bell(at, None);
        // Its process is dead, or reads nothing any more: no stream of ours may wait for it.
        if order::force_done(&self.control.live(), at) {
            self.let_settle(at);
        }
        ring::reclaim(&self.control.live(), at);
        self.control.live().place_u32(at, place::STATE).store(place::FREE, Release);
        self.attached.fetch_and(!(1 << at), AcqRel);
        // It may have been woken to wake others, and died before it did.
        if ring::somebody_sleeps(&self.control.live()) {
            self.control.live().wake_all();
        }
    }

    /// Keeps a place empty for a while and its words where they are: what a device of the dead still does may come late
    /// and take them back.
    #[cold]
    fn let_settle(&self, at: u32) {
        /// Far longer than it takes until a killed process's work is over.
        const SETTLES_IN: Duration = Duration::from_secs(1);
        self.settling.fetch_or(1 << at, AcqRel);
        let (settling, control, begun) = (Arc::clone(&self.settling), self.control.clone(), Instant::now());
        ask_until_done(move || {
            order::force_done(&control.live(), at);
            let is_over = begun.elapsed() >= SETTLES_IN;
            if is_over {
                settling.fetch_and(!(1 << at), AcqRel);
            }
            is_over
        });
    }

    fn send_welcome(
        &self,
        client: &mut Client,
        place: u32,
        epoch: Option<&(u32, FrameMemory)>,
    ) -> Result<(), LinkError> {
        let welcome = self.welcome(place, epoch).encode();
        let send = |slots: &[&ShareHandle]| {
            let handles: Vec<_> = self.control.handle().into_iter().chain(slots.iter().copied()).collect();
            client.connection.send(&welcome, &handles)
        };
        // The queue of a connection that has just been made is empty, so that this is sent or fails.
        let _ = match epoch {
            Some((_, memory)) => {
                memory.with_handles(send).map_err(on_device(self.name(), "sharing memory"))??
            }
            None => send(&[])?,
        };
        client.epoch_sent = epoch.map_or(0, |(number, _)| *number);
        Ok(())
    }

    /// Hangs up on a client. What it holds stays until it has said goodbye, which it may do after it has noticed.
    fn dismiss(&self, table: &mut Table, key: u64, gone: &mut Vec<Client>) {
        let Some(client) = table.clients.get_mut(&key) else { return };
        let Some(at) = client.place else { return self.remove(table, key, gone) };
        client.is_dismissed = true;
        self.quarantine(at);
        client.connection.shutdown_sending();
    }

    /// What is held at a place stays, and nothing new is kept for it: its consumer can receive nothing more.
    fn quarantine(&self, at: u32) {
        self.every.fetch_and(!(1 << at), AcqRel);
        self.control.live().place_u32(at, place::STATE).store(place::QUARANTINED, Release);
    }

    /// Ends the connection. What the client holds stays, unless it left in good order or can't be watched otherwise.
    fn hung_up(&self, table: &mut Table, key: u64, gone: &mut Vec<Client>) {
        let Some(client) = table.clients.get_mut(&key) else { return };
        let watched = client.pidfd.as_ref().is_some_and(|(pidfd, _)| !pidfd.is_dead());
        if client.place.is_none() || client.said_bye || !watched {
            return self.remove(table, key, gone);
        }
        if let Some(at) = client.place {
            client.wants_each_epoch = false;
            self.quarantine(at);
        }
        // Its process handle stays registered and will tell.
        client.socket = None;
        client.connection.shutdown();
    }

    pub(super) fn remove_if_dead(&self, table: &mut Table, key: u64, gone: &mut Vec<Client>) {
        let dead = |client: &Client| client.pidfd.as_ref().is_some_and(|(pidfd, _)| pidfd.is_dead());
        if table.clients.get(&key).is_some_and(dead) {
            self.remove(table, key, gone);
        }
    }

    fn remove(&self, table: &mut Table, key: u64, gone: &mut Vec<Client>) {
        if let Some(mut client) = table.clients.remove(&key) {
            self.unseat(&mut client);
            gone.push(client);
        }
    }

    /// Frees the places of dead clients whose death has not been reported yet.
    fn sweep(&self, table: &mut Table, gone: &mut Vec<Client>) {
        let keys: Vec<u64> = table.clients.keys().copied().collect();
        for key in keys {
            self.remove_if_dead(table, key, gone);
        }
    }
}

impl Client {
    /// Sends the current epoch, or the next to who needs each, unless the last one is still on its way: a stopped
    /// client keeps one, not all.
    pub(super) fn offer_epoch(&mut self, epochs: &[(u32, FrameMemory)]) {
        let next = match self.wants_each_epoch {
            true => epochs.iter().find(|(number, _)| is_newer_epoch(*number, self.epoch_sent)),
            false => epochs.last(),
        };
        let Some((number, memory)) = next else { return };
        if self.place.is_none() || !self.epoch_taken || self.epoch_sent == *number {
            return;
        }
        let message = Message::Epoch { epoch: *number, memory: memory.info() }.encode();
        let sent = memory.with_handles(|handles| self.connection.send(&message, handles));
        match sent.map_err(|error| error.to_string()).map(|sent| sent.map_err(|error| error.to_string())) {
            Ok(Ok(Sent::Done)) => {
                self.epoch_sent = *number;
                self.epoch_taken = false;
            }
            // The client asks again when it meets a frame that it can't map.
            Ok(Ok(Sent::WouldBlock)) => {}
            Ok(Err(error)) | Err(error) => {
                tracing::debug!(%error, epoch = number, "a consumer could not be sent an epoch");
            }
        }
    }
}

/// Who a client is, in words.
pub(super) fn who(client: &Client) -> String {
    match client.process {
        Some(process) => format!("process {} ({})", process.pid, process.command()),
        None => "a process of another pid namespace".to_owned(),
    }
}

/// The clients without a place, the oldest first.
fn standing(table: &Table) -> impl Iterator<Item = u64> {
    table.clients.iter().filter(|(_, client)| client.place.is_none()).map(|(key, _)| *key)
}

/// Tells a client why it may not join; it also sees the hang-up.
fn refuse(connection: &Connection, kind: ErrorKind, detail: &str) {
    let _ = connection.send(&Message::refusal(kind, detail).encode(), &[]);
}

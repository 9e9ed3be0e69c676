// SPDX-License-Identifier: MIT OR Apache-2.0
//! One consumer's place at one producer: the mapped memory, the holds, and whether the producer is still there.
//!
//! An attachment lives as long as its subscriber or any frame received through it. The last of them says goodbye.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use uncopy_core::ErrorKind;
use uncopy_os::{
    Connection, Mapping, PidFd, ProcessId, Received, RuntimeDir, WatchGuard, current_uid, fork_generation,
    kill_point, monotonic_nanos, watch_read_only,
};
use uncopy_tensor::{Access, ShareHandle};

use super::control::{Control, Header};
use super::description::{self, Description, FormKey};
use super::ring::{self, Unheld};
use super::serve::socket_file;
use super::wire::{
    BYE_CLOSED, KNOWN_REQUIRED_FEATURES, MAX_CONSUMERS, MAX_MESSAGE_BYTES, MAX_SLOTS, Message, Role,
    SLOT_ALIGN_BYTES, VERSION_MAJOR, VERSION_MINOR, place,
};
use crate::error::LinkError;
use crate::form::Form;
use crate::service::{self, Handler, Registration, lock};

/// How long a producer has to answer a greeting. Its service thread does nothing else, so only a stopped process or a
/// very busy machine takes this long.
const WELCOME_PATIENCE: Duration = Duration::from_secs(1);

/// How long a bit of ours may be set without a frame of ours: another thread clears it within a few instructions, so
/// after this nobody will, and somebody else has written it.
const RELEASE_PATIENCE: Duration = Duration::from_secs(1);

/// Why an attachment came to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ended {
    /// The producer closed the link or handed its name over.
    Closed,
    /// The producer died, or its socket hung up without a word.
    Lost,
}

const LIVE: u32 = 0;
const CLOSED: u32 = 1;
const LOST: u32 = 2;

/// The frame memory of one epoch, mapped for reading.
pub(crate) struct SlotMap {
    pub(crate) epoch: u32,
    pub(crate) stride: usize,
    pub(crate) mapping: Arc<Mapping>,
    _guard: WatchGuard,
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

#[derive(Default)]
struct Inbox {
    epochs: Vec<Arc<SlotMap>>,
    newest: u32,
}

/// A consumer's place at a producer.
pub(crate) struct Attachment {
    pub(crate) name: String,
    pub(crate) header: Header,
    pub(crate) control: Control,
    pub(crate) place: u32,
    generation: u32,
    connection: Arc<Connection>,
    pidfd: Option<Arc<PidFd>>,
    inbox: Mutex<Inbox>,
    ended: AtomicU32,
    ended_nanos: AtomicU64,
    watches: Mutex<Vec<Registration>>,
    /// Frames of this process per slot: the place's one bit is cleared with the last of them.
    counts: [AtomicU32; MAX_SLOTS],
}

/// What became of an attempt to attach.
pub(crate) enum Attempt {
    Attached(Arc<Attachment>),
    /// Nobody publishes under the name; with what is in the way where something is.
    Absent(Option<String>),
}

const SOCKET_KEY: u64 = 0;
const PROCESS_KEY: u64 = 1;

struct Bell(Weak<Attachment>);

impl Handler for Bell {
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
    /// Greets the producer of `name` and maps what it hands over.
    pub(crate) fn attempt(dir: &RuntimeDir, name: &str) -> Result<Attempt, LinkError> {
        let connection = match reach(dir, name) {
            Ok(connection) => connection,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Attempt::Absent(None)),
            Err(error) => return Err(error),
        };
        kill_point("consumer.connected");
        let us = ProcessId::current();
        let hello = Message::Hello {
            role: Role::Consumer,
            pid: us.pid,
            start_ticks: us.start_ticks,
            known_features: KNOWN_REQUIRED_FEATURES,
        };
        let (message, handles) = match converse(&connection, &hello, name, WELCOME_PATIENCE)? {
            Reply::Message(message, handles) => (message, handles),
            Reply::HungUp => return Ok(Attempt::Absent(None)),
            Reply::Silence => {
                let pid = connection.peer()?.pid.unwrap_or(0);
                return Ok(Attempt::Absent(Some(format!(
                    "its producer, process {pid}, does not answer; is it stopped?"
                ))));
            }
        };
        kill_point("consumer.welcomed");
        Self::settle(name, connection, message, &handles).map(Attempt::Attached)
    }

    /// Maps and checks everything that a welcome describes.
    fn settle(
        name: &str,
        connection: Connection,
        message: Message,
        handles: &[ShareHandle],
    ) -> Result<Arc<Self>, LinkError> {
        let corrupt = |detail: String| LinkError::Corrupt { name: name.to_owned(), detail };
        let Message::Welcome { place, control_len, epoch, slots, slot_stride, slots_len } = message else {
            return Err(corrupt(format!("its producer answered a greeting with {message:?}")));
        };
        let (Some(control), Ok(control_len)) = (handles.first(), usize::try_from(control_len)) else {
            return Err(corrupt("its producer sent no control memory".to_owned()));
        };
        let mapping = Arc::new(Mapping::open(control, control_len, Access::ReadWrite)?);
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
            inbox = Inbox { epochs: vec![Arc::new(map)], newest: epoch };
        }
        let pidfd = connection.peer_pidfd()?.map(Arc::new);
        let attachment = Arc::new(Self {
            name: name.to_owned(),
            header,
            control,
            place,
            generation: fork_generation(),
            connection: Arc::new(connection),
            pidfd,
            inbox: Mutex::new(inbox),
            ended: AtomicU32::new(LIVE),
            ended_nanos: AtomicU64::new(0),
            watches: Mutex::default(),
            counts: [const { AtomicU32::new(0) }; MAX_SLOTS],
        });
        attachment.watch()?;
        kill_point("consumer.attached");
        Ok(attachment)
    }

    fn watch(self: &Arc<Self>) -> Result<(), LinkError> {
        let bell: Arc<dyn Handler> = Arc::new(Bell(Arc::downgrade(self)));
        let mut watches =
            vec![service::watch(Arc::clone(&self.connection) as _, Arc::clone(&bell), SOCKET_KEY)?];
        if let Some(pidfd) = &self.pidfd {
            watches.push(service::watch(Arc::clone(pidfd) as _, bell, PROCESS_KEY)?);
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
            ring::poison_half_written(&self.control);
        }
        self.control.kick();
    }

    /// Reads what the producer has sent. Any thread may call it.
    fn pump(&self) {
        let mut inbox = lock(&self.inbox);
        let mut buffer = [0; MAX_MESSAGE_BYTES];
        loop {
            match self.connection.recv(&mut buffer) {
                Ok(Received::WouldBlock) => return,
                Ok(Received::Message { len, handles, .. }) => {
                    let message = Message::decode(buffer.get(..len).unwrap_or_default());
                    if self.take(&mut inbox, message.ok(), &handles).is_none() {
                        return self.end(LOST);
                    }
                }
                Ok(Received::Closed) | Err(_) => return self.end(LOST),
            }
        }
    }

    /// Takes in one message; `None` where it is none that a producer may send.
    fn take(&self, inbox: &mut Inbox, message: Option<Message>, handles: &[ShareHandle]) -> Option<()> {
        match message? {
            Message::Epoch { epoch, slot_stride, slots_len } => {
                let map = SlotMap::open(
                    &self.name,
                    self.header.slots,
                    epoch,
                    slot_stride,
                    slots_len,
                    handles.first()?,
                );
                match map {
                    Ok(map) => inbox.epochs.push(Arc::new(map)),
                    Err(error) => {
                        tracing::error!(link = %self.name, epoch, %error, "an epoch can't be mapped")
                    }
                }
                inbox.newest = epoch;
                // A producer that can't be told sends nothing newer until it is asked again.
                let _ = self.connection.send(&Message::EpochTaken { epoch }.encode(), &[]);
                kill_point("consumer.epoch_taken");
            }
            // A producer that says goodbye has closed, whatever its reason.
            Message::Bye { .. } => self.end(CLOSED),
            _ => return None,
        }
        Some(())
    }

    fn known(&self, epoch: u32) -> Option<Arc<SlotMap>> {
        let mut inbox = lock(&self.inbox);
        let found = inbox.epochs.iter().find(|map| map.epoch == epoch).cloned();
        if found.is_some() && inbox.epochs.len() > 1 {
            // Frames come in order: what is older than a frame that was held is not needed by a later one.
            let at = inbox.epochs.iter().position(|map| map.epoch == epoch).unwrap_or(0);
            inbox.epochs.drain(..at);
        }
        found
    }

    /// The memory of `epoch`, waiting up to `patience` for it to arrive; `None` where it never will.
    fn memory_of(&self, epoch: u32, patience: Duration) -> Option<Arc<SlotMap>> {
        let begun = Instant::now();
        loop {
            self.pump();
            if let Some(map) = self.known(epoch) {
                return Some(map);
            }
            let newest = lock(&self.inbox).newest;
            let superseded = newest != 0 && (newest.wrapping_sub(epoch)).cast_signed() > 0;
            if superseded || self.ended().is_some() || begun.elapsed() >= patience {
                return None;
            }
            // Ask again: the producer may have been unable to send.
            let _ = self.connection.send(&Message::EpochTaken { epoch: newest }.encode(), &[]);
            if self.connection.wait_readable(Some(Duration::from_millis(10))).is_err() {
                return None;
            }
        }
    }

    /// Holds the newest frame if its number is above `after`. `scene` is that of the frame before, made anew on change.
    pub(crate) fn hold(
        self: &Arc<Self>,
        after: u64,
        patience: Duration,
        scene: &mut Option<Arc<Scene>>,
    ) -> Result<Next, LinkError> {
        let slot = match self.hold_slot(after) {
            Ok(slot) => slot,
            Err(Unheld::Nothing) => return Ok(Next::Nothing),
            Err(Unheld::Corrupt) => return Err(self.corrupt("the newest frame is in no slot".to_owned())),
        };
        let hold = Hold { attachment: self, slot };
        kill_point("consumer.held");
        let description = description::load(&self.control, slot).map_err(|detail| self.corrupt(detail))?;
        let known = match scene {
            Some(scene) if scene.key == description.form_key() => scene,
            _ => match self.new_scene(slot, &description, patience)? {
                Some(new) => scene.insert(Arc::new(new)),
                None => return Ok(Next::Unreachable { seq: description.seq }),
            },
        };
        kill_point("consumer.described");
        std::mem::forget(hold);
        Ok(Next::Frame(Lease { scene: Arc::clone(known), slot }, description))
    }

    /// Memory and form of the frame in `slot`, which the caller holds; `None` where its memory never arrives.
    fn new_scene(
        self: &Arc<Self>,
        slot: usize,
        description: &Description,
        patience: Duration,
    ) -> Result<Option<Scene>, LinkError> {
        let form = description::load_form(&self.control, slot, description)
            .map_err(|detail| self.corrupt(detail))?;
        let epoch = description.epoch();
        let Some(map) = self.known(epoch).or_else(|| self.memory_of(epoch, patience)) else {
            return Ok(None);
        };
        if form.len_bytes() > map.stride {
            return Err(self.corrupt(format!("{form} in a slot of {} bytes", map.stride)));
        }
        Ok(Some(Scene { attachment: Arc::clone(self), map, key: description.form_key(), form }))
    }

    fn hold_slot(&self, after: u64) -> Result<usize, Unheld> {
        let mut begun = None;
        loop {
            let hold = ring::hold_latest(&self.control, self.place, after)?;
            let Some(count) = self.counts.get(hold.slot) else { return Err(Unheld::Corrupt) };
            if !hold.again {
                // Our bit was clear, so no frame of ours is in this slot and nobody else changes the count.
                count.store(1, Relaxed);
                return Ok(hold.slot);
            }
            if count.fetch_add(1, AcqRel) > 0 {
                return Ok(hold.slot);
            }
            // Another thread has dropped the last frame in this slot and is about to clear our bit; the hold that we
            // saw is not ours to keep. Step back until it is done.
            count.fetch_sub(1, AcqRel);
            std::thread::yield_now();
            if begun.get_or_insert_with(Instant::now).elapsed() > RELEASE_PATIENCE {
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
            ring::release(&self.control, self.place, slot);
        }
    }

    pub(crate) fn count_received(&self, received: u64, missed: u64, seq: u64) {
        for (field, value) in [(place::RECEIVED, received), (place::MISSED, missed), (place::CURSOR, seq)] {
            // Only this place writes its row; observers want recent values, not an order.
            self.control.place_u64(self.place, field).store(value, Relaxed);
        }
    }

    fn corrupt(&self, detail: String) -> LinkError {
        LinkError::Corrupt { name: self.name.clone(), detail }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        if self.is_foreign() || self.ended().is_some() {
            return;
        }
        kill_point("consumer.leaving");
        // A producer that can't be told sees the hang-up and then this process's end.
        let _ = self.connection.send(&Message::Bye { reason: BYE_CLOSED }.encode(), &[]);
    }
}

/// What there is to receive.
pub(crate) enum Next {
    Frame(Lease, Description),
    /// Nothing newer.
    Nothing,
    /// A frame of an epoch whose memory never arrives: it was overtaken, or published before this place was taken.
    Unreachable {
        seq: u64,
    },
}

/// What frames of one form in one epoch share, so that holding a frame takes one reference and not four.
pub(crate) struct Scene {
    pub(crate) attachment: Arc<Attachment>,
    pub(crate) map: Arc<SlotMap>,
    pub(crate) form: Form,
    key: FormKey,
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
    pub(crate) scene: Arc<Scene>,
    pub(crate) slot: usize,
}

impl Clone for Lease {
    fn clone(&self) -> Self {
        self.scene.attachment.retain(self.slot);
        Self { scene: Arc::clone(&self.scene), slot: self.slot }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.scene.attachment.release(self.slot);
    }
}

/// The other side's answer to a first message.
pub(crate) enum Reply {
    Message(Message, Vec<ShareHandle>),
    HungUp,
    Silence,
}

/// Connects to the producer of `name`, which must be a process of this user.
pub(crate) fn reach(dir: &RuntimeDir, name: &str) -> Result<Connection, LinkError> {
    let connection = Connection::connect(dir, &socket_file(name))?;
    let (theirs, ours) = (connection.peer()?.uid, current_uid());
    if theirs == ours {
        Ok(connection)
    } else {
        Err(LinkError::ForeignProducer { name: name.to_owned(), theirs, ours })
    }
}

/// Sends `first` and waits for one answer. A refusal is an error in the words of the other side.
pub(crate) fn converse(
    connection: &Connection,
    first: &Message,
    name: &str,
    patience: Duration,
) -> Result<Reply, LinkError> {
    // A producer that refuses at the door has hung up already. What it said before that is still there to be read.
    let _ = connection.send(&first.encode(), &[]);
    receive_reply(connection, name, patience)
}

/// Waits for the answer to a message that was sent before.
pub(crate) fn receive_reply(
    connection: &Connection,
    name: &str,
    patience: Duration,
) -> Result<Reply, LinkError> {
    let begun = Instant::now();
    let mut buffer = [0; MAX_MESSAGE_BYTES];
    loop {
        let (len, handles) = match connection.recv(&mut buffer) {
            Ok(Received::Message { len, handles, .. }) => (len, handles),
            Ok(Received::Closed) | Err(_) => return Ok(Reply::HungUp),
            Ok(Received::WouldBlock) => {
                let Some(left) = patience.checked_sub(begun.elapsed()) else { return Ok(Reply::Silence) };
                connection.wait_readable(Some(left))?;
                continue;
            }
        };
        return match Message::decode(buffer.get(..len).unwrap_or_default()) {
            Ok(Message::Refuse { kind_code, detail }) => Err(refusal(name, kind_code, detail)),
            // It closed before it came to answer us.
            Ok(Message::Bye { .. }) => Ok(Reply::HungUp),
            Ok(message) => Ok(Reply::Message(message, handles)),
            Err(super::wire::MessageError::Version { major, minor }) => Err(LinkError::VersionMismatch {
                name: name.to_owned(),
                theirs: format!("{major}.{minor}"),
                ours: format!("{VERSION_MAJOR}.{VERSION_MINOR}"),
            }),
            Err(error) => Err(LinkError::Corrupt { name: name.to_owned(), detail: error.to_string() }),
        };
    }
}

fn refusal(name: &str, kind_code: i32, detail: String) -> LinkError {
    let kind =
        ErrorKind::ALL.iter().copied().find(|kind| kind.code() == kind_code).unwrap_or(ErrorKind::System);
    let name = name.to_owned();
    match kind {
        ErrorKind::TooManyConsumers => LinkError::TooManyConsumers { name, limit: MAX_CONSUMERS },
        ErrorKind::VersionMismatch => LinkError::VersionMismatch {
            name,
            theirs: detail,
            ours: format!("{VERSION_MAJOR}.{VERSION_MINOR}"),
        },
        kind => LinkError::Refused { name, kind, detail },
    }
}

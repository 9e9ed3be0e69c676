// SPDX-License-Identifier: MIT OR Apache-2.0
//! Looking at links without taking part: no place, no lease, nothing that a producer could notice but a connection.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::time::{Duration, Instant};

use uncopy_core::ErrorKind::NotFound;
use uncopy_core::{DeviceUuid, LinkName};
use uncopy_os::{Connection, Mapping, ProcessId, RuntimeDir};
use uncopy_tensor::{Access, ShareHandle};

use super::control::{Control, Live};
use super::conversation::{Conversation, Reached, Reply};
use super::description;
use super::header::Header;
use super::leftovers::sweep;
use super::naming::socket_file;
use super::ring::{self, Cells};
use super::wire::{self, MAX_CONSUMERS, Message, Role, block, memory_kind, place, read, when_full};
use crate::ages::{Ages, BUCKETS};
use crate::error::{LinkError, Missing};
use crate::form::Form;
use crate::stamp::{Stamp, is_of_this_boot};

/// How long a producer has to answer before it is listed as silent.
pub(crate) const ANSWER_PATIENCE: Duration = Duration::from_millis(250);

/// Whether the producer of a link answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// It does; the rest of the [`LinkInfo`] is what it showed.
    Answering,
    /// Its socket is there and nobody answers in time: the process is stopped or very busy.
    Silent,
    /// It could not be read, for the reason given.
    Refused(String),
}

/// Where the frames of a link lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Whereabouts {
    /// In host memory.
    Host,
    /// In the memory of a CUDA device.
    Cuda {
        /// As every process calls the device.
        uuid: DeviceUuid,
        /// They are in host memory as well.
        is_mirrored: bool,
    },
    /// In memory of a kind that this version does not know.
    Other(u32),
}

/// A link as an observer sees it.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct LinkInfo {
    /// The name.
    pub name: String,
    /// Whether its producer answers. Where it doesn't, the fields below are empty.
    pub answer: Answer,
    /// The producer's process.
    pub producer: Option<ProcessId>,
    /// Its command line.
    pub command: String,
    /// How long the link has been open; zero where it was opened in another boot, as far as its header says.
    pub uptime: Duration,
    /// Number of slots.
    pub slots: usize,
    /// Frames published, which is also the number of the newest.
    pub published: u64,
    /// Frames dropped because every slot was held.
    pub dropped: u64,
    /// What the producer does when every slot is held: it waits for room.
    pub blocks: bool,
    /// How long the producer has waited for room, in all.
    pub blocked: Duration,
    /// Consumers whose places were taken away.
    pub evicted: u64,
    /// Allocations of frame memory so far.
    pub epoch: u32,
    /// The form of the newest frame.
    pub form: Option<Form>,
    /// Time since the newest frame, unless its stamp is of another boot.
    pub last_frame_age: Option<Duration>,
    /// Where the frames of the newest epoch lie; `None` before the first.
    pub whereabouts: Option<Whereabouts>,
    /// Shared memory of the link: control and slots, wherever they are, and their mirror.
    pub memory_bytes: u64,
    /// Who reads.
    pub consumers: Vec<ConsumerInfo>,
}

/// A consumer of a link as an observer sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ConsumerInfo {
    /// Its place, 0 to 15.
    pub place: u32,
    /// Its process, 0 where it lives in another pid namespace.
    pub pid: i32,
    /// Its command line.
    pub command: String,
    /// Frames it received.
    pub received: u64,
    /// Frames that went by between those.
    pub missed: u64,
    /// Slots it holds now.
    pub holds: u32,
    /// The frames in them, the oldest first.
    pub holding: Vec<HeldFrame>,
    /// How old the frames were that it received.
    pub ages: Ages,
    /// Its socket hung up and its process is not known to be dead: what it holds is kept from the producer.
    pub quarantined: bool,
    /// It reads every frame, and not always the newest.
    pub every: bool,
    /// It kept slots from the producer for too long and gets nothing new.
    pub evicted: bool,
}

/// A frame that a consumer holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct HeldFrame {
    /// The slot.
    pub slot: usize,
    /// The frame's number.
    pub seq: u64,
    /// Time since it was published: at most so long has it been held. Zero where its stamp is of another boot.
    pub age: Duration,
}

/// The links of this user, by name.
///
/// # Errors
/// The runtime directory can't be opened or read.
pub fn list() -> Result<Vec<LinkInfo>, LinkError> {
    list_in(&RuntimeDir::open()?)
}

/// The links in a runtime directory, by name.
///
/// # Errors
/// The directory can't be read.
pub fn list_in(dir: &RuntimeDir) -> Result<Vec<LinkInfo>, LinkError> {
    // Everyone is greeted before anyone is waited for, and all are waited for together.
    let names = names(dir);
    let greeted: Vec<_> = names.iter().filter_map(|name| Some((greet(dir, name)?, name.clone()))).collect();
    // A producer that was killed before it had a socket left other files.
    for name in other_names(dir).iter().filter(|name| !names.contains(name)) {
        sweep(dir, name);
    }
    let deadline = Instant::now() + ANSWER_PATIENCE;
    Ok(greeted.into_iter().filter_map(|(greeted, name)| look(greeted, name, deadline)).collect())
}

/// One link.
///
/// # Errors
/// [`LinkError::NotFound`] where nobody publishes under the name; a bad name; the runtime directory can't be opened.
pub fn info(name: &str) -> Result<LinkInfo, LinkError> {
    let name = crate::native_name(name)?;
    let dir = RuntimeDir::open()?;
    let deadline = Instant::now() + ANSWER_PATIENCE;
    let found =
        greet(&dir, name.as_str()).and_then(|greeted| look(greeted, name.as_str().to_owned(), deadline));
    found.ok_or_else(|| LinkError::NotFound(Box::new(missing(&dir, name.as_str(), Duration::ZERO, None))))
}

/// What to say of a name that nobody publishes under.
pub(crate) fn missing(dir: &RuntimeDir, name: &str, waited: Duration, obstacle: Option<String>) -> Missing {
    let mut live = names(dir);
    // A socket without a listener is what a dead producer left.
    live.retain(|name| {
        Connection::connect(dir, &socket_file(name)).map_or_else(|e| e.kind() != NotFound, |_| true)
    });
    let others = live.iter().map(String::as_str).filter(|other| *other != name);
    let nearest = uncopy_core::nearest(name, others).map(str::to_owned);
    live.retain(|live| live != name);
    Missing { name: name.to_owned(), waited, nearest, live, obstacle }
}

/// The names under which a socket lies in the directory, sorted. It may be a dead one's.
pub(crate) fn names(dir: &RuntimeDir) -> Vec<String> {
    let mut names: Vec<String> = dir
        .entries()
        .unwrap_or_default()
        .into_iter()
        .filter_map(|file| Some(file.strip_suffix(".sock")?.to_owned()))
        .filter(|name| LinkName::parse(name).is_ok())
        .collect();
    names.sort();
    names
}

/// The names of links that have a file other than a socket, live or dead.
fn other_names(dir: &RuntimeDir) -> Vec<String> {
    let entries = dir.entries().unwrap_or_default();
    let name_of = |file: &String| {
        let name =
            file.strip_suffix(".lock").or_else(|| file.strip_prefix('.')?.strip_suffix(".sock.tmp"))?;
        LinkName::parse(name).is_ok().then(|| name.to_owned())
    };
    entries.iter().filter_map(name_of).collect()
}

/// What came of greeting a link: a conversation, or why there is none.
type Greeted = Result<Conversation, Answer>;

/// Connects and says what we want. `None` where nobody listens; leftovers are swept.
fn greet(dir: &RuntimeDir, name: &str) -> Option<Greeted> {
    match Conversation::greet(dir, name, Role::Observer, read::LATEST) {
        Ok(Reached::Talking(conversation)) => Some(Ok(conversation)),
        Ok(Reached::Busy(_)) => Some(Err(Answer::Silent)),
        Ok(Reached::Absent) => {
            sweep(dir, name);
            None
        }
        Err(error) => Some(Err(Answer::Refused(error.to_string()))),
    }
}

/// What the producer shows. `None` where it has gone meanwhile.
fn look(greeted: Greeted, name: String, deadline: Instant) -> Option<LinkInfo> {
    let conversation = match greeted {
        Ok(conversation) => conversation,
        Err(answer) => return Some(unreadable(name, answer)),
    };
    match conversation.reply_by(deadline) {
        Ok(Reply::Message(Message::Welcome { control_len, .. }, handles)) => {
            Some(match open_shown(control_len, &handles, &name) {
                Ok((control, header)) => describe(name, &control, &header),
                Err(detail) => unreadable(name, Answer::Refused(detail)),
            })
        }
        Ok(Reply::Message(other, _)) => {
            Some(unreadable(name, Answer::Refused(format!("it answered {other:?}"))))
        }
        Ok(Reply::Silence) => Some(silent(name, &conversation)),
        Ok(Reply::HungUp) => None,
        Err(error) => Some(unreadable(name, Answer::Refused(error.to_string()))),
    }
}

/// Maps and checks the control memory that a welcome brought.
pub(crate) fn open_shown(
    control_len: u64,
    handles: &[ShareHandle],
    name: &str,
) -> Result<(Control, Header), String> {
    let handle = handles.first().ok_or_else(|| "it sent no control memory".to_owned())?;
    let len = usize::try_from(control_len).map_err(|e| e.to_string())?;
    let mapping = Mapping::open(handle, len, Access::ReadWrite).map_err(|e| e.to_string())?;
    Control::open(Arc::new(mapping), name).map_err(|e| e.to_string())
}

/// What can be said of a producer that does not answer.
pub(crate) fn silent(name: String, conversation: &Conversation) -> LinkInfo {
    let producer = conversation.connection().peer().ok().and_then(|peer| ProcessId::of(peer.pid?));
    let command = producer.map(|process| process.command()).unwrap_or_default();
    LinkInfo { producer, command, ..unreadable(name, Answer::Silent) }
}

pub(crate) fn unreadable(name: String, answer: Answer) -> LinkInfo {
    LinkInfo {
        name,
        answer,
        producer: None,
        command: String::new(),
        uptime: Duration::ZERO,
        slots: 0,
        published: 0,
        dropped: 0,
        blocks: false,
        blocked: Duration::ZERO,
        evicted: 0,
        epoch: 0,
        form: None,
        last_frame_age: None,
        whereabouts: None,
        memory_bytes: 0,
        consumers: Vec::new(),
    }
}

pub(crate) fn describe(name: String, control: &Control, header: &Header) -> LinkInfo {
    let (epoch, whereabouts) = (control.live().epoch().load(Acquire), whereabouts(control.live()));
    let is_mirrored = matches!(whereabouts, Whereabouts::Cuda { is_mirrored: true, .. });
    let slots = control.slots() as u64 * if is_mirrored { 2 } else { 1 };
    let newest = glance(control.live());
    let since = |nanos| Stamp::new(nanos, is_of_this_boot(header.boot_id)).age();
    LinkInfo {
        answer: Answer::Answering,
        producer: Some(header.producer),
        command: header.producer.command(),
        uptime: since(header.created_nanos).unwrap_or_default(),
        slots: control.slots(),
        published: control.live().newest_seq(),
        dropped: control.live().dropped().load(Relaxed),
        blocks: control.live().when_full().load(Relaxed) == when_full::BLOCK,
        blocked: Duration::from_nanos(control.live().blocked().load(Relaxed)),
        evicted: control.live().evicted().load(Relaxed),
        epoch,
        form: newest.as_ref().map(|(form, _)| *form),
        last_frame_age: newest.and_then(|(_, published)| since(published)),
        whereabouts: (epoch != 0).then_some(whereabouts),
        memory_bytes: slots
            .saturating_mul(control.live().slot_stride().load(Relaxed))
            .saturating_add(wire::control_len_bytes(control.slots()) as u64),
        consumers: (0..MAX_CONSUMERS as u32).filter_map(|place| consumer_at(control, place, since)).collect(),
        name,
    }
}

fn whereabouts(control: Live<'_>) -> Whereabouts {
    match control.shown_memory() {
        (memory_kind::HOST, ..) => Whereabouts::Host,
        (memory_kind::CUDA, is_mirrored, uuid) => Whereabouts::Cuda { uuid, is_mirrored },
        (kind, ..) => Whereabouts::Other(kind),
    }
}

/// Form and time of the newest frame, read without holding it: read again until nothing changed meanwhile.
fn glance(control: Live<'_>) -> Option<(Form, u64)> {
    for _ in 0..16 {
        let (_, slot) = ring::unpack_latest(control.latest().load(Acquire))?;
        let before = control.word(slot)?.load(Acquire);
        let seen = description::load(control, slot).and_then(|description| {
            Ok((description::load_form(control, slot, &description)?, description.published_nanos))
        });
        std::sync::atomic::fence(Acquire);
        let after = control.word(slot)?.load(Relaxed);
        let is_whole = is_same_frame(before, after);
        if let (true, ring::state::PUBLISHED, Ok(seen)) = (is_whole, ring::state_of(before), seen) {
            return Some(seen);
        }
    }
    None
}

/// Whether a slot that had these two words had one frame in between: who holds it does not matter.
pub(crate) fn is_same_frame(before: u64, after: u64) -> bool {
    before & !0xFFFF_FFFF == after & !0xFFFF_FFFF
}

fn consumer_at(control: &Control, at: u32, since: impl Fn(u64) -> Option<Duration>) -> Option<ConsumerInfo> {
    let state = control.live().place_u32(at, place::STATE).load(Acquire);
    if state == place::FREE {
        return None;
    }
    let pid = control.live().place_u32(at, place::PID).load(Relaxed).cast_signed();
    let process =
        ProcessId { pid, start_ticks: control.live().place_u64(at, place::START_TICKS).load(Relaxed) };
    let mut holding: Vec<_> =
        (0..control.slots()).filter_map(|slot| held_by(control.live(), at, slot, &since)).collect();
    holding.sort_by_key(|held| held.seq);
    let mut counts = [0; BUCKETS];
    for (bucket, count) in counts.iter_mut().enumerate() {
        *count = control.live().age_count(at, bucket).load(Relaxed);
    }
    Some(ConsumerInfo {
        place: at,
        pid,
        command: if process.is_alive() { process.command() } else { String::new() },
        received: control.live().place_u64(at, place::RECEIVED).load(Relaxed),
        missed: control.live().place_u64(at, place::MISSED).load(Relaxed),
        holds: holding.len() as u32,
        holding,
        ages: Ages::from_counts(counts),
        every: control.live().place_u32(at, place::READ).load(Relaxed) == read::EVERY,
        quarantined: state == place::QUARANTINED,
        evicted: state == place::EVICTED,
    })
}

/// The frame in `slot`, if the consumer at `at` holds it: while it does, the slot's description stays.
fn held_by(
    control: Live<'_>,
    at: u32,
    slot: usize,
    since: impl Fn(u64) -> Option<Duration>,
) -> Option<HeldFrame> {
    let is_held = || Some(ring::holders_of(control.word(slot)?.load(Acquire)) & (1 << at) != 0);
    let word = |offset: usize| control.block(slot).get(offset / 8).map(|word| word.load(Acquire));
    is_held()?.then_some(())?;
    let (seq, published) = (word(block::SEQ)?, word(block::PUBLISHED)?);
    // Still held: what was read in between is of one frame. Else it has just been given back.
    is_held()?.then_some(())?;
    Some(HeldFrame { slot, seq, age: since(published).unwrap_or_default() })
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! Looking at one link again and again: over one connection, without a place, without a lease, and without ever
//! waiting.
//!
//! An observer maps the control memory once and reads it from then on, so that a look costs the producer nothing. When
//! the producer goes, its observer notices by the hang-up and reaches for the next one of the name.

use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::sync::atomic::fence;
use std::time::{Duration, Instant};

use uncopy_os::{PidFd, RuntimeDir};

use super::control::Control;
use super::conversation::{Conversation, Reached, Reply};
use super::header::Header;
use super::leftovers::sweep;
use super::observe::{
    ANSWER_PATIENCE, Answer, LinkInfo, describe, is_same_frame, open_shown, silent, unreadable,
};
use super::ring::{self, Cells, TRAIL_LEN};
use super::wire::{Message, Role, block, read};
use crate::error::LinkError;

/// How often a link that refused to be read is asked again: its name may have another producer by then.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// What an observer sees of its link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Presence {
    /// Nobody publishes under the name.
    Absent,
    /// A producer was just asked and has not answered yet.
    Asked,
    /// There is a producer; whether and how it answers.
    Present(Answer),
}

/// A frame that was published, as an observer sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Published {
    /// Its number.
    pub seq: u64,
    /// When it was published, in nanoseconds of `CLOCK_MONOTONIC`.
    pub nanos: u64,
}

/// Looks at one link for as long as it lives, through any number of producers.
///
/// ```
/// use std::time::Duration;
/// use uncopy_link::{Answer, Form, Meta, Observer, Presence, publish};
/// use uncopy_core::PixelFormat;
/// # let path = std::env::temp_dir().join(format!("uncopy-doc-observer-{}", std::process::id()));
/// # let dir = uncopy_os::RuntimeDir::open_at(&path)?;
///
/// let mut observer = Observer::new(&dir, "camera")?;
/// assert_eq!(observer.look(), Presence::Absent);
/// let mut out = publish("camera")
/// #    .directory(&path)
///     .open()?;
/// out.loan(&Form::image(8, 8, PixelFormat::RGBA8))?.publish(Meta::default())?;
/// while observer.look() != Presence::Present(Answer::Answering) {}
/// assert_eq!(observer.published_after(0)[0].seq, 1);
/// assert_eq!(observer.info().map(|link| link.consumers.len()), Some(0));
/// # drop((out, observer)); std::fs::remove_dir_all(path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Observer {
    dir: RuntimeDir,
    name: String,
    state: State,
}

enum State {
    Absent,
    Asked { conversation: Conversation, since: Instant },
    Refused { why: String, since: Instant },
    Open(Box<Sight>),
}

/// The mapped control memory of a link, and what tells that its producer has gone.
struct Sight {
    conversation: Conversation,
    producer: Option<PidFd>,
    control: Control,
    header: Header,
}

impl Observer {
    /// An observer of the link `name` in `dir`, whether or not there is one yet.
    ///
    /// # Errors
    /// [`LinkError::Name`] or [`LinkError::UnsupportedScheme`].
    pub fn new(dir: &RuntimeDir, name: &str) -> Result<Self, LinkError> {
        let name = crate::native_name(name)?.as_str().to_owned();
        Ok(Self { dir: dir.clone(), name, state: State::Absent })
    }

    /// The link's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Looks whether the producer is there, asks a new one, and takes its answer. Never waits. What a dead producer
    /// left under the name is removed.
    pub fn look(&mut self) -> Presence {
        let is_due = match &self.state {
            State::Absent => true,
            State::Refused { since, .. } => since.elapsed() >= ASK_AGAIN,
            State::Asked { .. } | State::Open(_) => false,
        };
        if is_due {
            self.state = self.ask();
        }
        self.state = match std::mem::replace(&mut self.state, State::Absent) {
            State::Asked { conversation, since } => self.answered(conversation, since),
            State::Open(sight) if sight.is_over() => State::Absent,
            state => state,
        };
        self.presence()
    }

    fn ask(&self) -> State {
        let since = Instant::now();
        match Conversation::greet(&self.dir, &self.name, Role::Observer, read::LATEST) {
            Ok(Reached::Talking(conversation)) => State::Asked { conversation, since },
            Ok(Reached::Absent) => {
                sweep(&self.dir, &self.name);
                State::Absent
            }
            Ok(Reached::Busy(why)) => State::Refused { why, since },
            Err(error) => State::Refused { why: error.to_string(), since },
        }
    }

    fn answered(&self, conversation: Conversation, since: Instant) -> State {
        let refused = |why| State::Refused { why, since: Instant::now() };
        match conversation.reply() {
            Ok(Reply::Message(Message::Welcome { control_len, .. }, handles)) => {
                match open_shown(control_len, &handles, &self.name) {
                    Ok((control, header)) => {
                        // Without it the hang-up alone tells that the producer has gone.
                        let producer = conversation.connection().peer_pidfd().ok().flatten();
                        State::Open(Box::new(Sight { conversation, producer, control, header }))
                    }
                    Err(why) => refused(why),
                }
            }
            Ok(Reply::Message(other, _)) => refused(format!("it answered {other:?}")),
            Ok(Reply::Silence) => State::Asked { conversation, since },
            Ok(Reply::HungUp) => State::Absent,
            Err(error) => refused(error.to_string()),
        }
    }

    fn presence(&self) -> Presence {
        match &self.state {
            State::Absent => Presence::Absent,
            State::Asked { since, .. } if since.elapsed() < ANSWER_PATIENCE => Presence::Asked,
            State::Asked { .. } => Presence::Present(Answer::Silent),
            State::Refused { why, .. } => Presence::Present(Answer::Refused(why.clone())),
            State::Open(_) => Presence::Present(Answer::Answering),
        }
    }

    /// All that can be seen of the link now; `None` where nobody publishes, or has not answered yet.
    pub fn info(&self) -> Option<LinkInfo> {
        match (&self.state, self.presence()) {
            (State::Open(sight), _) => Some(describe(self.name.clone(), &sight.control, &sight.header)),
            (State::Asked { conversation, .. }, Presence::Present(_)) => {
                Some(silent(self.name.clone(), conversation))
            }
            (_, Presence::Present(answer)) => Some(unreadable(self.name.clone(), answer)),
            _ => None,
        }
    }

    /// What tells this link from every other that has had its name; `None` while none can be read.
    pub fn link_id(&self) -> Option<[u8; 16]> {
        self.sight().map(|sight| sight.header.link_id)
    }

    /// Number of the newest frame, 0 before the first and where no link can be read.
    pub fn newest_seq(&self) -> u64 {
        self.sight().map_or(0, |sight| sight.control.live().newest_seq())
    }

    /// Frames that were dropped for want of a free slot, 0 where no link can be read.
    pub fn dropped(&self) -> u64 {
        self.sight().map_or(0, |sight| sight.control.live().dropped().load(Relaxed))
    }

    /// Number of slots, 0 where no link can be read. So many frames back [`Observer::published_after`] can tell.
    pub fn slots(&self) -> usize {
        self.sight().map_or(0, |sight| sight.control.slots())
    }

    /// The frames after number `after` whose time can still be read, oldest first: those whose slot was not taken for a
    /// newer one. Who wants them all looks again before the producer has used every slot once more.
    pub fn published_after(&self, after: u64) -> Vec<Published> {
        let Some(sight) = self.sight() else { return Vec::new() };
        let newest = sight.control.live().newest_seq();
        // No more frames than slots can be there, whatever the number claims.
        let first = after.saturating_add(1).max(newest.saturating_sub(TRAIL_LEN - 1)).max(1);
        (first..=newest).filter_map(|seq| sight.published(seq)).collect()
    }

    fn sight(&self) -> Option<&Sight> {
        match &self.state {
            State::Open(sight) => Some(sight),
            _ => None,
        }
    }
}

impl Sight {
    /// Whether the producer has closed the link, or is dead.
    fn is_over(&self) -> bool {
        // What else it says to an observer is of a newer version.
        !matches!(self.conversation.reply(), Ok(Reply::Silence | Reply::Message(..)))
            || self.producer.as_ref().is_some_and(PidFd::is_dead)
    }

    /// When frame `seq` was published, read without holding it: only if its slot did not change meanwhile.
    fn published(&self, seq: u64) -> Option<Published> {
        let live = self.control.live();
        let entry = live.trail((seq % TRAIL_LEN) as usize).load(Acquire);
        let (_, slot) = ring::unpack_latest(entry).filter(|(named, _)| *named == seq)?;
        let before = live.word(slot)?.load(Acquire);
        let words = live.block(slot);
        let (described, nanos) =
            (words[block::SEQ / 8].load(Relaxed), words[block::PUBLISHED / 8].load(Relaxed));
        fence(Acquire);
        let after = live.word(slot)?.load(Relaxed);
        let is_whole = is_same_frame(before, after) && ring::state_of(before) == ring::state::PUBLISHED;
        (is_whole && described == seq).then_some(Published { seq, nanos })
    }
}

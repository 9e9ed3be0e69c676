// SPDX-License-Identifier: MIT OR Apache-2.0
//! One link that is measured, through any number of producers.

use std::time::Duration;

use uncopy::os::{RuntimeDir, monotonic_nanos};
use uncopy::{Answer, Observer, Presence, Published};

use super::LinkRate;
use crate::error::CliError;
use crate::rhythm::{IntervalReport, Intervals, Rhythm};

/// What is known of the producer now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    Answering,
    Asked,
    Absent,
    Silent,
    Refused(String),
}

impl Standing {
    /// Whether there is something to measure, or will be in an instant.
    pub fn is_there(&self) -> bool {
        matches!(self, Self::Answering | Self::Asked)
    }

    fn state(&self) -> &'static str {
        match self {
            Self::Answering => "answering",
            Self::Asked => "asked",
            Self::Absent => "absent",
            Self::Silent => "silent",
            Self::Refused(_) => "refused",
        }
    }
}

/// One producer of the link, as far as it was seen.
#[derive(Default)]
struct Producer {
    link_id: [u8; 16],
    first: Option<Published>,
    last: Option<Published>,
    /// Frames dropped when it was seen first, and last.
    dropped: (u64, u64),
}

pub(super) struct Watched {
    observer: Observer,
    window: Duration,
    rhythm: Rhythm,
    standing: Standing,
    producer: Option<Producer>,
    /// Over all producers that are gone: frames, nanoseconds from each one's first to its last, dropped.
    before: (u64, u64, u64),
    intervals: Intervals,
    producers: u64,
}

impl Watched {
    pub fn new(dir: &RuntimeDir, name: &str, window: Duration) -> Result<Self, CliError> {
        Ok(Self {
            observer: Observer::new(dir, name)?,
            window,
            rhythm: Rhythm::new(window),
            standing: Standing::Absent,
            producer: None,
            before: (0, 0, 0),
            intervals: Intervals::default(),
            producers: 0,
        })
    }

    pub fn name(&self) -> &str {
        self.observer.name()
    }

    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Takes note of what was published since the last look.
    pub fn look(&mut self) {
        self.standing = match self.observer.look() {
            Presence::Absent => Standing::Absent,
            Presence::Asked => Standing::Asked,
            Presence::Present(Answer::Answering) => Standing::Answering,
            Presence::Present(Answer::Silent) => Standing::Silent,
            Presence::Present(Answer::Refused(why)) => Standing::Refused(why),
        };
        let Some(link_id) = self.observer.link_id() else { return };
        if self.producer.as_ref().is_none_or(|producer| producer.link_id != link_id) {
            self.meet(link_id);
        }
        let Some(producer) = &mut self.producer else { return };
        producer.dropped.1 = self.observer.dropped();
        let after = producer.last.map_or(0, |frame| frame.seq);
        let frames = self.observer.published_after(after);
        for frame in &frames {
            if let Some(last) = producer.last.filter(|last| last.seq + 1 == frame.seq) {
                self.intervals.add(frame.nanos.saturating_sub(last.nanos));
            }
            producer.first.get_or_insert(*frame);
            producer.last = Some(*frame);
        }
        self.rhythm.take(&frames, monotonic_nanos());
    }

    /// Begins with another producer; what the last one did stays counted.
    fn meet(&mut self, link_id: [u8; 16]) {
        self.before = self.counted();
        let dropped = self.observer.dropped();
        self.producer = Some(Producer { link_id, dropped: (dropped, dropped), ..Producer::default() });
        self.rhythm = Rhythm::new(self.window);
        self.producers += 1;
    }

    /// Frames, nanoseconds and dropped frames so far. The frame that is seen first is one from before.
    fn counted(&self) -> (u64, u64, u64) {
        let (frames, nanos, dropped) = self.before;
        let Some(producer) = &self.producer else { return self.before };
        let (more, span) = match (producer.first, producer.last) {
            (Some(first), Some(last)) => (last.seq - first.seq, last.nanos.saturating_sub(first.nanos)),
            _ => (0, 0),
        };
        (frames + more, nanos + span, dropped + producer.dropped.1.saturating_sub(producer.dropped.0))
    }

    /// How long it may go unseen without a frame of it being overwritten, at the pace that it had.
    pub fn patience(&self) -> Duration {
        let slots = self.observer.slots().max(2) as u64;
        // Half of that, since the pace may change.
        let shortest = self.rhythm.intervals().report().map(|seen| seen.min);
        shortest.map_or(Duration::MAX, |nanos| Duration::from_nanos(nanos * (slots - 1) / 2))
    }

    pub fn frames(&self) -> u64 {
        self.counted().0
    }

    /// Whether there has been a producer at all.
    pub fn was_seen(&self) -> bool {
        self.producers > 0
    }

    pub fn restarts(&self) -> u64 {
        self.producers.saturating_sub(1)
    }

    /// Of the window.
    pub fn fps(&self, now_nanos: u64) -> Option<f64> {
        self.standing.is_there().then(|| self.rhythm.fps(now_nanos)).flatten()
    }

    /// Of the window.
    pub fn intervals(&self) -> Option<IntervalReport> {
        self.standing.is_there().then(|| self.rhythm.intervals().report()).flatten()
    }

    /// What is to be said instead of a rate.
    pub fn trouble(&self) -> Option<String> {
        match &self.standing {
            Standing::Absent => Some("nobody publishes".to_owned()),
            Standing::Silent => Some("its producer does not answer".to_owned()),
            Standing::Refused(why) => Some(format!("can't be read: {}", why.replace(char::is_control, "?"))),
            Standing::Answering if self.observer.newest_seq() == 0 => Some("no frame yet".to_owned()),
            Standing::Answering | Standing::Asked => None,
        }
    }

    /// Of the whole time.
    pub fn totals(&self) -> LinkRate<'_> {
        let (frames, nanos, dropped) = self.counted();
        LinkRate {
            name: self.name(),
            state: self.standing.state(),
            fps: (nanos > 0).then(|| frames as f64 * 1e9 / nanos as f64),
            interval_nanos: self.intervals.report(),
            frames,
            dropped,
            restarts: self.restarts(),
        }
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was seen of all links at one moment.
//!
//! Everything that is shown or printed is taken from here. What a link can't tell (yet) is `None`: an older producer
//! keeps no statistics, and no consumer has any before its first frame.

use std::time::Duration;

use serde::Serialize;
use uncopy::{Ages, Answer, ConsumerInfo, ErrorRecord, LinkInfo};

use crate::report::{FormReport, command_line};
use crate::whereabouts::WhereReport;

/// All links at one moment.
#[derive(Serialize, Clone, Default, Debug)]
pub(super) struct View {
    /// Since the command began to look.
    pub seconds: f64,
    pub directory: String,
    pub links: Vec<LinkView>,
}

/// Whether a link can be read.
#[derive(Serialize, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Live,
    /// Frames have been published, and none within the last second or so.
    Idle,
    /// No frame yet.
    Waiting,
    Silent,
    Refused,
    /// Its producer closed it or died; the rest is what was seen last.
    Gone,
}

impl State {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Idle => "idle",
            Self::Waiting => "no frame",
            Self::Silent => "silent",
            Self::Refused => "refused",
            Self::Gone => "gone",
        }
    }
}

/// One link.
#[derive(Serialize, Clone, Debug)]
pub(super) struct LinkView {
    pub name: String,
    pub state: State,
    /// Why it could not be read, where it could not.
    pub detail: Option<String>,
    pub pid: Option<i32>,
    pub command: String,
    pub uptime_seconds: f64,
    pub form: Option<FormReport>,
    /// The form in words.
    #[serde(skip)]
    pub form_words: String,
    pub fps: Option<f64>,
    pub published: u64,
    pub dropped: u64,
    pub slots: usize,
    /// Slots that consumers hold.
    pub held: u32,
    /// What the producer does when every slot is held: `drop` or `block`.
    pub when_full: &'static str,
    /// How long it has waited for room, in all.
    pub blocked_seconds: f64,
    /// Consumers whose places were taken away.
    pub evicted: u64,
    pub memory_bytes: u64,
    /// Where frames lie; `None` before the first.
    pub memory: Option<WhereReport>,
    pub epoch: u32,
    pub last_frame_age_seconds: Option<f64>,
    /// Of the consumer that gets its frames the latest.
    pub latency_nanos: Option<LatencyView>,
    pub consumers: Vec<ConsumerView>,
    /// Each distinct one once, of processes that live or have died.
    pub errors: Option<Vec<ErrorView>>,
    /// Frames each second at each look, the newest last.
    #[serde(skip)]
    pub history: Vec<f64>,
}

/// How long frames took from published to received, since the last look.
#[derive(Serialize, Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct LatencyView {
    pub p50: u64,
    pub p99: u64,
    pub max: u64,
}

/// One consumer of a link.
#[derive(Serialize, Clone, Debug)]
pub(super) struct ConsumerView {
    pub place: u32,
    pub pid: i32,
    pub command: String,
    /// `latest` or `every`.
    pub read: &'static str,
    pub received: u64,
    pub missed: u64,
    /// Slots that it holds.
    pub holds: u32,
    /// Time since the oldest frame that it holds was published: so long at most it has held it.
    pub holds_since_seconds: Option<f64>,
    pub latency_nanos: Option<LatencyView>,
    pub quarantined: bool,
    pub evicted: bool,
}

/// One distinct error of one side of a link.
#[derive(Serialize, Clone, PartialEq, Debug)]
pub(super) struct ErrorView {
    /// `producer` or `consumer`.
    pub side: &'static str,
    pub pid: i32,
    /// The stable name of its kind.
    pub kind: &'static str,
    pub text: String,
    pub count: u64,
    pub first_age_seconds: f64,
    pub last_age_seconds: f64,
}

/// A link that has published nothing for so long is idle.
const IDLE_AFTER: Duration = Duration::from_secs(1);

impl LinkView {
    /// Whether its memory was seen at all, so that its numbers mean something.
    pub fn is_known(&self) -> bool {
        self.slots > 0
    }

    /// What an observer saw. The rate and the past are what the looks before make of it, and so are the ages of frames:
    /// `ages` are those that each consumer received since the last one.
    pub fn of(info: &LinkInfo, fps: Option<f64>, history: Vec<f64>, ages: &[Ages]) -> Self {
        let latencies = ages.iter().map(LatencyView::of).chain(std::iter::repeat(None));
        let consumers: Vec<ConsumerView> = info
            .consumers
            .iter()
            .zip(latencies)
            .map(|(consumer, ages)| ConsumerView::of(consumer, ages))
            .collect();
        let (state, detail) = match &info.answer {
            Answer::Silent => (State::Silent, None),
            Answer::Refused(why) => (State::Refused, Some(why.clone())),
            Answer::Answering => match info.last_frame_age {
                None => (State::Waiting, None),
                Some(age) if age > IDLE_AFTER => (State::Idle, None),
                Some(_) => (State::Live, None),
            },
        };
        let pid = info.producer.map(|process| process.pid);
        Self {
            name: info.name.clone(),
            state,
            detail,
            pid,
            command: command_line(pid.unwrap_or(-1), &info.command),
            uptime_seconds: info.uptime.as_secs_f64(),
            form: info.form.as_ref().map(FormReport::of),
            form_words: info.form.map_or_else(String::new, |form| form.to_string()),
            fps,
            published: info.published,
            dropped: info.dropped,
            slots: info.slots,
            held: info.consumers.iter().map(|consumer| consumer.holds).sum(),
            memory_bytes: info.memory_bytes,
            memory: info.whereabouts.map(WhereReport::of),
            epoch: info.epoch,
            last_frame_age_seconds: info.last_frame_age.map(|age| age.as_secs_f64()),
            when_full: if info.blocks { "block" } else { "drop" },
            blocked_seconds: info.blocked.as_secs_f64(),
            evicted: info.evicted,
            latency_nanos: consumers
                .iter()
                .filter_map(|consumer| consumer.latency_nanos)
                .max_by_key(|one| one.p50),
            consumers,
            errors: None,
            history,
        }
    }
}

impl LatencyView {
    fn of(ages: &Ages) -> Option<Self> {
        let nanos = |share| Some(u64::try_from(ages.quantile(share)?.as_nanos()).unwrap_or(u64::MAX));
        Some(Self { p50: nanos(0.5)?, p99: nanos(0.99)?, max: nanos(1.0)? })
    }
}

impl ErrorView {
    /// `now_nanos`: since 1970, as the record's times.
    pub fn of(record: &ErrorRecord, now_nanos: i64) -> Self {
        let age = |nanos: i64| now_nanos.saturating_sub(nanos).max(0) as f64 / 1e9;
        Self {
            side: record.side.name(),
            pid: record.process.pid,
            kind: record.kind.name(),
            text: record.text.clone(),
            count: record.count,
            first_age_seconds: age(record.first_nanos),
            last_age_seconds: age(record.last_nanos),
        }
    }
}

impl ConsumerView {
    fn of(consumer: &ConsumerInfo, latency_nanos: Option<LatencyView>) -> Self {
        Self {
            place: consumer.place,
            pid: consumer.pid,
            command: command_line(consumer.pid, &consumer.command),
            read: if consumer.every { "every" } else { "latest" },
            received: consumer.received,
            missed: consumer.missed,
            holds: consumer.holds,
            holds_since_seconds: consumer.holding.first().map(|frame| frame.age.as_secs_f64()),
            latency_nanos,
            quarantined: consumer.quarantined,
            evicted: consumer.evicted,
        }
    }

    /// What is wrong with it.
    pub fn trouble(&self) -> Option<&'static str> {
        match (self.quarantined, self.evicted) {
            (true, _) => Some("hung up, may still read"),
            (_, true) => Some("evicted"),
            _ => None,
        }
    }
}

/// Views that tests show, made up.
#[cfg(test)]
pub(super) mod samples {
    use super::*;

    pub fn consumer(place: u32, command: &str) -> ConsumerView {
        ConsumerView {
            place,
            pid: 4242 + place as i32,
            command: command.to_owned(),
            read: "latest",
            received: 1200,
            missed: 3,
            holds: 1,
            holds_since_seconds: None,
            latency_nanos: None,
            quarantined: false,
            evicted: false,
        }
    }

    pub fn link(name: &str, fps: f64) -> LinkView {
        LinkView {
            name: name.to_owned(),
            state: State::Live,
            detail: None,
            pid: Some(4200),
            command: format!("uncopy send {name} video.mp4"),
            uptime_seconds: 303.0,
            form: None,
            form_words: "uint8[1080, 1920, 4] rgba8".to_owned(),
            fps: Some(fps),
            published: 18_180,
            dropped: 0,
            slots: 4,
            held: 1,
            when_full: "drop",
            blocked_seconds: 0.0,
            evicted: 0,
            memory_bytes: 33_200_000,
            memory: Some(WhereReport::of(uncopy::Whereabouts::Host)),
            epoch: 1,
            last_frame_age_seconds: Some(0.012),
            latency_nanos: None,
            consumers: vec![consumer(0, "python viewer.py")],
            errors: None,
            history: vec![58.0, 59.0, 60.0, 60.0, 30.0, 0.0, 45.0, 60.0],
        }
    }

    /// A link of which everything is known.
    pub fn full(name: &str) -> LinkView {
        let latency = LatencyView { p50: 31_000, p99: 120_000, max: 2_300_000 };
        let holder = ConsumerView {
            read: "every",
            holds: 2,
            holds_since_seconds: Some(12.5),
            latency_nanos: Some(latency),
            evicted: true,
            ..consumer(1, "python train.py --epochs 90")
        };
        let error = ErrorView {
            side: "producer",
            pid: 4200,
            kind: "no_free_slot",
            text: "no free slot: process 4243 holds 2".to_owned(),
            count: 17,
            first_age_seconds: 65.0,
            last_age_seconds: 0.4,
        };
        LinkView {
            dropped: 17,
            held: 3,
            when_full: "block",
            blocked_seconds: 2.5,
            evicted: 1,
            latency_nanos: Some(latency),
            consumers: vec![consumer(0, "python viewer.py"), holder],
            errors: Some(vec![error]),
            ..link(name, 59.94)
        }
    }

    pub fn view() -> View {
        let silent = LinkView {
            state: State::Silent,
            fps: None,
            form_words: String::new(),
            consumers: Vec::new(),
            slots: 0,
            last_frame_age_seconds: None,
            ..link("stopped", 0.0)
        };
        View {
            seconds: 12.0,
            directory: "/run/user/1000/uncopy".to_owned(),
            links: vec![full("camera"), link("screen", 30.0), silent],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_every_slot_that_is_known_or_not() {
        let view = serde_json::to_value(samples::view()).unwrap();
        let link = &view["links"][1];
        for slot in ["latency_nanos", "errors", "detail", "form"] {
            assert!(link.get(slot).is_some_and(serde_json::Value::is_null), "{slot}: {link}");
        }
        assert!(link.get("history").is_none());
        assert_eq!(view["links"][0]["consumers"][1]["holds_since_seconds"], 12.5);
        assert_eq!(view["links"][0]["errors"][0]["count"], 17);
        assert_eq!(view["links"][2]["state"], "silent");
    }
}

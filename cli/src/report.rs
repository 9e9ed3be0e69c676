// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `--json` says of links, forms and copies: plain values under stable names, with units in the names.

use serde::{Deserialize, Serialize};
use uncopy::{
    Answer, ChannelOrder, ConsumerInfo, CopyRecord, ErrorRecord, Form, LinkInfo, Origin, PixelFormat,
};

use crate::whereabouts::WhereReport;

/// A link as `list --json` and `info --json` print it.
#[derive(Serialize)]
pub(crate) struct LinkReport {
    name: String,
    /// `answering`, `silent` or `refused`.
    answer: &'static str,
    /// Why it could not be read, for `refused`.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    producer: Option<ProcessReport>,
    uptime_seconds: f64,
    slots: usize,
    published: u64,
    dropped: u64,
    /// What the producer does when every slot is held: "drop" or "block".
    when_full: &'static str,
    /// For how long it has waited for room.
    blocked_seconds: f64,
    /// Consumers whose places it took away.
    evicted: u64,
    /// Mean since the link was opened.
    mean_fps: f64,
    epoch: u32,
    form: Option<FormReport>,
    last_frame_age_seconds: Option<f64>,
    memory_bytes: u64,
    /// Where frames lie; `null` before the first.
    memory: Option<WhereReport>,
    consumers: Vec<ConsumerReport>,
}

#[derive(Serialize)]
struct ProcessReport {
    pid: i32,
    command: String,
    start_ticks: u64,
}

#[derive(Serialize)]
struct ConsumerReport {
    place: u32,
    pid: i32,
    command: String,
    received: u64,
    missed: u64,
    holds: u32,
    /// Which frames it reads: "latest" or "every".
    read: &'static str,
    quarantined: bool,
    evicted: bool,
    /// The frames that it holds, the oldest first.
    holding: Vec<HeldReport>,
    /// The age that half of the frames did not exceed at their reception; `null` before the first.
    age_p50_seconds: Option<f64>,
    age_p99_seconds: Option<f64>,
}

#[derive(Serialize)]
struct HeldReport {
    seq: u64,
    /// Since it was published.
    age_seconds: f64,
}

impl LinkReport {
    pub fn of(info: &LinkInfo) -> Self {
        let (answer, detail) = match &info.answer {
            Answer::Answering => ("answering", None),
            Answer::Silent => ("silent", None),
            Answer::Refused(detail) => ("refused", Some(detail.clone())),
        };
        Self {
            name: info.name.clone(),
            answer,
            detail,
            producer: info.producer.map(|process| ProcessReport {
                pid: process.pid,
                command: command_line(process.pid, &info.command),
                start_ticks: process.start_ticks,
            }),
            uptime_seconds: info.uptime.as_secs_f64(),
            slots: info.slots,
            published: info.published,
            dropped: info.dropped,
            when_full: if info.blocks { "block" } else { "drop" },
            blocked_seconds: info.blocked.as_secs_f64(),
            evicted: info.evicted,
            mean_fps: mean_fps(info),
            epoch: info.epoch,
            form: info.form.as_ref().map(FormReport::of),
            last_frame_age_seconds: info.last_frame_age.map(|age| age.as_secs_f64()),
            memory_bytes: info.memory_bytes,
            memory: info.whereabouts.map(WhereReport::of),
            consumers: info.consumers.iter().map(ConsumerReport::of).collect(),
        }
    }
}

impl ConsumerReport {
    fn of(consumer: &ConsumerInfo) -> Self {
        Self {
            place: consumer.place,
            pid: consumer.pid,
            command: command_line(consumer.pid, &consumer.command),
            received: consumer.received,
            missed: consumer.missed,
            holds: consumer.holds,
            read: if consumer.every { "every" } else { "latest" },
            quarantined: consumer.quarantined,
            evicted: consumer.evicted,
            holding: consumer
                .holding
                .iter()
                .map(|held| HeldReport { seq: held.seq, age_seconds: held.age.as_secs_f64() })
                .collect(),
            age_p50_seconds: consumer.ages.quantile(0.5).map(|age| age.as_secs_f64()),
            age_p99_seconds: consumer.ages.quantile(0.99).map(|age| age.as_secs_f64()),
        }
    }
}

/// A kept error as `--json` prints it.
#[derive(Serialize)]
pub(crate) struct ErrorReport {
    side: &'static str,
    pid: i32,
    /// Whether the process lives.
    alive: bool,
    /// The stable name of the kind.
    kind: &'static str,
    count: u64,
    /// Seconds since 1970 UTC.
    first: f64,
    last: f64,
    text: String,
}

impl ErrorReport {
    pub fn of(record: &ErrorRecord) -> Self {
        let seconds = |nanos: i64| nanos as f64 / 1e9;
        Self {
            side: record.side.name(),
            pid: record.process.pid,
            alive: record.process.is_alive(),
            kind: record.kind.name(),
            count: record.count,
            first: seconds(record.first_nanos),
            last: seconds(record.last_nanos),
            text: record.text.clone(),
        }
    }
}

/// Frames each second since the link was opened. It costs no waiting, and tells a paused link by its age instead.
pub(crate) fn mean_fps(info: &LinkInfo) -> f64 {
    let seconds = info.uptime.as_secs_f64();
    if seconds > 0.0 { info.published as f64 / seconds } else { 0.0 }
}

/// The name that the library gives to a process that it can't see: it is dead, or of another pid namespace.
pub(crate) const UNKNOWN: &str = "?";

/// The words that the process of this number and name was started with; its name where they can't be read (or it
/// cleared them), and where it is not known by a name: then the number is somebody else's here.
pub(crate) fn command_line(pid: i32, name: &str) -> String {
    if name.is_empty() || name == UNKNOWN {
        return name.to_owned();
    }
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let words: Vec<&str> = text.split('\0').filter(|word| !word.is_empty()).collect();
    let line = words.join(" ").replace(char::is_control, "?");
    if line.is_empty() { name.to_owned() } else { line }
}

/// The form of frames as `--json` prints it.
#[derive(Serialize, Clone, Debug)]
pub(crate) struct FormReport {
    dtype: String,
    shape: Vec<usize>,
    strides_elems: Vec<isize>,
    /// Absent for a plain array.
    pixel: Option<String>,
    /// `top_left` or `bottom_left`.
    origin: &'static str,
    /// `rgb` or `bgr`, where it is known.
    channel_order: Option<&'static str>,
    len_bytes: usize,
}

impl FormReport {
    pub fn of(form: &Form) -> Self {
        Self {
            dtype: form.dtype().to_string(),
            shape: form.shape().to_vec(),
            strides_elems: form.layout().strides_elems().to_vec(),
            pixel: (form.pixel() != PixelFormat::UNSPECIFIED).then(|| form.pixel().to_string()),
            origin: if form.origin() == Origin::BOTTOM_LEFT { "bottom_left" } else { "top_left" },
            channel_order: match form.channel_order() {
                ChannelOrder::RGB => Some("rgb"),
                ChannelOrder::BGR => Some("bgr"),
                _ => None,
            },
            len_bytes: form.len_bytes(),
        }
    }
}

/// One kind of copy that frames went through, and how often.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub(crate) struct CopyReport {
    /// The stable name of the reason.
    pub reason: String,
    /// The same in a sentence.
    pub why: String,
    pub from: String,
    pub to: String,
    /// Frames that went through it.
    pub frames: u64,
    /// Bytes written by it, over all those frames.
    pub bytes: u64,
}

impl CopyReport {
    pub fn of(record: &CopyRecord, frames: u64, bytes: u64) -> Self {
        Self {
            reason: record.reason.name().map_or_else(|| record.reason.0.to_string(), str::to_owned),
            why: record.reason.to_string(),
            from: record.from.to_string(),
            to: record.to.to_string(),
            frames,
            bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_says_what_its_numbers_mean_as_a_picture() {
        let form = Form::image(2, 3, PixelFormat::BGRA8).unwrap().with_origin(Origin::BOTTOM_LEFT);
        let expected = serde_json::json!({
            "dtype": "uint8", "shape": [2, 3, 4], "strides_elems": [12, 4, 1], "pixel": "bgra8",
            "origin": "bottom_left", "channel_order": "bgr", "len_bytes": 24,
        });
        assert_eq!(serde_json::to_value(FormReport::of(&form)).unwrap(), expected);
    }

    #[test]
    fn a_process_without_a_command_line_goes_by_its_name() {
        assert_eq!(command_line(-1, "camera"), "camera");
        assert!(command_line(std::process::id() as i32, "uncopy").contains("uncopy"));
    }

    #[test]
    fn a_number_of_another_pid_namespace_is_not_taken_for_a_process_of_ours() {
        let somebody_else = std::process::id() as i32;
        assert_eq!(command_line(somebody_else, UNKNOWN), UNKNOWN);
        assert_eq!(command_line(somebody_else, ""), "");
    }
}

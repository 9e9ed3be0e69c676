// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a consumer found out about the frames that it received: how many, how late, how whole, and copied how often.

use std::time::{Duration, Instant};

use serde::Serialize;
use uncopy::{CopyRecord, Form, Frame};

use crate::checksum::Checksum;
use crate::report::{CopyReport, FormReport};

mod latency;

pub(crate) use latency::Latency;

/// The most numbers of torn frames that are kept; more are counted.
const KEPT_TORN: usize = 64;

/// Counts over all frames that were received.
#[derive(Default)]
pub(crate) struct Tally {
    pub frames: u64,
    pub missed: u64,
    pub latency: Latency,
    pub checked: u64,
    pub torn: u64,
    /// Numbers of the first torn frames.
    pub torn_frames: Vec<u64>,
    /// Number of the newest frame: the producer's own where the metadata has it.
    pub last_frame: Option<u64>,
    pub form: Option<Form>,
    copies: Vec<(CopyRecord, u64, u64)>,
    times: Option<(Instant, Instant)>,
}

impl Tally {
    /// Takes note of a frame that has just been received, and checks it if it came with a checksum.
    pub fn take(&mut self, frame: &Frame) {
        // A frame without an age is no measure of latency.
        if let Some(age) = frame.age() {
            self.latency.add(age);
        }
        let now = Instant::now();
        self.times = Some((self.times.map_or(now, |(first, _)| first), now));
        self.frames += 1;
        self.missed += frame.missed();
        self.form = Some(*frame.form());
        frame.copies().iter().for_each(|record| self.count_copy(record));
        let stated = Checksum::stated_by(frame);
        let number = stated.map_or(frame.seq(), |checksum| checksum.frame);
        self.last_frame = Some(number);
        if let Some(checksum) = stated {
            self.check(checksum, frame.bytes());
        }
    }

    fn check(&mut self, checksum: Checksum, bytes: &[u8]) {
        self.checked += 1;
        if !checksum.fits(bytes) {
            self.torn += 1;
            if self.torn_frames.len() < KEPT_TORN {
                self.torn_frames.push(checksum.frame);
            }
        }
    }

    fn count_copy(&mut self, record: &CopyRecord) {
        let is_same = |known: &CopyRecord| {
            (known.reason, known.from, known.to) == (record.reason, record.from, record.to)
        };
        match self.copies.iter_mut().find(|(known, ..)| is_same(known)) {
            Some((_, frames, bytes)) => {
                *frames += 1;
                *bytes = bytes.saturating_add(record.len_bytes);
            }
            None => self.copies.push((*record, 1, record.len_bytes)),
        }
    }

    /// From the first frame to the newest.
    pub fn span(&self) -> Duration {
        self.times.map_or(Duration::ZERO, |(first, last)| last - first)
    }

    /// Frames each second, from the first frame to the newest; `None` for fewer than two.
    pub fn fps(&self) -> Option<f64> {
        let seconds = self.span().as_secs_f64();
        (self.frames > 1 && seconds > 0.0).then(|| (self.frames - 1) as f64 / seconds)
    }

    /// The copies that frames went through before they were published, one entry for each reason.
    pub fn copies(&self) -> Vec<CopyReport> {
        self.copies.iter().map(|(record, frames, bytes)| CopyReport::of(record, *frames, *bytes)).collect()
    }

    pub fn report(&self) -> TallyReport {
        TallyReport {
            frames: self.frames,
            missed: self.missed,
            last_frame: self.last_frame,
            seconds: self.span().as_secs_f64(),
            fps: self.fps(),
            form: self.form.as_ref().map(FormReport::of),
            latency_nanos: self.latency.report(),
            checked: self.checked,
            torn: self.torn,
            torn_frames: self.torn_frames.clone(),
            copies: self.copies(),
        }
    }
}

/// A tally as `--json` prints it.
#[derive(Serialize)]
pub(crate) struct TallyReport {
    pub frames: u64,
    pub missed: u64,
    pub last_frame: Option<u64>,
    pub seconds: f64,
    pub fps: Option<f64>,
    pub form: Option<FormReport>,
    /// From published to received.
    pub latency_nanos: Option<latency::LatencyReport>,
    /// Frames that came with a checksum.
    pub checked: u64,
    /// Of these, frames that did not have it.
    pub torn: u64,
    pub torn_frames: Vec<u64>,
    pub copies: Vec<CopyReport>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use uncopy::{CopyReason, Device};

    fn record(reason: CopyReason, len_bytes: u64) -> CopyRecord {
        CopyRecord { reason, from: Device::CPU, to: Device::CPU, len_bytes }
    }

    #[test]
    fn copies_are_counted_by_reason() {
        let mut tally = Tally::default();
        for copy in [record(CopyReason::SEND, 10), record(CopyReason::DTYPE, 1), record(CopyReason::SEND, 20)]
        {
            tally.count_copy(&copy);
        }
        let copies = tally.copies();
        assert_eq!((copies[0].reason.as_str(), copies[0].frames, copies[0].bytes), ("send", 2, 30));
        assert_eq!((copies[1].reason.as_str(), copies[1].frames, copies[1].bytes), ("dtype", 1, 1));
    }

    #[test]
    fn torn_frames_are_counted_beyond_those_that_are_named() {
        let mut tally = Tally::default();
        for frame in 1..=100 {
            tally.check(Checksum { crc32c: 1, frame }, b"not it");
        }
        assert_eq!((tally.checked, tally.torn, tally.torn_frames.len()), (100, 100, KEPT_TORN));
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a consumer found out about the frames that it received: how many, how late, how whole, and copied how often.

use std::time::{Duration, Instant};

use serde::Serialize;
use uncopy::{CopyRecord, Device, Form};

use crate::checksum::Checksum;
use crate::error::CliError;
use crate::gpu::Seen;
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
    /// Where the newest frame was received.
    pub device: Option<Device>,
    copies: Copies,
    own_copies: Copies,
    times: Option<(Instant, Instant)>,
}

impl Tally {
    /// Takes note of a frame that has just been received, and checks it if it came with a checksum.
    ///
    /// # Errors
    /// A frame on a device that could not be brought to the host to be checked.
    pub fn take(&mut self, seen: &mut Seen<'_>) -> Result<(), CliError> {
        let frame = seen.frame;
        // A frame without an age is no measure of latency.
        if let Some(age) = frame.age() {
            self.latency.add(age);
        }
        let now = Instant::now();
        self.times = Some((self.times.map_or(now, |(first, _)| first), now));
        self.frames += 1;
        self.missed += frame.missed();
        (self.form, self.device) = (Some(*frame.form()), Some(frame.device()));
        frame.copies().iter().for_each(|record| self.copies.count(record));
        let stated = Checksum::stated_by(frame);
        let number = stated.map_or(frame.seq(), |checksum| checksum.frame);
        self.last_frame = Some(number);
        if let Some(checksum) = stated {
            self.check(checksum, seen.bytes()?);
        }
        Ok(())
    }

    /// Takes note of what was done to see a frame, when that is over.
    pub fn let_go(&mut self, seen: &Seen<'_>) {
        if let Some(record) = seen.copy() {
            self.own_copies.count(&record);
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
        self.copies.reports()
    }

    /// The copies that were made here to see frames: of those on a device.
    pub fn own_copies(&self) -> Vec<CopyReport> {
        self.own_copies.reports()
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
            device: self.device.map(|device| device.to_string()),
            copies: self.copies(),
            own_copies: self.own_copies(),
        }
    }
}

/// Copies by reason and direction: how many, and how many bytes.
#[derive(Default)]
struct Copies(Vec<(CopyRecord, u64, u64)>);

impl Copies {
    fn count(&mut self, record: &CopyRecord) {
        let is_same = |known: &CopyRecord| {
            (known.reason, known.from, known.to) == (record.reason, record.from, record.to)
        };
        match self.0.iter_mut().find(|(known, ..)| is_same(known)) {
            Some((_, frames, bytes)) => {
                *frames += 1;
                *bytes = bytes.saturating_add(record.len_bytes);
            }
            None => self.0.push((*record, 1, record.len_bytes)),
        }
    }

    fn reports(&self) -> Vec<CopyReport> {
        self.0.iter().map(|(record, frames, bytes)| CopyReport::of(record, *frames, *bytes)).collect()
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
    /// Where frames were received: `cpu`, or a device as this process counts it.
    pub device: Option<String>,
    pub copies: Vec<CopyReport>,
    /// Copies that the receiver made, of frames that it had to see on the host.
    pub own_copies: Vec<CopyReport>,
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
        let mut copies = Copies::default();
        for copy in [record(CopyReason::SEND, 10), record(CopyReason::DTYPE, 1), record(CopyReason::SEND, 20)]
        {
            copies.count(&copy);
        }
        let copies = copies.reports();
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

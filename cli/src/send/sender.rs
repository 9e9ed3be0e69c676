// SPDX-License-Identifier: MIT OR Apache-2.0
//! The loop that publishes: a slot, a frame in it, its checksum, the moment that it is due.

use std::time::Instant;

use serde::Serialize;
use uncopy::{CopyRecord, Device, ErrorKind, Form, LinkError, Meta, Publisher};

use super::feeder::Feeder;
use super::pace::{Pace, Rate};
use super::slot::{Side, Slot};
use super::source::{Opened, Source};
use crate::checksum::Checksum;
use crate::error::CliError;
use crate::host::Session;
use crate::report::FormReport;
use crate::units;

/// How frames are to be sent.
pub(super) struct Plan {
    /// `None`: as they come.
    pub rate: Option<Rate>,
    /// Stop after so many.
    pub frames: Option<u64>,
    /// Begin again at the end of the source.
    pub again: bool,
    /// How many there will be, for the user.
    pub expected: Option<u64>,
    pub crc: bool,
    pub break_frame: Option<u64>,
}

/// Sends the frames of a source until it ends, or enough were sent.
pub(super) struct Sender<'s> {
    publisher: Publisher,
    side: Side,
    source: Option<Box<dyn Source>>,
    plan: Plan,
    pace: Option<Pace>,
    session: &'s Session<'s>,
    /// Frames that came from the source, published or dropped.
    frames: u64,
    form: Option<Form>,
    times: Option<(Instant, Instant)>,
}

/// What was sent.
#[derive(Serialize)]
pub(super) struct Summary {
    name: String,
    /// Frames that the source gave.
    frames: u64,
    published: u64,
    /// Frames that found every slot held.
    dropped: u64,
    /// Frames that were not ready when they were due.
    late: u64,
    seconds: f64,
    fps: Option<f64>,
    form: Option<FormReport>,
    /// Consumers when the last frame was sent.
    consumers: usize,
    #[serde(skip)]
    form_in_words: String,
}

impl<'s> Sender<'s> {
    pub fn new(
        publisher: Publisher,
        side: Side,
        opened: Opened,
        plan: Plan,
        session: &'s Session<'s>,
    ) -> Self {
        let pace = plan.rate.map(Pace::new);
        let source = Some(opened.source);
        Self { publisher, side, source, plan, pace, session, frames: 0, form: None, times: None }
    }

    pub fn run(&mut self) -> Result<(), CliError> {
        let sent = self.send();
        // A process that ends takes the work of its GPU with it.
        if sent.is_err() {
            self.publisher.flush(Publisher::CLOSE_PATIENCE);
            return sent;
        }
        match self.publisher.flush_with(None, &mut self.session.waiting())? {
            true => Ok(()),
            false => {
                Err(CliError::said(ErrorKind::DeviceLost, "the last frames are not whole: the GPU is lost"))
            }
        }
    }

    fn send(&mut self) -> Result<(), CliError> {
        let Some(source) = self.source.take() else { return Ok(()) };
        let mut feeder = Feeder::new(source, self.session)?;
        let progress = self.session.console.progress("sending", self.plan.expected);
        while self.plan.frames.is_none_or(|limit| self.frames < limit) {
            self.session.check()?;
            let Some(form) = feeder.next_form(self.plan.again && self.frames > 0)? else { break };
            self.form = Some(form);
            self.send_frame(&mut feeder, form)?;
            self.frames += 1;
            progress.show(self.frames, || self.state_in_words());
        }
        if self.frames == 0 {
            let sentence = "the source has no frame; is it empty, or cut off?";
            return Err(CliError::said(ErrorKind::InvalidArgument, sentence));
        }
        Ok(())
    }

    fn send_frame(&mut self, feeder: &mut Feeder<'_>, form: Form) -> Result<(), CliError> {
        let slot = match self.side.claim(&mut self.publisher, &form, self.session) {
            Ok(slot) => slot,
            Err(error @ LinkError::NoFreeSlot { .. }) => {
                // Counted by the publisher. The source goes on, and so does the clock.
                if self.publisher.stats().dropped == 1 {
                    self.session
                        .console
                        .note(format_args!("{error}; frames are dropped until then (said once)"));
                }
                feeder.skip(form)?;
                return self.wait_until_due();
            }
            Err(error) => return Err(error.into()),
        };
        let mut slot = feeder.fill(slot)?;
        let meta = self.meta(&mut slot, feeder)?;
        let (claim, meta) = self.side.finish(slot, meta)?;
        self.wait_until_due()?;
        self.publisher.commit(claim, meta)?;
        let now = Instant::now();
        self.times = Some((self.times.map_or(now, |(first, _)| first), now));
        Ok(())
    }

    fn meta(&self, slot: &mut Slot, feeder: &Feeder<'_>) -> Result<Meta, CliError> {
        let number = self.frames + 1;
        let mut meta = Meta::default();
        if self.plan.crc {
            meta = meta.json(Checksum::of(slot.bytes_mut()?, number).to_json());
        }
        if self.plan.break_frame == Some(number) {
            let bytes = slot.bytes_mut()?;
            let middle = bytes.len() / 2;
            if let Some(byte) = bytes.get_mut(middle) {
                *byte ^= 1;
            }
        }
        if let Some(reason) = feeder.copies() {
            let len_bytes = slot.form().len_bytes() as u64;
            meta = meta.copied(CopyRecord { reason, from: Device::CPU, to: Device::CPU, len_bytes });
        }
        Ok(meta)
    }

    fn wait_until_due(&mut self) -> Result<(), CliError> {
        match &mut self.pace {
            Some(pace) => self.session.sleep_until(pace.next(Instant::now())),
            None => Ok(()),
        }
    }

    fn state_in_words(&self) -> String {
        let stats = self.publisher.stats();
        let consumers = units::count(stats.consumers as u64, "consumer");
        format!("{} fps, {consumers}, {} dropped", units::rate(self.fps().unwrap_or_default()), stats.dropped)
    }

    fn fps(&self) -> Option<f64> {
        let (first, last) = self.times?;
        let seconds = (last - first).as_secs_f64();
        let published = self.publisher.stats().published;
        (published > 1 && seconds > 0.0).then(|| (published - 1) as f64 / seconds)
    }

    pub fn summary(&self) -> Summary {
        let stats = self.publisher.stats();
        Summary {
            name: self.publisher.name().to_owned(),
            frames: self.frames,
            published: stats.published,
            dropped: stats.dropped,
            late: self.pace.as_ref().map_or(0, Pace::late),
            seconds: self.times.map_or(0.0, |(first, last)| (last - first).as_secs_f64()),
            fps: self.fps(),
            form: self.form.as_ref().map(FormReport::of),
            consumers: stats.consumers,
            form_in_words: self.form.map_or_else(|| "any form".to_owned(), |form| form.to_string()),
        }
    }
}

impl Summary {
    pub fn in_words(&self) -> String {
        let rate = self.fps.map(|fps| format!(" at {} fps", units::rate(fps))).unwrap_or_default();
        let frames = units::count(self.published, "frame");
        let late = if self.late > 0 { format!(", {} later than due", self.late) } else { String::new() };
        let consumers = units::count(self.consumers as u64, "consumer");
        format!(
            "sent {frames} of {} to '{}'{rate}: {} dropped{late}, {consumers} at the end",
            self.form_in_words, self.name, self.dropped
        )
    }
}

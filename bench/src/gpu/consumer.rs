// SPDX-License-Identifier: MIT OR Apache-2.0
//! The side that gets frames. It measures from before the producer's call until the frame can be used.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;

use uncopy::{Accelerator, Device, Form, Frame, Region, Subscriber, Where};

use super::card::{Array, Card};
use super::places::{self, Place};
use super::producer::{WARM_UP, words_of};
use super::steps::{Row, Step};
use crate::bare::{Line, Page};
use crate::clock::{monotonic_nanos, process_cpu_nanos};
use crate::failure::Failure;
use crate::side::{Arguments, tell_numbers, until_dismissed};

/// A producer that has died must not be waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// The card of a consumer that has one of its own.
const SECOND: Device = Device::cuda(1);
/// The floors spin for as long as it takes.
const SPIN: Duration = Duration::from_secs(1);

/// Plays one step beside the producer: the name of the link, the step, the page that both share, and how many frames.
pub fn play(arguments: &Arguments) -> Result<(), Failure> {
    places::take(Place::Consumer)?;
    let step = Step::parse(arguments.text(1)?)?;
    let page = Page::open(arguments.text(2)?)?;
    let frames = arguments.number(3)?;
    let row = step.about.row;
    let mut options = uncopy::subscribe(arguments.text(0)?);
    options = match row {
        Row::MirrorKnown => options.place(Where::Host),
        Row::SendKnownTwoCards => options.place(Where::Device(SECOND)),
        Row::SendCopiedTwoCards => options.place(Where::Copied(SECOND)),
        _ => options,
    };
    if row != Row::SendKnown60Hz {
        options = options.spin(SPIN);
    }
    let mut consumer = Consumer::new(options.open()?, row, &step.size.form()?)?;
    println!("ready");
    let mut took = Vec::with_capacity(frames);
    let mut began = (0, 0);
    let mut last = 0;
    // Of frames that are paced one may be missed, where the system lets a process wait for longer than a period.
    while last < frames {
        if last == WARM_UP {
            began = (monotonic_nanos(), process_cpu_nanos());
        }
        let (number, nanos) = consumer.one_frame(&page)?;
        last = number as usize;
        if last > WARM_UP {
            took.push(nanos);
        }
    }
    let cpu = (process_cpu_nanos() - began.1) as f64 / (monotonic_nanos() - began.0) as f64;
    consumer.check()?;
    tell_numbers(&took);
    tell_numbers(&[(cpu * 1e9) as u64]);
    until_dismissed();
    Ok(())
}

struct Consumer {
    sub: Subscriber,
    row: Row,
    /// None of those who read the mirror.
    card: Option<Reader>,
    wrong_on_host: u64,
}

struct Reader {
    card: Card,
    wrong: Array,
    pinned: Region,
}

impl Consumer {
    fn new(sub: Subscriber, row: Row, form: &Form) -> Result<Self, Failure> {
        let card = match row {
            Row::MirrorKnown => None,
            _ => {
                let card = Card::at(if row.is_of_two_cards() { SECOND.id } else { 0 })?;
                let counter = Form::new(uncopy::DType::U32, &[2])?;
                Some(Reader { wrong: card.array(&counter)?, pinned: card.pinned(form.len_bytes())?, card })
            }
        };
        Ok(Self { sub, row, card, wrong_on_host: 0 })
    }

    /// Receives one frame: its number, and nanoseconds since before the producer's call.
    fn one_frame(&mut self, page: &Page) -> Result<(u64, u64), Failure> {
        let frame = match (&self.card, self.row) {
            (Some(reader), Row::SendStreamWaits) => {
                let frame = self.sub.recv_on(reader.card.stream, PATIENCE)?;
                reader.card.finish()?;
                frame
            }
            _ => self.sub.recv(PATIENCE)?,
        };
        let number = frame.seq();
        self.use_frame(&frame, number)?;
        let now = monotonic_nanos();
        // The stamp is of this frame: the producer makes no other before it is answered, or before a period is over.
        let took = now.saturating_sub(page.word64(Line::Stamp).load(Relaxed));
        self.note_wrong(&frame, number)?;
        drop(frame);
        // What the call left to do on the other side is over too.
        while page.word64(Line::Ping).load(Acquire) < number {
            std::hint::spin_loop();
        }
        page.word64(Line::Pong).store(number, Release);
        Ok((number, took))
    }

    fn use_frame(&mut self, frame: &Frame, number: u64) -> Result<(), Failure> {
        let Some(Reader { card, wrong, pinned }) = &self.card else { return Ok(()) };
        match self.row {
            Row::SendThenKernel => {
                let tensor = frame.tensor()?;
                frame.used_on(card.stream);
                card.count(&tensor, words_of(&tensor), number, &wrong.tensor)?;
                card.finish()
            }
            Row::SendThenHost => {
                let tensor = frame.tensor()?;
                frame.used_on(card.stream);
                let copied = card.device.copy(&tensor, pinned, card.stream);
                copied.map_err(|error| Failure::system("copy to the host", error))?;
                card.finish()
            }
            _ => Ok(()),
        }
    }

    /// The first and the last word of what has reached the host; every word of what a second card has.
    fn note_wrong(&mut self, frame: &Frame, number: u64) -> Result<(), Failure> {
        let bytes = match (&self.card, self.row) {
            (None, _) => frame.bytes(),
            (Some(reader), Row::SendThenHost) => reader.pinned.as_bytes().unwrap_or_default(),
            (Some(Reader { card, wrong, .. }), row) if row.is_of_two_cards() => {
                let tensor = frame.tensor()?;
                frame.used_on(card.stream);
                card.count(&tensor, words_of(&tensor), number, &wrong.tensor)?;
                return card.finish();
            }
            _ => return Ok(()),
        };
        let wanted = (number as u32).to_le_bytes();
        let is_wrong = bytes.first_chunk() != Some(&wanted) || bytes.last_chunk() != Some(&wanted);
        self.wrong_on_host += u64::from(is_wrong);
        Ok(())
    }

    /// Whether any frame was another than it should be.
    fn check(&self) -> Result<(), Failure> {
        let mut wrong = self.wrong_on_host;
        if let Some(Reader { card, wrong: counter, .. }) = &self.card {
            let host = card.pinned(8)?;
            let copied = card.device.copy(&counter.tensor, &host, card.stream);
            copied.map_err(|error| Failure::system("read a counter", error))?;
            card.finish()?;
            let bytes = host.as_bytes().and_then(|bytes| bytes.first_chunk::<4>()).copied();
            wrong += u64::from(bytes.map_or(0, u32::from_le_bytes));
        }
        match wrong {
            0 => Ok(()),
            wrong => Err(Failure::Side(format!("{wrong} words of its frames were wrong"))),
        }
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! The side that makes frames. It measures its own calls; when a frame has arrived, the consumer measures.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::fence;

use uncopy::{Accelerator, Form, LinkError, Meta, Publisher, Tensor};

use super::Options;
use super::card::{Array, Card};
use super::places::{self, Place};
use super::report::Report;
use super::steps::{Row, Step};
use crate::bare::{Line, Page};
use crate::clock::{Pace, monotonic_nanos, process_cpu_nanos};
use crate::failure::Failure;
use crate::side::Side;

/// Frames before the first one that counts.
pub const WARM_UP: usize = 20;
const PERIOD_NANOS: u64 = 1_000_000_000 / 60;

/// Plays every step beside its consumers.
pub fn measure(steps: &[Step], options: &Options, report: &mut Report) -> Result<(), Failure> {
    places::take(Place::Producer)?;
    let card = Card::open()?;
    for (at, step) in steps.iter().enumerate() {
        eprintln!("{} {}", step.about.name, step.size_name());
        one_step(&card, step, at, options, report)?;
    }
    Ok(())
}

fn one_step(
    card: &Card,
    step: &Step,
    at: usize,
    options: &Options,
    report: &mut Report,
) -> Result<(), Failure> {
    let row = step.about.row;
    let is_paced = row == Row::SendKnown60Hz;
    let frames = WARM_UP + if is_paced { options.paced_frames } else { options.frames };
    let name = format!("bench-gpu-{}-{at}", std::process::id());
    let consumers = if row == Row::SendCall8 { 8 } else { 1 };
    let form = step.size.form()?;
    let out = uncopy::publish(&name).slots(4.max(consumers + 2)).mirror(row == Row::MirrorKnown).open()?;
    let mut producer =
        Producer { card, out, source: card.array(&form)?, form, row, parts: Default::default() };
    let mut others = Vec::new();
    for _ in 0..consumers {
        let page = Page::create()?;
        let (text, path, count) = (step.text(), page.path(), frames.to_string());
        let side = Side::start(crate::topics::Role::Gpu, &[&name, &text, &path, &count])?;
        others.push((side, page));
    }
    // Each says so when it has everything but the first frame.
    for (side, _) in &mut others {
        side.expect("ready")?;
    }
    let pages: Vec<&Page> = others.iter().map(|(_, page)| page).collect();
    let mut pace = is_paced.then(|| Pace::new(PERIOD_NANOS));
    let mut calls = Vec::with_capacity(frames);
    let mut began = (0, 0);
    for number in 1..=frames {
        if number == WARM_UP + 1 {
            began = (monotonic_nanos(), process_cpu_nanos());
        }
        producer.prepare(number as u64)?;
        if let Some(pace) = &mut pace {
            pace.wait()?;
        }
        let call = producer.one_frame(number as u64, &pages)?;
        if number > WARM_UP {
            calls.push(call);
        }
    }
    let cpu = (process_cpu_nanos() - began.1) as f64 / (monotonic_nanos() - began.0) as f64;
    let mut took = Vec::new();
    let mut shares = Vec::new();
    for (side, _) in &mut others {
        took.extend(side.numbers()?);
        shares.extend(side.numbers()?);
    }
    for (side, _) in others {
        side.dismiss()?;
    }
    let (about, size) = (step.about, step.size_name());
    if let Some(call) = about.call {
        report.add_nanos(call, size, "the producer's call", calls.clone())?;
    }
    let samples = if row == Row::SendCall8 { calls } else { took };
    report.add_nanos(about.name, size, about.what, samples)?;
    for (name, samples) in ["part_claim", "part_copy", "part_commit"].into_iter().zip(producer.parts) {
        if !samples.is_empty() {
            report.add_nanos(name, size, "a part of the producer's call", samples)?;
        }
    }
    if is_paced {
        let what = "CPU time of the process, of one core, at 60 frames a second";
        report.add_share("producer_cpu_60hz", size, what, cpu);
        report.add_share("consumer_cpu_60hz", size, what, shares.iter().sum::<u64>() as f64 / 1e9);
    }
    Ok(())
}

struct Producer<'c> {
    card: &'c Card,
    out: Publisher,
    source: Array,
    form: Form,
    row: Row,
    /// Of each call: claim, copy, commit.
    parts: [Vec<u64>; 3],
}

impl Producer<'_> {
    /// What is to be copied holds the number of its frame, so that an old frame is noticed.
    fn prepare(&mut self, number: u64) -> Result<(), Failure> {
        // Sixty times a second the CPU time of the call is measured, and nothing else may take any.
        let is_prepared = self.row == Row::SendKnown60Hz && number > 1;
        if !is_prepared && !matches!(self.row, Row::LoanKnown | Row::SignalKnown) {
            self.card.fill(&self.source.tensor, words_of(&self.source.tensor), number)?;
            self.card.finish()?;
        }
        Ok(())
    }

    /// Makes one frame, hands it over, and waits until every consumer is done with it. How long the call took.
    fn one_frame(&mut self, number: u64, pages: &[&Page]) -> Result<u64, Failure> {
        let mut begun = monotonic_nanos();
        for page in pages {
            page.word64(Line::Stamp).store(begun, Relaxed);
        }
        if pages.len() > 1 {
            // The stamps are lines that others look at: their way there is not the call's. The floors have one.
            fence(SeqCst);
            begun = monotonic_nanos();
        }
        self.call(number)?;
        let call = monotonic_nanos() - begun;
        for page in pages {
            page.word64(Line::Ping).store(number, Release);
        }
        // Sixty times a second the next frame is far away, and spinning would count as the producer's.
        for page in pages.iter().filter(|_| self.row != Row::SendKnown60Hz) {
            while page.word64(Line::Pong).load(Acquire) != number {
                std::hint::spin_loop();
            }
        }
        Ok(call)
    }

    fn call(&mut self, number: u64) -> Result<(), Failure> {
        let Self { card, out, source, form, row, parts } = self;
        let (device, stream) = (card.id(), card.stream);
        match row {
            Row::LoanKnown => {
                let claim = out.claim_on(form, device, stream, None)?;
                let slot = claim.tensor()?;
                card.fill(&slot, words_of(&slot), number)?;
                drop(slot);
                out.commit(claim, Meta::default())?;
            }
            Row::SendParts => {
                let begun = monotonic_nanos();
                let claim = out.claim_on(form, device, stream, None)?;
                let slot = claim.tensor()?;
                let claimed = monotonic_nanos();
                let copied = card.device.copy(&source.tensor, slot.region(), stream);
                copied.map_err(|error| Failure::system("copy", error))?;
                drop(slot);
                let done = monotonic_nanos();
                out.commit(claim, Meta::default())?;
                let ends = [claimed - begun, done - claimed, monotonic_nanos() - done];
                for (part, nanos) in parts.iter_mut().zip(ends) {
                    part.push(nanos);
                }
            }
            Row::SignalKnown => {
                let claim = out.claim_on(form, device, stream, None)?;
                card.set_first_word(&claim.tensor()?, number)?;
                out.commit(claim, Meta::default())?;
            }
            _ => match out.send_on(form, &source.tensor, Meta::default(), stream, None)? {
                uncopy::Sent::Published { .. } => {}
                uncopy::Sent::Dropped => return Err(LinkError::ForeignClaim.into()),
            },
        }
        Ok(())
    }
}

/// Words of 32 bits in a frame.
pub fn words_of(tensor: &Tensor) -> usize {
    tensor.layout().len_bytes() / 4
}

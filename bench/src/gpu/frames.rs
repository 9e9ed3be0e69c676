// SPDX-License-Identifier: MIT OR Apache-2.0
//! Many frames, each made and checked by a kernel on the card: whether any was torn, stale, or never came; and the same for
//! as long as one likes.
//!
//! Every word of a frame follows from the frame's number, so that a word of another frame shows. The producer writes into
//! its slots in place, as fast as it is let; the consumer receives every frame and gives each back before its kernel has
//! come to it.

use std::time::{Duration, Instant};

use clap::Args;
use uncopy::{DType, Form, LinkError, Meta, Read, WhenFull};

use super::card::Card;
use super::report::Report;
use crate::failure::Failure;
use crate::side::{Arguments, Side, tell_numbers, until_dismissed};

/// How many frames.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Of 256 x 256 pixels of four bytes.
    #[arg(long, default_value_t = 1_000_000)]
    small: u64,
    /// Of 1920 x 1080 pixels of four bytes.
    #[arg(long, default_value_t = 100_000)]
    large: u64,
}

/// How long.
#[derive(Args, Clone, Debug)]
pub struct Soak {
    /// Minutes, half of them for each size.
    #[arg(long)]
    minutes: f64,
}

const SLOTS: usize = 16;
/// A peer that has died must not be waited for.
const PATIENCE: Duration = Duration::from_secs(60);
const SIZES: [(&str, [usize; 3]); 2] =
    [("frames_not_right_256", [256, 256, 4]), ("frames_not_right_1080p", [1080, 1920, 4])];

/// When a run ends.
#[derive(Clone, Copy)]
enum Limit {
    Frames(u64),
    Time(Duration),
}

/// Sends so many frames, and prints how many were not right.
///
/// # Errors
/// There is no GPU, or one of the processes failed.
pub fn measure(options: &Options) -> Result<(), Failure> {
    let mut report = Report::default();
    for ((name, shape), frames) in SIZES.into_iter().zip([options.small, options.large]) {
        run(name, shape, Limit::Frames(frames), &mut report)?;
    }
    report.print()
}

/// The same by the clock. Fails where a frame was not right.
///
/// # Errors
/// As for [`measure`].
pub fn soak(options: &Soak) -> Result<(), Failure> {
    let time = Duration::from_secs_f64(options.minutes.max(0.0) * 30.0);
    let mut report = Report::default();
    let mut wrong = 0.0;
    for (name, shape) in SIZES {
        wrong += run(name, shape, Limit::Time(time), &mut report)?;
    }
    report.print()?;
    if wrong > 0.0 { Err(Failure::Side(format!("{wrong} frames were not right"))) } else { Ok(()) }
}

/// One run; how many frames were not right.
fn run(name: &str, shape: [usize; 3], limit: Limit, report: &mut Report) -> Result<f64, Failure> {
    let card = Card::open()?;
    let form = Form::new(DType::U8, &shape)?;
    let link = format!("bench-frames-{}", std::process::id());
    let when_full = WhenFull::Block(Some(PATIENCE));
    let mut out = uncopy::publish(&link).slots(SLOTS).when_full(when_full).open()?;
    let mut side = Side::start(crate::topics::Role::GpuFrames, &[&link])?;
    side.expect("ready")?;
    let (begun, mut told) = (Instant::now(), Instant::now());
    let is_over = |seq: u64| match limit {
        Limit::Frames(frames) => seq >= frames,
        Limit::Time(time) => begun.elapsed() >= time,
    };
    while !is_over(out.seq()) {
        let key = out.seq() + 1;
        let claim = out.claim_on(&form, card.id(), card.stream, None)?;
        card.fill_pattern(&claim.tensor()?, key)?;
        out.commit(claim, Meta::default().raw(key.to_le_bytes().to_vec()))?;
        if told.elapsed() > Duration::from_secs(5) {
            told = Instant::now();
            eprintln!("{name}: {key} frames in {:.0} s", begun.elapsed().as_secs_f64());
        }
    }
    card.finish()?;
    let sent = out.seq();
    // The last frame has no key: there are no more.
    let claim = out.claim_on(&form, card.id(), card.stream, None)?;
    out.commit(claim, Meta::default())?;
    let [verified, wrong_words, missed] = side.numbers()?[..] else {
        return Err(Failure::Side("it said something else than three numbers".to_owned()));
    };
    let took = begun.elapsed();
    side.dismiss()?;
    let leaked = out.stats().dropped;
    eprintln!(
        "{name}: {verified} of {sent} frames verified in {took:.1?}, {wrong_words} wrong words, {missed} missed"
    );
    let not_right = (wrong_words + missed + leaked + sent.abs_diff(verified)) as f64;
    let what = "wrong words, frames missed and frames that never came, of so many as n says";
    report.add_count(name, "any", what, not_right, verified as usize);
    Ok(not_right)
}

/// The consumer: the name of the link.
pub fn play(arguments: &Arguments) -> Result<(), Failure> {
    let mut sub = uncopy::subscribe(arguments.text(0)?).read(Read::Every).open()?;
    let card = Card::open()?;
    let counter = card.array(&Form::new(DType::U64, &[2])?)?;
    println!("ready");
    let (mut verified, mut missed) = (0, 0);
    loop {
        let frame = sub.recv(PATIENCE)?;
        let Some(key) = frame.meta().bytes.first_chunk() else { break };
        let key = u64::from_le_bytes(*key);
        if key != frame.seq() {
            return Err(LinkError::ForeignClaim.into());
        }
        missed += frame.missed();
        let tensor = frame.tensor()?;
        frame.used_on(card.stream);
        card.check_pattern(&tensor, key, &counter.tensor)?;
        verified += 1;
    }
    card.finish()?;
    let host = card.pinned(16)?;
    card.read(&counter.tensor, &host)?;
    let wrong = host.as_bytes().and_then(|bytes| bytes.first_chunk()).copied();
    tell_numbers(&[verified, wrong.map_or(0, u64::from_le_bytes), missed]);
    until_dismissed();
    Ok(())
}

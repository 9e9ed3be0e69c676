// SPDX-License-Identifier: MIT OR Apache-2.0
//! Many frames, each made and checked by a kernel on the card: whether any was torn, stale without notice, or never came;
//! whether anything is left when the links are closed; and the same for as long as one likes.
//!
//! Every word of a frame follows from the frame's number, so that a word of another frame shows. The consumer gives each
//! frame back before its kernel has come to it.
//!
//! | way | producer | consumer | must be |
//! |---|---|---|---|
//! | in place | writes into its slots, as fast as it is let | receives every frame | each frame, whole |
//! | newest | copies from one array, and drops what finds no slot | receives the newest | whole, gaps said |

use std::time::{Duration, Instant};

use clap::Args;
use uncopy::{DType, Form, Meta, Publisher, Read, Sent, WhenFull};

use super::card::{Array, Card, of_card};
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
    /// Of the latter, copied, of which the consumer receives the newest.
    #[arg(long, default_value_t = 100_000)]
    latest: u64,
}

/// How long.
#[derive(Args, Clone, Debug)]
pub struct Soak {
    /// Minutes, a third of them for each way.
    #[arg(long)]
    minutes: f64,
}

const SLOTS: usize = 16;
/// Where the newest is read: one that is read, the newest, and one to write. What is read is soon the next to be written.
const FEW_SLOTS: usize = 3;
/// A peer that has died must not be waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Frames of each kind before what is in use is noted: the driver keeps some memory for what it has done once.
const WARM_UP: u64 = 50;

/// Frames of one size that go one way.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    shape: [usize; 3],
    way: Way,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    InPlace,
    Newest,
}

const KINDS: [Kind; 3] = [
    Kind { name: "frames_not_right_256", shape: [256, 256, 4], way: Way::InPlace },
    Kind { name: "frames_not_right_1080p", shape: [1080, 1920, 4], way: Way::InPlace },
    Kind { name: "frames_not_right_newest_1080p", shape: [1080, 1920, 4], way: Way::Newest },
];

/// When a run ends.
#[derive(Clone, Copy)]
enum Limit {
    Frames(u64),
    Time(Duration),
}

/// Sends so many frames, and prints how many were not right and what was left.
///
/// # Errors
/// There is no GPU, or one of the processes failed.
pub fn measure(options: &Options) -> Result<(), Failure> {
    let mut report = Report::default();
    let before = in_use_when_warm()?;
    for (kind, frames) in KINDS.into_iter().zip([options.small, options.large, options.latest]) {
        run(kind, Limit::Frames(frames), &mut report)?;
    }
    report_leaks(before, &mut report)?;
    report.print()
}

/// The same by the clock. Fails where a frame was not right or something is left.
///
/// # Errors
/// As for [`measure`].
pub fn soak(options: &Soak) -> Result<(), Failure> {
    let time = Duration::from_secs_f64(options.minutes.max(0.0) * 60.0 / KINDS.len() as f64);
    let mut report = Report::default();
    let before = in_use_when_warm()?;
    let mut wrong = 0.0;
    for kind in KINDS {
        wrong += run(kind, Limit::Time(time), &mut report)?;
    }
    let left = report_leaks(before, &mut report)?;
    report.print()?;
    match (wrong, left) {
        (0.0, 0.0) => Ok(()),
        _ => Err(Failure::Side(format!("{wrong} frames were not right, and {left} things were left"))),
    }
}

/// What this process holds.
#[derive(Clone, Copy, Debug)]
struct InUse {
    descriptors: usize,
    /// On the card, by everybody.
    bytes: usize,
}

impl InUse {
    fn now(card: &Card) -> Result<Self, Failure> {
        let listed = std::fs::read_dir("/proc/self/fd").map_err(|error| Failure::system("list", error))?;
        let (free, total) = card.device.context().memory_bytes().map_err(of_card)?;
        Ok(Self { descriptors: listed.count(), bytes: total - free })
    }
}

fn in_use_when_warm() -> Result<InUse, Failure> {
    for kind in KINDS {
        run(kind, Limit::Frames(WARM_UP), &mut Report::default())?;
    }
    InUse::now(&Card::open()?)
}

/// How many descriptors and megabytes of the card are in use that were not before.
fn report_leaks(before: InUse, report: &mut Report) -> Result<f64, Failure> {
    let now = InUse::now(&Card::open()?)?;
    eprintln!("before {before:?}, after all links are closed {now:?}");
    let descriptors = now.descriptors.saturating_sub(before.descriptors) as f64;
    let megabytes = (now.bytes.saturating_sub(before.bytes) as f64 / 1e6).ceil();
    let what = "open after all links are closed, and not before";
    report.add_count("frames_leaked_descriptors", "any", what, descriptors, now.descriptors);
    let what = "megabytes of the card in use after all links are closed, and not before";
    report.add_count("frames_leaked_megabytes", "any", what, megabytes, now.bytes / 1_000_000);
    Ok(descriptors + megabytes)
}

/// One run; how many frames were not right.
fn run(kind: Kind, limit: Limit, report: &mut Report) -> Result<f64, Failure> {
    let Kind { name, shape, way } = kind;
    let card = Card::open()?;
    let form = Form::new(DType::U8, &shape)?;
    let link = format!("bench-frames-{}", std::process::id());
    let (slots, when_full) = match way {
        Way::InPlace => (SLOTS, WhenFull::Block(Some(PATIENCE))),
        Way::Newest => (FEW_SLOTS, WhenFull::Drop),
    };
    let out = uncopy::publish(&link).slots(slots).when_full(when_full).open()?;
    let read = if way == Way::InPlace { "every" } else { "latest" };
    let mut side = Side::start(crate::topics::Role::GpuFrames, &[&link, read])?;
    side.expect("ready")?;
    let (begun, mut told) = (Instant::now(), Instant::now());
    let is_over = |seq: u64| match limit {
        Limit::Frames(frames) => seq >= frames,
        Limit::Time(time) => begun.elapsed() >= time,
    };
    let source = card.array(&form)?;
    let mut maker = Maker { card: &card, out, form, source, way };
    while !is_over(maker.out.seq()) {
        maker.one_frame()?;
        if told.elapsed() > Duration::from_secs(5) {
            told = Instant::now();
            eprintln!("{name}: {} frames in {:.0} s", maker.out.seq(), begun.elapsed().as_secs_f64());
        }
    }
    card.finish()?;
    let sent = maker.out.seq();
    maker.say_that_it_ends()?;
    let [verified, wrong_words, missed, unsaid] = side.numbers()?[..] else {
        return Err(Failure::Side("it said something else than four numbers".to_owned()));
    };
    let took = begun.elapsed();
    side.dismiss()?;
    let dropped = maker.out.stats().dropped;
    eprintln!(
        "{name}: {verified} of {sent} frames verified in {took:.1?}, {wrong_words} wrong words, {missed} missed, \
         {unsaid} gaps or numbers not as said, {dropped} dropped"
    );
    let never_came = match way {
        Way::InPlace => missed + dropped + sent.abs_diff(verified),
        // What it missed it was told of; but it must have seen some.
        Way::Newest => u64::from(verified == 0),
    };
    let not_right = (wrong_words + unsaid + never_came) as f64;
    let what =
        "wrong words, gaps not said, and frames that never came to who reads every one, of so many as n says";
    report.add_count(name, "any", what, not_right, verified as usize);
    Ok(not_right)
}

struct Maker<'c> {
    card: &'c Card,
    out: Publisher,
    form: Form,
    source: Array,
    way: Way,
}

impl Maker<'_> {
    /// Makes the next frame by a kernel and publishes it, unless it is dropped.
    fn one_frame(&mut self) -> Result<(), Failure> {
        let Self { card, out, form, source, way } = self;
        let key = out.seq() + 1;
        let meta = Meta::default().raw(key.to_le_bytes().to_vec());
        match way {
            Way::InPlace => {
                let claim = out.claim_on(form, card.id(), card.stream, None)?;
                card.fill_pattern(&claim.tensor()?, key)?;
                out.commit(claim, meta)?;
            }
            Way::Newest => {
                card.fill_pattern(&source.tensor, key)?;
                let _: Sent = out.send_on(form, &source.tensor, meta, card.stream, None)?;
            }
        }
        Ok(())
    }

    /// The last frame has no key.
    fn say_that_it_ends(&mut self) -> Result<(), Failure> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let Self { card, out, form, source, .. } = self;
            let sent = out.send_on(form, &source.tensor, Meta::default(), card.stream, None)?;
            if let Sent::Published { .. } = sent {
                return Ok(());
            }
            card.finish()?;
        }
        Err(Failure::Side("its consumer kept every slot".to_owned()))
    }
}

/// The consumer: the name of the link, and which frames it reads.
pub fn play(arguments: &Arguments) -> Result<(), Failure> {
    let read = if arguments.text(1)? == "every" { Read::Every } else { Read::Latest };
    let mut sub = uncopy::subscribe(arguments.text(0)?).read(read).open()?;
    let card = Card::open()?;
    let counter = card.array(&Form::new(DType::U64, &[2])?)?;
    println!("ready");
    let (mut verified, mut missed, mut unsaid, mut last) = (0, 0, 0, 0);
    loop {
        let frame = sub.recv(PATIENCE)?;
        let Some(key) = frame.meta().bytes.first_chunk() else { break };
        let key = u64::from_le_bytes(*key);
        let is_as_said = key == frame.seq() && key == last + 1 + frame.missed();
        unsaid += u64::from(!is_as_said);
        missed += frame.missed();
        last = frame.seq();
        let tensor = frame.tensor()?;
        frame.used_on(card.stream);
        card.check_pattern(&tensor, key, &counter.tensor)?;
        verified += 1;
    }
    card.finish()?;
    let host = card.pinned(16)?;
    card.read(&counter.tensor, &host)?;
    let wrong = host.as_bytes().and_then(|bytes| bytes.first_chunk()).copied();
    tell_numbers(&[verified, wrong.map_or(0, u64::from_le_bytes), missed, unsaid]);
    until_dismissed();
    Ok(())
}

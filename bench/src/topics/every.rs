// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every frame of a producer that blocks, to a consumer that reads each byte, against the same reading with no link
//! at all.
//!
//! The producer lends and publishes and writes nothing, so that only the link is added to what the consumer does
//! alone. Alone, it reads as many frames of a link of its own, which it holds: memory of the same kind.

use super::Role;
use crate::{
    clock::monotonic_nanos,
    failure::Failure,
    figure::{Figure, ROUNDS, Round, Series, Unit},
    run::Run,
    side::{Arguments, Side, tell_numbers, until_dismissed},
};
use std::time::Duration;
use uncopy::{Form, Frame, Meta, PixelFormat, Publisher, Read, WhenFull, publish, subscribe};

const FIGURE: &str = "every_block_1080p";
const SLOTS: usize = 4;
/// Frames of one block: with the link and without take turns, since memory is not equally fast all the time.
const BLOCK: usize = 20;
/// Frames of a block that don't count.
const WARM_UP: usize = 2;
const PATIENCE: Duration = Duration::from_secs(10);

pub fn measure(run: &Run) -> Result<Vec<Figure>, Failure> {
    let blocks = run.count(40, 3);
    let mut out = publish(FIGURE)
        .directory(run.dir())
        .slots(SLOTS)
        .when_full(WhenFull::Block(Some(PATIENCE)))
        .open()?;
    let form = Form::image(1080, 1920, PixelFormat::RGBA8)?;
    let mut other = Side::start(Role::Toucher, &[&run.dir_argument(), &blocks.to_string()])?;
    other.expect("ready")?;
    let (mut linked, mut alone) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        run.say(&format!("every frame of 1080p RGBA8, each byte read: round {round} of {ROUNDS}"));
        for _ in 0..blocks * (WARM_UP + BLOCK) {
            out.loan(&form)?.publish(Meta::default())?;
        }
        let (linked_samples, alone_samples) = (other.numbers()?, other.numbers()?);
        linked.push(Round::of(FIGURE, linked_samples)?);
        alone.push(Round::of(FIGURE, alone_samples)?);
    }
    other.dismiss()?;
    Ok(vec![Figure {
        name: FIGURE.to_owned(),
        unit: Unit::Nanos,
        warm_up: format!("the first {WARM_UP} frames of each block of {}", WARM_UP + BLOCK),
        ours: Series::new(
            "per frame of every frame of a producer that blocks: recv and a sum of all bytes",
            linked,
        ),
        reference: Some(Series::new(
            "per frame: a sum of all bytes of the frames that are held anyway",
            alone,
        )),
    }])
}

/// The other side. Arguments are directory and blocks of a round.
pub fn toucher(arguments: &Arguments) -> Result<(), Failure> {
    let blocks = arguments.number(1)?;
    let mut sub = subscribe(FIGURE).directory(arguments.text(0)?).read(Read::Every).open()?;
    let (_out, held) = frames_of_ones_own(arguments.text(0)?)?;
    println!("ready");
    for _ in 0..ROUNDS {
        let (mut linked, mut alone) = (Vec::new(), Vec::new());
        for _ in 0..blocks {
            linked.extend(timed(|_| {
                let frame = sub.recv(PATIENCE)?;
                if frame.missed() != 0 {
                    return Err(Failure::Side(format!("{} frames were missed", frame.missed())));
                }
                std::hint::black_box(sum_of(frame.bytes()));
                Ok(())
            })?);
            // The producer has filled its slots and waits for room meanwhile.
            alone.extend(timed(|index| {
                let frame = held.get(index % SLOTS).map(Frame::bytes);
                std::hint::black_box(sum_of(frame.unwrap_or_default()));
                Ok(())
            })?);
        }
        tell_numbers(&linked);
        tell_numbers(&alone);
    }
    until_dismissed();
    Ok(())
}

/// As many frames as the link has slots, in memory of the same kind.
fn frames_of_ones_own(dir: &str) -> Result<(Publisher, Vec<Frame>), Failure> {
    let mut out = publish("alone").directory(dir).slots(SLOTS + 2).open()?;
    let mut sub = subscribe("alone").directory(dir).open()?;
    let mut held = Vec::new();
    for _ in 0..SLOTS {
        out.loan(&Form::image(1080, 1920, PixelFormat::RGBA8)?)?.publish(Meta::default())?;
        held.push(sub.recv(PATIENCE)?);
    }
    Ok((out, held))
}

/// From the end of one frame to the end of the next, after the warm-up.
fn timed(mut read: impl FnMut(usize) -> Result<(), Failure>) -> Result<Vec<u64>, Failure> {
    let (mut samples, mut before) = (Vec::new(), None);
    for index in 0..WARM_UP + BLOCK {
        read(index)?;
        let now = monotonic_nanos();
        if index >= WARM_UP {
            samples.extend(before.map(|before| now - before));
        }
        before = Some(now);
    }
    Ok(samples)
}

/// Reads each byte, as fast as memory gives them.
fn sum_of(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let words = words.iter().fold(0u64, |sum, word| sum.wrapping_add(u64::from_le_bytes(*word)));
    rest.iter().fold(words, |sum, byte| sum.wrapping_add(u64::from(*byte)))
}

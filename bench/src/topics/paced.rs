// SPDX-License-Identifier: MIT OR Apache-2.0
//! Publish until another process holds the frame, the other asleep, against a bare futex wake paced alike.
//!
//! The clock is read just before `publish` or before the reference stores and wakes, and again when the other side has
//! the frame or the word. Both run at the same pace and in turns, so that the cores are equally deep asleep.

use super::Role;
use crate::{
    bare::{Line, Page},
    clock::{Pace, monotonic_nanos},
    failure::Failure,
    figure::{Figure, ROUNDS, Round, Series, Unit},
    run::Run,
    side::{Arguments, Side, tell_numbers, until_dismissed},
};
use rustix::{io::Errno, thread::futex};
use std::{
    path::Path,
    sync::atomic::Ordering::{Acquire, Relaxed, Release},
    time::Duration,
};
use uncopy::{DType, Form, Meta, Publisher, Subscriber, publish, subscribe};

/// Ticks of a block that don't count: the other side may not have been asleep yet.
const WARM_UP_TICKS: u32 = 2;
/// The tick that ends its block; it is repeated until the other side has seen it.
const LAST_TICK: u32 = u32::MAX;
const PATIENCE: Duration = Duration::from_secs(10);
/// What a frame carries: when it was published, and its block and tick.
const FRAME_BYTES: usize = 16;

/// One of the paces to measure at.
struct Rate {
    figure: &'static str,
    shown: &'static str,
    period_nanos: u64,
    ticks_per_block: u32,
    blocks_per_round: usize,
}

pub fn measure(run: &Run) -> Result<Vec<Figure>, Failure> {
    let rates = [
        Rate {
            figure: "hand_over_1khz",
            shown: "1 kHz",
            period_nanos: 1_000_000,
            ticks_per_block: 100,
            blocks_per_round: run.count(20, 3),
        },
        Rate {
            figure: "hand_over_60hz",
            shown: "60 Hz",
            period_nanos: 16_666_667,
            ticks_per_block: 20,
            blocks_per_round: run.count(12, 2),
        },
    ];
    rates.iter().filter(|rate| run.wants(rate.figure)).map(|rate| measure_at(run, rate)).collect()
}

fn measure_at(run: &Run, rate: &Rate) -> Result<Figure, Failure> {
    let page = Page::create()?;
    let mut out = publish(rate.figure).directory(run.dir()).open()?;
    let rounds = (ROUNDS * rate.blocks_per_round).to_string();
    let arguments = [&run.dir_argument(), rate.figure, &page.path(), &rounds];
    let mut other = Side::start(Role::Sleeper, &arguments)?;
    other.expect("ready")?;
    let mut pace = Pace::new(rate.period_nanos);
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    let mut block = 0;
    for round in 1..=ROUNDS {
        run.say(&format!("publish until received, asleep, {}: round {round} of {ROUNDS}", rate.shown));
        let (mut our_samples, mut bare_samples) = (Vec::new(), Vec::new());
        for _ in 0..rate.blocks_per_round {
            block += 1;
            tick_until_acknowledged(&mut pace, &page, block, rate, |tick| wake(&page, tick))?;
            bare_samples.extend(other.numbers()?);
            block += 1;
            tick_until_acknowledged(&mut pace, &page, block, rate, |tick| send(&mut out, tick))?;
            our_samples.extend(other.numbers()?);
        }
        ours.push(Round::of(rate.figure, our_samples)?);
        bare.push(Round::of(rate.figure, bare_samples)?);
    }
    other.dismiss()?;
    Ok(Figure {
        name: rate.figure.to_owned(),
        unit: Unit::Nanos,
        warm_up: format!("the first {WARM_UP_TICKS} ticks of each block of {}", rate.ticks_per_block),
        ours: Series::new(
            format!(
                "before publish until the other process, asleep in recv, holds the frame, at {}",
                rate.shown
            ),
            ours,
        ),
        reference: Some(Series::new(
            format!(
                "before a store and FUTEX_WAKE until the other process, in FUTEX_WAIT, is back, at {}",
                rate.shown
            ),
            bare,
        )),
    })
}

/// Acts at each tick of a block, and goes on at that pace until the other side has seen the end.
fn tick_until_acknowledged(
    pace: &mut Pace,
    page: &Page,
    block: u32,
    rate: &Rate,
    mut act: impl FnMut(u64) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for tick in 0..rate.ticks_per_block {
        pace.wait()?;
        act(pack(block, tick))?;
    }
    let begun = monotonic_nanos();
    while page.word32(Line::Acknowledged).load(Acquire) != block {
        pace.wait()?;
        act(pack(block, LAST_TICK))?;
        if u128::from(monotonic_nanos() - begun) > PATIENCE.as_nanos() {
            return Err(Failure::Side("it does not wake".to_owned()));
        }
    }
    Ok(())
}

/// Block and tick as one number. The block tells a repeated end of the block before from this one's ticks.
fn pack(block: u32, tick: u32) -> u64 {
    (u64::from(block) << 32) | u64::from(tick)
}

fn wake(page: &Page, tick: u64) -> Result<(), Failure> {
    page.word64(Line::Tick).store(tick, Relaxed);
    page.word64(Line::Stamp).store(monotonic_nanos(), Relaxed);
    let bell = page.word32(Line::Bell);
    bell.fetch_add(1, Release);
    futex::wake(bell, futex::Flags::empty(), 1).map_err(|e| Failure::system("wake a futex", e))?;
    Ok(())
}

fn send(out: &mut Publisher, tick: u64) -> Result<(), Failure> {
    let mut slot = out.loan(&Form::new(DType::U8, &[FRAME_BYTES])?)?;
    if let Some((stamp_bytes, tick_bytes)) = slot.bytes_mut().split_first_chunk_mut::<8>() {
        tick_bytes.copy_from_slice(&tick.to_le_bytes());
        *stamp_bytes = monotonic_nanos().to_le_bytes();
    }
    slot.publish(Meta::default())?;
    Ok(())
}

/// The other side of [`measure`]: arguments are directory, link, page and pairs of blocks.
pub fn sleeper(arguments: &Arguments) -> Result<(), Failure> {
    let mut frames = subscribe(arguments.text(1)?).directory(arguments.text(0)?).open()?;
    let page = Page::open(Path::new(arguments.text(2)?))?;
    let mut seen = page.word32(Line::Bell).load(Acquire);
    println!("ready");
    for pair in 0..arguments.number(3)? as u32 {
        for block in [2 * pair + 1, 2 * pair + 2] {
            let is_bare = block % 2 == 1;
            let next = || if is_bare { woken(&page, &mut seen) } else { received(&mut frames) };
            let samples = samples_of(block, next)?;
            page.word32(Line::Acknowledged).store(block, Release);
            tell_numbers(&samples);
        }
    }
    until_dismissed();
    Ok(())
}

/// How long one signal took, and its block and tick.
struct Arrival {
    nanos: u64,
    packed: u64,
}

fn samples_of(block: u32, mut next: impl FnMut() -> Result<Arrival, Failure>) -> Result<Vec<u64>, Failure> {
    let mut samples = Vec::new();
    loop {
        let Arrival { nanos, packed } = next()?;
        match packed.checked_sub(pack(block, 0)) {
            Some(tick) if tick == u64::from(LAST_TICK) => return Ok(samples),
            Some(tick) if tick >= u64::from(WARM_UP_TICKS) => samples.push(nanos),
            // Of the block before, or of the warm-up.
            _ => {}
        }
    }
}

fn woken(page: &Page, seen: &mut u32) -> Result<Arrival, Failure> {
    let bell = page.word32(Line::Bell);
    loop {
        let value = bell.load(Acquire);
        if value != *seen {
            let now = monotonic_nanos();
            *seen = value;
            let nanos = now.saturating_sub(page.word64(Line::Stamp).load(Relaxed));
            return Ok(Arrival { nanos, packed: page.word64(Line::Tick).load(Relaxed) });
        }
        match futex::wait(bell, futex::Flags::empty(), value, None) {
            Ok(()) | Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return Err(Failure::system("wait for a futex", error)),
        }
    }
}

fn received(frames: &mut Subscriber) -> Result<Arrival, Failure> {
    let frame = frames.recv(PATIENCE)?;
    let now = monotonic_nanos();
    match frame.bytes().split_first_chunk::<8>().map(|(stamp, rest)| (stamp, rest.first_chunk::<8>())) {
        Some((stamp, Some(tick))) => Ok(Arrival {
            nanos: now.saturating_sub(u64::from_le_bytes(*stamp)),
            packed: u64::from_le_bytes(*tick),
        }),
        _ => Err(Failure::Side(format!("a frame of {} bytes", frame.bytes().len()))),
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! Publish until another process holds the frame, the other asleep, against a bare futex wake paced alike.
//!
//! The clock is read just before `publish` or before the reference stores and wakes, and again when the other side has
//! the frame or the word. Both run at the same pace and in turns, so that the cores are equally deep asleep.

use super::Role;
use crate::{
    bare::{Line, Page},
    clock::Pace,
    failure::Failure,
    figure::{Figure, ROUNDS, Round, Series, Unit},
    pace::{Rate, WARM_UP_TICKS, received, samples_of, send, tick_until_acknowledged, wake, woken},
    run::Run,
    side::{Arguments, Side, tell_numbers, until_dismissed},
};
use std::{
    path::Path,
    sync::atomic::Ordering::{Acquire, Release},
};
use uncopy::{publish, subscribe};

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

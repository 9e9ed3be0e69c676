// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames at a steady pace to a process that sleeps until each: ours in `recv`, iceoryx2's in a listener, which is
//! notified after the frame was sent, and then received; and a bare futex wake in the same turns.

use crate::{Role, ours, theirs, theirs::Home};
use std::{
    path::Path,
    sync::atomic::Ordering::{Acquire, Release},
};
use uncopy_bench::{
    bare::{Line, Page},
    clock::{Pace, monotonic_nanos},
    failure::Failure,
    figure::{Figure, ROUNDS, Round, Series, Unit},
    paced::{
        Arrival, Rate, SIGNAL_BYTES, WARM_UP_TICKS, received, samples_of, send, signal,
        tick_until_acknowledged, wake, woken,
    },
    run::Run,
    side::{Arguments, Side, tell_numbers, until_dismissed},
};

pub fn measure(run: &Run) -> Result<Vec<Figure>, Failure> {
    let rates = [
        Rate {
            figure: "1khz",
            shown: "1 kHz",
            period_nanos: 1_000_000,
            ticks_per_block: 100,
            blocks_per_round: run.count(40, 3),
        },
        Rate {
            figure: "60hz",
            shown: "60 Hz",
            period_nanos: 16_666_667,
            ticks_per_block: 20,
            blocks_per_round: run.count(20, 2),
        },
    ];
    let mut figures = Vec::new();
    for rate in rates.iter().filter(|rate| run.wants(&format!("asleep_{}", rate.figure))) {
        figures.extend(measure_at(run, rate)?);
    }
    Ok(figures)
}

fn measure_at(run: &Run, rate: &Rate) -> Result<Vec<Figure>, Failure> {
    let page = Page::create()?;
    let name = rate.figure;
    let mut out = ours::publisher(run.dir(), name)?;
    let home = Home::new(run.dir())?;
    let their_out = home.publisher(name, SIGNAL_BYTES)?;
    let notifier = home.notifier(name)?;
    let turns = (ROUNDS * rate.blocks_per_round).to_string();
    let mut other = Side::start(Role::Sleeper, &[&run.dir_argument(), name, &page.path(), &turns])?;
    other.expect("ready")?;
    let mut pace = Pace::new(rate.period_nanos);
    // The way of a signal, and how long its sender is busy, of each contestant.
    let mut ways: [Vec<Round>; 3] = Default::default();
    let mut costs: [Vec<Round>; 3] = Default::default();
    let mut block = 0;
    for round in 1..=ROUNDS {
        run.say(&format!("asleep, {}: round {round} of {ROUNDS}", rate.shown));
        let mut way_samples: [Vec<u64>; 3] = Default::default();
        let mut cost_samples: [Vec<u64>; 3] = Default::default();
        for _ in 0..rate.blocks_per_round {
            for (contestant, (way, cost)) in way_samples.iter_mut().zip(&mut cost_samples).enumerate() {
                block += 1;
                cost.extend(tick_until_acknowledged(
                    &mut pace,
                    &page,
                    block,
                    rate,
                    |tick| match contestant {
                        0 => wake(&page, tick),
                        1 => send(&mut out, tick),
                        _ => {
                            let mut sample = theirs::loan(&their_out, SIGNAL_BYTES)?;
                            sample.payload_mut().copy_from_slice(&signal(tick));
                            theirs::send(sample)?;
                            theirs::notify(&notifier)
                        }
                    },
                )?);
                way.extend(other.numbers()?);
            }
        }
        for (at, (way, cost)) in way_samples.into_iter().zip(cost_samples).enumerate() {
            ways[at].push(Round::of(rate.figure, way)?);
            costs[at].push(Round::of(rate.figure, cost)?);
        }
    }
    other.dismiss()?;
    Ok(figures_of(rate, ways, costs))
}

fn figures_of(rate: &Rate, ways: [Vec<Round>; 3], costs: [Vec<Round>; 3]) -> Vec<Figure> {
    let [bare_way, our_way, their_way] = ways;
    let [bare_cost, our_cost, their_cost] = costs;
    let figure = |name: &str, ours: Series, reference: Option<Series>| Figure {
        name: format!("{name}_{}", rate.figure),
        unit: Unit::Nanos,
        warm_up: format!("the first {WARM_UP_TICKS} ticks of each block of {}", rate.ticks_per_block),
        ours,
        reference,
    };
    let series = |what: &str, rounds| Series::new(format!("{what}, at {}", rate.shown), rounds);
    vec![
        figure(
            "asleep",
            series("before publish until the other process, asleep in recv, holds the frame", our_way),
            Some(series(
                "before send and notify until the other process, asleep in a listener, has received the sample",
                their_way,
            )),
        ),
        figure(
            "bare_asleep",
            series("before a store and FUTEX_WAKE until the other process, in FUTEX_WAIT, is back", bare_way),
            None,
        ),
        figure(
            "cost_asleep",
            series(
                "the sender's own time for loan, 16 bytes and publish, the other process asleep",
                our_cost,
            ),
            Some(series(
                "the sender's own time for loan, 16 bytes, send and notify, the other process asleep",
                their_cost,
            )),
        ),
        figure(
            "bare_cost_asleep",
            series("the sender's own time for a store and FUTEX_WAKE, the other process asleep", bare_cost),
            None,
        ),
    ]
}

/// The other side of [`measure`]: arguments are directory, name, page and turns of each contestant.
pub fn sleeper(arguments: &Arguments) -> Result<(), Failure> {
    let (dir, name) = (Path::new(arguments.text(0)?), arguments.text(1)?);
    let page = Page::open(arguments.text(2)?)?;
    let mut frames = ours::subscriber(dir, name)?;
    let home = Home::new(dir)?;
    let (their_frames, listener) = (home.subscriber(name)?, home.listener(name)?);
    let their_next = || -> Result<Arrival, Failure> {
        loop {
            theirs::wait(&listener)?;
            if let Some(sample) = theirs::receive(&their_frames)? {
                let now = monotonic_nanos();
                let length = || Failure::Side(format!("a sample of {} bytes", sample.payload().len()));
                return Arrival::of(sample.payload(), now).ok_or_else(length);
            }
        }
    };
    let mut seen = page.word32(Line::Bell).load(Acquire);
    println!("ready");
    for turn in 0..arguments.number(3)? as u32 {
        for contestant in 0..3 {
            let block = 3 * turn + contestant + 1;
            let samples = samples_of(block, || match contestant {
                0 => woken(&page, &mut seen),
                1 => received(&mut frames),
                _ => their_next(),
            })?;
            page.word32(Line::Acknowledged).store(block, Release);
            tell_numbers(&samples);
        }
    }
    until_dismissed();
    Ok(())
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! What eight consumers cost a producer against one, nobody asleep and all asleep; and when the last of eight is awake.
//!
//! No byte of the frame but a stamp is touched. All links take turns at one pace, so that the cores are equally deep
//! asleep.

use super::Role;
use crate::{
    clock::{Pace, monotonic_nanos},
    failure::Failure,
    figure::{Figure, ROUNDS, Round, Series, Unit},
    run::Run,
    side::{Arguments, Side, tell_numbers, until_dismissed},
};
use std::{collections::BTreeMap, time::Duration};
use uncopy::{DType, Form, Meta, Publisher, publish, subscribe};

const CROWD: usize = 8;
const WARM_UP: usize = 20;
/// Long enough for eight consumers on few cores to receive a frame and to sleep again.
const PERIOD_NANOS: u64 = 2_000_000;
const PATIENCE: Duration = Duration::from_secs(10);
const STAMP_BYTES: usize = 8;

/// A link, its consumers, and how long each publish took.
struct Crowd {
    out: Publisher,
    others: Vec<Side>,
    /// They say when they have received each frame.
    answers: bool,
    samples: Vec<u64>,
    rounds: Vec<Round>,
    late: Vec<Round>,
}

pub fn measure(run: &Run) -> Result<Vec<Figure>, Failure> {
    let frames = run.count(600, 30);
    let mut figures = Vec::new();
    for (figure, role, state) in
        [("crowd_awake", Role::Bystander, "not waiting"), ("crowd_asleep", Role::Waker, "asleep")]
    {
        let name = |consumers: usize| format!("{figure}_{consumers}");
        let mut one = Crowd::open(run, &name(1), role, 1, frames)?;
        let mut eight = Crowd::open(run, &name(CROWD), role, CROWD, frames)?;
        let mut pace = Pace::new(PERIOD_NANOS);
        for round in 1..=ROUNDS {
            run.say(&format!("publish to {CROWD} consumers and to one, {state}: round {round} of {ROUNDS}"));
            for _ in 0..WARM_UP + frames {
                for crowd in [&mut one, &mut eight] {
                    pace.wait()?;
                    crowd.publish()?;
                }
            }
            for crowd in [&mut one, &mut eight] {
                crowd.end_round(figure)?;
            }
        }
        let warm_up = format!("the first {WARM_UP} frames of each round");
        let what = |consumers| format!("loan and publish with {consumers} consumers {state}, every 2 ms");
        let [late_of_one, late_of_all] = [one.late.clone(), eight.late.clone()];
        figures.push(Figure {
            name: figure.to_owned(),
            unit: Unit::Nanos,
            warm_up: warm_up.clone(),
            ours: Series::new(what(CROWD), eight.finish()?),
            reference: Some(Series::new(what(1), one.finish()?)),
        });
        if !late_of_all.is_empty() {
            let late = |consumers| {
                format!(
                    "before loan and publish until the last of {consumers} consumers, asleep, holds the frame"
                )
            };
            figures.push(Figure {
                name: "crowd_last_awake".to_owned(),
                unit: Unit::Nanos,
                warm_up,
                ours: Series::new(late(CROWD), late_of_all),
                reference: Some(Series::new(late(1), late_of_one)),
            });
        }
    }
    Ok(figures)
}

impl Crowd {
    fn open(run: &Run, name: &str, role: Role, consumers: usize, frames: usize) -> Result<Self, Failure> {
        let out = publish(name).directory(run.dir()).open()?;
        let mut others = Vec::new();
        for _ in 0..consumers {
            let mut other = Side::start(role, &[&run.dir_argument(), name, &frames.to_string()])?;
            other.expect("ready")?;
            others.push(other);
        }
        Ok(Self {
            out,
            others,
            answers: matches!(role, Role::Waker),
            samples: Vec::new(),
            rounds: Vec::new(),
            late: Vec::new(),
        })
    }

    fn publish(&mut self) -> Result<(), Failure> {
        let form = Form::new(DType::U8, &[STAMP_BYTES])?;
        let begun = monotonic_nanos();
        let mut slot = self.out.loan(&form)?;
        slot.bytes_mut().copy_from_slice(&begun.to_le_bytes());
        slot.publish(Meta::default())?;
        self.samples.push(monotonic_nanos() - begun);
        Ok(())
    }

    /// Takes the samples of a round together, and what the others have seen of it.
    fn end_round(&mut self, figure: &str) -> Result<(), Failure> {
        let samples = std::mem::take(&mut self.samples).split_off(WARM_UP);
        self.rounds.push(Round::of(figure, samples)?);
        // Per frame, by the time of its publishing: how many have received it, and the longest that it took.
        let mut arrivals: BTreeMap<u64, (usize, u64)> = BTreeMap::new();
        for other in &mut self.others {
            // A bystander has seen nothing.
            let numbers = if self.answers { other.numbers()? } else { Vec::new() };
            for pair in numbers.chunks_exact(2) {
                let [published, took] = pair else { continue };
                let (received, longest) = arrivals.entry(*published).or_default();
                *received += 1;
                *longest = (*longest).max(*took);
            }
        }
        let complete = arrivals.values().filter(|(received, _)| *received == self.others.len());
        let late: Vec<u64> = complete.skip(WARM_UP).map(|(_, longest)| *longest).collect();
        if !late.is_empty() {
            self.late.push(Round::of("crowd_last_awake", late)?);
        }
        Ok(())
    }

    fn finish(self) -> Result<Vec<Round>, Failure> {
        self.others.into_iter().try_for_each(Side::dismiss)?;
        Ok(self.rounds)
    }
}

/// The other side of `crowd_asleep`: sleeps until each frame. Arguments are directory, link and frames of a round.
pub fn waker(arguments: &Arguments) -> Result<(), Failure> {
    let frames = WARM_UP + arguments.number(2)?;
    // Spinning would not be sleeping; and eight that spin would keep the producer from its core.
    let mut sub = subscribe(arguments.text(1)?).directory(arguments.text(0)?).spin(Duration::ZERO).open()?;
    println!("ready");
    let mut last = 0;
    for round in 1..=ROUNDS {
        let mut seen = Vec::new();
        while last < (round * frames) as u64 {
            let frame = sub.recv(PATIENCE)?;
            let now = monotonic_nanos();
            last = frame.seq();
            let Some(stamp) = frame.bytes().first_chunk::<STAMP_BYTES>() else { continue };
            let published = u64::from_le_bytes(*stamp);
            seen.extend([published, now.saturating_sub(published)]);
        }
        tell_numbers(&seen);
    }
    until_dismissed();
    Ok(())
}

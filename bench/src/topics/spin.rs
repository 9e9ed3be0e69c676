// SPDX-License-Identifier: MIT OR Apache-2.0
//! Publish until another process holds the frame, both spinning, against a bare ping-pong on shared memory.
//!
//! Both are half a round trip. A side loans its next slot before it waits, as a renderer does, and publishes as soon
//! as it holds the other's frame. Reading the clock costs about as much as a bare trip, so a sample is the mean of
//! several trips.

use super::Role;
use crate::{
    bare::{Line, Page},
    clock::monotonic_nanos,
    failure::Failure,
    figure::{Figure, ROUNDS, Round, Series, Unit},
    run::Run,
    side::{Arguments, Side, until_dismissed},
};
use std::{
    path::Path,
    sync::atomic::Ordering::{Acquire, Release},
    time::Duration,
};
use uncopy::{DType, Form, Meta, Publisher, Subscriber, publish, subscribe};

pub const FIGURE: &str = "hand_over_spinning";
/// Round trips in one sample.
const TRIPS_PER_SAMPLE: usize = 8;
const SAMPLES_PER_BLOCK: usize = 250;
const TRIPS_PER_BLOCK: usize = TRIPS_PER_SAMPLE * SAMPLES_PER_BLOCK;
/// Blocks before the first that counts.
const WARM_UP_BLOCKS: usize = 4;
const FRAME_BYTES: usize = 64;
/// No word gets from one physical core to another in less; between two threads of one core it takes half of that.
const SHARED_CORE_NANOS: f64 = 35.0;
/// Longer than any wait here: neither side ever sleeps.
const SPIN: Duration = Duration::from_secs(10);

pub fn measure(run: &Run) -> Result<Vec<Figure>, Failure> {
    let blocks = run.count(100, 15);
    let total = WARM_UP_BLOCKS + ROUNDS * blocks;
    let page = Page::create()?;
    let out = publish("spin-ping").directory(run.dir()).open()?;
    let mut other = Side::start(Role::Pong, &[&run.dir_argument(), &page.path(), &total.to_string()])?;
    other.expect("published")?;
    let pongs = subscriber("spin-pong", run.dir())?;
    other.expect("ready")?;

    let mut bare = Bare { page, trips: 0 };
    let mut ours = Ours { out, frames: pongs };
    for _ in 0..WARM_UP_BLOCKS {
        bare.ping()?;
        ours.ping()?;
    }
    let (mut our_rounds, mut bare_rounds) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        run.say(&format!("publish until received, spinning: round {round} of {ROUNDS}"));
        let (mut bare_samples, mut our_samples) = (Vec::new(), Vec::new());
        for _ in 0..blocks {
            bare_samples.extend(bare.ping()?);
            our_samples.extend(ours.ping()?);
        }
        our_rounds.push(one_way(our_samples)?);
        bare_rounds.push(one_way(bare_samples)?);
    }
    other.dismiss()?;
    if bare_rounds.iter().any(|round| round.p50 < SHARED_CORE_NANOS) {
        run.say("the bare word crossed so fast that both processes seem to share one physical core:");
        run.say("the ratio says nothing about two cores; measure again");
    }
    Ok(vec![Figure {
        name: FIGURE.to_owned(),
        unit: Unit::Nanos,
        warm_up: format!("{} round trips of each", WARM_UP_BLOCKS * TRIPS_PER_BLOCK),
        ours: Series::new("publish until the other process holds the frame: half a round trip", our_rounds),
        reference: Some(Series::new(
            "a 64-bit store until the other process sees it: half a round trip",
            bare_rounds,
        )),
    }])
}

/// The other side of [`measure`]: arguments are directory, page and number of blocks.
pub fn pong(arguments: &Arguments) -> Result<(), Failure> {
    let dir = Path::new(arguments.text(0)?);
    let page = Page::open(arguments.text(1)?)?;
    let out = publish("spin-pong").directory(dir).open()?;
    println!("published");
    let pings = subscriber("spin-ping", dir)?;
    println!("ready");
    let mut bare = Bare { page, trips: 0 };
    let mut ours = Ours { out, frames: pings };
    for _ in 0..arguments.number(2)? {
        bare.pong();
        ours.pong()?;
    }
    until_dismissed();
    Ok(())
}

fn subscriber(name: &str, dir: &Path) -> Result<Subscriber, Failure> {
    Ok(subscribe(name).directory(dir).spin(SPIN).open()?)
}

fn one_way(round_trips_of_a_sample: Vec<u64>) -> Result<Round, Failure> {
    let round = Round::of(FIGURE, round_trips_of_a_sample)?;
    Ok(round.divided_by(2.0 * TRIPS_PER_SAMPLE as f64))
}

/// The reference: two words, each written by one side.
struct Bare {
    page: Page,
    trips: u64,
}

impl Bare {
    fn ping(&mut self) -> Result<Vec<u64>, Failure> {
        let mut samples = Vec::with_capacity(SAMPLES_PER_BLOCK);
        let (ping, pong) = (self.page.word64(Line::Ping), self.page.word64(Line::Pong));
        for _ in 0..SAMPLES_PER_BLOCK {
            let begun = monotonic_nanos();
            for _ in 0..TRIPS_PER_SAMPLE {
                self.trips += 1;
                ping.store(self.trips, Release);
                while pong.load(Acquire) != self.trips {
                    std::hint::spin_loop();
                }
            }
            samples.push(monotonic_nanos() - begun);
        }
        Ok(samples)
    }

    fn pong(&mut self) {
        let (ping, pong) = (self.page.word64(Line::Ping), self.page.word64(Line::Pong));
        for _ in 0..TRIPS_PER_BLOCK {
            self.trips += 1;
            while ping.load(Acquire) != self.trips {
                std::hint::spin_loop();
            }
            pong.store(self.trips, Release);
        }
    }
}

/// Two links, each published by one side.
struct Ours {
    out: Publisher,
    frames: Subscriber,
}

impl Ours {
    fn ping(&mut self) -> Result<Vec<u64>, Failure> {
        let form = Form::new(DType::U8, &[FRAME_BYTES])?;
        let mut samples = Vec::with_capacity(SAMPLES_PER_BLOCK);
        let mut slot = self.out.loan(&form)?;
        // Held until the answer to it is on its way, as on the other side.
        let mut held = None;
        for _ in 0..SAMPLES_PER_BLOCK {
            let begun = monotonic_nanos();
            for _ in 0..TRIPS_PER_SAMPLE {
                slot.publish(Meta::default())?;
                drop(held.take());
                slot = self.out.loan(&form)?;
                held = Some(self.frames.recv(SPIN)?);
            }
            samples.push(monotonic_nanos() - begun);
        }
        Ok(samples)
    }

    fn pong(&mut self) -> Result<(), Failure> {
        let form = Form::new(DType::U8, &[FRAME_BYTES])?;
        for _ in 0..TRIPS_PER_BLOCK {
            let slot = self.out.loan(&form)?;
            let _frame = self.frames.recv(SPIN)?;
            slot.publish(Meta::default())?;
        }
        Ok(())
    }
}

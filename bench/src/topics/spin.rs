// SPDX-License-Identifier: MIT OR Apache-2.0
//! Publish until another process holds the frame, both spinning, against a bare ping-pong on shared memory.
//!
//! Half a round trip of each, in two tempos. *At rest*: both sides have done everything that the trip before left to do
//! (released, loaned the next slot, asked for the next frame) before a trip begins, so that what is timed is the way
//! of a frame. *Back to back*: a trip begins when the one before ends, and what it left to do counts where it is in the
//! way; reading the clock would too, so that a sample is then the mean of several trips.

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
use uncopy::{Claim, DType, Form, Frame, Meta, Publisher, Subscriber, publish, subscribe};

pub const FIGURE: &str = "hand_over_spinning";
const TRIPS_PER_BLOCK: usize = 2_000;
/// Several times what a side has to do after a trip.
const REST_NANOS: u64 = 2_000;
/// Blocks before the first that counts.
const WARM_UP_BLOCKS: usize = 4;
const FRAME_BYTES: usize = 64;
/// No word gets from one physical core to another in less; between two threads of one core it takes half of that.
const SHARED_CORE_NANOS: f64 = 35.0;
/// Longer than any wait here: neither side ever sleeps.
const SPIN: Duration = Duration::from_secs(10);

pub fn measure(run: &Run) -> Result<Vec<Figure>, Failure> {
    let blocks = run.count(100, 15);
    let total = Tempo::BOTH.len() * (WARM_UP_BLOCKS + ROUNDS * blocks);
    let page = Page::create()?;
    let out = publish("spin-ping").directory(run.dir()).open()?;
    let mut other = Side::start(Role::Pong, &[&run.dir_argument(), &page.path(), &total.to_string()])?;
    other.expect("published")?;
    let pongs = subscriber("spin-pong", run.dir())?;
    other.expect("ready")?;

    let mut bare = Bare { page, trips: 0 };
    let mut ours = Ours::new(out, pongs)?;
    for tempo in Tempo::BOTH {
        for _ in 0..WARM_UP_BLOCKS {
            bare.pings(tempo)?;
            ours.pings(tempo)?;
        }
    }
    let mut figures = Vec::new();
    for tempo in Tempo::BOTH {
        let (mut our_rounds, mut bare_rounds) = (Vec::new(), Vec::new());
        for round in 1..=ROUNDS {
            run.say(&format!("publish until received, {}: round {round} of {ROUNDS}", tempo.shown()));
            let (mut bare_samples, mut our_samples) = (Vec::new(), Vec::new());
            for _ in 0..blocks {
                bare_samples.extend(bare.pings(tempo)?);
                our_samples.extend(ours.pings(tempo)?);
            }
            our_rounds.push(one_way(our_samples, tempo)?);
            bare_rounds.push(one_way(bare_samples, tempo)?);
        }
        if bare_rounds.iter().any(|round| round.p50 < SHARED_CORE_NANOS) {
            run.say("the bare word crossed so fast that both processes seem to share one physical core:");
            run.say("the ratio says nothing about two cores; measure again");
        }
        figures.push(Figure {
            name: tempo.figure().to_owned(),
            unit: Unit::Nanos,
            warm_up: format!("{} round trips of each", WARM_UP_BLOCKS * TRIPS_PER_BLOCK),
            ours: Series::new(
                format!(
                    "publish until the other process holds the frame: half a round trip, {}",
                    tempo.shown()
                ),
                our_rounds,
            ),
            reference: Some(Series::new(
                format!(
                    "a 64-bit store until the other process sees it: half a round trip, {}",
                    tempo.shown()
                ),
                bare_rounds,
            )),
        });
    }
    other.dismiss()?;
    Ok(figures)
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
    let mut ours = Ours::new(out, pings)?;
    for _ in 0..arguments.number(2)? {
        bare.pongs()?;
        ours.pongs()?;
    }
    until_dismissed();
    Ok(())
}

fn subscriber(name: &str, dir: &Path) -> Result<Subscriber, Failure> {
    Ok(subscribe(name).directory(dir).spin(SPIN).open()?)
}

fn one_way(samples: Vec<u64>, tempo: Tempo) -> Result<Round, Failure> {
    let round = Round::of(tempo.figure(), samples)?;
    Ok(round.divided_by(2.0 * tempo.trips_per_sample() as f64))
}

/// When a round trip begins.
#[derive(Clone, Copy, PartialEq)]
enum Tempo {
    AtRest,
    BackToBack,
}

impl Tempo {
    const BOTH: [Self; 2] = [Self::AtRest, Self::BackToBack];

    fn figure(self) -> &'static str {
        match self {
            Self::AtRest => FIGURE,
            Self::BackToBack => "hand_over_spinning_back_to_back",
        }
    }

    fn shown(self) -> &'static str {
        match self {
            Self::AtRest => "spinning, both at rest before",
            Self::BackToBack => "spinning, back to back",
        }
    }

    fn trips_per_sample(self) -> usize {
        match self {
            Self::AtRest => 1,
            Self::BackToBack => 8,
        }
    }

    /// Waits for the beginning; returns the time.
    fn begin(self) -> u64 {
        let now = monotonic_nanos();
        match self {
            Self::BackToBack => now,
            Self::AtRest => loop {
                let later = monotonic_nanos();
                if later - now >= REST_NANOS {
                    break later;
                }
            },
        }
    }
}

/// One of the two things to compare, seen from one side.
trait Link {
    /// Sends, then waits for the answer.
    fn ping(&mut self) -> Result<(), Failure>;
    /// Waits, then answers.
    fn pong(&mut self) -> Result<(), Failure>;
    /// What a trip leaves to do.
    fn tidy(&mut self) -> Result<(), Failure>;

    fn pings(&mut self, tempo: Tempo) -> Result<Vec<u64>, Failure> {
        let mut samples = Vec::with_capacity(TRIPS_PER_BLOCK);
        for _ in 0..TRIPS_PER_BLOCK / tempo.trips_per_sample() {
            let begun = tempo.begin();
            for trip in 0..tempo.trips_per_sample() {
                if trip > 0 {
                    self.tidy()?;
                }
                self.ping()?;
            }
            samples.push(monotonic_nanos() - begun);
            self.tidy()?;
        }
        Ok(samples)
    }

    fn pongs(&mut self) -> Result<(), Failure> {
        for _ in 0..TRIPS_PER_BLOCK {
            self.pong()?;
            self.tidy()?;
        }
        Ok(())
    }
}

/// The reference: two words, each written by one side.
struct Bare {
    page: Page,
    trips: u64,
}

impl Link for Bare {
    fn ping(&mut self) -> Result<(), Failure> {
        self.page.word64(Line::Ping).store(self.trips + 1, Release);
        self.wait(Line::Pong);
        Ok(())
    }

    fn pong(&mut self) -> Result<(), Failure> {
        self.wait(Line::Ping);
        self.page.word64(Line::Pong).store(self.trips, Release);
        Ok(())
    }

    fn tidy(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

impl Bare {
    fn wait(&mut self, line: Line) {
        self.trips += 1;
        while self.page.word64(line).load(Acquire) != self.trips {
            std::hint::spin_loop();
        }
    }
}

/// Two links, each published by one side.
struct Ours {
    out: Publisher,
    frames: Subscriber,
    form: Form,
    /// On loan before it is needed, as by a renderer.
    slot: Option<Claim>,
    held: Option<Frame>,
}

impl Ours {
    fn new(mut out: Publisher, frames: Subscriber) -> Result<Self, Failure> {
        let form = Form::new(DType::U8, &[FRAME_BYTES])?;
        let slot = Some(out.claim(&form)?);
        Ok(Self { out, frames, form, slot, held: None })
    }

    fn publish(&mut self) -> Result<(), Failure> {
        if let Some(slot) = self.slot.take() {
            self.out.commit(slot, Meta::default())?;
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<(), Failure> {
        self.held = Some(self.frames.recv(SPIN)?);
        Ok(())
    }
}

impl Link for Ours {
    fn ping(&mut self) -> Result<(), Failure> {
        self.publish()?;
        self.receive()
    }

    fn pong(&mut self) -> Result<(), Failure> {
        self.receive()?;
        self.publish()
    }

    fn tidy(&mut self) -> Result<(), Failure> {
        self.held = None;
        self.slot = Some(self.out.claim(&self.form)?);
        Ok(())
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! Publish until another process holds the frame, both spinning, against a bare ping-pong on shared memory.

use super::Role;
use crate::{
    bare::Page,
    failure::Failure,
    figure::{Figure, ROUNDS, Series, Unit},
    run::Run,
    side::{Arguments, Side, until_dismissed},
    trips::{Bare, Contestant, TRIPS_PER_BLOCK, Tempo, shared_a_core},
};
use std::{path::Path, time::Duration};
use uncopy::{Claim, DType, Form, Frame, Meta, Publisher, Subscriber, publish, subscribe};

pub const FIGURE: &str = "hand_over_spinning";
/// Blocks before the first that counts.
const WARM_UP_BLOCKS: usize = 4;
const FRAME_BYTES: usize = 64;
/// Longer than any wait here: neither side ever sleeps.
const SPIN: Duration = Duration::from_secs(10);

fn figure_of(tempo: Tempo) -> &'static str {
    match tempo {
        Tempo::AtRest => FIGURE,
        Tempo::BackToBack => "hand_over_spinning_back_to_back",
    }
}

pub fn measure(run: &Run) -> Result<Vec<Figure>, Failure> {
    let blocks = run.count(100, 15);
    let total = Tempo::BOTH.len() * (WARM_UP_BLOCKS + ROUNDS * blocks);
    let page = Page::create()?;
    let out = publish("spin-ping").directory(run.dir()).open()?;
    let mut other = Side::start(Role::Pong, &[&run.dir_argument(), &page.path(), &total.to_string()])?;
    other.expect("published")?;
    let pongs = subscriber("spin-pong", run.dir())?;
    other.expect("ready")?;

    let mut bare = Bare::new(page);
    let mut ours = Ours::new(out, pongs)?;
    for tempo in Tempo::BOTH {
        for _ in 0..WARM_UP_BLOCKS {
            bare.pings(tempo)?;
            ours.pings(tempo)?;
        }
    }
    let mut figures = Vec::new();
    for tempo in Tempo::BOTH {
        let figure = figure_of(tempo);
        let (mut our_rounds, mut bare_rounds) = (Vec::new(), Vec::new());
        for round in 1..=ROUNDS {
            run.say(&format!("publish until received, {}: round {round} of {ROUNDS}", tempo.shown()));
            let (mut bare_samples, mut our_samples) = (Vec::new(), Vec::new());
            for _ in 0..blocks {
                bare_samples.extend(bare.pings(tempo)?);
                our_samples.extend(ours.pings(tempo)?);
            }
            our_rounds.push(tempo.one_way(figure, our_samples)?);
            bare_rounds.push(tempo.one_way(figure, bare_samples)?);
        }
        if shared_a_core(&bare_rounds) {
            run.say("the bare word crossed so fast that both processes seem to share one physical core:");
            run.say("the ratio says nothing about two cores; measure again");
        }
        figures.push(Figure {
            name: figure.to_owned(),
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
    let mut bare = Bare::new(page);
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

impl Contestant for Ours {
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

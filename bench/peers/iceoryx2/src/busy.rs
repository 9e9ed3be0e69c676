// SPDX-License-Identifier: MIT OR Apache-2.0
//! Publish-subscribe with both sides spinning: loan, send and receive of the same bytes, for frames of all sizes.

use crate::{
    Role,
    ends::Trips,
    ours::{self, Ours},
    theirs::{Home, Theirs},
};
use std::path::Path;
use uncopy_bench::{
    bare::Page,
    failure::Failure,
    figure::{Figure, ROUNDS, Round, Series, Unit},
    run::Run,
    side::{Arguments, Side, until_dismissed},
    trips::{Bare, Contestant, TRIPS_PER_BLOCK, Tempo, shared_a_core},
};

/// Ends of the figures' names, with the bytes of a frame.
const SIZES: [(&str, usize); 7] = [
    ("64b", 64),
    ("1kib", 1 << 10),
    ("8kib", 8 << 10),
    ("64kib", 64 << 10),
    ("1mib", 1 << 20),
    ("1080p", 1080 * 1920 * 4),
    ("4k", 2160 * 3840 * 4),
];
/// Blocks before the first that counts.
const WARM_UP_BLOCKS: usize = 4;

pub fn measure(run: &Run) -> Result<Vec<Figure>, Failure> {
    let mut figures = Vec::new();
    for (end, len_bytes) in SIZES {
        if Tempo::BOTH.iter().any(|tempo| run.wants(&name_of(*tempo, end))) {
            figures.extend(measure_size(run, end, len_bytes)?);
        }
    }
    Ok(figures)
}

fn name_of(tempo: Tempo, end: &str) -> String {
    match tempo {
        Tempo::AtRest => format!("busy_{end}"),
        Tempo::BackToBack => format!("busy_back_to_back_{end}"),
    }
}

/// All contestants, seen from one side.
struct All {
    bare: Bare,
    ours: Trips<Ours>,
    theirs: Trips<Theirs>,
}

fn measure_size(run: &Run, end: &str, len_bytes: usize) -> Result<Vec<Figure>, Failure> {
    let blocks = run.count(50, 5);
    let total = Tempo::BOTH.len() * (WARM_UP_BLOCKS + ROUNDS * blocks);
    let page = Page::create()?;
    let (ping, pong) = (format!("ping-{end}"), format!("pong-{end}"));
    let out = ours::publisher(run.dir(), &ping)?;
    let home = Home::new(run.dir())?;
    let their_out = home.publisher(&ping, len_bytes)?;
    let arguments = [&run.dir_argument(), end, &len_bytes.to_string(), &page.path(), &total.to_string()];
    let mut other = Side::start(Role::Pong, &arguments)?;
    other.expect("published")?;
    let frames = ours::spinning(run.dir(), &pong)?;
    let their_frames = home.subscriber(&pong)?;
    other.expect("ready")?;
    let mut all = All {
        bare: Bare::new(page),
        ours: Trips::new(Ours::new(out, frames, len_bytes)?)?,
        theirs: Trips::new(Theirs::new(their_out, their_frames, len_bytes))?,
    };
    let mut figures = Vec::new();
    for tempo in Tempo::BOTH {
        figures.extend(all.measure(run, tempo, end, len_bytes, blocks)?);
    }
    other.dismiss()?;
    Ok(figures)
}

impl All {
    fn measure(
        &mut self,
        run: &Run,
        tempo: Tempo,
        end: &str,
        len_bytes: usize,
        blocks: usize,
    ) -> Result<[Figure; 2], Failure> {
        let name = name_of(tempo, end);
        for _ in 0..WARM_UP_BLOCKS {
            self.block(tempo)?;
        }
        let mut rounds: [Vec<Round>; 3] = Default::default();
        for round in 1..=ROUNDS {
            run.say(&format!("{len_bytes} bytes, {}: round {round} of {ROUNDS}", tempo.shown()));
            let mut samples: [Vec<u64>; 3] = Default::default();
            for _ in 0..blocks {
                for (samples, of_block) in samples.iter_mut().zip(self.block(tempo)?) {
                    samples.extend(of_block);
                }
            }
            for (rounds, samples) in rounds.iter_mut().zip(samples) {
                rounds.push(tempo.one_way(&name, samples)?);
            }
        }
        let [bare, ours, theirs] = rounds;
        if shared_a_core(&bare) {
            run.say("both processes seem to share one physical core: the ratio says nothing about two; measure again");
        }
        let what = |who: &str| {
            format!(
                "{who}: half a round trip, {}; {len_bytes} bytes, of which the first and the last 8 are written and read",
                tempo.shown()
            )
        };
        let figure = |name: String, ours: Series, reference: Option<Series>| Figure {
            name,
            unit: Unit::Nanos,
            warm_up: format!("{} round trips of each", WARM_UP_BLOCKS * TRIPS_PER_BLOCK),
            ours,
            reference,
        };
        let word =
            format!("a 64-bit store until the other process sees it: half a round trip, {}", tempo.shown());
        Ok([
            figure(
                name.clone(),
                Series::new(what("publish of a loan until the other process has read the frame"), ours),
                Some(Series::new(what("send of a loan until the other process has read the sample"), theirs)),
            ),
            figure(format!("bare_{name}"), Series::new(word, bare), None),
        ])
    }

    /// A block of each, in turns.
    fn block(&mut self, tempo: Tempo) -> Result<[Vec<u64>; 3], Failure> {
        Ok([self.bare.pings(tempo)?, self.ours.pings(tempo)?, self.theirs.pings(tempo)?])
    }
}

/// The other side of [`measure`]: arguments are directory, end of the names, bytes of a frame, page and number of
/// blocks.
pub fn pong(arguments: &Arguments) -> Result<(), Failure> {
    let dir = Path::new(arguments.text(0)?);
    let end = arguments.text(1)?;
    let len_bytes = arguments.number(2)?;
    let page = Page::open(arguments.text(3)?)?;
    let (ping, pong) = (format!("ping-{end}"), format!("pong-{end}"));
    let out = ours::publisher(dir, &pong)?;
    let home = Home::new(dir)?;
    let their_out = home.publisher(&pong, len_bytes)?;
    println!("published");
    let frames = ours::spinning(dir, &ping)?;
    let their_frames = home.subscriber(&ping)?;
    println!("ready");
    let mut bare = Bare::new(page);
    let mut ours = Trips::new(Ours::new(out, frames, len_bytes)?)?;
    let mut theirs = Trips::new(Theirs::new(their_out, their_frames, len_bytes))?;
    for _ in 0..arguments.number(4)? {
        bare.pongs()?;
        ours.pongs()?;
        theirs.pongs()?;
    }
    until_dismissed();
    Ok(())
}

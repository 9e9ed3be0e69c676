// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a frame costs its producer when nobody waits for it: loan and send, with a subscriber attached that receives
//! nothing. No byte of the frame is touched.

use crate::{
    Role, ours,
    theirs::{self, Home},
};
use std::path::Path;
use uncopy::Meta;
use uncopy_bench::{
    clock::monotonic_nanos,
    failure::Failure,
    figure::{Figure, ROUNDS, Round, Series, Unit},
    run::Run,
    side::{Arguments, Side, until_dismissed},
};

/// Ends of the figures' names, with the bytes of a frame.
const SIZES: [(&str, usize); 3] = [("64b", 64), ("1mib", 1 << 20), ("4k", 2160 * 3840 * 4)];
const WARM_UP: usize = 2_000;
/// Frames before the other contestant has its turn.
const BLOCK: usize = 1_000;

pub fn measure(run: &Run) -> Result<Vec<Figure>, Failure> {
    let sizes = SIZES.iter().filter(|(end, _)| run.wants(&format!("cost_{end}")));
    sizes.map(|(end, len_bytes)| measure_size(run, end, *len_bytes)).collect()
}

fn measure_size(run: &Run, end: &str, len_bytes: usize) -> Result<Figure, Failure> {
    let figure = format!("cost_{end}");
    let form = ours::form(len_bytes)?;
    let mut out = ours::publisher(run.dir(), &figure)?;
    let home = Home::new(run.dir())?;
    let their_out = home.publisher(&figure, len_bytes)?;
    let mut bystander = Side::start(Role::Bystander, &[&run.dir_argument(), &figure])?;
    bystander.expect("ready")?;
    let mut our_frames = |count| {
        timed(count, || {
            out.loan(&form)?.publish(Meta::default())?;
            Ok(())
        })
    };
    let their_frames = |count| timed(count, || theirs::send(theirs::loan(&their_out, len_bytes)?));
    our_frames(WARM_UP)?;
    their_frames(WARM_UP)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        run.say(&format!("loan and send of {len_bytes} bytes: round {round} of {ROUNDS}"));
        let (mut our_samples, mut their_samples) = (Vec::new(), Vec::new());
        for _ in 0..run.count(50, 5) {
            our_samples.extend(our_frames(BLOCK)?);
            their_samples.extend(their_frames(BLOCK)?);
        }
        ours.push(Round::of(&figure, our_samples)?);
        theirs.push(Round::of(&figure, their_samples)?);
    }
    bystander.dismiss()?;
    let what = |who: &str| {
        format!(
            "{who} of {len_bytes} bytes, one subscriber that receives nothing, one reading of the clock included"
        )
    };
    Ok(Figure {
        name: figure,
        unit: Unit::Nanos,
        warm_up: format!("{WARM_UP} frames of each"),
        ours: Series::new(what("loan and publish"), ours),
        reference: Some(Series::new(what("loan and send"), theirs)),
    })
}

fn timed(count: usize, mut act: impl FnMut() -> Result<(), Failure>) -> Result<Vec<u64>, Failure> {
    let mut samples = Vec::with_capacity(count);
    for _ in 0..count {
        let begun = monotonic_nanos();
        act()?;
        samples.push(monotonic_nanos() - begun);
    }
    Ok(samples)
}

/// The other side: arguments are directory and name.
pub fn bystander(arguments: &Arguments) -> Result<(), Failure> {
    let (dir, name) = (Path::new(arguments.text(0)?), arguments.text(1)?);
    let _frames = ours::subscriber(dir, name)?;
    let home = Home::new(dir)?;
    let _their_frames = home.subscriber(name)?;
    println!("ready");
    until_dismissed();
    Ok(())
}

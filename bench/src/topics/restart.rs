// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long a consumer does not know that its producer was killed, and how long until it has the first frame of the
//! next one.

use super::Role;
use crate::{
    clock::monotonic_nanos,
    failure::Failure,
    figure::{Figure, ROUNDS, Round, Series, Unit},
    run::Run,
    side::{Arguments, Side, tell_numbers, until_dismissed},
};
use std::time::Duration;
use uncopy::{DType, Form, LinkError, Meta, Publisher, publish, subscribe};

const LINK: &str = "restart";
const WARM_UP: usize = 5;
const FRAME_BYTES: usize = 64;
const PATIENCE: Duration = Duration::from_secs(10);

pub fn measure(run: &Run) -> Result<Vec<Figure>, Failure> {
    let deaths = run.count(200, 10);
    let all = (ROUNDS * deaths + WARM_UP).to_string();
    let mut mourner: Option<Side> = None;
    let (mut noticed, mut attached) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let (mut noticed_samples, mut attached_samples) = (Vec::new(), Vec::new());
        if round > 0 {
            run.say(&format!("{deaths} producers killed and restarted: round {round} of {ROUNDS}"));
        }
        for _ in 0..if round == 0 { WARM_UP } else { deaths } {
            let mut mortal = Side::start(Role::Mortal, &[&run.dir_argument()])?;
            mortal.expect("ready")?;
            let other = match &mut mourner {
                Some(other) => other,
                None => mourner.insert(Side::start(Role::Mourner, &[&run.dir_argument(), &all])?),
            };
            other.expect("has a frame")?;
            let killed = monotonic_nanos();
            drop(mortal);
            noticed_samples.push(first_number(other)?.saturating_sub(killed));
            let begun = monotonic_nanos();
            let next = living(run.dir())?;
            attached_samples.push(first_number(other)?.saturating_sub(begun));
            drop(next);
            other.expect("it closed")?;
        }
        if round > 0 {
            noticed.push(Round::of("death_noticed", noticed_samples)?);
            attached.push(Round::of("attached_again", attached_samples)?);
        }
    }
    if let Some(mourner) = mourner {
        mourner.dismiss()?;
    }
    let figure = |name: &str, what: &str, rounds| Figure {
        name: name.to_owned(),
        unit: Unit::Nanos,
        warm_up: format!("{WARM_UP} deaths"),
        ours: Series::new(what, rounds),
        reference: None,
    };
    Ok(vec![
        figure(
            "death_noticed",
            "before kill -9 of the producer until a consumer, waiting for a frame, is told that it is lost",
            noticed,
        ),
        figure(
            "attached_again",
            "before the next producer opens the link until a consumer that was waiting for one has its first frame",
            attached,
        ),
    ])
}

fn first_number(other: &mut Side) -> Result<u64, Failure> {
    other.numbers()?.first().copied().ok_or_else(|| Failure::Side("it said nothing".to_owned()))
}

/// A producer with one frame.
fn living(dir: impl AsRef<std::path::Path>) -> Result<Publisher, Failure> {
    let mut out = publish(LINK).directory(dir.as_ref()).open()?;
    out.loan(&Form::new(DType::U8, &[FRAME_BYTES])?)?.publish(Meta::default())?;
    Ok(out)
}

/// A producer to be killed. The argument is the directory.
pub fn mortal(arguments: &Arguments) -> Result<(), Failure> {
    let _out = living(arguments.text(0)?)?;
    println!("ready");
    until_dismissed();
    Ok(())
}

/// The consumer. Arguments are directory and number of deaths.
pub fn mourner(arguments: &Arguments) -> Result<(), Failure> {
    let mut sub = subscribe(LINK).directory(arguments.text(0)?).timeout(Some(Duration::ZERO)).start()?;
    for _ in 0..arguments.number(1)? {
        drop(sub.recv(PATIENCE)?);
        println!("has a frame");
        // With no time to be without a producer, a wait for a frame ends with its loss.
        match sub.recv_with(None, &mut Patient) {
            Err(LinkError::ProducerLost { .. }) => tell_numbers(&[monotonic_nanos()]),
            other => return Err(Failure::Side(format!("not lost: {:?}", other.map(drop)))),
        }
        drop(sub.recv(PATIENCE)?);
        tell_numbers(&[monotonic_nanos()]);
        match sub.recv_with(None, &mut Patient) {
            Err(LinkError::ProducerClosed { .. }) => println!("it closed"),
            other => return Err(Failure::Side(format!("not closed: {:?}", other.map(drop)))),
        }
    }
    until_dismissed();
    Ok(())
}

struct Patient;

impl uncopy::Waiting for Patient {}

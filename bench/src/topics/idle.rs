// SPDX-License-Identifier: MIT OR Apache-2.0
//! The CPU time of a process whose subscriber waits for frames that never come: all its threads, in user and in system
//! mode.

use super::Role;
use crate::{
    clock::{monotonic_nanos, process_cpu_nanos},
    failure::Failure,
    figure::{Figure, ROUNDS, Round, Series, Unit},
    run::Run,
    side::{Arguments, Side, tell_numbers},
};
use std::time::Duration;
use uncopy::{DType, ErrorKind, Form, Meta, publish, subscribe};

pub fn measure(run: &Run) -> Result<Vec<Figure>, Failure> {
    let seconds = run.count(10, 2);
    let mut out = publish("idle").directory(run.dir()).open()?;
    out.loan(&Form::new(DType::U8, &[64])?)?.publish(Meta::default())?;
    let arguments = [&run.dir_argument(), &seconds.to_string()];
    let mut other = Side::start(Role::Idler, &arguments.map(String::as_str))?;
    let mut rounds = Vec::new();
    for round in 1..=ROUNDS {
        run.say(&format!("an idle subscriber for {seconds} s: round {round} of {ROUNDS}"));
        match *other.numbers()?.as_slice() {
            [cpu_nanos, nanos] => rounds.push(Round::single(cpu_nanos as f64 / nanos as f64)),
            _ => return Err(Failure::Side("it did not say two numbers".to_owned())),
        }
    }
    other.dismiss()?;
    Ok(vec![Figure {
        name: "idle_rust".to_owned(),
        unit: Unit::Share,
        warm_up: "one frame was received".to_owned(),
        ours: Series::new(format!("CPU time of a process that waits in recv for {seconds} s"), rounds),
        reference: None,
    }])
}

/// The other side: arguments are directory and seconds.
pub fn idler(arguments: &Arguments) -> Result<(), Failure> {
    let mut frames = subscribe("idle").directory(arguments.text(0)?).open()?;
    let wait = Duration::from_secs(arguments.number(1)? as u64);
    drop(frames.recv(wait)?);
    for _ in 0..ROUNDS {
        let (cpu, begun) = (process_cpu_nanos(), monotonic_nanos());
        match frames.recv(wait) {
            Err(error) if error.kind() == ErrorKind::TimedOut => {}
            Err(error) => return Err(error.into()),
            Ok(frame) => return Err(Failure::Side(format!("frame {} came", frame.seq()))),
        }
        tell_numbers(&[process_cpu_nanos() - cpu, monotonic_nanos() - begun]);
    }
    Ok(())
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a fresh process to its first frame, and `uncopy list` as a whole: each sample is a process of its own.
//!
//! Programs come from the page cache, as they do for a user's second command.

use super::Role;
use crate::{
    clock::monotonic_nanos,
    failure::Failure,
    figure::{Figure, ROUNDS, Round, Series, Unit},
    run::Run,
    side::{Arguments, Side, tell_numbers},
};
use std::process::{Command, Stdio};
use uncopy::{DType, Form, Meta, Publisher, publish, subscribe};

const WARM_UP: usize = 3;
const LINKS: [&str; 4] = ["start-1", "start-2", "start-3", "start-4"];

pub fn measure(run: &Run) -> Result<Vec<Figure>, Failure> {
    let count = run.count(30, 5);
    let links = LINKS.iter().map(|name| live_link(run, name)).collect::<Result<Vec<_>, _>>()?;
    let mut figures = Vec::new();
    let (mut attach, mut whole, mut list) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..WARM_UP {
        attached(run)?;
        listed(run)?;
    }
    for round in 1..=ROUNDS {
        run.say(&format!("{count} fresh processes of each kind: round {round} of {ROUNDS}"));
        let (mut attach_samples, mut whole_samples, mut list_samples) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..count {
            let (inside, outside) = attached(run)?;
            attach_samples.push(inside);
            whole_samples.push(outside);
            list_samples.push(listed(run)?);
        }
        attach.push(Round::of("attach_rust", attach_samples)?);
        whole.push(Round::of("attach_rust_process", whole_samples)?);
        list.push(Round::of("list", list_samples)?);
    }
    drop(links);
    for (name, what, rounds) in [
        ("attach_rust", "before subscribe until the first frame is held, in a fresh process", attach),
        ("attach_rust_process", "the same process from its start to its end", whole),
        ("list_program", "the program `uncopy list` from its start to its end, with four links", list),
    ] {
        let warm_up = format!("{WARM_UP} processes");
        let ours = Series::new(what, rounds);
        figures.push(Figure { name: name.to_owned(), unit: Unit::Nanos, warm_up, ours, reference: None });
    }
    Ok(figures)
}

/// The other side; the only argument is the directory.
pub fn newcomer(arguments: &Arguments) -> Result<(), Failure> {
    let begun = monotonic_nanos();
    let mut frames = subscribe(LINKS[0]).directory(arguments.text(0)?).open()?;
    let _frame = frames.recv(std::time::Duration::from_secs(10))?;
    tell_numbers(&[monotonic_nanos() - begun]);
    Ok(())
}

/// A link with one frame in it.
fn live_link(run: &Run, name: &str) -> Result<Publisher, Failure> {
    let mut out = publish(name).directory(run.dir()).open()?;
    out.loan(&Form::new(DType::U8, &[1080, 1920, 4])?)?.publish(Meta::default())?;
    Ok(out)
}

/// What a newcomer needed for its first frame, and its whole process.
fn attached(run: &Run) -> Result<(u64, u64), Failure> {
    let begun = monotonic_nanos();
    let mut newcomer = Side::start(Role::Newcomer, &[&run.dir_argument()])?;
    let inside = newcomer.numbers()?.first().copied();
    newcomer.dismiss()?;
    let whole = monotonic_nanos() - begun;
    Ok((inside.ok_or_else(|| Failure::Side("it said nothing".to_owned()))?, whole))
}

fn listed(run: &Run) -> Result<u64, Failure> {
    let program = run.uncopy()?;
    let doing = || format!("run {} list", program.display());
    let mut command = Command::new(&program);
    command.arg("list").env("UNCOPY_RUNTIME_DIR", run.dir()).stdin(Stdio::null());
    let begun = monotonic_nanos();
    let output = command.output().map_err(|e| Failure::system(doing(), e))?;
    let took = monotonic_nanos() - begun;
    let text = String::from_utf8_lossy(&output.stdout);
    if output.status.success() && LINKS.iter().all(|name| text.contains(name)) {
        return Ok(took);
    }
    Err(Failure::Side(format!(
        "`uncopy list` ended with {} and did not list all links: {text}",
        output.status
    )))
}

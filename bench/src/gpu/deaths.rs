// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes that are killed with work on the card under way: how long until who is left is told, or goes on.
//!
//! | row | who is killed | until |
//! |---|---|---|
//! | `producer_death_told` | a producer whose frame the card has not finished | a consumer that waits for that frame is told |
//! | `producer_death_stream_on` | the same | a consumer's stream that waits for that frame goes on, and the frame is known to be torn |
//! | `consumer_death_slot_back` | a consumer that holds a frame, which a kernel of its reads | what a producer without room writes in that slot is there |
//!
//! The work is a kernel that would run for minutes: who went on without the death would be far too late. It counts from
//! before the kill, so that what the driver needs to clear the dead process away is a part of it.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use clap::Args;
use uncopy::{DType, ErrorKind, Form, Meta, Waiting, WhenFull};

use super::card::Card;
use super::places::{self, Place};
use super::report::Report;
use crate::clock::monotonic_nanos;
use crate::failure::Failure;
use crate::side::{Arguments, Side, tell_numbers, until_dismissed};
use crate::topics::Role;

/// How many deaths.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Of each kind.
    #[arg(long, default_value_t = 20)]
    deaths: usize,
}

/// Longer than any measurement: work that is never done.
const NEVER: Duration = Duration::from_secs(600);
/// Whoever is neither told nor goes on for so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a consumer does while its producer has not finished a frame.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Waits {
    /// Its thread waits for the frame.
    Thread,
    /// It has the frame, and its stream waits for the content.
    Stream,
}

impl Waits {
    const fn word(self) -> &'static str {
        match self {
            Self::Thread => "thread",
            Self::Stream => "stream",
        }
    }
}

/// Kills, and prints how long those who were left took.
///
/// # Errors
/// There is no GPU, one of the processes failed, or somebody was neither told nor went on.
pub fn measure(options: &Options) -> Result<(), Failure> {
    places::take(Place::Producer)?;
    let mut report = Report::default();
    let rows = [
        ("producer_death_told", Waits::Thread, "until a consumer that waits for its frame is told"),
        (
            "producer_death_stream_on",
            Waits::Stream,
            "until a consumer's stream that waits for its frame goes on",
        ),
    ];
    for (name, waits, until) in rows {
        let of_one = |at| producer_dies(&link_of(name, at), waits);
        let what = format!("kill -9 of a producer with work under way {until}");
        add(&mut report, name, &what, options, of_one)?;
    }
    let card = Card::open()?;
    let name = "consumer_death_slot_back";
    let what =
        "kill -9 of a consumer that holds a frame, with work under way, until its slot is written anew";
    add(&mut report, name, what, options, |at| consumer_dies(&card, &link_of(name, at)))?;
    report.print()
}

fn add(
    report: &mut Report,
    name: &str,
    what: &str,
    options: &Options,
    mut of_one: impl FnMut(usize) -> Result<u64, Failure>,
) -> Result<(), Failure> {
    eprintln!("{name}: {} deaths", options.deaths);
    let samples = (0..options.deaths).map(&mut of_one).collect::<Result<_, _>>()?;
    report.add_nanos(name, "any", what, samples)
}

fn link_of(name: &str, at: usize) -> String {
    format!("bench-{name}-{}-{at}", std::process::id())
}

/// Nanoseconds from the death of a producer with work under way until its consumer knows of it.
fn producer_dies(link: &str, waits: Waits) -> Result<u64, Failure> {
    let mut producer = Side::start(Role::GpuMortal, &[link])?;
    producer.expect("at work")?;
    let mut consumer = Side::start(Role::GpuWaiter, &[link, waits.word()])?;
    consumer.expect("waits")?;
    let killed = monotonic_nanos();
    drop(producer);
    let &[known] = &consumer.numbers()?[..] else {
        return Err(Failure::Side("it said something else than one number".to_owned()));
    };
    consumer.dismiss()?;
    known.checked_sub(killed).ok_or_else(|| Failure::Side("it went on before anybody had died".to_owned()))
}

/// The producer that dies: one frame behind work that is never done. The argument is the link.
pub fn mortal(arguments: &Arguments) -> Result<(), Failure> {
    places::take(Place::Producer)?;
    let card = Card::open()?;
    let mut out = uncopy::publish(arguments.text(0)?).open()?;
    card.spin(NEVER)?;
    let claim = out.claim_on(&form()?, card.id(), card.stream, None)?;
    card.fill_pattern(&claim.tensor()?, 1)?;
    out.commit(claim, Meta::default())?;
    println!("at work");
    until_dismissed();
    Ok(())
}

/// The consumer that is left. Arguments are the link, and what of it waits.
pub fn waiter(arguments: &Arguments) -> Result<(), Failure> {
    places::take(Place::Consumer)?;
    // With no time to be without a producer, a wait for a frame ends with its loss.
    let mut sub = uncopy::subscribe(arguments.text(0)?).restart_timeout(Some(Duration::ZERO)).open()?;
    if arguments.text(1)? == Waits::Thread.word() {
        println!("waits");
        match sub.recv(PATIENCE) {
            Err(error) if error.kind() == ErrorKind::ProducerLost => tell_numbers(&[monotonic_nanos()]),
            Err(error) => return Err(error.into()),
            Ok(_) => return Err(Failure::Side("it was given a frame that never came".to_owned())),
        }
    } else {
        let card = Card::open()?;
        let frame = sub.recv_on(card.stream, PATIENCE)?;
        println!("waits");
        card.finish()?;
        let on = monotonic_nanos();
        if !frame.is_torn() {
            return Err(Failure::Side("a frame that never came is said to be whole".to_owned()));
        }
        tell_numbers(&[on]);
    }
    until_dismissed();
    Ok(())
}

/// Nanoseconds from the death of a consumer that holds a frame until the producer has written its slot anew.
fn consumer_dies(card: &Card, link: &str) -> Result<u64, Failure> {
    let form = form()?;
    let when_full = WhenFull::Block(Some(PATIENCE));
    let mut out = uncopy::publish(link).slots(2).when_full(when_full).open()?;
    let mut consumer = Side::start(Role::GpuHolder, &[link])?;
    consumer.expect("joined")?;
    let mut write = |key, waiting: Option<&mut dyn Waiting>| {
        let claim = out.claim_on(&form, card.id(), card.stream, waiting)?;
        card.fill_pattern(&claim.tensor()?, key)?;
        out.commit(claim, Meta::default())?;
        Ok::<_, Failure>(())
    };
    write(1, None)?;
    consumer.expect("holds")?;
    // The other slot has the newest frame from here on, so that there is room in that of the held one alone.
    write(2, None)?;
    card.finish()?;
    if write(3, Some(&mut Impatient)).is_ok() {
        return Err(Failure::Side("the slot that it holds was given away".to_owned()));
    }
    let (kill, wanted) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let killer = scope.spawn(move || {
            // An error is the end of the producer, and as good.
            let _ = wanted.recv();
            let killed = monotonic_nanos();
            drop(consumer);
            killed
        });
        // It ends the consumer also when the frame is not written.
        drop(kill);
        write(3, None)?;
        card.finish()?;
        let back = monotonic_nanos();
        let killed = killer.join().map_err(|_| Failure::Side("nobody killed it".to_owned()))?;
        let early = || Failure::Side("its slot was written while it held the frame".to_owned());
        back.checked_sub(killed).ok_or_else(early)
    })
}

/// Who does not wait for room.
struct Impatient;

impl Waiting for Impatient {
    fn keep_waiting(&mut self) -> bool {
        false
    }
}

/// The consumer that dies. The argument is the link.
pub fn holder(arguments: &Arguments) -> Result<(), Failure> {
    places::take(Place::Consumer)?;
    let card = Card::open()?;
    let counter = card.array(&Form::new(DType::U64, &[2])?)?;
    let mut sub = uncopy::subscribe(arguments.text(0)?).open()?;
    println!("joined");
    let frame = sub.recv(PATIENCE)?;
    frame.used_on(card.stream);
    card.spin(NEVER)?;
    card.check_pattern(&frame.tensor()?, 1, &counter.tensor)?;
    println!("holds");
    until_dismissed();
    Ok(())
}

/// What their frames look like.
fn form() -> Result<Form, Failure> {
    Ok(Form::new(DType::F32, &[1080, 1920, 4])?)
}

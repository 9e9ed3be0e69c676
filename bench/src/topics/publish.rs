// SPDX-License-Identifier: MIT OR Apache-2.0
//! A loan and its `publish`, with a consumer attached that is not waiting. No byte of the frame is touched, so the
//! size of a frame must make no difference. One link has no consumer at all: what a consumer's presence costs.

use super::Role;
use crate::{
    clock::monotonic_nanos,
    failure::Failure,
    figure::{Figure, ROUNDS, Round, Series, Unit},
    run::Run,
    side::{Arguments, Side, until_dismissed},
};
use uncopy::{DType, Form, Meta, Publisher, publish, subscribe};

/// Ends of the figures' names, with the size of a frame and the number of consumers.
const LINKS: [(&str, usize, usize); 6] = [
    ("64b", 64, 1),
    ("4kib", 4 << 10, 1),
    ("256kib", 256 << 10, 1),
    ("1080p", 1080 * 1920 * 4, 1),
    ("32mib", 32 << 20, 1),
    ("1080p_alone", 1080 * 1920 * 4, 0),
];
const WARM_UP: usize = 2_000;
/// Frames of one size before the next size has its turn.
const BLOCK: usize = 1_000;

/// A link whose frames are of one size.
struct Sized {
    name: String,
    len_bytes: usize,
    out: Publisher,
    form: Form,
    bystanders: Vec<Side>,
    samples: Vec<u64>,
    rounds: Vec<Round>,
}

pub fn measure(run: &Run) -> Result<Vec<Figure>, Failure> {
    let blocks = run.count(20, 3);
    let mut links = Vec::new();
    for (end, len_bytes, consumers) in LINKS {
        links.push(Sized::open(run, end, len_bytes, consumers)?);
    }
    for link in &mut links {
        link.publish(WARM_UP)?;
        link.samples.clear();
    }
    for round in 1..=ROUNDS {
        run.say(&format!("loan and publish, {} links: round {round} of {ROUNDS}", links.len()));
        for _ in 0..blocks {
            for link in &mut links {
                link.publish(BLOCK)?;
            }
        }
        for link in &mut links {
            let samples = std::mem::take(&mut link.samples);
            link.rounds.push(Round::of(&link.name, samples)?);
        }
    }
    links.into_iter().map(Sized::finish).collect()
}

/// The other side: arguments are directory and link.
pub fn bystander(arguments: &Arguments) -> Result<(), Failure> {
    let _frames = subscribe(arguments.text(1)?).directory(arguments.text(0)?).open()?;
    println!("ready");
    until_dismissed();
    Ok(())
}

impl Sized {
    fn open(run: &Run, end: &str, len_bytes: usize, consumers: usize) -> Result<Self, Failure> {
        let name = format!("publish_rust_{end}");
        let out = publish(&name).directory(run.dir()).open()?;
        let mut bystanders = Vec::new();
        for _ in 0..consumers {
            let mut bystander = Side::start(Role::Bystander, &[&run.dir_argument(), &name])?;
            bystander.expect("ready")?;
            bystanders.push(bystander);
        }
        let form = Form::new(DType::U8, &[len_bytes])?;
        Ok(Self { name, len_bytes, out, form, bystanders, samples: Vec::new(), rounds: Vec::new() })
    }

    fn publish(&mut self, count: usize) -> Result<(), Failure> {
        for _ in 0..count {
            let begun = monotonic_nanos();
            self.out.loan(&self.form)?.publish(Meta::default())?;
            self.samples.push(monotonic_nanos() - begun);
        }
        Ok(())
    }

    fn finish(self) -> Result<Figure, Failure> {
        let consumers = self.bystanders.len();
        self.bystanders.into_iter().try_for_each(Side::dismiss)?;
        Ok(Figure {
            name: self.name,
            unit: Unit::Nanos,
            warm_up: format!("{WARM_UP} frames"),
            ours: Series::new(
                format!(
                    "loan and publish of {} bytes, {consumers} consumers, one reading of the clock included",
                    self.len_bytes
                ),
                self.rounds,
            ),
            reference: None,
        })
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! `send` of a 1080p RGBA8 frame against `memcpy` of its bytes into a ring of as many buffers.
//!
//! Both take the same source and touch the same amount of memory. They have their turns in blocks, and the first copies
//! of a block don't count: with a turn for each copy they would push each other's buffers out of the caches, and both
//! would be slower than either is alone. *Cold* copies find source and destination pushed out of the caches on purpose.

use super::Role;
use crate::{
    clock::monotonic_nanos,
    failure::Failure,
    figure::{Figure, ROUNDS, Round, Series, Unit},
    run::Run,
    side::{Arguments, Side},
};
use std::{hint::black_box, time::Duration};
use uncopy::{ErrorKind, Form, HostBuffer, Meta, PixelFormat, Publisher, Sent, Tensor, publish, subscribe};

const SLOTS: usize = 4;
/// Frames of one kind before the other kind has its turn, and those of them that count.
const BLOCK: usize = 28;
const BLOCK_COUNTED: usize = 20;
const WARM_UP_BLOCKS: usize = 2;
const LINK: &str = "send";
/// Read between two cold copies: several times the second-level cache of a core.
const EVICTION_BYTES: usize = 64 << 20;
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub fn measure(run: &Run) -> Result<Vec<Figure>, Failure> {
    let form = Form::image(1080, 1920, PixelFormat::RGBA8)?;
    let out = publish(LINK).slots(SLOTS).directory(run.dir()).open()?;
    let mut other = Side::start(Role::Receiver, &[&run.dir_argument()])?;
    other.expect("ready")?;
    let mut copies = Copies::new(out, form)?;
    let warm = copies.figure(run, "send_rust", run.count(20, 3), || {})?;
    let eviction = vec![1u8; EVICTION_BYTES];
    let cold = copies.figure(run, "send_rust_cold", run.count(4, 1), || evict(&eviction))?;
    drop(copies);
    other.dismiss()?;
    Ok(vec![warm, cold])
}

/// The other side receives, which is what a frame is sent for; the only argument is the directory.
pub fn receiver(arguments: &Arguments) -> Result<(), Failure> {
    let mut frames = subscribe(LINK).directory(arguments.text(0)?).open()?;
    println!("ready");
    loop {
        // Not for long: a wait goes on when the producer is gone, for the next one.
        match frames.recv(LOOK_EVERY) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::TimedOut => {}
            Err(error) if matches!(error.kind(), ErrorKind::ProducerClosed | ErrorKind::ProducerLost) => {
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn evict(memory: &[u8]) {
    black_box(memory.iter().step_by(64).fold(0u8, |sum, byte| sum.wrapping_add(*byte)));
}

/// The two things to compare, with what they copy.
struct Copies {
    out: Publisher,
    source: Tensor,
    bytes: Vec<u8>,
    ring: Vec<Vec<u8>>,
}

impl Copies {
    fn new(out: Publisher, form: Form) -> Result<Self, Failure> {
        let mut buffer = HostBuffer::zeroed(form.len_bytes()).map_err(uncopy::LinkError::from)?;
        buffer.fill(7);
        let source = Tensor::new(buffer.into_region(), *form.layout(), 0).map_err(uncopy::LinkError::from)?;
        // Written, so that every page is there.
        let ring = vec![vec![1; form.len_bytes()]; SLOTS];
        Ok(Self { out, source, bytes: vec![7; form.len_bytes()], ring })
    }

    fn figure(
        &mut self,
        run: &Run,
        name: &str,
        blocks: usize,
        between: impl Fn(),
    ) -> Result<Figure, Failure> {
        let (mut ours, mut copied) = (Vec::new(), Vec::new());
        self.round(WARM_UP_BLOCKS, &between)?;
        for round in 1..=ROUNDS {
            run.say(&format!("{name}: round {round} of {ROUNDS}"));
            let (our_samples, copy_samples) = self.round(blocks, &between)?;
            ours.push(Round::of(name, our_samples)?);
            copied.push(Round::of(name, copy_samples)?);
        }
        Ok(Figure {
            name: name.to_owned(),
            unit: Unit::Nanos,
            warm_up: format!(
                "{WARM_UP_BLOCKS} blocks of {BLOCK} frames of each, and the first {} of every block",
                BLOCK - BLOCK_COUNTED
            ),
            ours: Series::new("send of 1080p RGBA8, a consumer receiving", ours),
            reference: Some(Series::new(
                "memcpy of the same bytes into a ring of four written buffers",
                copied,
            )),
        })
    }

    fn round(&mut self, blocks: usize, between: &impl Fn()) -> Result<(Vec<u64>, Vec<u64>), Failure> {
        let (mut ours, mut copied) = (Vec::new(), Vec::new());
        for _ in 0..blocks {
            ours.extend(block(between, || self.send())?);
            copied.extend(block(between, || self.copy())?);
        }
        Ok((ours, copied))
    }

    fn send(&mut self) -> Result<(), Failure> {
        match self.out.send(&self.source, Meta::default())? {
            Sent::Published { .. } => Ok(()),
            Sent::Dropped => Err(Failure::Side("it holds every slot, so a frame was not copied".to_owned())),
        }
    }

    fn copy(&mut self) -> Result<(), Failure> {
        if let Some(buffer) = self.ring.first_mut() {
            black_box(&mut *buffer).copy_from_slice(black_box(&self.bytes));
        }
        self.ring.rotate_left(1);
        Ok(())
    }
}

/// Times each call of a block, and gives the times that count.
fn block(between: &impl Fn(), mut act: impl FnMut() -> Result<(), Failure>) -> Result<Vec<u64>, Failure> {
    let mut samples = Vec::with_capacity(BLOCK);
    for _ in 0..BLOCK {
        between();
        let begun = monotonic_nanos();
        act()?;
        samples.push(monotonic_nanos() - begun);
    }
    Ok(samples.split_off(BLOCK - BLOCK_COUNTED))
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! uncopy's contestant: two links with everything as it is by default, but that a wait never stops to spin.

use crate::ends::{Ends, numbers_in, too_short, write_number};
use std::{path::Path, time::Duration};
use uncopy::{Claim, DType, Form, Frame, Meta, Publisher, Subscriber, publish, subscribe};
use uncopy_bench::failure::Failure;

/// Longer than any wait here.
const SPIN: Duration = Duration::from_secs(10);

/// A publisher of the link `name`.
pub fn publisher(dir: &Path, name: &str) -> Result<Publisher, Failure> {
    Ok(publish(name).directory(dir).open()?)
}

/// A subscriber that spins, of the link `name`.
pub fn spinning(dir: &Path, name: &str) -> Result<Subscriber, Failure> {
    Ok(subscribe(name).directory(dir).spin(SPIN).open()?)
}

/// A subscriber of the link `name`.
pub fn subscriber(dir: &Path, name: &str) -> Result<Subscriber, Failure> {
    Ok(subscribe(name).directory(dir).open()?)
}

/// The form of a frame of that many bytes.
pub fn form(len_bytes: usize) -> Result<Form, Failure> {
    Ok(Form::new(DType::U8, &[len_bytes])?)
}

/// One side of two links.
pub struct Ours {
    out: Publisher,
    frames: Subscriber,
    form: Form,
    slot: Option<Claim>,
    held: Option<Frame>,
}

impl Ours {
    pub fn new(out: Publisher, frames: Subscriber, len_bytes: usize) -> Result<Self, Failure> {
        Ok(Self { out, frames, form: form(len_bytes)?, slot: None, held: None })
    }
}

impl Ends for Ours {
    fn loan(&mut self) -> Result<(), Failure> {
        self.slot = Some(self.out.claim(&self.form)?);
        Ok(())
    }

    fn send(&mut self, number: u64) -> Result<(), Failure> {
        if let Some(mut slot) = self.slot.take() {
            write_number(slot.bytes_mut()?, number);
            self.out.commit(slot, Meta::default())?;
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<[u64; 2], Failure> {
        let frame = self.held.insert(self.frames.recv(SPIN)?);
        let bytes = frame.bytes();
        numbers_in(bytes).ok_or_else(|| too_short(bytes.len()))
    }

    fn release(&mut self) {
        self.held = None;
    }
}

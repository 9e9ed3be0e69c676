// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a producer does in tests of faults.
//!
//! | command | event |
//! |---|---|
//! | `close` closes the link and keeps the device; then `idle` is the only command | `closed` |
//! | `alternate FORM FORM N` publishes N frames of two forms in turn | `ran` |
//! | `mixed FORM N` publishes N frames, in host memory and on the device in turn | `ran` |
//! | `strided FORM` publishes a frame from an array whose rows are padded | `ran` |
//! | `records N FORM HOW` publishes a frame that says it was copied N times before | `ran` |
//! | `abandon-captured FORM` writes into a loan, and drops it while its stream is captured | `abandoned` |
//! | `abandon-beside FORM` drops a loan into which the first stream writes late, beside its own, the second | `abandoned` |
//! | `abandon-and-destroy HOW FORM` drops a loan as told, and destroys its stream at once | `abandoned` |
//! | `publish-and-destroy HOW FORM` publishes a frame as told, and destroys its stream at once | `ran` |
//! | `break` makes a call that finds the device lost, where the stand-in was told so | `broken` |
//! | `break-unseen` the same by a call that the product does not see | `broken` |
//! | `on-captured FORM` asks for a loan, and sends, on a stream that is captured | `refused` |

use std::time::Duration;

use serde_json::{Value, json};
use uncopy::{CopyReason, CopyRecord, Device, Form, Layout, LinkError, Meta, Stream, Tensor};
use uncopy_tests::script::{Commands, emit};

use super::{How, Producer};
use crate::card::word_of;

/// Longer than everything that a test does meanwhile.
const LONG: Duration = Duration::from_millis(30);
/// Elements between two rows that are no part of the array; whole words.
const PADDING: usize = 64;

impl Producer {
    /// Commands that a test of faults gives: to publish in odd ways, to drop loans in bad moments, or to lose the device.
    pub(super) fn suffer(&mut self, words: &[&str]) -> Result<Value, LinkError> {
        match words {
            ["abandon-captured" | "abandon-beside" | "abandon-and-destroy", ..] => {
                self.abandon_as_told(words)?;
                Ok(json!({ "event": "abandoned" }))
            }
            ["break" | "break-unseen"] => Ok(self.lose_device(words[0])),
            ["on-captured", form] => Ok(self.ask_while_captured(&uncopy_tests::form(form))),
            _ => {
                self.publish_as_told(words)?;
                Ok(json!({ "event": "ran", "seq": self.out.seq() }))
            }
        }
    }

    /// Publishes what is no plain run of frames of one form.
    fn publish_as_told(&mut self, words: &[&str]) -> Result<(), LinkError> {
        match words {
            ["alternate", one, other, frames] => {
                let forms = [uncopy_tests::form(one), uncopy_tests::form(other)];
                for at in 0..frames.parse().expect("a number of frames") {
                    self.publish(&forms[at as usize % 2], How::Send, at)?;
                }
                Ok(())
            }
            ["mixed", form, frames] => {
                let form = uncopy_tests::form(form);
                for at in 0..frames.parse().expect("a number of frames") {
                    match at % 2 {
                        0 => self.publish_on_host(&form)?,
                        _ => {
                            self.publish(&form, if at % 4 == 1 { How::Send } else { How::Loan }, at)?;
                        }
                    }
                }
                Ok(())
            }
            ["strided", form] => self.send_padded(&uncopy_tests::form(form)),
            ["records", count, form, how] => {
                let (count, form) = (count.parse().expect("a number"), uncopy_tests::form(form));
                self.publish_with_records(count, &form, *how == "loan")
            }
            ["publish-and-destroy", how, form] => self.publish_and_destroy(how, &uncopy_tests::form(form)),
            other => panic!("no command {other:?}"),
        }
    }

    /// Drops a loan that streams still write, in a bad moment.
    fn abandon_as_told(&mut self, words: &[&str]) -> Result<(), LinkError> {
        match words {
            ["abandon-captured", form] => self.abandon_captured(&uncopy_tests::form(form)),
            ["abandon-beside", form] => self.abandon_beside(&uncopy_tests::form(form)),
            ["abandon-and-destroy", how, form] => self.abandon_and_destroy(how, &uncopy_tests::form(form)),
            other => panic!("no command {other:?}"),
        }
    }

    /// Makes a call that finds the device lost: by the product, or beside it.
    fn lose_device(&self, how: &str) -> Value {
        const TOLD: &str = "the stand-in was told to lose the device";
        if how == "break-unseen" {
            assert!(self.card.has_failed_unseen(self.streams[0]), "{TOLD}");
            return json!({ "event": "broken" });
        }
        let error = self.card.device().is_done(self.streams[0]).expect_err(TOLD);
        json!({ "event": "broken", "text": error.to_string() })
    }

    /// Closes the link while its work goes on.
    pub(super) fn close(self, commands: &mut Commands) {
        // What was sent from is kept: its copies may not have been made.
        let Self { card, out, sources: _sources, .. } = self;
        // Not `close`, which would wait for it.
        drop(out);
        emit(&json!({ "event": "closed" }));
        while let Some(line) = commands.next_command() {
            assert_eq!(line, "idle", "a link that is closed does nothing else");
            card.settle();
            emit(&json!({ "event": "idle" }));
        }
    }

    fn next_key(&self) -> u64 {
        (self.life << 40) | (self.out.seq() + 1)
    }

    fn publish_on_host(&mut self, form: &Form) -> Result<(), LinkError> {
        let key = self.next_key();
        let mut loan = self.out.loan(form)?;
        for (at, word) in loan.bytes_mut().chunks_exact_mut(8).enumerate() {
            word.copy_from_slice(&word_of(key, at as u64).to_le_bytes());
        }
        loan.publish(Meta::default().raw(key.to_le_bytes().to_vec()))?;
        Ok(())
    }

    /// A loan into which `stream` writes, late, what is no frame's.
    fn scribble(&mut self, form: &Form, stream: Stream) -> Result<uncopy::Claim, LinkError> {
        let claim = self.out.claim_on(form, self.card.id(), stream, None)?;
        self.card.spin(LONG.as_nanos() as u64, stream);
        self.card.fill(&claim.tensor()?, u64::MAX, stream);
        Ok(claim)
    }

    /// Writes into a loan, and drops it while its stream is captured.
    fn abandon_captured(&mut self, form: &Form) -> Result<(), LinkError> {
        let stream = self.streams[0];
        let claim = self.scribble(form, stream)?;
        self.card.begin_capture(stream);
        drop(claim);
        self.card.end_capture(stream);
        Ok(())
    }

    /// Drops a loan that holds what is no frame's once another stream than its own has written it.
    fn abandon_beside(&mut self, form: &Form) -> Result<(), LinkError> {
        let [beside, own] = self.streams;
        let claim = self.out.claim_on(form, self.card.id(), own, None)?;
        claim.also_on(beside)?;
        self.card.spin(LONG.as_nanos() as u64, beside);
        self.card.fill(&claim.tensor()?, u64::MAX, beside);
        drop(claim);
        Ok(())
    }

    /// Drops a loan, and destroys a stream that has written into it, as its user may from then on.
    fn abandon_and_destroy(&mut self, how: &str, form: &Form) -> Result<(), LinkError> {
        let (stream, lasting) = (self.card.mortal_stream(), self.streams[0]);
        let claim = self.scribble(form, if how == "beside" { lasting } else { stream })?;
        if how == "beside" {
            claim.also_on(stream)?;
        }
        let is_captured = how != "idle";
        if is_captured {
            self.card.begin_capture(stream);
        }
        drop(claim);
        if is_captured {
            self.card.end_capture(stream);
        }
        self.card.destroy_stream(stream);
        Ok(())
    }

    /// Publishes a frame that a stream is late to write, and destroys the stream, as its user may from then on.
    fn publish_and_destroy(&mut self, how: &str, form: &Form) -> Result<(), LinkError> {
        let (key, stream) = (self.next_key(), self.card.mortal_stream());
        let meta = Meta::default().raw(key.to_le_bytes().to_vec());
        self.card.spin(LONG.as_nanos() as u64, stream);
        if how == "loan" {
            let claim = self.out.claim_on(form, self.card.id(), stream, None)?;
            self.card.fill(&claim.tensor()?, key, stream);
            self.out.commit(claim, meta)?;
        } else {
            let array = self.card.array(form.len_bytes());
            self.card.fill(&array.tensor, key, stream);
            let source = Tensor::new(array.tensor.region().clone(), *form.layout(), 0)?;
            self.out.send_on(form, &source, meta, stream, None)?;
        }
        self.card.destroy_stream(stream);
        Ok(())
    }

    /// Rows of the last axis but one, or planes of rows, each followed by padding that is no part of the frame.
    fn send_padded(&mut self, form: &Form) -> Result<(), LinkError> {
        let (layout, stream) = (form.layout(), self.streams[0]);
        let shape = layout.shape();
        // The last two axes of an image are one run: a pixel has its channels together.
        let is_image = shape.len() == 3;
        let row = if is_image { shape[1] * shape[2] } else { *shape.last().expect("rows") };
        let pitch = row + PADDING;
        let strides: Vec<isize> = match is_image {
            true => vec![pitch as isize, shape[2] as isize, 1],
            false => vec![pitch as isize, 1],
        };
        let size = layout.dtype().item_bytes().expect("elements of whole bytes");
        let array = self.card.array(pitch * shape[0] * size);
        // What is between the rows must not show.
        self.card.fill(&array.tensor, u64::MAX, stream);
        let (key, row_bytes) = (self.next_key(), row * size);
        for at in 0..shape[0] {
            let bytes = array.tensor.region().part(at * pitch * size, row_bytes, ())?;
            self.card.fill(&crate::card::bytes_of(bytes), key + (at * row_bytes / 8) as u64, stream);
        }
        let padded = Layout::strided(layout.dtype(), shape, &strides)?;
        let source = Tensor::new(array.tensor.region().clone(), padded, 0)?;
        let meta = Meta::default().raw(key.to_le_bytes().to_vec());
        self.out.send_on(form, &source, meta, stream, None)?;
        Ok(())
    }

    fn publish_with_records(&mut self, count: u64, form: &Form, loan: bool) -> Result<(), LinkError> {
        let (key, stream) = (self.next_key(), self.streams[0]);
        let record =
            CopyRecord { reason: CopyReason::SEND, from: Device::CPU, to: Device::CPU, len_bytes: 7 };
        let meta = Meta::default().raw(key.to_le_bytes().to_vec());
        let meta = (0..count).fold(meta, |meta, _| meta.copied(record));
        if loan {
            let claim = self.out.claim_on(form, self.card.id(), stream, None)?;
            self.card.fill(&claim.tensor()?, key, stream);
            self.out.commit(claim, meta)?;
            return Ok(());
        }
        let array = self.card.array(form.len_bytes());
        self.card.fill(&array.tensor, key, stream);
        let source = Tensor::new(array.tensor.region().clone(), *form.layout(), 0)?;
        self.out.send_on(form, &source, meta, stream, None)?;
        Ok(())
    }

    /// What is said to who uses a stream that is being captured; the capture goes on.
    fn ask_while_captured(&mut self, form: &Form) -> Value {
        let (stream, array) = (self.streams[0], self.card.array(form.len_bytes()));
        self.card.begin_capture(stream);
        let claimed = self.out.claim_on(form, self.card.id(), stream, None).map(drop);
        let source = Tensor::new(array.tensor.region().clone(), *form.layout(), 0).expect("a tensor");
        let sent = self.out.send_on(form, &source, Meta::default(), stream, None).map(drop);
        self.card.end_capture(stream);
        let said = [claimed, sent].map(|said| said.err().map(|error| error.to_string()));
        json!({ "event": "refused", "loan": said[0], "send": said[1] })
    }
}

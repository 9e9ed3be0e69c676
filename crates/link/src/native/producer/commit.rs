// SPDX-License-Identifier: MIT OR Apache-2.0
//! Publishing a claimed slot: it is described, becomes the newest frame, and whoever waits for one is told.

use std::sync::Arc;

use uncopy_os::{kill_point, monotonic_nanos};

use super::device_loan::on_stream;
use super::{Claim, ClaimMemory, FormWords, Publisher, SlotState};
use crate::error::LinkError;
use crate::meta::Meta;
use crate::native::control::Live;
use crate::native::description::{self, Head};
use crate::native::ring;
use crate::native::server::Server;

impl Publisher {
    /// Publishes a claimed slot: it becomes the newest frame. Returns its number, from 1.
    ///
    /// # Errors
    /// [`LinkError::MetaTooLarge`] or [`LinkError::TooManyCopyRecords`]; [`LinkError::ForeignClaim`] where the claim is
    /// another publisher's or its epoch has ended. The frame is then not published and its slot is free again.
    pub fn commit(&mut self, mut claim: Claim, meta: Meta) -> Result<u64, LinkError> {
        self.commit_in_place(&mut claim, &meta)
    }

    /// As [`commit`](Self::commit), moving nothing: what is moved here arrives later there.
    #[inline]
    pub(super) fn commit_in_place(&mut self, claim: &mut Claim, meta: &Meta) -> Result<u64, LinkError> {
        let committed = self.try_commit(claim, meta);
        let committed = match committed {
            Ok(seq) => Ok(seq),
            Err(error) => self.ending_if_lost(Err(error)),
        };
        self.server.log.noting(committed)
    }

    #[inline]
    pub(super) fn try_commit(&mut self, claim: &mut Claim, meta: &Meta) -> Result<u64, LinkError> {
        self.check_usable()?;
        self.control.live().about_to_publish();
        meta.check()?;
        self.check_current(claim)?;
        // Before the frame is named: who waits for its content waits for what is bound to come.
        let with_mirror = finish_on_device(&self.server, claim, meta)?;
        let seq = self.seq + 1;
        self.describe(claim, seq, with_mirror.as_ref().unwrap_or(meta))?;
        self.make_newest(claim.slot, seq);
        claim.published = true;
        self.seq = seq;
        self.note_len(claim.form.len_bytes());
        Ok(seq)
    }

    /// Whether a claim is this publisher's, and of the current epoch.
    #[inline]
    fn check_current(&self, claim: &Claim) -> Result<(), LinkError> {
        let is_ours = Arc::ptr_eq(&claim.server, &self.server);
        match &self.epoch {
            Some(epoch) if is_ours && epoch.number == claim.epoch => Ok(()),
            _ => Err(LinkError::ForeignClaim),
        }
    }

    /// Writes down what a claimed slot holds, as the frame with the number `seq`. A view that outlives the loan writes no
    /// more from here.
    #[inline]
    fn describe(&mut self, claim: &mut Claim, seq: u64, meta: &Meta) -> Result<(), LinkError> {
        let (control, slot) = (self.control.live(), claim.slot);
        let Some(epoch) = &mut self.epoch else { return Err(LinkError::ForeignClaim) };
        let words = match &self.form {
            Some((_, words)) if words.number() == claim.form_number => words,
            before => {
                let words = FormWords::of(&claim.form, before.as_ref().map(|(_, words)| words));
                &self.form.insert((Arc::clone(&claim.form), words)).1
            }
        };
        if let Some(state) = self.slots.get_mut(slot) {
            if state.has_views_beside_claim() {
                claim.end_host_loan();
                epoch.protect(self.server.name(), slot)?;
            }
            state.describe_form(control, slot, words);
            state.note_frame(seq, claim);
        }
        kill_point("producer.written");
        let head = Head { seq, epoch: epoch.number, published_nanos: monotonic_nanos() };
        description::store(control, slot, &head, words, meta);
        kill_point("producer.described");
        Ok(())
    }

    /// Makes a slot that is described the newest frame, and tells who waits for one.
    #[inline]
    fn make_newest(&mut self, slot: usize, seq: u64) {
        let control = self.control.live();
        self.writer.publish(&control, slot, seq);
        if self.server.attached() != 0 {
            // Somebody on another processor is about to read the line that lies in our private cache.
            control.demote(slot);
        }
        let asleep = ring::somebody_sleeps(&control);
        let armed = ring::take_armed(&control);
        kill_point("producer.published");
        if asleep {
            control.wake_first();
        }
        if armed != 0 {
            self.server.ring(armed);
        }
        kill_point("producer.woken");
    }
}

/// Has the streams of a loan on a device say when they are done, and the mirror made. What the frame says then, where
/// that is more than `meta`: a mirror is a copy.
#[inline]
fn finish_on_device(server: &Server, claim: &mut Claim, meta: &Meta) -> Result<Option<Meta>, LinkError> {
    let Some(ClaimMemory::Device(loan)) = &mut claim.memory else { return Ok(None) };
    let finished = loan.finish(&claim.form);
    let mirror = finished.map_err(|error| on_stream(server, error, loan.stream()))?;
    let Some(record) = mirror else { return Ok(None) };
    let with_mirror = meta.clone().copied(record);
    with_mirror.check()?;
    Ok(Some(with_mirror))
}

impl SlotState {
    /// Whether a view outlives the loan: more owners than the slot and its claim.
    #[inline]
    fn has_views_beside_claim(&self) -> bool {
        Arc::strong_count(&self.views) > 2
    }

    /// Writes the form of the slot's next frame down, unless it is there already.
    #[inline]
    fn describe_form(&mut self, control: Live<'_>, slot: usize, words: &FormWords) {
        if self.form_number != words.number() {
            self.form_number = words.number();
            description::store_form(control, slot, words);
        }
    }

    /// Remembers which frame is published in it.
    #[inline]
    fn note_frame(&mut self, seq: u64, claim: &Claim) {
        self.seq = seq;
        if let Some(ClaimMemory::Device(_)) = &claim.memory {
            self.shown = self.writes;
        }
    }
}

impl Claim {
    /// Lets go of what writes a slot in host memory.
    #[inline]
    fn end_host_loan(&mut self) {
        if let Some(ClaimMemory::Host(_)) = &self.memory {
            drop(self.memory.take());
        }
    }
}

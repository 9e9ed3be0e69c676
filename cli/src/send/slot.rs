// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the next frame is written: a slot in host memory, or plain memory from which it is copied to a slot on a GPU.

use uncopy::{Claim, CopyReason, CopyRecord, Device, Form, LinkError, Meta, Publisher};

use crate::error::CliError;
use crate::gpu::Card;
use crate::host::Session;

/// Where slots are.
pub(super) enum Side {
    Host,
    Gpu(Card),
}

/// A slot on loan, and what is written for it.
pub(super) struct Slot {
    claim: Claim,
    /// The frame to be, where the processor can't write the slot.
    pixels: Option<Vec<u8>>,
}

impl Side {
    pub fn of(device: Device) -> Result<Self, CliError> {
        if device.is_host_accessible() { Ok(Self::Host) } else { Card::open(device).map(Self::Gpu) }
    }

    /// The slot for the next frame.
    pub fn claim(
        &self,
        publisher: &mut Publisher,
        form: &Form,
        session: &Session<'_>,
    ) -> Result<Slot, LinkError> {
        let mut waiting = session.waiting();
        match self {
            Self::Host => Ok(Slot { claim: publisher.claim_with(form, Some(&mut waiting))?, pixels: None }),
            Self::Gpu(card) => {
                let claim = publisher.claim_on(form, card.device(), card.stream(), Some(&mut waiting))?;
                Ok(Slot { pixels: Some(vec![0; claim.form().len_bytes()]), claim })
            }
        }
    }

    /// The claim of a slot whose frame is written, and what its metadata says then. On a GPU the copy is put into the
    /// stream of the claim.
    pub fn finish(&self, slot: Slot, meta: Meta) -> Result<(Claim, Meta), CliError> {
        let (Self::Gpu(card), Some(pixels)) = (self, slot.pixels) else { return Ok((slot.claim, meta)) };
        let len_bytes = pixels.len() as u64;
        card.put(pixels, &slot.claim.tensor()?)?;
        let record = CopyRecord { reason: CopyReason::SEND, from: Device::CPU, to: card.device(), len_bytes };
        Ok((slot.claim, meta.copied(record)))
    }
}

impl Slot {
    pub fn form(&self) -> &Form {
        self.claim.form()
    }

    /// The bytes of the frame to be.
    pub fn bytes_mut(&mut self) -> Result<&mut [u8], CliError> {
        match &mut self.pixels {
            Some(pixels) => Ok(pixels),
            None => Ok(self.claim.bytes_mut()?),
        }
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! A slot on loan: written by its borrower, then published.

use std::sync::Arc;

use uncopy_core::{Device, Stream};
use uncopy_os::{SlotMut, spawn_quiet};
use uncopy_tensor::Tensor;

use super::Publisher;
use super::device_loan::{DeviceLoan, on_stream};
use crate::error::LinkError;
use crate::form::Form;
use crate::meta::Meta;
use crate::native::server::Server;

/// Where the bytes of a claimed slot are.
pub(super) enum ClaimMemory {
    Host(SlotMut),
    Device(DeviceLoan),
}

/// A slot on loan as a value of its own; see [`Publisher::claim`] and [`Publisher::claim_on`].
pub struct Claim {
    /// `None` once it is spent.
    pub(super) memory: Option<ClaimMemory>,
    pub(super) form: Arc<Form>,
    pub(super) slot: usize,
    pub(super) form_number: u32,
    pub(super) epoch: u32,
    pub(super) server: Arc<Server>,
    pub(super) views: Arc<()>,
    pub(super) published: bool,
}

impl Claim {
    /// The bytes of the frame to be, as long as the form says. They hold what was in the slot before.
    ///
    /// # Errors
    /// [`LinkError::Os`] while a [`tensor`](Claim::tensor) of the claim is alive, which writes the same bytes;
    /// [`LinkError::WrongPlace`] where the slot is on a device.
    pub fn bytes_mut(&mut self) -> Result<&mut [u8], LinkError> {
        let len = self.form.len_bytes();
        match &mut self.memory {
            Some(ClaimMemory::Host(bytes)) => Ok(bytes.bytes_mut()?.get_mut(..len).unwrap_or_default()),
            Some(ClaimMemory::Device(loan)) => Err(LinkError::WrongPlace {
                name: self.server.name().to_owned(),
                what: "a loan",
                found: loan.device(),
                wanted: Device::CPU,
            }),
            None => Err(LinkError::ForeignClaim),
        }
    }

    /// Where the slot is.
    #[must_use]
    pub fn device(&self) -> Device {
        match &self.memory {
            Some(ClaimMemory::Device(loan)) => loan.device(),
            _ => Device::CPU,
        }
    }

    /// Lets work in `stream` write the slot too, where it is on a device: what is put into the stream from now on finds
    /// the slot free and is done after what the claim's own stream holds now; what it holds when the claim is committed is
    /// part of the frame. The stream lives until the claim is committed or dropped.
    ///
    /// # Errors
    /// [`LinkError::Capturing`], [`LinkError::Device`].
    pub fn also_on(&self, stream: Stream) -> Result<(), LinkError> {
        match &self.memory {
            Some(ClaimMemory::Device(loan)) => {
                loan.also_on(stream).map_err(|error| on_stream(&self.server, error, stream))
            }
            _ => Ok(()),
        }
    }

    /// The form that the slot was claimed for.
    #[must_use]
    pub fn form(&self) -> &Form {
        &self.form
    }

    /// A writable tensor over the slot, for other languages and frameworks.
    ///
    /// While it or a view of it lives, the slot is not written again; from the moment the frame is published its pages
    /// are read-only, so that a late write ends the process instead of changing the frame. On a device nothing catches a
    /// late write: who writes puts its work into the stream of the claim before the frame is published.
    ///
    /// # Errors
    /// [`LinkError::ForeignClaim`] once the claim is spent.
    pub fn tensor(&self) -> Result<Tensor, LinkError> {
        let (len, views) = (self.form.len_bytes(), Arc::clone(&self.views));
        let region = match &self.memory {
            Some(ClaimMemory::Host(bytes)) => bytes.region(len, views)?,
            Some(ClaimMemory::Device(loan)) => loan.region(len, views)?,
            None => return Err(LinkError::ForeignClaim),
        };
        Ok(Tensor::new(region, *self.form.layout(), 0)?)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let memory = self.memory.take();
        // In a forked child the slot and its promise are the parent's.
        if self.published || self.server.is_foreign() {
            return;
        }
        match memory {
            Some(ClaimMemory::Device(loan)) if !loan.abandon(self.server.control()) => {
                give_back_when_idle(loan, Arc::clone(&self.server), self.slot);
            }
            memory => {
                drop(memory);
                self.server.give_back(self.slot);
            }
        }
    }
}

/// Gives a slot back when the device has done everything: its stream takes no work, so that nothing nearer tells.
#[cold]
fn give_back_when_idle(loan: DeviceLoan, server: Arc<Server>, slot: usize) {
    // On this thread: the streams are there until this has returned.
    let captures = loan.captures();
    let settle = move || {
        loan.keep_when_idle(server.control(), &captures);
        server.give_back(slot);
    };
    if let Err(error) = spawn_quiet("uncopy-settle", settle) {
        tracing::warn!(%error, "a slot is not written again");
    }
}

/// A slot on loan from a [`Publisher`]: write the frame into it, then [`publish`](Loan::publish).
pub struct Loan<'p> {
    pub(super) claim: Claim,
    pub(super) publisher: &'p mut Publisher,
}

impl Loan<'_> {
    /// The bytes of the frame to be, as long as the form says. They hold what was in the slot before.
    #[must_use]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // A loan gives no tensors, so that nothing else writes its bytes.
        self.claim.bytes_mut().unwrap_or_default()
    }

    /// The form that the slot was lent for.
    #[must_use]
    pub fn form(&self) -> &Form {
        self.claim.form()
    }

    /// Publishes the frame: from here on it is the newest and nobody can change it. Returns its number, from 1.
    ///
    /// # Errors
    /// [`LinkError::MetaTooLarge`] or [`LinkError::TooManyCopyRecords`]; the frame is then not published.
    pub fn publish(mut self, meta: Meta) -> Result<u64, LinkError> {
        self.publisher.commit_in_place(&mut self.claim, &meta)
    }
}

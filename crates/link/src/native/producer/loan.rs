// SPDX-License-Identifier: MIT OR Apache-2.0
//! A slot on loan: written by its borrower, then published.

use std::sync::Arc;

use uncopy_os::SlotMut;
use uncopy_tensor::Tensor;

use super::Publisher;
use crate::error::LinkError;
use crate::form::Form;
use crate::meta::Meta;
use crate::native::server::Server;

/// A slot on loan as a value of its own; see [`Publisher::claim`].
pub struct Claim {
    pub(super) bytes: Option<SlotMut>,
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
    /// [`LinkError::Os`] while a [`tensor`](Claim::tensor) of the claim is alive, which writes the same bytes.
    pub fn bytes_mut(&mut self) -> Result<&mut [u8], LinkError> {
        let len = self.form.len_bytes();
        let Some(bytes) = &mut self.bytes else { return Err(LinkError::ForeignClaim) };
        Ok(bytes.bytes_mut()?.get_mut(..len).unwrap_or_default())
    }

    /// The form that the slot was claimed for.
    #[must_use]
    pub fn form(&self) -> &Form {
        &self.form
    }

    /// A writable tensor over the slot, for other languages and frameworks.
    ///
    /// While it or a view of it lives, the slot is not written again; from the moment the frame is published its pages
    /// are read-only, so that a late write ends the process instead of changing the frame.
    ///
    /// # Errors
    /// [`LinkError::ForeignClaim`] once the claim is spent.
    pub fn tensor(&self) -> Result<Tensor, LinkError> {
        let Some(bytes) = &self.bytes else { return Err(LinkError::ForeignClaim) };
        let region = bytes.region(self.form.len_bytes(), Arc::clone(&self.views))?;
        Ok(Tensor::new(region, *self.form.layout(), 0)?)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        drop(self.bytes.take());
        if !self.published {
            self.server.give_back(self.slot);
        }
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

// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bytes of received frames on the host, wherever the frames lie: shared where they are in host memory, brought
//! here by a copy where they are on a device. Those copies are counted.

use uncopy::{CopyRecord, Frame, LinkError, Staging, Tensor};

use crate::error::CliError;
use crate::host::Session;

/// Brings frames to the host. It opens no device before a frame on one is looked at.
pub(crate) struct OnHost<'h> {
    session: &'h Session<'h>,
    staging: Staging,
    packed: Vec<u8>,
}

impl<'h> OnHost<'h> {
    pub fn new(session: &'h Session<'h>) -> Self {
        Self { session, staging: Staging::new(), packed: Vec::new() }
    }

    /// A frame to look at. Nothing is copied before its bytes are asked for.
    pub fn see<'s>(&'s mut self, frame: &'s Frame) -> Seen<'s> {
        Seen { frame, session: self.session, staging: &self.staging, packed: &mut self.packed, brought: None }
    }
}

/// A frame that is looked at on the host.
pub(crate) struct Seen<'s> {
    pub frame: &'s Frame,
    session: &'s Session<'s>,
    staging: &'s Staging,
    packed: &'s mut Vec<u8>,
    /// Of a frame on a device: its elements in C order, and the copy that brought them.
    brought: Option<(Tensor, CopyRecord)>,
}

impl Seen<'_> {
    /// Its bytes from the first to the last element; of a frame on a device its elements in C order.
    pub fn bytes(&mut self) -> Result<&[u8], CliError> {
        self.bring()?;
        Ok(match &self.brought {
            Some((tensor, _)) => tensor.as_packed_bytes().unwrap_or_default(),
            None => self.frame.bytes(),
        })
    }

    /// Its elements in C order, without anything in between.
    pub fn packed(&mut self) -> Result<&[u8], CliError> {
        if !self.frame.device().is_host_accessible() || self.frame.layout().is_c_contiguous() {
            return self.bytes();
        }
        self.packed.resize(self.frame.layout().len_bytes(), 0);
        self.frame.tensor()?.copy_packed_into(self.packed).map_err(LinkError::from)?;
        Ok(self.packed)
    }

    /// The copy that was made to see it, if one was.
    pub fn copy(&self) -> Option<CopyRecord> {
        self.brought.as_ref().map(|(_, record)| *record)
    }

    fn bring(&mut self) -> Result<(), CliError> {
        if self.brought.is_none() && !self.frame.device().is_host_accessible() {
            let copy = self.staging.begin(self.frame)?;
            self.brought = Some((copy.wait(Some(&mut self.session.waiting()))?, copy.record()));
        }
        Ok(())
    }
}

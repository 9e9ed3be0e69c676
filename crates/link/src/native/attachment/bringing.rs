// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bringing a frame that is held to another device: when that is done, and what its lease is of from then on.

use std::io;
use std::sync::Arc;

use uncopy_core::{CopyReason, CopyRecord, DType, Layout};
use uncopy_os::kill_point;
use uncopy_tensor::Tensor;

use super::brought::{Brought, Room};
use super::holds::{FrameContext, Lease};
use super::maps::SlotMap;
use super::placed::Offer;
use super::reading::DeviceMap;
use crate::error::LinkError;
use crate::native::description::{self, Description};
use crate::site::{self, is_left_out};

/// The memory of frames on a device that the wanted one does not reach, and where they are brought.
pub(crate) struct Far {
    pub(super) source: Arc<DeviceMap>,
    landing: Arc<SlotMap>,
    reason: CopyReason,
}

impl Far {
    pub(super) fn new(source: DeviceMap, brought: Brought, reason: CopyReason, offer: &Offer<'_>) -> Self {
        let source = Arc::new(source);
        Self { source, landing: Arc::new(SlotMap::of_brought(offer.epoch, offer.stride, brought)), reason }
    }
}

impl Lease {
    /// The frame where it is wanted: of one that must be [brought](Far) there, the copy is put in once the content is
    /// there, and the lease is of that copy from then on. A copy of it that is still in its buffer is taken instead of
    /// another. Any other frame stays as it is.
    #[inline]
    pub(crate) fn brought(self, description: Description) -> Result<(Self, Description), LinkError> {
        match self.context.map.far() {
            None => Ok((self, description)),
            Some(_) => self.bring(description),
        }
    }

    #[cold]
    fn bring(self, mut description: Description) -> Result<(Self, Description), LinkError> {
        let FrameContext { attachment, map, form, key } = &*self.context;
        // Its stream waits for nobody else's work: a frame that is never finished must not keep the next ones.
        let has_come = self.is_there() && !self.is_torn() || is_left_out(site::BRING_CONTENT);
        let Some(Far { source, landing, reason }) = map.far().filter(|_| has_come) else {
            return Ok((self, description));
        };
        let Some(brought) = landing.brought() else { return Ok((self, description)) };
        let (buffer, room) = brought.take(description.seq).ok_or_else(|| LinkError::CopiesHeld {
            name: attachment.name.clone(),
            held: brought.buffers(),
        })?;
        let context = FrameContext {
            attachment: Arc::clone(attachment),
            map: Arc::clone(landing),
            form: *form,
            key: *key,
        };
        let copy = Lease::new(Arc::new(context), buffer);
        let len = form.len_bytes();
        if let Room::Free { written } = room {
            let slot = map.region(self.slot, len, ())?;
            let from = Tensor::new(slot, Layout::contiguous(DType::U8, &[len])?, 0)?;
            // Before anything is put in: from here on the slot goes back after our stream.
            if !is_left_out(site::BRING_SLOT) {
                self.note_use(brought.stream());
            }
            brought.fill(&attachment.name, (buffer, description.seq), written, &from)?;
            kill_point("device.brought");
        }
        let (from, to) = (source.device(), landing.device());
        let record = CopyRecord { reason: *reason, from, to, len_bytes: len as u64 };
        let (here, there) = ((attachment.control.live(), self.slot), (brought.live(), buffer));
        description::carry(here, there, &mut description, record);
        Ok((copy, description))
    }

    /// Whether it is to be brought to another device and is not yet.
    pub(crate) fn is_far(&self) -> bool {
        self.context.map.far().is_some()
    }

    /// Whether it is of a copy that was brought.
    pub(crate) fn is_brought(&self) -> bool {
        self.context.map.brought().is_some()
    }

    /// Why nothing can be read there any more, or is brought there, once the device that does that is known to be lost.
    pub(crate) fn loss(&self) -> Option<io::Error> {
        let map = &self.context.map;
        map.on_device()?.loss().or_else(|| map.brought()?.loss())
    }
}

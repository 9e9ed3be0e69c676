// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a consumer wants frames on a device: where, mapped how, and given back when.

use uncopy_tensor::Access;

use super::maps::Where;

/// When the slot of a frame on a device goes back to its producer, once the last of frame, tensors and views is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Release {
    /// After the work in each stream that was [named](crate::Frame::used_on) as reading it.
    #[default]
    Streams,
    /// After everything that this process had put into any stream of the device by then: no stream needs to be named.
    ///
    /// Needs a driver of CUDA 12.5 or later. **A capture of a stream into a graph that goes on meanwhile becomes invalid**,
    /// in whatever thread, unless the stream was named for the frame; the frame is then held until nobody captures.
    Context,
}

/// What a consumer asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) place: Where,
    pub(crate) release: Release,
    pub(crate) is_read_only: bool,
}

impl Wanted {
    /// How memory of a device is mapped.
    pub(super) fn access(self) -> Access {
        if self.is_read_only { Access::ReadOnly } else { Access::ReadWrite }
    }
}

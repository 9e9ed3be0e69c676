// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can go wrong with regions and tensors. DLPack's refusals are [`DlpackError`](crate::dlpack::DlpackError).

use uncopy_core::{DType, Device, ErrorKind, LayoutError};

/// Why a region, tensor or view was refused. Each message ends with what to try.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorError {
    /// The layout is impossible or reaches outside the region.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The elements are not where the CPU can reach them.
    #[error("the data is on {device}, which the CPU cannot read: copy it to the host first")]
    NotOnHost {
        /// Where the data is.
        device: Device,
    },
    /// A view of another element type was asked for.
    #[error("a view of {wanted} was asked for, but the elements are {found}: ask for the tensor's own dtype")]
    DTypeMismatch {
        /// The dtype asked for.
        wanted: DType,
        /// The tensor's dtype.
        found: DType,
    },
    /// A view of another number of dimensions was asked for.
    #[error("a view of {wanted} dimensions was asked for, but the tensor has {found}: ask for {found}")]
    NdimMismatch {
        /// Dimensions asked for.
        wanted: usize,
        /// Dimensions of the tensor.
        found: usize,
    },
    /// Element 0 does not stand at a multiple of its type's alignment.
    #[error(
        "element 0 at address {address:#x} is not aligned to {align_bytes} bytes: copy the tensor, then view it"
    )]
    Misaligned {
        /// Address of element 0.
        address: usize,
        /// Alignment that the element type needs.
        align_bytes: usize,
    },
    /// The destination has another size than the packed data.
    #[error(
        "the packed data is {need_bytes} bytes, but the destination has {found_bytes}: pass {need_bytes} bytes"
    )]
    SizeMismatch {
        /// Bytes of the packed data.
        need_bytes: usize,
        /// Bytes of the destination.
        found_bytes: usize,
    },
    /// The destination lies in the memory that is being copied.
    #[error("the destination at {address:#x} overlaps the tensor's own memory: copy to other memory")]
    Overlap {
        /// Address of the destination.
        address: usize,
    },
    /// A part of a region reaches outside it.
    #[error(
        "{len_bytes} bytes from byte {offset_bytes} do not lie inside the region of {region_len_bytes} bytes: \
         ask for less"
    )]
    OutOfRegion {
        /// First byte asked for.
        offset_bytes: usize,
        /// Bytes asked for.
        len_bytes: usize,
        /// Length of the region.
        region_len_bytes: usize,
    },
    /// An offset into memory that is named by a handle.
    #[error(
        "memory on {device} is named by a handle, so no part of it has an address: keep the offset beside it"
    )]
    OpaqueAddress {
        /// The device.
        device: Device,
    },
    /// The allocator has no memory left, or the length is impossible.
    #[error("{len_bytes} bytes of host memory could not be allocated: free memory or ask for less")]
    OutOfMemory {
        /// Bytes asked for.
        len_bytes: usize,
    },
}

impl TensorError {
    /// The one list from which C codes and Python exceptions come.
    pub fn kind(&self) -> ErrorKind {
        match self {
            TensorError::Layout(error) => error.kind(),
            TensorError::NotOnHost { .. } | TensorError::OpaqueAddress { .. } => ErrorKind::Unsupported,
            TensorError::DTypeMismatch { .. } => ErrorKind::InvalidDType,
            TensorError::NdimMismatch { .. } => ErrorKind::InvalidLayout,
            TensorError::Misaligned { .. } => ErrorKind::CopyRequired,
            TensorError::SizeMismatch { .. }
            | TensorError::Overlap { .. }
            | TensorError::OutOfRegion { .. } => ErrorKind::InvalidArgument,
            TensorError::OutOfMemory { .. } => ErrorKind::OutOfMemory,
        }
    }
}

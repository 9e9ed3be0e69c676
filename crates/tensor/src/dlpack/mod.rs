// SPDX-License-Identifier: MIT OR Apache-2.0
//! DLPack 1.3: taking arrays from other libraries and giving ours, without a copy.
//!
//! | direction | function | what happens to ownership |
//! |---|---|---|
//! | in | [`tensor_from_dlpack_versioned`], [`tensor_from_dlpack`] | the struct is ours from the call on; its deleter runs exactly once, with the tensor's last clone or at once on refusal |
//! | in, borrowed | [`tensor_from_dl_tensor`] | the caller names the owner |
//! | out | [`dlpack_versioned_from_tensor`], [`dlpack_from_tensor`] | the struct holds the tensor until the consumer calls the deleter, on any thread |
//!
//! What an import makes of the fields:
//!
//! | field | taken as |
//! |---|---|
//! | `version` | major 1, any minor; with another major nothing is read and only the deleter is called |
//! | `FLAG_READ_ONLY` | the region is read-only; a legacy struct cannot say it and counts as writable |
//! | `FLAG_IS_COPIED` | [`Tensor::was_copied`] |
//! | `FLAG_IS_SUBBYTE_TYPE_PADDED` | refused for sub-byte dtypes (our layouts are packed), without meaning for others |
//! | other flags | ignored, and not passed on: they were the producer's word, not ours |
//! | `ndim` | 0 to 8 |
//! | `dtype` | known codes with the bits that they permit; unknown codes of any size, as bytes |
//! | `strides` null | C order, from any version |
//! | `data` null | accepted without elements, refused with some |
//! | `byte_offset` | added to addresses, kept beside handles (see [`has_addresses`](crate::has_addresses)) |
//!
//! It orders no streams: who imports device memory arranges that first. It refuses to export a read-only tensor to the
//! legacy form, which cannot say so.
//!
//! ```
//! use uncopy_tensor::{Region, Tensor, dlpack};
//! use uncopy_core::{DType, Layout};
//!
//! let region = Region::from_vec(vec![0; 12]);
//! let tensor = Tensor::new(region, Layout::contiguous(DType::F32, &[3])?, 0)?;
//! let address = tensor.address();
//!
//! let managed = dlpack::dlpack_versioned_from_tensor(tensor); // hand this to any DLPack consumer
//! // SAFETY: the struct is the one just made, nobody else has it, and nobody writes its elements.
//! let back = unsafe { dlpack::tensor_from_dlpack_versioned(managed) }?;
//! assert_eq!(back.address(), address);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Why our own structs
//!
//! They are some hundred lines that change once a year, and a binding that models codes as Rust enums is unsound for
//! the codes of next year. Every offset is asserted at compile time.

use uncopy_core::{DType, DTypeError, ErrorKind, LayoutError, MAX_NDIM};

use crate::TensorError;

mod abi;
mod export;
mod import;

pub use abi::*;
pub use export::{dlpack_from_tensor, dlpack_versioned_from_tensor, is_in_deleter};
pub use import::{tensor_from_dl_tensor, tensor_from_dlpack, tensor_from_dlpack_versioned};

#[cfg(doc)]
use crate::Tensor;

/// Why a DLPack struct was refused. The deleter was called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DlpackError {
    /// A major version that we cannot read.
    #[error(
        "the producer speaks DLPack {major}.{minor}, and only 1.x is understood: ask it for max_version=(1, 3)"
    )]
    Version {
        /// The producer's major version.
        major: u32,
        /// The producer's minor version.
        minor: u32,
    },
    /// More axes than a layout has, or fewer than none.
    #[error("an array of {ndim} dimensions was passed, and 0 to {MAX_NDIM} are supported: reshape it")]
    Ndim {
        /// What the struct said.
        ndim: i32,
    },
    /// Axes without extents.
    #[error("the producer passed {ndim} dimensions without a shape: report it to the producer's project")]
    NullShape {
        /// What the struct said.
        ndim: i32,
    },
    /// An extent below 0.
    #[error("axis {axis} has an extent of {extent}: report it to the producer's project")]
    NegativeExtent {
        /// The axis, from 0.
        axis: usize,
        /// What the struct said.
        extent: i64,
    },
    /// Elements, but no address. Fake tensors do this.
    #[error("the array has {len_elems} elements but no data (a fake or meta tensor?): materialise it first")]
    NullData {
        /// Elements that the shape asks for.
        len_elems: usize,
    },
    /// The dtype is none.
    #[error(transparent)]
    DType(#[from] DTypeError),
    /// Sub-byte elements in a byte each.
    #[error(
        "elements of {dtype} are padded to whole bytes, and only packed ones are supported: convert to uint8"
    )]
    PaddedSubByte {
        /// The producer's dtype.
        dtype: DType,
    },
    /// Some element would lie outside the address space.
    #[error(
        "the elements from {address:#x} plus {byte_offset} bytes leave the address space: check shape and strides"
    )]
    AddressOverflow {
        /// The struct's `data`.
        address: usize,
        /// The struct's `byte_offset`.
        byte_offset: u64,
    },
    /// Shape or strides are impossible.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The tensor could not be made of it.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// A read-only tensor for the legacy struct.
    #[error(
        "a read-only array cannot be exported as a legacy capsule, which would let it be written: pass max_version=(1, 0) or copy=True"
    )]
    ReadOnlyLegacy,
}

impl DlpackError {
    /// The one list from which C codes and Python exceptions come.
    pub fn kind(&self) -> ErrorKind {
        match self {
            DlpackError::Version { .. } => ErrorKind::VersionMismatch,
            DlpackError::Ndim { .. } | DlpackError::PaddedSubByte { .. } => ErrorKind::Unsupported,
            DlpackError::NullShape { .. }
            | DlpackError::NegativeExtent { .. }
            | DlpackError::AddressOverflow { .. } => ErrorKind::InvalidLayout,
            DlpackError::NullData { .. } => ErrorKind::InvalidArgument,
            DlpackError::DType(error) => error.kind(),
            DlpackError::Layout(error) => error.kind(),
            DlpackError::Tensor(error) => error.kind(),
            DlpackError::ReadOnlyLegacy => ErrorKind::ReadOnly,
        }
    }
}

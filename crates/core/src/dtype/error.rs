// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a dtype is refused, with what to do.
//!
//! ```
//! use uncopy_core::{DType, ErrorKind};
//!
//! let error = "unit8".parse::<DType>().unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::InvalidDType);
//! assert_eq!(error.to_string(), "unknown dtype \"unit8\": did you mean \"uint8\"?");
//! ```

use super::DType;
use crate::error::ErrorKind;
use crate::quote::quoted;
use std::fmt;

/// Why something is not a dtype that this version can work with.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum DTypeError {
    /// The type code is none of DLPack 1.3.
    UnknownCode {
        /// What was given.
        dtype: DType,
    },
    /// The code does not come in this width.
    BadBits {
        /// What was given.
        dtype: DType,
    },
    /// An item of no lanes.
    NoLanes {
        /// What was given.
        dtype: DType,
    },
    /// No dtype has this name.
    UnknownName {
        /// What was given.
        text: String,
        /// The known name that it resembles most.
        nearest: Option<&'static str>,
    },
    /// The name means different widths in different frameworks.
    AmbiguousName {
        /// What was given.
        text: String,
        /// What to write instead.
        instead: &'static str,
    },
    /// The typestr does not follow the array interface.
    BadTypestr {
        /// What was given.
        text: String,
    },
    /// The typestr is well formed, and its items cannot be shared.
    UnsupportedTypestr {
        /// What was given.
        text: String,
        /// What such items are, and what to do.
        advice: &'static str,
    },
    /// The items are in the other byte order.
    ByteSwapped {
        /// What they would be in this machine's order.
        dtype: DType,
    },
    /// The array interface has no typestr for this dtype.
    NoTypestr {
        /// What was given.
        dtype: DType,
    },
}

impl DTypeError {
    /// The kind of this error: always [`ErrorKind::InvalidDType`].
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidDType
    }
}

impl fmt::Display for DTypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DTypeError::UnknownCode { dtype } => write!(
                f,
                "type code {} is unknown here ({dtype} as code, bits, lanes): convert to a dtype of DLPack 1.3, codes 0 to 17",
                dtype.code.0
            ),
            DTypeError::BadBits { dtype } => write!(
                f,
                "type code {} does not come in {} bits: use one of {:?}",
                dtype.code.0,
                dtype.bits,
                dtype.code.permitted_bits()
            ),
            DTypeError::NoLanes { dtype } => write!(f, "{dtype} has 0 lanes: an item has at least 1"),
            DTypeError::UnknownName { text, nearest: Some(name) } => {
                write!(f, "unknown dtype {}: did you mean \"{name}\"?", quoted(text))
            }
            DTypeError::UnknownName { text, nearest: None } => {
                write!(
                    f,
                    "unknown dtype {}: use a name such as \"uint8\", \"float16\" or \"f32\"",
                    quoted(text)
                )
            }
            DTypeError::AmbiguousName { text, instead } => {
                write!(f, "dtype {} has no fixed width: say {instead}", quoted(text))
            }
            DTypeError::BadTypestr { text } => write!(
                f,
                "{} is not a typestr: expected byte order, kind and bytes, as in \"<f4\" or \"|u1\"",
                quoted(text)
            ),
            DTypeError::UnsupportedTypestr { text, advice } => {
                write!(f, "items of typestr {} cannot be shared: {advice}", quoted(text))
            }
            DTypeError::ByteSwapped { dtype } => write!(
                f,
                "{dtype} items are in big-endian order and this machine is little-endian: \
                 convert them first, as in x.astype(x.dtype.newbyteorder(\"=\"))"
            ),
            DTypeError::NoTypestr { dtype } => write!(
                f,
                "the array interface has no typestr for {dtype}: exchange it through DLPack, or as unsigned integers \
                 of the same width"
            ),
        }
    }
}

impl std::error::Error for DTypeError {}

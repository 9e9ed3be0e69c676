// SPDX-License-Identifier: MIT OR Apache-2.0
//! Values of uncopy.

#![forbid(unsafe_code)]

#[cfg(not(target_pointer_width = "64"))]
compile_error!("uncopy supports 64-bit targets only: sizes and offsets of its wire formats are 64 bits");
#[cfg(not(target_endian = "little"))]
compile_error!("uncopy supports little-endian targets only: its wire formats are little-endian");

pub mod copies;
pub mod device;
pub mod dtype;
pub mod error;
pub mod name;
mod quote;
pub mod typestr;

pub use copies::{CopyReason, CopyRecord, MAX_COPY_RECORDS};
pub use device::{Device, DeviceError, DeviceKind};
pub use dtype::{DType, DTypeCode, DTypeError};
pub use error::ErrorKind;
pub use name::{LinkName, MAX_NAME_LEN, MAX_SCHEME_LEN, NameError, Scheme, nearest};
pub use typestr::{ByteOrder, Typestr, dtype_from_typestr, typestr_from_dtype};

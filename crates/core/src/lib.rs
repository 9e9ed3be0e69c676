// SPDX-License-Identifier: MIT OR Apache-2.0
//! The values of uncopy: plain, checked descriptions of arrays and links, and the vocabulary of the whole project.
//!
//! Everything here is a small value that owns no memory, no device and no connection. It depends on nothing, has no
//! `unsafe`, and turns what strangers wrote (a shape from another process, a typestr from another framework, a name
//! from a command line) into values that are sound, or into an error that says what was found and what to do.
//!
//! It refuses to hold data, to ask the system anything, and to panic: no input reaches one.
//!
//! | word | what it means everywhere | here |
//! |---|---|---|
//! | item | one element of an array | |
//! | dtype | what an item is: code, bits, lanes | [`DType`] |
//! | typestr | NumPy's text for a dtype | [`Typestr`] |
//! | shape | the length of each axis, outermost first | [`Layout::shape`] |
//! | stride | distance between neighbours on an axis, in items unless the name ends in `_bytes` | [`Layout::strides_elems`] |
//! | layout | dtype, shape and strides | [`Layout`] |
//! | packed | side by side in C order, no gaps | [`Layout::is_c_contiguous`] |
//! | extent | the bytes that items touch, relative to element 0 | [`Layout::extent_bytes`] |
//! | pitch | distance between rows of an image, in bytes | |
//! | device | where memory lives | [`Device`], across processes [`DeviceUuid`] |
//! | stream | a queue of work on a device | [`Stream`] |
//! | pixel format | what the numbers of an image mean | [`PixelFormat`] |
//! | origin | which corner the first item is | [`Origin`] |
//! | link | frames between processes, found by a name | [`LinkName`] |
//! | producer, consumer | who writes frames into a link, who reads them | |
//! | frame | one array in a link, with its description | |
//! | slot | the memory that holds a frame | |
//! | epoch | the life of one set of slots; a change of form or of producer begins the next | |
//! | lease | a consumer's hold on a slot | |
//! | copy record | a copy that was made, and why | [`CopyRecord`] |
//! | kind | which sort of error, the same in every language | [`ErrorKind`] |
//!
//! Numbers that other programs write (type codes, device types, pixel formats, reasons) are newtypes with constants and
//! never Rust enums: a newer program's number stays a value.
//!
//! ```
//! use uncopy_core::{Device, LinkName, PixelFormat};
//!
//! let name = LinkName::parse("camera")?;
//! let layout = PixelFormat::RGBA8.layout(1080, 1920)?;
//! assert_eq!(format!("{name}: {layout} on {}", Device::CPU), "camera: uint8[1080, 1920, 4] on cpu");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

#[cfg(not(target_pointer_width = "64"))]
compile_error!("uncopy supports 64-bit targets only: sizes and offsets of its wire formats are 64 bits");
#[cfg(not(target_endian = "little"))]
compile_error!("uncopy supports little-endian targets only: its wire formats are little-endian");

pub mod copies;
pub mod device;
pub mod dtype;
pub mod error;
pub mod image;
pub mod layout;
pub mod name;
pub mod pixel;
mod quote;
pub mod stream;
pub mod typestr;
pub mod uuid;
pub mod want;

pub use copies::{CopyReason, CopyRecord, MAX_COPY_RECORDS};
pub use device::{Device, DeviceError, DeviceKind};
pub use dtype::{DType, DTypeCode, DTypeError};
pub use error::ErrorKind;
pub use image::{ChannelOrder, Origin};
pub use layout::{Layout, LayoutError, MAX_NDIM};
pub use name::{LinkName, MAX_NAME_LEN, MAX_SCHEME_LEN, NameError, Scheme, nearest};
pub use pixel::{PixelError, PixelFormat};
pub use stream::Stream;
pub use typestr::{ByteOrder, Typestr, dtype_from_typestr, typestr_from_dtype};
pub use uuid::DeviceUuid;
pub use want::{Found, Misfit, Want, WantError, Wants};

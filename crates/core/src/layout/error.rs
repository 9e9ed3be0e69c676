// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a layout is refused, with the numbers.
//!
//! ```
//! use uncopy_core::{DType, ErrorKind, Layout};
//!
//! let error = Layout::contiguous(DType::U8, &[1; 9]).unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::InvalidLayout);
//! assert_eq!(error.to_string(), "9 axes are too many: a layout has at most 8; merge some by reshaping");
//! ```

use super::{Layout, MAX_NDIM};
use crate::dtype::DType;
use crate::error::ErrorKind;
use crate::pixel::PixelFormat;
use std::fmt;

/// Why a layout is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum LayoutError {
    /// More than [`MAX_NDIM`] axes.
    TooManyAxes {
        /// How many were given.
        ndim: usize,
    },
    /// Strides of another number than axes.
    StridesLength {
        /// How many axes the shape has.
        axes: usize,
        /// How many strides were given.
        strides: usize,
    },
    /// Items of 0 bits or 0 lanes.
    NoBits {
        /// What was given.
        dtype: DType,
    },
    /// The items, packed, are more than `isize::MAX` bytes.
    TooLarge {
        /// What the items are.
        dtype: DType,
        /// What was given.
        shape: Vec<usize>,
    },
    /// The items, spread out by the strides, span more than `isize::MAX` bytes.
    ExtentTooLarge {
        /// What the items are.
        dtype: DType,
        /// What was given.
        shape: Vec<usize>,
        /// What was given.
        strides_elems: Vec<isize>,
    },
    /// Strides other than C order on items under a byte.
    PackedItems {
        /// What the items are.
        dtype: DType,
        /// What was given.
        shape: Vec<usize>,
        /// What was given.
        strides_elems: Vec<isize>,
    },
    /// A stride in bytes that is not a whole number of items.
    StrideWithinItem {
        /// What the items are.
        dtype: DType,
        /// Which axis, from 0.
        axis: usize,
        /// What was given.
        stride_bytes: isize,
    },
    /// Some items would lie outside their memory region.
    OutOfRegion {
        /// What was to be placed.
        layout: Box<Layout>,
        /// The length of the region.
        region_len_bytes: usize,
        /// Where element 0 was to be.
        offset_bytes: usize,
    },
    /// The pixel format has no array layout in this version.
    NoPixelLayout {
        /// What was given.
        format: PixelFormat,
    },
    /// The pixel format shares chroma between pairs of pixels, and a size is odd.
    OddSize {
        /// What was given.
        format: PixelFormat,
        /// In pixels.
        height: usize,
        /// In pixels.
        width: usize,
    },
}

impl LayoutError {
    /// The kind of this error: [`ErrorKind::InvalidLayout`], for items of no bits [`ErrorKind::InvalidDType`], for a
    /// pixel format without layout [`ErrorKind::InvalidArgument`].
    pub fn kind(&self) -> ErrorKind {
        match self {
            LayoutError::NoBits { .. } => ErrorKind::InvalidDType,
            LayoutError::NoPixelLayout { .. } => ErrorKind::InvalidArgument,
            _ => ErrorKind::InvalidLayout,
        }
    }
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LayoutError::TooManyAxes { ndim } => {
                write!(
                    f,
                    "{ndim} axes are too many: a layout has at most {MAX_NDIM}; merge some by reshaping"
                )
            }
            LayoutError::StridesLength { axes, strides } => {
                write!(
                    f,
                    "{strides} strides do not describe {axes} axes: give one for each axis, or none for C order"
                )
            }
            LayoutError::NoBits { dtype } => {
                write!(f, "items of {dtype} (code, bits, lanes) have no size: give at least 1 bit and 1 lane")
            }
            LayoutError::TooLarge { dtype, shape } => {
                write!(
                    f,
                    "{dtype}{shape:?} is larger than {} bytes, which no memory can hold: check the shape",
                    isize::MAX
                )
            }
            LayoutError::ExtentTooLarge { dtype, shape, strides_elems } => write!(
                f,
                "{dtype}{shape:?} strides {strides_elems:?} spans more than {} bytes: check the strides, which count \
                 items and not bytes",
                isize::MAX
            ),
            LayoutError::PackedItems { dtype, shape, strides_elems } => write!(
                f,
                "{dtype}{shape:?} strides {strides_elems:?} is not in C order, and items of {} bits cannot be \
                 addressed apart: pack it to C order first",
                dtype.item_bits()
            ),
            LayoutError::StrideWithinItem { dtype, axis, stride_bytes } => write!(
                f,
                "the stride of axis {axis}, {stride_bytes} bytes, is no whole number of {dtype} items: copy the array \
                 to C order first"
            ),
            LayoutError::OutOfRegion { layout, region_len_bytes, offset_bytes } => {
                let (lowest, highest) = layout.extent_bytes();
                write!(
                    f,
                    "{layout} needs bytes {lowest} to {highest} around its element 0 and does not fit at offset \
                     {offset_bytes} of {region_len_bytes} bytes: give a larger region or another offset"
                )
            }
            LayoutError::NoPixelLayout { format } => {
                write!(f, "pixel format {format} has no array layout: give shape and dtype instead")
            }
            LayoutError::OddSize { format, height, width } => write!(
                f,
                "{format} shares chroma between pairs of pixels, so {height} x {width} (height x width) is impossible: \
                 make both even"
            ),
        }
    }
}

impl std::error::Error for LayoutError {}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pixel formats: what the numbers of an image mean, and the array that they make.
//!
//! The numbers are wire numbers: they travel in frames between processes that may be of different versions, so they are
//! fixed, and a number that this version does not know stays a value. `h` and `w` are height and width in pixels.
//!
//! | number | name | dtype | shape | memory |
//! |---|---|---|---|---|
//! | 0 | `unspecified` | | | not an image, or not said |
//! | 1, 2, 3, 4 | `gray8` `gray16` `gray16f` `gray32f` | u8 u16 f16 f32 | `[h, w]` | |
//! | 16, 17, 18, 19 | `rg8` `rg16` `rg16f` `rg32f` | u8 u16 f16 f32 | `[h, w, 2]` | |
//! | 32, 33, 34, 35 | `rgb8` `rgb16` `rgb16f` `rgb32f` | u8 u16 f16 f32 | `[h, w, 3]` | R G B |
//! | 36 | `bgr8` | u8 | `[h, w, 3]` | B G R |
//! | 48, 49, 50, 51 | `rgba8` `rgba16` `rgba16f` `rgba32f` | u8 u16 f16 f32 | `[h, w, 4]` | R G B A |
//! | 52 | `bgra8` | u8 | `[h, w, 4]` | B G R A |
//! | 64 | `nv12` | u8 | `[h * 3 / 2, w]` | Y, then U V interleaved at half size |
//! | 65 | `i420` | u8 | `[h * 3 / 2, w]` | Y, then U, then V, each at half size |
//! | 66 | `p010` | u16 | `[h * 3 / 2, w]` | as nv12, 10 bits at the top of 16 |
//! | 80, 81, 82, 83 | `bayer_rggb8` `bayer_bggr8` `bayer_grbg8` `bayer_gbrg8` | u8 | `[h, w]` | first two pixels of rows 0 and 1 |
//! | 84, 85, 86, 87 | `bayer_rggb16` `bayer_bggr16` `bayer_grbg16` `bayer_gbrg16` | u16 | `[h, w]` | the same |
//!
//! Integers are normalised (0 to 1 over their range), floats are as they are. Colour space is not said here.
//!
//! This module refuses to convert pixels, and to guess a format from a shape.
//!
//! ```
//! use uncopy_core::{ChannelOrder, DType, PixelFormat};
//!
//! let format: PixelFormat = "bgra8".parse()?;
//! assert_eq!(format, PixelFormat::BGRA8);
//! assert_eq!(format.layout(1080, 1920).unwrap().to_string(), "uint8[1080, 1920, 4]");
//! assert_eq!(ChannelOrder::from_pixel_format(format), ChannelOrder::BGR);
//! assert!(PixelFormat::NV12.layout(1079, 1920).is_err()); // chroma needs even sizes
//! # Ok::<(), uncopy_core::PixelError>(())
//! ```

use crate::dtype::DType;
use crate::error::ErrorKind;
use crate::image::ChannelOrder;
use crate::layout::{Layout, LayoutError};
use crate::name::nearest;
use crate::quote::quoted;
use std::fmt;
use std::str::FromStr;

/// A pixel format. Any number is a value; the constants are the formats of this version, see the [module](self).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[repr(transparent)]
pub struct PixelFormat(pub u16);

/// How the samples of a format lie in an array.
#[derive(Clone, Copy)]
enum Arrangement {
    /// Nothing is known.
    Unknown,
    /// `[h, w]`, one sample for each pixel.
    Single,
    /// `[h, w, n]`.
    Interleaved(usize),
    /// `[h * 3 / 2, w]`: luma rows, then chroma of both directions halved.
    HalvedChroma,
}

/// Writes the constants, their other spelling and the table of properties from one list.
macro_rules! pixel_formats {
    ($($number:literal $constant:ident $(= $alias:ident)? $name:literal $dtype:expr, $arrangement:expr, $order:ident;)+) => {
        #[expect(non_upper_case_globals, reason = "the second spelling reads like the variants of an enum")]
        impl PixelFormat {
            $(#[doc = concat!("`\"", $name, "\"`, wire number ", stringify!($number), ".")]
            pub const $constant: PixelFormat = PixelFormat($number);
            $(#[doc = concat!("The same as [`", stringify!($constant), "`](PixelFormat::", stringify!($constant), ").")]
            pub const $alias: PixelFormat = PixelFormat::$constant;)?)+

            /// Every format that this version knows.
            pub const ALL: &[PixelFormat] = &[$(PixelFormat::$constant),+];

            /// The stable name; `None` for a number that this version does not know.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 { $($number => Some($name),)+ _ => None }
            }

            /// What the samples are; `None` when the format does not say.
            pub const fn dtype(self) -> Option<DType> {
                match self.0 { $($number => $dtype,)+ _ => None }
            }

            const fn arrangement(self) -> Arrangement {
                match self.0 { $($number => $arrangement,)+ _ => Arrangement::Unknown }
            }

            pub(crate) const fn channel_order(self) -> ChannelOrder {
                match self.0 { $($number => ChannelOrder::$order,)+ _ => ChannelOrder::UNSPECIFIED }
            }
        }
    };
}

use Arrangement::{HalvedChroma, Interleaved, Single, Unknown};

pixel_formats! {
    0 UNSPECIFIED = Unspecified "unspecified" None, Unknown, UNSPECIFIED;
    1 GRAY8 = Gray8 "gray8" Some(DType::U8), Single, UNSPECIFIED;
    2 GRAY16 = Gray16 "gray16" Some(DType::U16), Single, UNSPECIFIED;
    3 GRAY16F = Gray16F "gray16f" Some(DType::F16), Single, UNSPECIFIED;
    4 GRAY32F = Gray32F "gray32f" Some(DType::F32), Single, UNSPECIFIED;
    16 RG8 = Rg8 "rg8" Some(DType::U8), Interleaved(2), UNSPECIFIED;
    17 RG16 = Rg16 "rg16" Some(DType::U16), Interleaved(2), UNSPECIFIED;
    18 RG16F = Rg16F "rg16f" Some(DType::F16), Interleaved(2), UNSPECIFIED;
    19 RG32F = Rg32F "rg32f" Some(DType::F32), Interleaved(2), UNSPECIFIED;
    32 RGB8 = Rgb8 "rgb8" Some(DType::U8), Interleaved(3), RGB;
    33 RGB16 = Rgb16 "rgb16" Some(DType::U16), Interleaved(3), RGB;
    34 RGB16F = Rgb16F "rgb16f" Some(DType::F16), Interleaved(3), RGB;
    35 RGB32F = Rgb32F "rgb32f" Some(DType::F32), Interleaved(3), RGB;
    36 BGR8 = Bgr8 "bgr8" Some(DType::U8), Interleaved(3), BGR;
    48 RGBA8 = Rgba8 "rgba8" Some(DType::U8), Interleaved(4), RGB;
    49 RGBA16 = Rgba16 "rgba16" Some(DType::U16), Interleaved(4), RGB;
    50 RGBA16F = Rgba16F "rgba16f" Some(DType::F16), Interleaved(4), RGB;
    51 RGBA32F = Rgba32F "rgba32f" Some(DType::F32), Interleaved(4), RGB;
    52 BGRA8 = Bgra8 "bgra8" Some(DType::U8), Interleaved(4), BGR;
    64 NV12 = Nv12 "nv12" Some(DType::U8), HalvedChroma, UNSPECIFIED;
    65 I420 "i420" Some(DType::U8), HalvedChroma, UNSPECIFIED;
    66 P010 "p010" Some(DType::U16), HalvedChroma, UNSPECIFIED;
    80 BAYER_RGGB8 = BayerRggb8 "bayer_rggb8" Some(DType::U8), Single, UNSPECIFIED;
    81 BAYER_BGGR8 = BayerBggr8 "bayer_bggr8" Some(DType::U8), Single, UNSPECIFIED;
    82 BAYER_GRBG8 = BayerGrbg8 "bayer_grbg8" Some(DType::U8), Single, UNSPECIFIED;
    83 BAYER_GBRG8 = BayerGbrg8 "bayer_gbrg8" Some(DType::U8), Single, UNSPECIFIED;
    84 BAYER_RGGB16 = BayerRggb16 "bayer_rggb16" Some(DType::U16), Single, UNSPECIFIED;
    85 BAYER_BGGR16 = BayerBggr16 "bayer_bggr16" Some(DType::U16), Single, UNSPECIFIED;
    86 BAYER_GRBG16 = BayerGrbg16 "bayer_grbg16" Some(DType::U16), Single, UNSPECIFIED;
    87 BAYER_GBRG16 = BayerGbrg16 "bayer_gbrg16" Some(DType::U16), Single, UNSPECIFIED;
}

impl PixelFormat {
    /// How many samples a pixel has side by side: 1 for gray and Bayer; `None` for planar formats and when the format
    /// does not say.
    pub const fn channels(self) -> Option<usize> {
        match self.arrangement() {
            Single => Some(1),
            Interleaved(channels) => Some(channels),
            HalvedChroma | Unknown => None,
        }
    }

    /// Are luma and chroma kept apart, so that a pixel is not in one place?
    pub const fn is_planar(self) -> bool {
        matches!(self.arrangement(), HalvedChroma)
    }

    /// The C-order array of an image of this size in pixels; the table in the [module](self) has the shapes.
    ///
    /// # Errors
    /// [`LayoutError::NoPixelLayout`] for [`UNSPECIFIED`](PixelFormat::UNSPECIFIED) and unknown numbers,
    /// [`LayoutError::OddSize`] for planar formats, and what [`Layout::contiguous`] refuses.
    pub fn layout(self, height: usize, width: usize) -> Result<Layout, LayoutError> {
        let dtype = self.dtype().ok_or(LayoutError::NoPixelLayout { format: self })?;
        match self.arrangement() {
            Unknown => Err(LayoutError::NoPixelLayout { format: self }),
            Single => Layout::contiguous(dtype, &[height, width]),
            Interleaved(channels) => Layout::contiguous(dtype, &[height, width, channels]),
            HalvedChroma if !height.is_multiple_of(2) || !width.is_multiple_of(2) => {
                Err(LayoutError::OddSize { format: self, height, width })
            }
            HalvedChroma => {
                let rows = height
                    .checked_add(height / 2)
                    .ok_or_else(|| LayoutError::TooLarge { dtype, shape: vec![height, width] })?;
                Layout::contiguous(dtype, &[rows, width])
            }
        }
    }
}

impl fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "pixel_format({})", self.0),
        }
    }
}

impl fmt::Debug for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PixelFormat {
    type Err = PixelError;

    /// Reads a name of the table in the [module](self).
    fn from_str(text: &str) -> Result<PixelFormat, PixelError> {
        let known = PixelFormat::ALL.iter().copied().find(|format| format.name() == Some(text));
        known.ok_or_else(|| PixelError {
            what: "pixel format",
            text: text.to_owned(),
            nearest: nearest(text, PixelFormat::ALL.iter().filter_map(|format| format.name())),
            example: "\"rgba8\" or \"nv12\"",
        })
    }
}

/// A text that names no pixel format, origin or channel order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PixelError {
    pub(crate) what: &'static str,
    pub(crate) text: String,
    pub(crate) nearest: Option<&'static str>,
    pub(crate) example: &'static str,
}

impl PixelError {
    /// The kind of this error: always [`ErrorKind::InvalidArgument`].
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidArgument
    }

    /// What was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The known name that it resembles most.
    pub fn nearest(&self) -> Option<&'static str> {
        self.nearest
    }
}

impl fmt::Display for PixelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PixelError { what, text, nearest, example } = self;
        match nearest {
            Some(name) => write!(f, "unknown {what} {}: did you mean \"{name}\"?", quoted(text)),
            None => write!(f, "unknown {what} {}: use a name such as {example}", quoted(text)),
        }
    }
}

impl std::error::Error for PixelError {}

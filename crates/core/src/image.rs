// SPDX-License-Identifier: MIT OR Apache-2.0
//! How an image lies: which corner its first row is, and which colour comes first.
//!
//! Both travel with every frame as fixed wire numbers, so that a receiver can tell an upside-down or blue-faced picture
//! from a right one. A number that this version does not know stays a value.
//!
//! | number | [`Origin`] | [`ChannelOrder`] |
//! |---|---|---|
//! | 0 | `top_left`: row 0 is the top | `unspecified` |
//! | 1 | `bottom_left`: row 0 is the bottom, as OpenGL has it | `rgb` |
//! | 2 | | `bgr` |
//!
//! This module refuses to flip or swap anything: it only says.
//!
//! ```
//! use uncopy_core::{ChannelOrder, Origin, PixelFormat};
//!
//! assert_eq!("bottom_left".parse(), Ok(Origin::BOTTOM_LEFT));
//! assert_eq!(ChannelOrder::from_pixel_format(PixelFormat::BGR8), ChannelOrder::BGR);
//! assert_eq!(Origin(9).to_string(), "origin(9)");
//! ```

use crate::name::nearest;
use crate::pixel::{PixelError, PixelFormat};
use std::fmt;
use std::str::FromStr;

/// Writes a one-byte wire number with names.
macro_rules! wire_byte {
    ($type:ident $what:literal $unknown:literal $example:literal, $($number:literal $constant:ident $name:literal $doc:literal;)+) => {
        impl $type {
            $(#[doc = $doc]
            pub const $constant: $type = $type($number);)+

            /// Every value that this version knows.
            pub const ALL: &[$type] = &[$($type::$constant),+];

            /// The stable name; `None` for a number that this version does not know.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 { $($number => Some($name),)+ _ => None }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(name) => f.pad(name),
                    None => write!(f, concat!($unknown, "({})"), self.0),
                }
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $type {
            type Err = PixelError;

            /// Reads a name of the table in the [module](self).
            fn from_str(text: &str) -> Result<$type, PixelError> {
                let known = $type::ALL.iter().copied().find(|value| value.name() == Some(text));
                known.ok_or_else(|| PixelError {
                    what: $what,
                    text: text.to_owned(),
                    nearest: nearest(text, $type::ALL.iter().filter_map(|value| value.name())),
                    example: $example,
                })
            }
        }
    };
}

/// Which corner of the picture the first item is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[repr(transparent)]
pub struct Origin(pub u8);

wire_byte! {
    Origin "origin" "origin" "\"top_left\"",
    0 TOP_LEFT "top_left" "Row 0 is the top row.";
    1 BOTTOM_LEFT "bottom_left" "Row 0 is the bottom row.";
}

/// Which colour comes first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[repr(transparent)]
pub struct ChannelOrder(pub u8);

wire_byte! {
    ChannelOrder "channel order" "channel_order" "\"rgb\"",
    0 UNSPECIFIED "unspecified" "Not colours, or not said.";
    1 RGB "rgb" "Red first.";
    2 BGR "bgr" "Blue first.";
}

impl ChannelOrder {
    /// What a pixel format says of the order; [`UNSPECIFIED`](ChannelOrder::UNSPECIFIED) for formats without three
    /// interleaved colours.
    pub const fn from_pixel_format(format: PixelFormat) -> ChannelOrder {
        format.channel_order()
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! What arrays must be to be taken as arguments, in one line for each: `"f32|f16[h, w, 3] cuda"`.
//!
//! | part | means | left out |
//! |---|---|---|
//! | `mut` | it will be written | it is read only |
//! | `f32`, `f32\|f16`, `float`, `int`, `uint`, `complex` | one of these dtypes; the last four are all of their kind | any dtype |
//! | `[480, w, _]` | so many axes: of this length, of any length that has a name, of any | any shape |
//! | `[..., 3]` | any number of axes, then those | |
//! | `[]` | no axes: a single item | |
//! | `cpu`, `cuda`, `cuda:1`, `cuda\|cpu` | where it lies; `host` is whatever the processor can read | any device |
//! | `same(img)` | on the same device as that argument | |
//! | `C`, `F`, `packed` | packed in that order; in either | any strides |
//! | `aligned(64)` | item 0 stands at a multiple of so many bytes | |
//!
//! Axes of the same name have the same length, in one argument and in all of a function.
//!
//! This module refuses to convert: an argument fits, or the [`Misfit`] says all that is wrong with it.
//!
//! ```
//! use uncopy_core::{DType, Device, Found, Wants};
//!
//! let wants = Wants::parse(&[("image", "f32|f16[h, w, 3]"), ("out", "mut f32[h, w] same(image)")])?;
//! let image = Found::packed(DType::F32, &[480, 640, 3], Device::CPU);
//! let out = Found::packed(DType::F32, &[480, 641], Device::CPU);
//! let misfit = wants.check(&[image, out]).unwrap_err();
//! assert_eq!(
//!     misfit.to_string(),
//!     "float32[480, 641] on cpu, wanted mut f32[h, w] same(image): axis 1 is 641, and w is 640"
//! );
//! # Ok::<(), uncopy_core::WantError>(())
//! ```

mod check;
mod error;
mod parse;

pub use check::{Found, Misfit};
pub use error::WantError;

use crate::device::{Device, DeviceKind};
use crate::dtype::{DType, DTypeCode};

/// The most names that axes can have in the arguments of one function.
const MAX_AXIS_NAMES: usize = 16;

/// What the arguments of one function must be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wants {
    arguments: Vec<Want>,
    /// Of axes, in the order in which they were met.
    axis_names: Vec<String>,
    any_is_mut: bool,
}

impl Wants {
    /// The wanted form of each argument, in the order in which they will be checked.
    pub fn arguments(&self) -> &[Want] {
        &self.arguments
    }

    /// Will any of them be written?
    pub fn any_is_mut(&self) -> bool {
        self.any_is_mut
    }
}

/// What one argument must be; see the [module](self).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Want {
    name: String,
    text: String,
    is_mut: bool,
    /// Empty: any.
    dtypes: Vec<Items>,
    axes: Option<Axes>,
    /// Empty: anywhere.
    places: Vec<Place>,
    /// The argument whose device it shares.
    same_as: Option<usize>,
    order: Order,
    /// 1: any address.
    align_bytes: usize,
}

impl Want {
    /// The argument's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The line that it was parsed from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Will it be written?
    pub fn is_mut(&self) -> bool {
        self.is_mut
    }
}

/// A dtype, or all of a kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Items {
    Of(DType),
    AllOf(DTypeCode),
    Floats,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Axes {
    /// Any number of other axes stands after the first so many of `list`.
    gap_after: Option<usize>,
    list: Vec<Axis>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Axis {
    Any,
    Exactly(usize),
    /// Index of the name.
    Named(usize),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Device(Device),
    Kind(DeviceKind),
    Host,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Order {
    Any,
    C,
    F,
    Either,
}

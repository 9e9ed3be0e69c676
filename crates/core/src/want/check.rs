// SPDX-License-Identifier: MIT OR Apache-2.0
//! Holding what was passed against what is wanted.

use super::{Axes, Axis, Items, MAX_AXIS_NAMES, Order, Place, Want, Wants};
use crate::device::Device;
use crate::dtype::{DType, DTypeCode};
use crate::error::ErrorKind;
use crate::layout::MAX_NDIM;
use std::fmt;

/// An array that was passed, as far as it is checked.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// What its items are.
    pub dtype: DType,
    /// Where it lies.
    pub device: Device,
    /// The length of each axis.
    pub shape: &'a [usize],
    /// The distance of neighbours on each axis, in items; `None` where it is packed in C order.
    pub strides_elems: Option<&'a [isize]>,
    /// Where item 0 stands.
    pub address: usize,
    /// May it not be written?
    pub is_read_only: bool,
}

impl<'a> Found<'a> {
    /// An array packed in C order that may be written, at an address of any alignment.
    pub const fn packed(dtype: DType, shape: &'a [usize], device: Device) -> Self {
        Found { dtype, device, shape, strides_elems: None, address: 0, is_read_only: false }
    }

    fn is_packed<'b>(&self, axes: impl Iterator<Item = (&'b usize, &'b isize)>) -> bool {
        let mut expected = 1_isize;
        for (&len, &stride) in axes {
            if len != 1 && stride != expected {
                return false;
            }
            expected = expected.wrapping_mul(len.cast_signed());
        }
        true
    }

    /// Are the items side by side with the last axis fastest?
    #[inline]
    pub fn is_c_contiguous(&self) -> bool {
        self.strides_elems.is_none_or(|strides| {
            self.shape.contains(&0) || self.is_packed(self.shape.iter().zip(strides).rev())
        })
    }

    /// Are the items side by side with the first axis fastest?
    pub fn is_f_contiguous(&self) -> bool {
        match self.strides_elems {
            Some(strides) => self.shape.contains(&0) || self.is_packed(self.shape.iter().zip(strides)),
            // Packed in C order is in F order too where at most one axis is longer than 1.
            None => self.shape.contains(&0) || self.shape.iter().filter(|len| **len != 1).count() <= 1,
        }
    }
}

impl fmt::Display for Found<'_> {
    /// `float32[480, 640] on cpu`, with what makes it unlike a plain array.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?} on {}", self.dtype, self.shape, self.device)?;
        if !self.is_c_contiguous() {
            write!(f, ", strides {:?}", self.strides_elems.unwrap_or_default())?;
        }
        if self.is_read_only { f.write_str(", read-only") } else { Ok(()) }
    }
}

/// The lengths of the axes that have a name; [`UNKNOWN`] before the first of a name.
type Lengths = [usize; MAX_AXIS_NAMES];
/// Longer than any axis.
const UNKNOWN: usize = usize::MAX;

impl Wants {
    /// Checks what was passed, one of each argument in their order. Arguments that are left out at the end are not checked.
    ///
    /// # Errors
    /// The first argument that does not fit, with all that is wrong with it.
    pub fn check(&self, found: &[Found<'_>]) -> Result<(), Box<Misfit>> {
        let mut lengths = [UNKNOWN; MAX_AXIS_NAMES];
        for (at, (want, one)) in self.arguments.iter().zip(found).enumerate() {
            if !want.fits(one, want.device_of_same(found), &mut lengths) {
                return self.misfit(at, found).map_or(Ok(()), Err);
            }
        }
        Ok(())
    }

    /// What is wrong with the argument at `at`, which does not fit.
    #[cold]
    fn misfit(&self, at: usize, found: &[Found<'_>]) -> Option<Box<Misfit>> {
        let (want, one) = (self.arguments.get(at)?, found.get(at)?);
        let mut lengths = [UNKNOWN; MAX_AXIS_NAMES];
        for (earlier, found) in self.arguments.iter().zip(found).take(at) {
            earlier.fits(found, None, &mut lengths);
        }
        Some(Box::new(Misfit {
            argument: want.name.clone(),
            found: one.to_string(),
            wanted: want.text.clone(),
            wrong: self.wrong(want, one, want.device_of_same(found), lengths),
        }))
    }

    fn wrong(&self, want: &Want, found: &Found<'_>, same: Option<Device>, lengths: Lengths) -> Vec<String> {
        let mut wrong = Vec::new();
        if !want.takes_dtype(found.dtype) {
            wrong.push(format!("dtype is {}", found.dtype));
        }
        if let Some(axes) = &want.axes {
            self.wrong_axes(axes, found, lengths, &mut wrong);
        }
        if !want.takes_place(found.device) {
            wrong.push(format!("it is on {}", found.device));
        }
        if let Some(device) = same.filter(|device| *device != found.device) {
            let other = want.same_as.and_then(|at| self.arguments.get(at)).map_or("", |other| &other.name);
            wrong.push(format!("it is on {}, and {other} on {device}", found.device));
        }
        if !want.takes_order(found) {
            let order = match want.order {
                Order::C => "packed in C order",
                Order::F => "packed in F order",
                Order::Either | Order::Any => "packed",
            };
            wrong.push(format!("it is not {order}"));
        }
        if want.is_mut && found.is_read_only {
            wrong.push("it is read-only".to_owned());
        }
        if !found.address.is_multiple_of(want.align_bytes) {
            wrong.push(format!("its address {:#x} is no multiple of {}", found.address, want.align_bytes));
        }
        wrong
    }

    fn wrong_axes(&self, axes: &Axes, found: &Found<'_>, mut lengths: Lengths, wrong: &mut Vec<String>) {
        let Some(pairs) = axes.pairs(found.shape) else {
            let than = if axes.gap_after.is_some() { "at least " } else { "" };
            let (len, wanted) = (found.shape.len(), axes.list.len());
            let noun = if len == 1 { "axis" } else { "axes" };
            wrong.push(format!("it has {len} {noun}, not {than}{wanted}"));
            return;
        };
        for (at, axis, len) in pairs {
            match axis {
                Axis::Any => {}
                Axis::Exactly(wanted) if wanted == len => {}
                Axis::Exactly(wanted) => wrong.push(format!("axis {at} is {len}, not {wanted}")),
                Axis::Named(name) => match lengths.get_mut(name) {
                    Some(known) if *known == UNKNOWN => *known = len,
                    Some(known) if *known != len => {
                        let name = self.axis_names.get(name).map_or("", String::as_str);
                        wrong.push(format!("axis {at} is {len}, and {name} is {known}"));
                    }
                    _ => {}
                },
            }
        }
    }
}

impl Want {
    /// Whether `found` is as wanted. Notes the length of each named axis that is met first.
    #[inline]
    fn fits(&self, found: &Found<'_>, same: Option<Device>, lengths: &mut Lengths) -> bool {
        self.takes_dtype(found.dtype)
            && self.takes_place(found.device)
            && same.is_none_or(|device| device == found.device)
            && !(self.is_mut && found.is_read_only)
            && self.axes.as_ref().is_none_or(|axes| axes.fit(found.shape, lengths))
            && self.takes_order(found)
            // A power of two.
            && found.address & (self.align_bytes - 1) == 0
    }

    #[inline]
    fn takes_dtype(&self, found: DType) -> bool {
        self.dtypes.is_empty() || self.dtypes.iter().any(|items| items.has(found))
    }

    #[inline]
    fn takes_place(&self, found: Device) -> bool {
        let is_at = |place: &Place| match place {
            Place::Device(device) => *device == found,
            Place::Kind(kind) => *kind == found.kind,
            Place::Host => found.kind.is_host_accessible(),
        };
        self.places.is_empty() || self.places.iter().any(is_at)
    }

    #[inline]
    fn takes_order(&self, found: &Found<'_>) -> bool {
        match self.order {
            Order::Any => true,
            Order::C => found.is_c_contiguous(),
            Order::F => found.is_f_contiguous(),
            Order::Either => found.is_c_contiguous() || found.is_f_contiguous(),
        }
    }

    /// The device of the argument with which this one must share it.
    #[inline]
    fn device_of_same(&self, found: &[Found<'_>]) -> Option<Device> {
        found.get(self.same_as?).map(|other| other.device)
    }
}

impl Items {
    #[inline]
    fn has(self, found: DType) -> bool {
        match self {
            Items::Of(dtype) => dtype == found,
            Items::AllOf(code) => code == found.code && found.lanes == 1,
            Items::Floats => {
                found.lanes == 1 && (found.code == DTypeCode::FLOAT || found.code == DTypeCode::BFLOAT)
            }
        }
    }
}

impl Axes {
    #[inline]
    fn fit(&self, shape: &[usize], lengths: &mut Lengths) -> bool {
        if self.gap_after.is_none() && shape.len() != self.list.len() {
            return false;
        }
        let Some(mut pairs) = self.pairs(shape) else { return false };
        pairs.all(|(_, axis, len)| match axis {
            Axis::Any => true,
            Axis::Exactly(wanted) => wanted == len,
            Axis::Named(name) => match lengths.get_mut(name) {
                Some(known) if *known == UNKNOWN => {
                    *known = len;
                    true
                }
                Some(known) => *known == len,
                None => false,
            },
        })
    }

    /// Each wanted axis with the index and length of the one that stands there; `None` where there are too many or few.
    #[inline]
    fn pairs(&self, shape: &[usize]) -> Option<impl Iterator<Item = (usize, Axis, usize)>> {
        let wanted = self.list.len();
        let gap = shape.len().checked_sub(wanted).filter(|_| shape.len() <= MAX_NDIM)?;
        if gap > 0 && self.gap_after.is_none() {
            return None;
        }
        let first = self.gap_after.unwrap_or(wanted);
        let at = move |index: usize| if index < first { index } else { index + gap };
        Some(
            self.list.iter().enumerate().map(move |(index, axis)| {
                (at(index), *axis, shape.get(at(index)).copied().unwrap_or_default())
            }),
        )
    }
}

/// An argument that is not as wanted, and all that is wrong with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Misfit {
    argument: String,
    found: String,
    wanted: String,
    wrong: Vec<String>,
}

impl Misfit {
    /// The argument's name.
    pub fn argument(&self) -> &str {
        &self.argument
    }

    /// What is wrong, one entry for each part.
    pub fn wrong(&self) -> &[String] {
        &self.wrong
    }

    /// The kind of this error: always [`ErrorKind::InvalidArgument`].
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidArgument
    }
}

impl fmt::Display for Misfit {
    /// What it is, what was wanted, and which part failed; without the argument's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, wanted {}: {}", self.found, self.wanted, self.wrong.join("; "))
    }
}

impl std::error::Error for Misfit {}

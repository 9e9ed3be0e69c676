// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names of dtypes: written in one spelling, read in a few.
//!
//! It refuses names without a fixed width (`"float"`, `"int"`): NumPy, PyTorch and C disagree on them.
//!
//! ```
//! use uncopy_core::DType;
//!
//! assert_eq!("f32x4".parse::<DType>()?.to_string(), "float32x4");
//! assert!("float".parse::<DType>().is_err());
//! # Ok::<(), uncopy_core::DTypeError>(())
//! ```

use super::{DType, DTypeError, NAMED};
use crate::name::nearest;
use std::fmt;
use std::str::FromStr;

/// Other spellings that are read, and never written.
const SHORT_NAMES: &[(&str, DType)] = &[
    ("bool_", DType::BOOL),
    ("i8", DType::I8),
    ("i16", DType::I16),
    ("i32", DType::I32),
    ("i64", DType::I64),
    ("u8", DType::U8),
    ("u16", DType::U16),
    ("u32", DType::U32),
    ("u64", DType::U64),
    ("f16", DType::F16),
    ("f32", DType::F32),
    ("f64", DType::F64),
    ("bf16", DType::BF16),
    ("half", DType::F16),
    ("single", DType::F32),
    ("double", DType::F64),
];

/// Names whose width depends on who reads them, with what to write instead.
const AMBIGUOUS_NAMES: &[(&str, &str)] = &[
    ("float", "\"float32\" or \"float64\""),
    ("int", "\"int32\" or \"int64\""),
    ("uint", "\"uint32\" or \"uint64\""),
    ("long", "\"int32\" or \"int64\""),
    ("complex", "\"complex64\" or \"complex128\""),
    ("float8", "\"float8_e4m3fn\" or \"float8_e5m2\""),
    ("fp8", "\"float8_e4m3fn\" or \"float8_e5m2\""),
    ("longdouble", "\"float64\""),
];

impl fmt::Display for DType {
    /// `"float32"`, `"float32x4"`, and `"dtype(18, 32, 1)"` (code, bits, lanes) for what has no name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.lane_name(), self.lanes) {
            (Some(name), 1) => f.pad(name),
            (Some(name), lanes) if lanes > 1 => f.pad(&format!("{name}x{lanes}")),
            _ => f.pad(&format!("dtype({}, {}, {})", self.code.0, self.bits, self.lanes)),
        }
    }
}

impl fmt::Debug for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for DType {
    type Err = DTypeError;

    /// Reads `"float32"` (also as NumPy and PyTorch name it), the short forms `"f32"`, `"u8"`, `"bf16"`, and either
    /// with lanes: `"float32x4"`, or `"float4_e2m1fn_x2"` as PyTorch writes it.
    fn from_str(text: &str) -> Result<DType, DTypeError> {
        if let Some(dtype) = dtype_from_lane_name(text) {
            return Ok(dtype);
        }
        if let Some((_, instead)) = AMBIGUOUS_NAMES.iter().find(|(name, _)| *name == text) {
            return Err(DTypeError::AmbiguousName { text: text.to_owned(), instead });
        }
        dtype_from_name_with_lanes(text).ok_or_else(|| DTypeError::UnknownName {
            text: text.to_owned(),
            nearest: nearest(text, NAMED.iter().map(|(_, name)| *name)),
        })
    }
}

fn dtype_from_lane_name(text: &str) -> Option<DType> {
    let named = NAMED.iter().find(|(_, name)| *name == text).map(|(dtype, _)| *dtype);
    named.or_else(|| SHORT_NAMES.iter().find(|(name, _)| *name == text).map(|(_, dtype)| *dtype))
}

fn dtype_from_name_with_lanes(text: &str) -> Option<DType> {
    let (name, digits) = text.rsplit_once('x')?;
    // one spelling for each number: no sign, no leading zero
    let canonical = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    let lanes = canonical.then(|| digits.parse::<u16>().ok())??;
    Some(dtype_from_lane_name(name.strip_suffix('_').unwrap_or(name))?.with_lanes(lanes))
}

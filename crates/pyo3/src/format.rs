// SPDX-License-Identifier: MIT OR Apache-2.0
//! The buffer protocol's format strings, both ways.
//!
//! What counts is the family that the letter names and the size that the exporter says: `l` is 4 or 8 bytes depending
//! on a prefix that exporters get wrong, the item size never is.
//!
//! It refuses everything that is not one number per item: text, Python objects, records, pointers, padding.
//!
//! Source: Python's `struct` module, "Format Strings", with PEP 3118's `Z` for complex numbers.

use std::ffi::CStr;

use uncopy::DType;

/// Why a format is not a dtype of ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Bytes in the other order than the machine's.
    BigEndian,
    /// References to Python objects.
    Objects,
    /// Records or sub-arrays.
    Records,
    /// Characters or strings.
    Text,
    /// C's `long double`, whose bytes differ between machines.
    LongDouble,
    /// Untyped bytes.
    Void,
    /// Nothing that is known.
    Unknown,
}

/// The dtype of one item of `item_bytes` bytes.
///
/// # Errors
/// Why there is none.
pub fn dtype_from_format(format: &[u8], item_bytes: usize) -> Result<DType, Refusal> {
    let (order, code) = match format {
        [order @ (b'@' | b'=' | b'<' | b'>' | b'!' | b'^' | b'|'), code @ ..] => (*order, code),
        code => (b'@', code),
    };
    let dtype = dtype_from_code(code, item_bytes)?;
    // The machine's own order is little-endian on every target that is supported; one byte has no order.
    match order {
        b'>' | b'!' if item_bytes > 1 => Err(Refusal::BigEndian),
        _ => Ok(dtype),
    }
}

fn dtype_from_code(code: &[u8], item_bytes: usize) -> Result<DType, Refusal> {
    Ok(match (code, item_bytes) {
        (b"?", 1) => DType::BOOL,
        (b"b" | b"h" | b"i" | b"l" | b"q" | b"n", 1) => DType::I8,
        (b"b" | b"h" | b"i" | b"l" | b"q" | b"n", 2) => DType::I16,
        (b"b" | b"h" | b"i" | b"l" | b"q" | b"n", 4) => DType::I32,
        (b"b" | b"h" | b"i" | b"l" | b"q" | b"n", 8) => DType::I64,
        // `c` is bytes of length 1, as ctypes exports character arrays.
        (b"B" | b"c" | b"H" | b"I" | b"L" | b"Q" | b"N", 1) => DType::U8,
        (b"B" | b"H" | b"I" | b"L" | b"Q" | b"N", 2) => DType::U16,
        (b"B" | b"H" | b"I" | b"L" | b"Q" | b"N", 4) => DType::U32,
        (b"B" | b"H" | b"I" | b"L" | b"Q" | b"N", 8) => DType::U64,
        (b"e", 2) => DType::F16,
        (b"f", 4) => DType::F32,
        (b"d", 8) => DType::F64,
        (b"Zf", 8) => DType::COMPLEX64,
        (b"Zd", 16) => DType::COMPLEX128,
        (b"g" | b"Zg", _) => return Err(Refusal::LongDouble),
        (b"O", _) => return Err(Refusal::Objects),
        _ => return Err(refusal_of(code)),
    })
}

fn refusal_of(code: &[u8]) -> Refusal {
    match code {
        [b'T' | b'(', ..] => Refusal::Records,
        [b'0'..=b'9', rest @ ..] => refusal_of(rest),
        [b's' | b'p' | b'u' | b'w'] => Refusal::Text,
        [b'x'] => Refusal::Void,
        // `hh` and the like: several numbers to an item.
        [_, _, ..] if code.iter().all(u8::is_ascii_alphanumeric) => Refusal::Records,
        _ => Refusal::Unknown,
    }
}

/// The format of a dtype; `None` where the buffer protocol has no letter for it.
#[must_use]
pub fn format_from_dtype(dtype: DType) -> Option<&'static CStr> {
    Some(match dtype {
        DType::BOOL => c"?",
        DType::I8 => c"b",
        DType::I16 => c"h",
        DType::I32 => c"i",
        DType::I64 => c"q",
        DType::U8 => c"B",
        DType::U16 => c"H",
        DType::U32 => c"I",
        DType::U64 => c"Q",
        DType::F16 => c"e",
        DType::F32 => c"f",
        DType::F64 => c"d",
        DType::COMPLEX64 => c"Zf",
        DType::COMPLEX128 => c"Zd",
        _ => return None,
    })
}

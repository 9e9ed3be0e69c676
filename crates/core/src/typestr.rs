// SPDX-License-Identifier: MIT OR Apache-2.0
//! NumPy's typestrs: `"<f4"`, `"|u1"`, the dtype of `__array_interface__` and `__cuda_array_interface__`.
//!
//! | typestr | dtype |
//! |---|---|
//! | `\|b1` | bool |
//! | `\|i1 <i2 <i4 <i8` | int8 to int64 |
//! | `\|u1 <u2 <u4 <u8` | uint8 to uint64 |
//! | `<f2 <f4 <f8` | float16 to float64 |
//! | `<c8 <c16` | complex64, complex128 |
//!
//! `=` is read as the machine's own order, and never written. Big-endian items are described, so that a caller can say
//! what it was given, and [`Typestr::native_dtype`] refuses them: nothing swaps bytes in silence.
//!
//! This module refuses what has no meaning outside one process or no fixed width (objects, strings, records, dates, bit
//! fields, long double), with a sentence that names what to do. bfloat16 and the 8-, 6- and 4-bit floats have no
//! typestr at all. Source: NumPy reference, "The array interface protocol".
//!
//! ```
//! use uncopy_core::{ByteOrder, DType, dtype_from_typestr, typestr_from_dtype};
//!
//! assert_eq!(dtype_from_typestr("<f4")?.native_dtype()?, DType::F32);
//! assert_eq!(typestr_from_dtype(DType::U8)?, "|u1");
//!
//! let swapped = dtype_from_typestr(">i2")?;
//! assert_eq!((swapped.dtype, swapped.byte_order), (DType::I16, ByteOrder::Big));
//! assert!(swapped.native_dtype().is_err());
//! assert!(dtype_from_typestr("|O").is_err());
//! # Ok::<(), uncopy_core::DTypeError>(())
//! ```

use crate::dtype::{DType, DTypeError};

/// The order of the bytes within an item.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ByteOrder {
    /// Lowest byte first: this machine's order.
    Little,
    /// Highest byte first.
    Big,
    /// Items of one byte.
    NotApplicable,
}

/// A typestr that was understood.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Typestr {
    /// What the items are, once they are in this machine's byte order.
    pub dtype: DType,
    /// The order they are in.
    pub byte_order: ByteOrder,
}

impl Typestr {
    /// The dtype of items that can be used where they lie.
    ///
    /// # Errors
    /// [`DTypeError::ByteSwapped`] when they are big-endian.
    pub fn native_dtype(self) -> Result<DType, DTypeError> {
        match self.byte_order {
            ByteOrder::Little | ByteOrder::NotApplicable => Ok(self.dtype),
            ByteOrder::Big => Err(DTypeError::ByteSwapped { dtype: self.dtype }),
        }
    }
}

/// Every dtype that has a typestr, with its kind and bytes.
const TYPESTRS: &[(&str, DType)] = &[
    ("b1", DType::BOOL),
    ("i1", DType::I8),
    ("i2", DType::I16),
    ("i4", DType::I32),
    ("i8", DType::I64),
    ("u1", DType::U8),
    ("u2", DType::U16),
    ("u4", DType::U32),
    ("u8", DType::U64),
    ("f2", DType::F16),
    ("f4", DType::F32),
    ("f8", DType::F64),
    ("c8", DType::COMPLEX64),
    ("c16", DType::COMPLEX128),
];

/// Reads a typestr: one of `< > = |`, a kind, and the bytes of an item.
///
/// # Errors
/// [`DTypeError::BadTypestr`] when `text` is no typestr, [`DTypeError::UnsupportedTypestr`] when its items cannot be
/// shared; the message says what to do.
pub fn dtype_from_typestr(text: &str) -> Result<Typestr, DTypeError> {
    let bad = || DTypeError::BadTypestr { text: text.to_owned() };
    let order = text.chars().next().ok_or_else(bad)?;
    let kind_and_size = text.strip_prefix(['<', '>', '=', '|']).ok_or_else(bad)?;
    let Some(dtype) = TYPESTRS.iter().find(|(known, _)| *known == kind_and_size).map(|(_, dtype)| *dtype)
    else {
        return Err(match advice_on(kind_and_size) {
            Some(advice) => DTypeError::UnsupportedTypestr { text: text.to_owned(), advice },
            None => bad(),
        });
    };
    let byte_order = match order {
        _ if dtype.item_bytes() == Some(1) => ByteOrder::NotApplicable,
        '<' | '=' => ByteOrder::Little,
        '>' => ByteOrder::Big,
        // "not applicable" on items of several bytes leaves their order unsaid
        _ => return Err(bad()),
    };
    Ok(Typestr { dtype, byte_order })
}

/// What to do about items of a kind that exists and cannot be shared; `None` when there is no such kind.
fn advice_on(kind_and_size: &str) -> Option<&'static str> {
    let mut chars = kind_and_size.chars();
    let kind = chars.next()?;
    let size = chars.as_str();
    let has_digits = !size.is_empty() && size.bytes().all(|b| b.is_ascii_digit());
    Some(match kind {
        'O' => "they are references to Python objects; convert them to a number dtype first",
        'M' | 'm' => {
            "dates and durations have no dtype outside NumPy; share x.view(\"int64\") and say the unit beside it"
        }
        _ if !has_digits => return None,
        'T' => "text of any length has no dtype here; encode it to bytes first",
        'V' => {
            "records and raw bytes have no dtype here; share one field, or x.view(\"uint8\"), and take ml_dtypes \
             arrays by the name of their dtype"
        }
        'S' | 'a' => "byte strings have no dtype here; share x.view(\"uint8\")",
        'U' => "text has no dtype here; share x.view(\"uint32\"), or encode it first",
        't' => "bit fields have no dtype here; unpack them to bytes with numpy.unpackbits",
        'f' => "only floats of 2, 4 and 8 bytes are portable; convert them with x.astype(\"float64\")",
        'c' => {
            "only complex items of 8 and 16 bytes are portable; convert them with x.astype(\"complex128\")"
        }
        'b' | 'i' | 'u' => "booleans have 1 byte and integers 1, 2, 4 or 8; convert them to one of these",
        _ => return None,
    })
}

/// Writes the typestr of a dtype: `"|u1"` for one byte, `"<f4"` for more.
///
/// # Errors
/// [`DTypeError::NoTypestr`] when the array interface cannot say this dtype: bfloat16, complex32, floats of 8 bits and
/// fewer, integers under a byte, and items of more than one lane (make the lanes an axis instead).
pub fn typestr_from_dtype(dtype: DType) -> Result<String, DTypeError> {
    let (kind_and_size, _) =
        TYPESTRS.iter().find(|(_, known)| *known == dtype).ok_or(DTypeError::NoTypestr { dtype })?;
    let order = if dtype.item_bytes() == Some(1) { '|' } else { '<' };
    Ok(format!("{order}{kind_and_size}"))
}

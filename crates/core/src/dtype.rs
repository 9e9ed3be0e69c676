// SPDX-License-Identifier: MIT OR Apache-2.0
//! What one item of an array is: DLPack's type code, bits and lanes.
//!
//! Codes are numbers, not a Rust `enum`: headers newer than 1.3 already hand out others (18, a complex bfloat), and such
//! an item must stay a value that can be shown, measured and passed on. [`DType::validate`] says which ones this version
//! knows. Source of the numbers: DLPack 1.3, `DLDataTypeCode`.
//!
//! Items smaller than a byte (int4, fp6, fp4) are packed, lowest bits first, as DLPack has it by default. PyTorch says
//! "two fp4 items" as one item with two lanes: that is [`DType::with_lanes`]`(2)` here too, and is never turned into
//! the other form in silence.
//!
//! This module refuses byte order: every item is in the machine's own, little-endian; see [`typestr`](crate::typestr).
//!
//! ```
//! use uncopy_core::DType;
//!
//! let dtype: DType = "bf16".parse()?;
//! assert_eq!(dtype, DType::BF16);
//! assert_eq!(dtype.to_string(), "bfloat16");
//! assert_eq!(dtype.item_bytes(), Some(2));
//! assert_eq!(DType::F4_E2M1FN.item_bytes(), None); // half a byte
//! assert_eq!(DType::F4_E2M1FN.len_bytes(3), Some(2));
//! # Ok::<(), uncopy_core::DTypeError>(())
//! ```

use crate::error::ErrorKind;
use crate::name::nearest;
use crate::quote::quoted;
use std::fmt;
use std::str::FromStr;

/// A DLPack type code. Any number is a value; the constants are those of DLPack 1.3.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
#[repr(transparent)]
pub struct DTypeCode(pub u8);

/// Writes the codes and the widths that each permits from one list.
macro_rules! dtype_codes {
    ($($number:literal $constant:ident $bits:expr, $doc:literal;)+) => {
        impl DTypeCode {
            $(#[doc = $doc]
            pub const $constant: DTypeCode = DTypeCode($number);)+

            /// The widths in bits that an item of this code may have; empty for a code that this version does not know.
            pub const fn permitted_bits(self) -> &'static [u8] {
                match self.0 { $($number => &$bits,)+ _ => &[] }
            }
        }
    };
}

dtype_codes! {
    0 INT [1, 2, 4, 8, 16, 32, 64], "Signed integer, two's complement.";
    1 UINT [1, 2, 4, 8, 16, 32, 64], "Unsigned integer.";
    2 FLOAT [16, 32, 64], "IEEE 754 binary float.";
    3 OPAQUE_HANDLE [32, 64], "A handle: meaningless in another process.";
    4 BFLOAT [16], "bfloat16.";
    5 COMPLEX [32, 64, 128], "Complex: two floats of half the bits each, real part first.";
    6 BOOL [8], "Boolean: one byte, 0 or 1.";
    7 FLOAT8_E3M4 [8], "8-bit float, 3 exponent and 4 mantissa bits.";
    8 FLOAT8_E4M3 [8], "8-bit float, 4 exponent and 3 mantissa bits, IEEE style.";
    9 FLOAT8_E4M3B11FNUZ [8], "8-bit float e4m3, bias 11, finite, no negative zero.";
    10 FLOAT8_E4M3FN [8], "8-bit float e4m3, finite.";
    11 FLOAT8_E4M3FNUZ [8], "8-bit float e4m3, finite, no negative zero.";
    12 FLOAT8_E5M2 [8], "8-bit float, 5 exponent and 2 mantissa bits, IEEE style.";
    13 FLOAT8_E5M2FNUZ [8], "8-bit float e5m2, finite, no negative zero.";
    14 FLOAT8_E8M0FNU [8], "8-bit power of two, unsigned: a scale.";
    15 FLOAT6_E2M3FN [6], "6-bit float, 2 exponent and 3 mantissa bits.";
    16 FLOAT6_E3M2FN [6], "6-bit float, 3 exponent and 2 mantissa bits.";
    17 FLOAT4_E2M1FN [4], "4-bit float, 2 exponent bits and 1 mantissa bit.";
}

/// What one item is: the layout of DLPack's `DLDataType` (4 bytes).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C)]
pub struct DType {
    /// The family.
    pub code: DTypeCode,
    /// The width of one lane in bits.
    pub bits: u8,
    /// How many lanes one item has: 1 unless items are short vectors.
    pub lanes: u16,
}

const _: () = assert!(size_of::<DType>() == 4 && align_of::<DType>() == 2);

/// Writes the constants and the table of names from one list.
macro_rules! dtypes {
    ($($constant:ident $code:ident $bits:literal $name:literal;)+) => {
        impl DType {
            $(#[doc = concat!("`\"", $name, "\"`")]
            pub const $constant: DType = DType::new(DTypeCode::$code, $bits, 1);)+
        }

        /// Every dtype of one lane that has a name.
        const NAMED: &[(DType, &str)] = &[$((DType::$constant, $name)),+];
    };
}

dtypes! {
    BOOL BOOL 8 "bool";
    I1 INT 1 "int1";
    I2 INT 2 "int2";
    I4 INT 4 "int4";
    I8 INT 8 "int8";
    I16 INT 16 "int16";
    I32 INT 32 "int32";
    I64 INT 64 "int64";
    U1 UINT 1 "uint1";
    U2 UINT 2 "uint2";
    U4 UINT 4 "uint4";
    U8 UINT 8 "uint8";
    U16 UINT 16 "uint16";
    U32 UINT 32 "uint32";
    U64 UINT 64 "uint64";
    F16 FLOAT 16 "float16";
    F32 FLOAT 32 "float32";
    F64 FLOAT 64 "float64";
    BF16 BFLOAT 16 "bfloat16";
    COMPLEX32 COMPLEX 32 "complex32";
    COMPLEX64 COMPLEX 64 "complex64";
    COMPLEX128 COMPLEX 128 "complex128";
    F8_E3M4 FLOAT8_E3M4 8 "float8_e3m4";
    F8_E4M3 FLOAT8_E4M3 8 "float8_e4m3";
    F8_E4M3B11FNUZ FLOAT8_E4M3B11FNUZ 8 "float8_e4m3b11fnuz";
    F8_E4M3FN FLOAT8_E4M3FN 8 "float8_e4m3fn";
    F8_E4M3FNUZ FLOAT8_E4M3FNUZ 8 "float8_e4m3fnuz";
    F8_E5M2 FLOAT8_E5M2 8 "float8_e5m2";
    F8_E5M2FNUZ FLOAT8_E5M2FNUZ 8 "float8_e5m2fnuz";
    F8_E8M0FNU FLOAT8_E8M0FNU 8 "float8_e8m0fnu";
    F6_E2M3FN FLOAT6_E2M3FN 6 "float6_e2m3fn";
    F6_E3M2FN FLOAT6_E3M2FN 6 "float6_e3m2fn";
    F4_E2M1FN FLOAT4_E2M1FN 4 "float4_e2m1fn";
    HANDLE32 OPAQUE_HANDLE 32 "handle32";
    HANDLE64 OPAQUE_HANDLE 64 "handle64";
}

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

impl DType {
    /// A dtype from its parts, unchecked: see [`validate`](DType::validate).
    pub const fn new(code: DTypeCode, bits: u8, lanes: u16) -> DType {
        DType { code, bits, lanes }
    }

    /// Every dtype of one lane that has a name, in the order of the documentation.
    pub fn named() -> impl Iterator<Item = DType> {
        NAMED.iter().map(|(dtype, _)| *dtype)
    }

    /// The name of one lane, such as `"float32"`; `None` for what [`validate`](DType::validate) refuses.
    pub fn lane_name(self) -> Option<&'static str> {
        let lane = self.with_lanes(1);
        NAMED.iter().find(|(dtype, _)| *dtype == lane).map(|(_, name)| *name)
    }

    /// Bits of one item: bits of a lane times lanes.
    pub const fn item_bits(self) -> u32 {
        // 255 * 65535 fits, and `as` only widens
        self.bits as u32 * self.lanes as u32
    }

    /// Bytes of one item; `None` when an item is not a whole number of bytes, or is nothing at all.
    pub const fn item_bytes(self) -> Option<usize> {
        match self.item_bits() {
            0 => None,
            bits if bits.is_multiple_of(8) => Some((bits / 8) as usize),
            _ => None,
        }
    }

    /// Bytes of `len_elems` items side by side, the last byte filled up; `None` when that is more than `usize` holds.
    pub fn len_bytes(self, len_elems: usize) -> Option<usize> {
        // a usize times a u32 always fits in 128 bits
        let bits = len_elems as u128 * u128::from(self.item_bits());
        usize::try_from(bits.div_ceil(8)).ok()
    }

    /// The same with another number of lanes.
    pub const fn with_lanes(self, lanes: u16) -> DType {
        DType { lanes, ..self }
    }

    /// Does this version know the code? Bits and lanes are not looked at.
    pub const fn is_known(self) -> bool {
        !self.code.permitted_bits().is_empty()
    }

    /// Checks that the code is known, that it permits this width, and that there is a lane.
    ///
    /// # Errors
    /// [`DTypeError`] that names what was found and what is permitted.
    pub fn validate(self) -> Result<(), DTypeError> {
        if !self.is_known() {
            Err(DTypeError::UnknownCode { dtype: self })
        } else if !self.code.permitted_bits().contains(&self.bits) {
            Err(DTypeError::BadBits { dtype: self })
        } else if self.lanes == 0 {
            Err(DTypeError::NoLanes { dtype: self })
        } else {
            Ok(())
        }
    }
}

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

/// Why something is not a dtype that this version can work with.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum DTypeError {
    /// The type code is none of DLPack 1.3.
    UnknownCode {
        /// What was given.
        dtype: DType,
    },
    /// The code does not come in this width.
    BadBits {
        /// What was given.
        dtype: DType,
    },
    /// An item of no lanes.
    NoLanes {
        /// What was given.
        dtype: DType,
    },
    /// No dtype has this name.
    UnknownName {
        /// What was given.
        text: String,
        /// The known name that it resembles most.
        nearest: Option<&'static str>,
    },
    /// The name means different widths in different frameworks.
    AmbiguousName {
        /// What was given.
        text: String,
        /// What to write instead.
        instead: &'static str,
    },
    /// The typestr does not follow the array interface.
    BadTypestr {
        /// What was given.
        text: String,
    },
    /// The typestr is well formed, and its items cannot be shared.
    UnsupportedTypestr {
        /// What was given.
        text: String,
        /// What such items are, and what to do.
        advice: &'static str,
    },
    /// The items are in the other byte order.
    ByteSwapped {
        /// What they would be in this machine's order.
        dtype: DType,
    },
    /// The array interface has no typestr for this dtype.
    NoTypestr {
        /// What was given.
        dtype: DType,
    },
}

impl DTypeError {
    /// The kind of this error: always [`ErrorKind::InvalidDType`].
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidDType
    }
}

impl fmt::Display for DTypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DTypeError::UnknownCode { dtype } => write!(
                f,
                "type code {} is unknown here ({dtype} as code, bits, lanes): convert to a dtype of DLPack 1.3, codes 0 to 17",
                dtype.code.0
            ),
            DTypeError::BadBits { dtype } => write!(
                f,
                "type code {} does not come in {} bits: use one of {:?}",
                dtype.code.0,
                dtype.bits,
                dtype.code.permitted_bits()
            ),
            DTypeError::NoLanes { dtype } => write!(f, "{dtype} has 0 lanes: an item has at least 1"),
            DTypeError::UnknownName { text, nearest: Some(name) } => {
                write!(f, "unknown dtype {}: did you mean \"{name}\"?", quoted(text))
            }
            DTypeError::UnknownName { text, nearest: None } => {
                write!(
                    f,
                    "unknown dtype {}: use a name such as \"uint8\", \"float16\" or \"f32\"",
                    quoted(text)
                )
            }
            DTypeError::AmbiguousName { text, instead } => {
                write!(f, "dtype {} has no fixed width: say {instead}", quoted(text))
            }
            DTypeError::BadTypestr { text } => write!(
                f,
                "{} is not a typestr: expected byte order, kind and bytes, as in \"<f4\" or \"|u1\"",
                quoted(text)
            ),
            DTypeError::UnsupportedTypestr { text, advice } => {
                write!(f, "items of typestr {} cannot be shared: {advice}", quoted(text))
            }
            DTypeError::ByteSwapped { dtype } => write!(
                f,
                "{dtype} items are in big-endian order and this machine is little-endian: \
                 convert them first, as in x.astype(x.dtype.newbyteorder(\"=\"))"
            ),
            DTypeError::NoTypestr { dtype } => write!(
                f,
                "the array interface has no typestr for {dtype}: exchange it through DLPack, or as unsigned integers \
                 of the same width"
            ),
        }
    }
}

impl std::error::Error for DTypeError {}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! What one item of an array is: DLPack's type code, bits and lanes.
//!
//! Codes are numbers, not a Rust `enum`: headers newer than 1.3 already hand out others (18, a complex bfloat), and
//! such an item must stay a value that can be shown, measured and passed on. [`DType::validate`] says which ones this
//! version knows. Source of the numbers: DLPack 1.3, `DLDataTypeCode`.
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

mod error;
mod text;

pub use error::DTypeError;

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
            // `as` only widens
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

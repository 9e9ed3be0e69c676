// SPDX-License-Identifier: MIT OR Apache-2.0
//! Texts that name dtypes: uncopy's own names, and NumPy's typestrs.
//!
//! Input: the text.

use uncopy::{ByteOrder, DType, dtype_from_typestr, typestr_from_dtype};

use crate::{Body, Seed, Target};

/// See the [module](self).
pub const TARGET: Target = Target { name: "dtype_text", begin: || -> Body { Box::new(check) }, seeds };

/// Every name of one lane, and every other spelling of one.
const NAMES: &str = "bool int1 int2 int4 int8 int16 int32 int64 uint1 uint2 uint4 uint8 uint16 uint32 uint64 float16 float32 \
    float64 bfloat16 complex32 complex64 complex128 float8_e3m4 float8_e4m3 float8_e4m3b11fnuz float8_e4m3fn \
    float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz float8_e8m0fnu float6_e2m3fn float6_e3m2fn float4_e2m1fn handle32 \
    handle64 bool_ i8 i16 i32 i64 u8 u16 u32 u64 f16 f32 f64 bf16 half single double";

/// Kind and bytes of every typestr that is read.
const TYPESTRS: &str = "b1 i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8 c8 c16";

fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    check_name(&text);
    check_typestr(&text);
}

fn is_listed(list: &str, word: &str) -> bool {
    list.split_whitespace().any(|listed| listed == word)
}

/// A name, or a name, perhaps an underscore, `x` and 1 to 65535 lanes without leading zeros.
fn lanes(text: &str) -> Option<u16> {
    if is_listed(NAMES, text) {
        return Some(1);
    }
    let digits = text.len() - text.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let (name, number) = text.split_at(text.len() - digits);
    let name = name.strip_suffix('x')?;
    let is_name = is_listed(NAMES, name) || name.strip_suffix('_').is_some_and(|name| is_listed(NAMES, name));
    let lanes: u16 = number.parse().ok()?;
    (is_name && lanes.to_string() == number && lanes > 0).then_some(lanes)
}

fn check_name(text: &str) {
    match text.parse::<DType>() {
        Ok(dtype) => {
            assert_eq!(Some(dtype.lanes), lanes(text), "{text:?}");
            assert!(dtype.validate().is_ok(), "{text:?} is {dtype}");
            assert_eq!(dtype.to_string().parse(), Ok(dtype), "{text:?}");
            if let Ok(typestr) = typestr_from_dtype(dtype) {
                assert_eq!(dtype_from_typestr(&typestr).and_then(|read| read.native_dtype()), Ok(dtype));
            }
        }
        Err(error) => {
            assert_eq!(lanes(text), None, "{text:?}: {error}");
            check_refusal(&error.to_string());
        }
    }
}

fn check_typestr(text: &str) {
    let kind_and_size = text.get(1..).filter(|rest| is_listed(TYPESTRS, rest));
    let expected = match (text.get(..1), kind_and_size) {
        (Some("<" | "=" | ">" | "|"), Some("b1" | "i1" | "u1")) => Some(ByteOrder::NotApplicable),
        (Some("<" | "="), Some(_)) => Some(ByteOrder::Little),
        (Some(">"), Some(_)) => Some(ByteOrder::Big),
        _ => None,
    };
    match dtype_from_typestr(text) {
        Ok(read) => {
            assert_eq!(Some(read.byte_order), expected, "{text:?}");
            assert_eq!(
                read.native_dtype().is_err(),
                text.starts_with('>') && read.dtype.item_bytes() != Some(1)
            );
            // The text of one byte order is the other's with another first character.
            let written = typestr_from_dtype(read.dtype).expect("what was read can be written");
            assert_eq!(written.get(1..), text.get(1..));
        }
        Err(error) => {
            assert_eq!(expected, None, "{text:?}: {error}");
            check_refusal(&error.to_string());
        }
    }
}

fn check_refusal(shown: &str) {
    assert!(!shown.is_empty() && !shown.contains('\n') && shown.len() < 2000, "{shown}");
}

fn seeds() -> Vec<Seed> {
    let texts = [
        "uint8",
        "float32x4",
        "float4_e2m1fn_x2",
        "bf16",
        "float",
        "x4",
        "u8x65536",
        "u8x0",
        "u8x04",
        "halfx",
        "<f4",
        "|u1",
        ">i2",
        "=c16",
        "|f4",
        "|O",
        "<M8[ns]",
        "<U12",
        "|V3",
        "<f16",
        "|S5",
        "<t3",
        "é1",
        "",
    ];
    let seed = |(at, text): (usize, &&str)| (format!("text-{at:02}"), text.as_bytes().to_vec());
    texts.iter().enumerate().map(seed).collect()
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! Format strings, compiled on their own so that this test needs no libpython.

#[path = "../src/format.rs"]
mod format;

use format::{Refusal, dtype_from_format, format_from_dtype};
use uncopy::DType;

#[test]
fn every_format_that_is_handed_out_is_taken_back_as_the_same_dtype() {
    let mut with_letter = 0;
    for dtype in DType::named() {
        let Some(format) = format_from_dtype(dtype) else { continue };
        let item_bytes = dtype.item_bytes().expect("only whole bytes have a letter");
        assert_eq!(dtype_from_format(format.to_bytes(), item_bytes), Ok(dtype), "{dtype}");
        with_letter += 1;
    }
    assert_eq!(with_letter, 14);
}

#[test]
fn the_size_of_the_item_decides_not_the_letter() {
    for (format, item_bytes, dtype) in [
        ("l", 8, DType::I64),
        ("<l", 4, DType::I32),
        ("<l", 8, DType::I64),
        ("L", 4, DType::U32),
        ("n", 8, DType::I64),
        ("=i", 4, DType::I32),
        ("<c", 1, DType::U8),
        ("=f", 4, DType::F32),
        ("^d", 8, DType::F64),
        ("<Zd", 16, DType::COMPLEX128),
    ] {
        assert_eq!(dtype_from_format(format.as_bytes(), item_bytes), Ok(dtype), "{format}");
    }
}

#[test]
fn big_endian_numbers_are_refused_and_single_bytes_have_no_order() {
    assert_eq!(dtype_from_format(b">f", 4), Err(Refusal::BigEndian));
    assert_eq!(dtype_from_format(b"!h", 2), Err(Refusal::BigEndian));
    assert_eq!(dtype_from_format(b">Zf", 8), Err(Refusal::BigEndian));
    assert_eq!(dtype_from_format(b">B", 1), Ok(DType::U8));
}

#[test]
fn what_is_not_one_number_is_refused_by_what_it_is() {
    for (format, item_bytes, refusal) in [
        ("O", 8, Refusal::Objects),
        ("T{B:a:f:b:}", 5, Refusal::Records),
        ("(2,3)f", 24, Refusal::Records),
        ("3T{B:a:}", 3, Refusal::Records),
        ("ff", 8, Refusal::Records),
        ("5s", 5, Refusal::Text),
        ("w", 4, Refusal::Text),
        ("5w", 20, Refusal::Text),
        ("u", 4, Refusal::Text),
        ("8x", 8, Refusal::Void),
        ("g", 16, Refusal::LongDouble),
        ("Zg", 32, Refusal::LongDouble),
        ("P", 8, Refusal::Unknown),
        ("", 1, Refusal::Unknown),
        ("f", 3, Refusal::Unknown),
        ("?", 2, Refusal::Unknown),
        ("4", 4, Refusal::Unknown),
    ] {
        assert_eq!(dtype_from_format(format.as_bytes(), item_bytes), Err(refusal), "{format}");
    }
}

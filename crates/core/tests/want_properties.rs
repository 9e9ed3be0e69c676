// SPDX-License-Identifier: MIT OR Apache-2.0
//! Wanted forms over any text and any array: nothing panics, and what is told is so.

use proptest::prelude::*;
use uncopy_core::{DType, Device, Found, Wants};

/// Texts that are nearly right: words of the grammar in any order, and some that are none.
fn line() -> impl Strategy<Value = String> {
    let words = [
        "mut",
        "f32",
        "float",
        "int|uint",
        "[h, w]",
        "[h, ..., 3]",
        "[]",
        "[_, 2]",
        "[n]",
        "cuda",
        "host",
        "cuda:1|cpu",
        "C",
        "F",
        "packed",
        "aligned(8)",
        "same(a)",
        "|",
        "[",
        "]",
        "f33",
        "aligned(3)",
        "same()",
        "...",
        ",",
        "-1",
    ];
    prop::collection::vec(prop::sample::select(words.to_vec()), 0..6).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_in_words(text in ".{0,80}") {
        if let Err(error) = Wants::parse(&[("x", &text)]) {
            prop_assert!(error.to_string().starts_with("argument x: "));
        }
    }

    #[test]
    fn an_array_fits_or_something_is_wrong_with_it(
        lines in prop::collection::vec(line(), 1..4),
        shape in prop::collection::vec(0_usize..4, 0..5),
        strides in prop::collection::vec(-4_isize..5, 5),
        is_read_only: bool,
        address in 0_usize..64,
    ) {
        let names = ["a", "b", "c"];
        let pairs: Vec<(&str, &str)> = names.into_iter().zip(lines.iter().map(String::as_str)).collect();
        let Ok(wants) = Wants::parse(&pairs) else { return Ok(()) };
        let strides = strides.get(..shape.len()).unwrap_or_default();
        let one = Found {
            strides_elems: Some(strides),
            is_read_only,
            address,
            ..Found::packed(DType::F32, &shape, Device::CPU)
        };
        if let Err(misfit) = wants.check(&vec![one; pairs.len()]) {
            prop_assert!(!misfit.wrong().is_empty(), "{misfit}");
            prop_assert!(pairs.iter().any(|(name, _)| *name == misfit.argument()));
        }
    }
}

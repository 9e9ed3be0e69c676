// SPDX-License-Identifier: MIT OR Apache-2.0
//! Dtypes and their texts: names, lanes, typestrs, and the advice in what is refused.

use proptest::prelude::*;
use uncopy_core::{
    ByteOrder, DType, DTypeCode, DTypeError, ErrorKind, Typestr, dtype_from_typestr, typestr_from_dtype,
};

#[test]
fn every_named_dtype_reads_back_from_its_text_with_any_lanes() {
    for dtype in DType::named() {
        assert_eq!(dtype.validate(), Ok(()));
        for lanes in [1, 2, 4, 16, u16::MAX] {
            let dtype = dtype.with_lanes(lanes);
            assert_eq!(dtype.to_string().parse(), Ok(dtype), "{dtype}");
        }
    }
    assert_eq!(DType::COMPLEX64.with_lanes(2).to_string(), "complex64x2");
}

#[test]
fn short_forms_and_framework_spellings_are_read() {
    let spellings = [
        ("u8", DType::U8),
        ("i64", DType::I64),
        ("f16", DType::F16),
        ("bf16", DType::BF16),
        ("half", DType::F16),
        ("double", DType::F64),
        ("bool_", DType::BOOL),
        ("f32x4", DType::F32.with_lanes(4)),
        ("float4_e2m1fn_x2", DType::F4_E2M1FN.with_lanes(2)),
    ];
    for (text, dtype) in spellings {
        assert_eq!(text.parse(), Ok(dtype), "{text}");
    }
}

#[test]
fn names_that_are_wrong_or_mean_several_widths_are_refused_with_advice() {
    let name_error = |text: &str| text.parse::<DType>().unwrap_err();
    for text in
        ["", "x", "x4", "float32x", "float32x0", "float32x04", "float32x+4", "float32x65536", "Float32", "u1"]
    {
        assert!(matches!(name_error(text), DTypeError::UnknownName { .. }), "{text}");
    }
    assert_eq!(name_error("flaot32").to_string(), "unknown dtype \"flaot32\": did you mean \"float32\"?");
    for text in ["float", "int", "long", "complex", "fp8"] {
        let error = name_error(text);
        assert!(matches!(error, DTypeError::AmbiguousName { .. }), "{text}");
        assert!(error.to_string().contains(": say \""), "{error}");
    }
}

#[test]
fn sizes_count_whole_bytes_and_fill_up_the_last_one() {
    assert_eq!(DType::COMPLEX128.item_bytes(), Some(16));
    assert_eq!(DType::F4_E2M1FN.with_lanes(2).item_bytes(), Some(1));
    assert_eq!(DType::F6_E2M3FN.with_lanes(4).item_bytes(), Some(3));
    for odd in [DType::I4, DType::F6_E3M2FN, DType::U1.with_lanes(9), DType::F32.with_lanes(0)] {
        assert_eq!(odd.item_bytes(), None, "{odd}");
    }
    assert_eq!(DType::F6_E2M3FN.len_bytes(3), Some(3)); // 18 bits
    assert_eq!(DType::U1.len_bytes(usize::MAX), Some(1 << 61));
    assert_eq!(DType::F32.len_bytes(0), Some(0));
    assert_eq!(DType::F32.len_bytes(usize::MAX / 4 + 1), None);
    assert_eq!(DType::new(DTypeCode(255), 255, u16::MAX).len_bytes(usize::MAX), None);
}

#[test]
fn only_known_codes_in_their_own_widths_are_valid() {
    let refused = |code, bits, lanes| DType::new(DTypeCode(code), bits, lanes).validate().unwrap_err();
    assert!(matches!(refused(18, 32, 1), DTypeError::UnknownCode { .. }));
    assert!(matches!(refused(2, 8, 1), DTypeError::BadBits { .. }));
    assert!(matches!(refused(6, 1, 1), DTypeError::BadBits { .. }));
    assert!(matches!(refused(0, 0, 1), DTypeError::BadBits { .. }));
    assert!(matches!(refused(10, 8, 0), DTypeError::NoLanes { .. }));
    assert_eq!(
        refused(2, 80, 1).to_string(),
        "type code 2 does not come in 80 bits: use one of [16, 32, 64]"
    );
    assert_eq!(refused(2, 80, 1).kind(), ErrorKind::InvalidDType);
}

#[test]
fn what_has_no_name_is_shown_by_its_numbers() {
    assert_eq!(DType::new(DTypeCode(18), 32, 1).to_string(), "dtype(18, 32, 1)");
    assert_eq!(DType::F32.with_lanes(0).to_string(), "dtype(2, 32, 0)");
    assert_eq!(format!("{:>8}|{:?}", DType::U8, DType::F16), "   uint8|float16");
}

#[test]
fn numpy_typestrs_are_read_and_written() {
    let golden = [
        ("|b1", DType::BOOL),
        ("|i1", DType::I8),
        ("<i2", DType::I16),
        ("<i4", DType::I32),
        ("<i8", DType::I64),
        ("|u1", DType::U8),
        ("<u2", DType::U16),
        ("<u4", DType::U32),
        ("<u8", DType::U64),
        ("<f2", DType::F16),
        ("<f4", DType::F32),
        ("<f8", DType::F64),
        ("<c8", DType::COMPLEX64),
        ("<c16", DType::COMPLEX128),
    ];
    for (text, dtype) in golden {
        assert_eq!(dtype_from_typestr(text).and_then(Typestr::native_dtype), Ok(dtype), "{text}");
        assert_eq!(typestr_from_dtype(dtype).as_deref(), Ok(text));
    }
}

#[test]
fn native_order_is_little_and_single_bytes_have_none() {
    let order = |text| dtype_from_typestr(text).map(|typestr| typestr.byte_order);
    assert_eq!(
        (order("=f4"), order("<f4"), order(">f4")),
        (Ok(ByteOrder::Little), Ok(ByteOrder::Little), Ok(ByteOrder::Big))
    );
    for text in ["|u1", "<u1", ">u1", "=u1", ">b1"] {
        assert_eq!(order(text), Ok(ByteOrder::NotApplicable), "{text}");
    }
}

#[test]
fn byte_swapped_items_are_described_and_refused_where_they_would_be_used() {
    let swapped = dtype_from_typestr(">f8").unwrap();
    assert_eq!(swapped, Typestr { dtype: DType::F64, byte_order: ByteOrder::Big });
    let error = swapped.native_dtype().unwrap_err();
    assert_eq!(error, DTypeError::ByteSwapped { dtype: DType::F64 });
    assert!(error.to_string().contains("newbyteorder"), "{error}");
}

#[test]
fn items_that_cannot_be_shared_are_refused_with_what_to_do() {
    let advised = [
        ("|O", "convert"),
        ("|O8", "convert"),
        ("<M8[ns]", "x.view(\"int64\")"),
        ("<m8", "x.view(\"int64\")"),
        ("|V2", "x.view(\"uint8\")"),
        ("<V1", "ml_dtypes"),
        ("|S5", "x.view(\"uint8\")"),
        ("<U3", "x.view(\"uint32\")"),
        ("|T16", "encode"),
        ("|t1", "unpackbits"),
        ("<f16", "x.astype(\"float64\")"),
        ("<c32", "x.astype(\"complex128\")"),
        ("<i16", "convert"),
    ];
    for (text, advice) in advised {
        let error = dtype_from_typestr(text).unwrap_err();
        assert!(matches!(error, DTypeError::UnsupportedTypestr { .. }), "{text}");
        assert!(error.to_string().contains(advice), "{error}");
    }
}

#[test]
fn what_is_no_typestr_is_refused() {
    for text in [
        "", "<", "f4", "<f", "<4", "<f4 ", "<f-4", "<f+4", "|f4", "|i2", "float32", "é4", "<é4", "<f4<f4",
        "<q8", "\0",
    ] {
        assert_eq!(dtype_from_typestr(text), Err(DTypeError::BadTypestr { text: text.into() }));
    }
}

#[test]
fn dtypes_without_a_typestr_are_named_in_the_refusal() {
    for dtype in [
        DType::BF16,
        DType::COMPLEX32,
        DType::F8_E4M3FN,
        DType::F4_E2M1FN,
        DType::I4,
        DType::F32.with_lanes(4),
    ] {
        let error = typestr_from_dtype(dtype).unwrap_err();
        assert_eq!(error, DTypeError::NoTypestr { dtype });
        assert!(error.to_string().contains(&dtype.to_string()), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_four_bytes_are_measured_and_shown_without_a_panic(
        code in 0_u8..20, bits in any::<u8>(), lanes in any::<u16>(), len_elems in any::<usize>()
    ) {
        let dtype = DType::new(DTypeCode(code), bits, lanes);
        prop_assert_eq!(dtype.validate().is_ok(), dtype.lane_name().is_some() && lanes > 0);
        prop_assert_eq!(dtype.to_string().parse().ok(), dtype.validate().is_ok().then_some(dtype));
        let bytes = (u128::from(dtype.item_bits()) * len_elems as u128).div_ceil(8);
        prop_assert_eq!(dtype.len_bytes(len_elems), usize::try_from(bytes).ok());
        if let Some(item_bytes) = dtype.item_bytes() {
            prop_assert_eq!(dtype.len_bytes(len_elems), item_bytes.checked_mul(len_elems));
        }
        if let Ok(text) = typestr_from_dtype(dtype) {
            prop_assert_eq!(dtype_from_typestr(&text).and_then(Typestr::native_dtype), Ok(dtype));
        }
    }

    #[test]
    fn any_text_is_read_or_refused_in_one_short_line(text in prop_oneof![".{0,200}", "[<>=|]?[biufcOSUVMmtT]?[0-9x]{0,6}"]) {
        let refusals = [text.parse::<DType>().err(), dtype_from_typestr(&text).err()];
        for error in refusals.into_iter().flatten() {
            let shown = error.to_string();
            prop_assert!(!shown.contains('\n') && shown.len() < 2000, "{}", shown);
        }
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! What arguments must be: each part of the grammar takes what it says, and names what it refuses.

use uncopy_core::{DType, Device, DeviceKind, Found, WantError, Wants};

fn found(dtype: DType, shape: &[usize]) -> Found<'_> {
    Found::packed(dtype, shape, Device::CPU)
}

/// What is wrong with an array that is to be as `text` says; empty where it fits.
fn wrong(text: &str, found: Found<'_>) -> Vec<String> {
    match Wants::parse(&[("x", text)]) {
        Ok(wants) => wants.check(&[found]).err().map(|misfit| misfit.wrong().to_vec()).unwrap_or_default(),
        Err(error) => vec![error.to_string()],
    }
}

#[test]
fn an_empty_line_takes_everything() {
    let strides = [-4, 0];
    let odd = Found {
        strides_elems: Some(&strides),
        address: 3,
        is_read_only: true,
        ..Found::packed(DType::new(uncopy_core::DTypeCode(18), 32, 1), &[3, 2], Device::cuda(7))
    };
    for text in ["", "any", "  "] {
        assert!(wrong(text, odd).is_empty(), "{text:?}");
    }
}

#[test]
fn one_of_several_dtypes_is_enough_and_none_is_named() {
    for (text, dtype, fits) in [
        ("f32", DType::F32, true),
        ("float32", DType::F32, true),
        ("f32|f16", DType::F16, true),
        ("f32|f16", DType::BF16, false),
        ("float", DType::BF16, true),
        ("float", DType::I32, false),
        ("int|uint", DType::U16, true),
        ("int", DType::U16, false),
        ("complex", DType::COMPLEX64, true),
        ("float", DType::F32.with_lanes(2), false),
    ] {
        let expected = if fits { vec![] } else { vec![format!("dtype is {dtype}")] };
        assert_eq!(wrong(text, found(dtype, &[2])), expected, "{text} {dtype}");
    }
}

#[test]
fn axes_are_held_against_lengths_names_and_gaps() {
    let cases: [(&str, &[usize], &[&str]); 14] = [
        ("[]", &[], &[]),
        ("[]", &[1], &["it has 1 axis, not 0"]),
        ("[3]", &[3], &[]),
        ("[3]", &[4], &["axis 0 is 4, not 3"]),
        ("[_, 3]", &[0, 3], &[]),
        ("[h, w, 3]", &[4, 5], &["it has 2 axes, not 3"]),
        ("[h, h]", &[4, 4], &[]),
        ("[h, h]", &[4, 5], &["axis 1 is 5, and h is 4"]),
        ("[..., 3]", &[3], &[]),
        ("[..., 3]", &[9, 9, 3], &[]),
        ("[n, ..., n]", &[2, 7, 8, 2], &[]),
        ("[n, ..., n]", &[2, 7, 8, 3], &["axis 3 is 3, and n is 2"]),
        ("[n, ..., n]", &[2], &["it has 1 axis, not at least 2"]),
        (
            "[1, ..., 2, 3]",
            &[4, 9, 5, 6],
            &["axis 0 is 4, not 1", "axis 2 is 5, not 2", "axis 3 is 6, not 3"],
        ),
    ];
    for (text, shape, expected) in cases {
        assert_eq!(wrong(text, found(DType::U8, shape)), expected, "{text} {shape:?}");
    }
}

#[test]
fn an_axis_has_one_length_in_all_arguments() {
    let wants = Wants::parse(&[("a", "[n, k]"), ("b", "[k, m]"), ("out", "mut [n, m]")]).unwrap();
    let [a, b] = [found(DType::F32, &[2, 3]), found(DType::F32, &[3, 4])];
    assert!(wants.check(&[a, b, found(DType::F32, &[2, 4])]).is_ok());
    let misfit = wants.check(&[a, found(DType::F32, &[5, 4])]).unwrap_err();
    assert_eq!((misfit.argument(), misfit.wrong()), ("b", &["axis 0 is 5, and k is 3".to_owned()][..]));
    let misfit = wants.check(&[a, b, found(DType::F32, &[4, 2])]).unwrap_err();
    assert_eq!(misfit.wrong(), ["axis 0 is 4, and n is 2", "axis 1 is 2, and m is 4"]);
}

#[test]
fn devices_are_named_by_kind_by_number_and_by_what_the_processor_reads() {
    let pinned = Device::new(DeviceKind::CUDA_HOST, 0);
    for (text, device, fits) in [
        ("cpu", Device::CPU, true),
        ("cpu", pinned, false),
        ("host", pinned, true),
        ("host", Device::cuda(0), false),
        ("cuda", Device::cuda(3), true),
        ("cuda:1", Device::cuda(0), false),
        ("cuda:1", Device::cuda(1), true),
        ("cuda|cpu", Device::CPU, true),
    ] {
        let one = Found::packed(DType::U8, &[1], device);
        let expected = if fits { vec![] } else { vec![format!("it is on {device}")] };
        assert_eq!(wrong(text, one), expected, "{text} {device}");
    }
}

#[test]
fn two_arguments_can_be_held_to_one_device() {
    let wants = Wants::parse(&[("img", ""), ("out", "same(img)")]).unwrap();
    let on = |device| Found::packed(DType::U8, &[1], device);
    assert!(wants.check(&[on(Device::cuda(1)), on(Device::cuda(1))]).is_ok());
    let misfit = wants.check(&[on(Device::cuda(1)), on(Device::CPU)]).unwrap_err();
    assert_eq!(misfit.wrong(), ["it is on cpu, and img on cuda:1"]);
}

#[test]
fn order_alignment_and_writing_are_asked_for() {
    let strided = |shape, strides| Found { strides_elems: Some(strides), ..found(DType::F32, shape) };
    for (text, shape, strides, fits) in [
        ("C", &[2_usize, 3], &[3_isize, 1], true),
        ("C", &[2, 3], &[1, 2], false),
        ("F", &[2, 3], &[1, 2], true),
        ("F", &[2, 3], &[3, 1], false),
        ("packed", &[2, 3], &[1, 2], true),
        ("packed", &[2, 3], &[6, 2], false),
        ("C", &[1, 3], &[77, 1], true),
        ("C", &[0, 3], &[5, 5], true),
        ("C", &[2, 3], &[-3, 1], false),
    ] {
        assert_eq!(wrong(text, strided(shape, strides)).is_empty(), fits, "{text} {shape:?} {strides:?}");
    }
    assert!(wrong("F", found(DType::F32, &[1, 3])).is_empty());
    assert_eq!(wrong("F", found(DType::F32, &[2, 3])), ["it is not packed in F order"]);
    let at = |address| Found { address, ..found(DType::F32, &[1]) };
    assert!(wrong("aligned(64)", at(128)).is_empty());
    assert_eq!(wrong("aligned(64)", at(96)), ["its address 0x60 is no multiple of 64"]);
    let read_only = Found { is_read_only: true, ..found(DType::F32, &[1]) };
    assert!(wrong("f32", read_only).is_empty());
    assert_eq!(wrong("mut f32", read_only), ["it is read-only"]);
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let strides = [1_isize, 640, 307_200];
    let one = Found {
        strides_elems: Some(&strides),
        is_read_only: true,
        ..Found::packed(DType::F64, &[480, 640, 4], Device::cuda(1))
    };
    let wants = Wants::parse(&[("img", "mut f32|f16[h, w, 3] cuda:0 C")]).unwrap();
    assert_eq!(
        wants.check(&[one]).unwrap_err().to_string(),
        "float64[480, 640, 4] on cuda:1, strides [1, 640, 307200], read-only, wanted mut f32|f16[h, w, 3] cuda:0 C: \
         dtype is float64; axis 2 is 4, not 3; it is on cuda:1; it is not packed in C order; it is read-only"
    );
}

#[test]
fn what_can_not_be_read_is_refused_with_what_to_write() {
    for (text, part) in [
        ("unit8", "did you mean"),
        ("f32[h, w", "has no ]"),
        ("f32 gpu", "a device such as cpu, host, cuda"),
        ("[-1]", "\"-1\" is no axis"),
        ("[..., ..., 3]", "is no axis"),
        ("[3.5]", "is no axis"),
        ("[h,,w]", "\"\" is no axis"),
        ("same(other)", "names no argument that stands before it"),
        ("aligned(48)", "no power of two"),
        ("near(8)", "means nothing here"),
        ("f32;", "means nothing here"),
        ("cuda:x", "means nothing here"),
    ] {
        let error = Wants::parse(&[("x", text)]).unwrap_err().to_string();
        assert!(error.starts_with("argument x: ") && error.contains(part), "{text}: {error}");
    }
    let many: Vec<String> = (0..17).map(|number| format!("n{number}")).collect();
    let error = Wants::parse(&[("x", &format!("[{}]", many.join(", ")))]).unwrap_err();
    assert!(matches!(error, WantError::TooManyNames { .. }), "{error}");
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! Numbers that travel between programs, as they were published. Add lines; never change one.

use std::collections::HashSet;
use uncopy_core::{ChannelOrder, DType, DTypeCode, Device, Layout, LayoutError, Origin, PixelFormat};

/// Number, name, dtype, and the shape of an image of 4 x 6 (height x width).
const PIXEL_FORMATS: &[(u16, &str, &str, &[usize])] = &[
    (1, "gray8", "uint8", &[4, 6]),
    (2, "gray16", "uint16", &[4, 6]),
    (3, "gray16f", "float16", &[4, 6]),
    (4, "gray32f", "float32", &[4, 6]),
    (16, "rg8", "uint8", &[4, 6, 2]),
    (17, "rg16", "uint16", &[4, 6, 2]),
    (18, "rg16f", "float16", &[4, 6, 2]),
    (19, "rg32f", "float32", &[4, 6, 2]),
    (32, "rgb8", "uint8", &[4, 6, 3]),
    (33, "rgb16", "uint16", &[4, 6, 3]),
    (34, "rgb16f", "float16", &[4, 6, 3]),
    (35, "rgb32f", "float32", &[4, 6, 3]),
    (36, "bgr8", "uint8", &[4, 6, 3]),
    (48, "rgba8", "uint8", &[4, 6, 4]),
    (49, "rgba16", "uint16", &[4, 6, 4]),
    (50, "rgba16f", "float16", &[4, 6, 4]),
    (51, "rgba32f", "float32", &[4, 6, 4]),
    (52, "bgra8", "uint8", &[4, 6, 4]),
    (64, "nv12", "uint8", &[6, 6]),
    (65, "i420", "uint8", &[6, 6]),
    (66, "p010", "uint16", &[6, 6]),
    (80, "bayer_rggb8", "uint8", &[4, 6]),
    (81, "bayer_bggr8", "uint8", &[4, 6]),
    (82, "bayer_grbg8", "uint8", &[4, 6]),
    (83, "bayer_gbrg8", "uint8", &[4, 6]),
    (84, "bayer_rggb16", "uint16", &[4, 6]),
    (85, "bayer_bggr16", "uint16", &[4, 6]),
    (86, "bayer_grbg16", "uint16", &[4, 6]),
    (87, "bayer_gbrg16", "uint16", &[4, 6]),
];

#[test]
fn pixel_formats_keep_number_name_and_layout() {
    assert_eq!(PixelFormat::UNSPECIFIED, PixelFormat(0));
    assert_eq!(PixelFormat::default(), PixelFormat::UNSPECIFIED);
    assert_eq!(PixelFormat::ALL.len(), PIXEL_FORMATS.len() + 1, "a format without a golden line");
    for &(number, name, dtype, shape) in PIXEL_FORMATS {
        let format = PixelFormat(number);
        assert_eq!((format.name(), name.parse()), (Some(name), Ok(format)));
        let dtype: DType = dtype.parse().unwrap();
        assert_eq!(
            (format.dtype(), format.layout(4, 6)),
            (Some(dtype), Layout::contiguous(dtype, shape)),
            "{name}"
        );
    }
}

#[test]
fn pixel_format_constants_have_the_number_of_their_name() {
    let upper = [
        (PixelFormat::GRAY8, 1),
        (PixelFormat::RG8, 16),
        (PixelFormat::RGB8, 32),
        (PixelFormat::BGR8, 36),
        (PixelFormat::RGBA8, 48),
        (PixelFormat::RGBA16F, 50),
        (PixelFormat::BGRA8, 52),
        (PixelFormat::NV12, 64),
        (PixelFormat::I420, 65),
        (PixelFormat::P010, 66),
        (PixelFormat::BAYER_RGGB8, 80),
        (PixelFormat::BAYER_GBRG16, 87),
    ];
    for (format, number) in upper {
        assert_eq!(format.0, number);
    }
    assert_eq!(PixelFormat::Rgba8, PixelFormat::RGBA8);
    assert_eq!(PixelFormat::BayerGbrg16, PixelFormat::BAYER_GBRG16);
}

#[test]
fn numbers_of_a_newer_version_stay_values() {
    for number in (0..=u16::MAX).filter(|number| !PixelFormat::ALL.contains(&PixelFormat(*number))) {
        let format = PixelFormat(number);
        assert_eq!(
            (format.name(), format.dtype(), format.channels(), format.is_planar()),
            (None, None, None, false)
        );
        assert_eq!(format.layout(4, 6), Err(LayoutError::NoPixelLayout { format }));
        assert_eq!(ChannelOrder::from_pixel_format(format), ChannelOrder::UNSPECIFIED);
    }
    assert_eq!(PixelFormat(999).to_string(), "pixel_format(999)");
    assert_eq!(Origin(9).to_string(), "origin(9)");
    assert_eq!(ChannelOrder(9).to_string(), "channel_order(9)");
}

#[test]
fn origins_and_channel_orders_keep_number_and_name() {
    let origins: Vec<_> = Origin::ALL.iter().map(|origin| (origin.0, origin.name().unwrap())).collect();
    assert_eq!(origins, [(0, "top_left"), (1, "bottom_left")]);
    let orders: Vec<_> = ChannelOrder::ALL.iter().map(|order| (order.0, order.name().unwrap())).collect();
    assert_eq!(orders, [(0, "unspecified"), (1, "rgb"), (2, "bgr")]);
    for origin in Origin::ALL {
        assert_eq!(origin.to_string().parse(), Ok(*origin));
    }
    for order in ChannelOrder::ALL {
        assert_eq!(order.to_string().parse(), Ok(*order));
    }
}

#[test]
fn type_codes_and_widths_are_those_of_dlpack() {
    // (code, bits) in the order of DType::named()
    let golden = [
        (6, 8), // bool
        (0, 1),
        (0, 2),
        (0, 4),
        (0, 8),
        (0, 16),
        (0, 32),
        (0, 64),
        (1, 1),
        (1, 2),
        (1, 4),
        (1, 8),
        (1, 16),
        (1, 32),
        (1, 64),
        (2, 16),
        (2, 32),
        (2, 64),
        (4, 16), // bfloat16
        (5, 32), // complex
        (5, 64),
        (5, 128),
        (7, 8), // float8
        (8, 8),
        (9, 8),
        (10, 8),
        (11, 8),
        (12, 8),
        (13, 8),
        (14, 8),
        (15, 6), // float6
        (16, 6),
        (17, 4), // float4
        (3, 32), // handles
        (3, 64),
    ];
    let ours: Vec<_> = DType::named().map(|dtype| (dtype.code.0, dtype.bits)).collect();
    assert_eq!(ours, golden);
    assert!(DType::named().all(|dtype| dtype.lanes == 1));
    assert_eq!(
        (DTypeCode::FLOAT8_E4M3FN.0, DTypeCode::FLOAT8_E5M2.0, DTypeCode::FLOAT4_E2M1FN.0),
        (10, 12, 17)
    );
}

#[test]
fn values_that_cross_the_c_border_have_its_sizes() {
    assert_eq!((size_of::<DType>(), align_of::<DType>()), (4, 2));
    assert_eq!((size_of::<Device>(), align_of::<Device>()), (8, 4));
    assert_eq!((size_of::<PixelFormat>(), size_of::<Origin>(), size_of::<ChannelOrder>()), (2, 1, 1));
}

#[test]
fn no_two_formats_share_a_number_or_a_name() {
    let numbers: HashSet<_> = PixelFormat::ALL.iter().map(|format| format.0).collect();
    let names: HashSet<_> = PixelFormat::ALL.iter().map(|format| format.name()).collect();
    assert_eq!((numbers.len(), names.len()), (PixelFormat::ALL.len(), PixelFormat::ALL.len()));
}

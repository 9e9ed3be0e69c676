// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pixel formats by example: planes, odd and zero sizes, channel orders, and mistyped names.

use uncopy_core::{ChannelOrder, ErrorKind, LayoutError, Origin, PixelFormat};

const PLANAR: [PixelFormat; 3] = [PixelFormat::NV12, PixelFormat::I420, PixelFormat::P010];

#[test]
fn chroma_planes_add_half_the_rows_of_the_luma_plane() {
    for format in PLANAR {
        assert!(format.is_planar());
        assert_eq!(format.channels(), None);
        let layout = format.layout(1080, 1920).unwrap();
        assert_eq!(layout.shape(), [1620, 1920]);
        assert_eq!(
            layout.len_elems(),
            1920 * 1080 + 2 * (960 * 540),
            "luma, and two chroma samples for four pixels"
        );
    }
}

#[test]
fn planar_formats_refuse_an_odd_side_and_name_both() {
    for format in PLANAR {
        for (height, width) in [(3, 4), (4, 3), (1, 1), (usize::MAX, 2)] {
            let error = format.layout(height, width).unwrap_err();
            assert_eq!(error, LayoutError::OddSize { format, height, width });
            assert!(error.to_string().contains(&format!("{height} x {width}")), "{error}");
        }
        assert!(format.layout(2, 2).is_ok());
    }
}

#[test]
fn odd_sides_are_fine_where_every_pixel_is_one_item() {
    for format in PixelFormat::ALL.iter().filter(|format| format.channels().is_some()) {
        let layout = format.layout(3, 5).unwrap();
        assert_eq!(layout.len_elems(), 15 * format.channels().unwrap(), "{format}");
        assert!(!format.is_planar() && layout.is_c_contiguous());
    }
}

#[test]
fn an_image_without_pixels_is_an_empty_layout() {
    for format in &PixelFormat::ALL[1..] {
        for (height, width) in [(0, 0), (0, 6), (4, 0)] {
            assert!(format.layout(height, width).unwrap().is_empty(), "{format}");
        }
    }
}

#[test]
fn sizes_that_no_memory_could_hold_are_refused() {
    for format in &PixelFormat::ALL[1..] {
        for (height, width) in
            [(usize::MAX - 1, 2), (1 << 40, 1 << 40), (2, usize::MAX - 1), (0, usize::MAX - 1)]
        {
            let error = format.layout(height, width).unwrap_err();
            assert!(matches!(error, LayoutError::TooLarge { .. }), "{format}: {error}");
        }
    }
}

#[test]
fn unspecified_has_no_layout_and_says_what_to_give() {
    let error = PixelFormat::UNSPECIFIED.layout(4, 6).unwrap_err();
    assert_eq!(
        error.to_string(),
        "pixel format unspecified has no array layout: give shape and dtype instead"
    );
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert_eq!(PixelFormat::UNSPECIFIED.channels(), None);
}

#[test]
fn the_channel_order_is_the_one_that_the_name_spells() {
    for format in PixelFormat::ALL {
        let name = format.name().unwrap();
        let expected = match () {
            () if name.starts_with("rgb") => ChannelOrder::RGB,
            () if name.starts_with("bgr") => ChannelOrder::BGR,
            () => ChannelOrder::UNSPECIFIED,
        };
        assert_eq!(ChannelOrder::from_pixel_format(*format), expected, "{name}");
    }
}

#[test]
fn mistyped_names_are_refused_with_the_nearest() {
    let error = "rgbaa8".parse::<PixelFormat>().unwrap_err();
    assert_eq!(error.to_string(), "unknown pixel format \"rgbaa8\": did you mean \"rgba8\"?");
    assert_eq!(
        (error.kind(), error.text(), error.nearest()),
        (ErrorKind::InvalidArgument, "rgbaa8", Some("rgba8"))
    );
    let error = "uyvy".parse::<PixelFormat>().unwrap_err();
    assert_eq!(error.to_string(), "unknown pixel format \"uyvy\": use a name such as \"rgba8\" or \"nv12\"");
    let error = "topleft".parse::<Origin>().unwrap_err();
    assert_eq!(error.to_string(), "unknown origin \"topleft\": did you mean \"top_left\"?");
    let error = "grb".parse::<ChannelOrder>().unwrap_err();
    assert_eq!(error.to_string(), "unknown channel order \"grb\": did you mean \"rgb\"?");
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! How values show themselves: in messages, and in the debug output of whatever holds them.

use uncopy_core::{
    ChannelOrder, CopyReason, CopyRecord, DType, Device, DeviceKind, ErrorKind, LinkName, Origin, PixelFormat,
};

#[test]
fn debug_output_has_the_same_words_as_messages() {
    assert_eq!(format!("{:?} {:?}", Device::CPU, Device::cuda(2)), "cpu cuda:2");
    assert_eq!(format!("{:?}", DeviceKind::CUDA), DeviceKind::CUDA.to_string());
    assert_eq!(format!("{:?}", PixelFormat::NV12), PixelFormat::NV12.to_string());
    assert_eq!(
        format!("{:?} {:?}", Origin::TOP_LEFT, ChannelOrder::BGR),
        format!("{} {}", Origin::TOP_LEFT, ChannelOrder::BGR)
    );
    assert_eq!(format!("{:?}", LinkName::parse("cam").unwrap()), "\"cam\"");
    assert_eq!(format!("{:?}", CopyReason::SEND), CopyReason::SEND.name().unwrap());
    assert_eq!(format!("{:?}", CopyReason(4242)), "CopyReason(4242)");
    let record =
        CopyRecord { reason: CopyReason::ASKED, from: Device::cuda(1), to: Device::CPU, len_bytes: 7 };
    assert!(format!("{record:?}").contains("from: cuda:1"), "{record:?}");
}

#[test]
fn texts_keep_to_the_width_that_they_are_given() {
    assert_eq!(format!("[{:>6}] [{:<8}]", Device::CPU, Device::cuda(0)), "[   cpu] [cuda:0  ]");
    assert_eq!(format!("[{:<12}]", ErrorKind::NotFound), "[not_found   ]");
    assert_eq!(format!("[{:>8}]", DType::U8), "[   uint8]");
}

#[test]
fn a_device_is_the_cpu_unless_it_says_otherwise() {
    assert_eq!(Device::default(), Device::CPU);
    assert!(Device::default().is_host_accessible() && !Device::cuda(0).is_host_accessible());
}

#[test]
fn a_checked_name_can_be_used_wherever_text_can() {
    let name = LinkName::parse("front.camera").unwrap();
    assert_eq!(AsRef::<str>::as_ref(&name), "front.camera");
}

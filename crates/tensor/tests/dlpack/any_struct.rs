// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whatever a struct says: no panic, one deleter call, and a tensor only if its elements lie inside its region.

use proptest::prelude::*;
use uncopy_core::{DType, DTypeCode, Device, DeviceKind};
use uncopy_tensor::dlpack::DLPackVersion;
use uncopy_tensor::has_addresses;

use crate::producer::{Says, import_legacy, import_versioned};

/// Small numbers, and those at which arithmetic breaks.
fn number() -> impl Strategy<Value = i64> {
    prop_oneof![
        4 => -3_i64..5,
        1 => Just(i64::MAX),
        1 => Just(i64::MIN),
        1 => Just(1 << 31),
        1 => Just(1 << 62),
        1 => any::<i64>(),
    ]
}

/// Device memory only, so that no address is ever read.
fn device() -> impl Strategy<Value = Device> {
    prop_oneof![Just(DeviceKind::CUDA), Just(DeviceKind::OPENCL), Just(DeviceKind(99))]
        .prop_map(|kind| Device::new(kind, 0))
}

fn dtype() -> impl Strategy<Value = DType> {
    (0_u8..20, prop_oneof![Just(8_u8), Just(32), Just(4), Just(64), any::<u8>()], 0_u16..5)
        .prop_map(|(code, bits, lanes)| DType::new(DTypeCode(code), bits, lanes))
}

fn says() -> impl Strategy<Value = Says> {
    let axes = prop::collection::vec((number(), number()), 0..=9);
    let data = prop_oneof![Just(0_usize), Just(1), Just(0x7000), Just(usize::MAX), any::<usize>()];
    let offset = prop_oneof![Just(0_u64), Just(16), Just(u64::MAX), any::<u64>()];
    let version = prop_oneof![4 => Just(1_u32), 1 => any::<u32>()];
    (axes, any::<[bool; 2]>(), data, offset, version, any::<u64>(), (device(), dtype())).prop_map(
        |(axes, [has_shape, has_strides], data_at, byte_offset, major, flags, (device, dtype))| {
            let (shape, strides): (Vec<_>, Vec<_>) = axes.into_iter().unzip();
            Says {
                version: DLPackVersion { major, minor: 3 },
                flags,
                device,
                dtype,
                ndim: shape.len().try_into().unwrap(),
                shape: (has_shape || shape.len() % 2 == 0).then_some(shape),
                strides: has_strides.then_some(strides),
                byte_offset,
                data_at: Some(data_at),
                bytes: vec![],
                deletes: true,
            }
        },
    )
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_struct_is_refused_or_taken_with_one_deleter_call(says in says()) {
        for (imported, deletions) in [import_versioned(&says), import_legacy(&says)] {
            match imported {
                Ok(tensor) => {
                    prop_assert_eq!(deletions.count(), 0);
                    let fits = tensor.layout().fits(tensor.region().len_bytes(), tensor.offset_bytes());
                    prop_assert!(fits.is_ok());
                    let end = tensor.region().address().checked_add(tensor.region().len_bytes());
                    prop_assert!(end.is_some() || !has_addresses(tensor.device().kind));
                }
                Err(error) => prop_assert!(!error.to_string().is_empty()),
            }
            prop_assert_eq!(deletions.count(), 1);
        }
    }
}

/// Few cases under Miri, which is slow.
fn config() -> ProptestConfig {
    let cases = if cfg!(miri) { 8 } else { 2000 };
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

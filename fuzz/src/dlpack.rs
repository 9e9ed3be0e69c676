// SPDX-License-Identifier: MIT OR Apache-2.0
//! DLPack structs of both forms: no panic, one call of the deleter, and a tensor only where its elements lie inside
//! its region.
//!
//! Memory that a processor cannot reach may lie anywhere. Memory of ours is only lent where wide numbers say that the
//! elements lie in it, because a struct that lies about it breaks the contract of the import; then every element is
//! read.
//!
//! Input: u8 options, i32 kind of device, u32 major version, u64 flags, u8 code, u8 bits, u16 lanes, i32 axes, u64
//! byte offset, u64 address, then i64 length and i64 stride of each axis.

#[path = "../../crates/tensor/tests/dlpack/producer.rs"]
#[expect(unsafe_code, reason = "fence: a foreign producer, as the tests of the tensor crate have it")]
#[expect(dead_code, reason = "its other callers are tests")]
mod producer;

use uncopy::dlpack::DLPackVersion;
use uncopy::{DType, DTypeCode, Device, DeviceKind, Layout, Tensor};

use self::producer::{Says, import_legacy, import_versioned};
use crate::{Body, Input, Seed, Target};

/// See the [module](self).
pub const TARGET: Target = Target { name: "dlpack", begin: || -> Body { Box::new(check) }, seeds };

const ON_HOST: u8 = 1;
const NO_SHAPE: u8 = 2;
const NO_STRIDES: u8 = 4;
const NO_DATA: u8 = 8;
/// Devices whose memory a processor reads.
const REACHED: &[DeviceKind] = &[
    DeviceKind::CPU,
    DeviceKind::CUDA_HOST,
    DeviceKind::CUDA_MANAGED,
    DeviceKind::ROCM_HOST,
    DeviceKind::ONEAPI,
];
/// Elements of ours, each with another value than its neighbours.
const HOST_BYTES: usize = 2048;

fn check(input: &[u8]) {
    let (says, is_on_host) = read(input);
    if is_on_host && !lies_in_memory(&says) {
        return;
    }
    for (imported, deletions) in [import_versioned(&says), import_legacy(&says)] {
        match imported {
            Ok(tensor) => {
                assert_eq!(deletions.count(), 0);
                check_tensor(&tensor, &says, is_on_host);
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
        assert_eq!(deletions.count(), 1, "{says:?}");
    }
}

fn read(input: &[u8]) -> (Says, bool) {
    let mut input = Input::new(input);
    let options = input.number::<u8>();
    let is_on_host = options & ON_HOST != 0;
    let kind = DeviceKind(input.number());
    // Only what no processor reaches: every other address would have to be true.
    let kind = if REACHED.contains(&kind) { DeviceKind::CUDA } else { kind };
    let (major, flags) = (input.number(), input.number());
    let dtype = DType::new(DTypeCode(input.number()), input.number(), input.number());
    let ndim = input.number::<i32>();
    let (byte_offset, address) = (input.number::<u64>(), input.number::<usize>());
    // A count of axes that the struct does not have would be a lie that no reader can notice.
    let axes = usize::try_from(ndim).unwrap_or(0).min(10);
    let ndim = if ndim < 0 { ndim } else { ndim.min(10) };
    let (shape, strides): (Vec<i64>, Vec<i64>) =
        (0..axes).map(|_| (input.number::<i64>(), input.number::<i64>())).unzip();
    let bytes: Vec<u8> = (0..HOST_BYTES).map(|at| (at % 251) as u8).collect();
    let says = Says {
        version: DLPackVersion { major, minor: 3 },
        flags,
        device: if is_on_host { Device::CPU } else { Device::new(kind, 0) },
        dtype,
        ndim,
        shape: (options & NO_SHAPE == 0).then_some(shape),
        strides: (options & NO_STRIDES == 0).then_some(strides),
        byte_offset,
        data_at: match (options & NO_DATA, is_on_host) {
            (0, true) => None,
            (0, false) => Some(address),
            _ => Some(0),
        },
        bytes: if is_on_host { bytes } else { Vec::new() },
        deletes: true,
    };
    (says, is_on_host)
}

/// Whether every element lies in the bytes of the producer, or the struct is refused before anybody looks.
fn lies_in_memory(says: &Says) -> bool {
    let Some((lowest, highest)) = extent(says) else { return false };
    let at = i128::from(says.byte_offset);
    let is_inside = at.saturating_add(lowest) >= 0 && at.saturating_add(highest) <= HOST_BYTES as i128;
    lowest == highest || says.data_at.is_some() || is_inside
}

/// Lowest and one past the highest byte from element 0; `None` for what this target does not follow.
fn extent(says: &Says) -> Option<(i128, i128)> {
    let item = i128::try_from(says.dtype.item_bytes()?).ok()?;
    let shape = says.shape.as_ref()?;
    let mut packed = 1_i128;
    let (mut lowest, mut highest) = (0, item);
    for (axis, len) in shape.iter().enumerate().rev() {
        let stride = says.strides.as_ref().map_or(packed, |strides| strides[axis].into());
        let reach = (i128::from(*len) - 1).checked_mul(stride)?.checked_mul(item)?;
        lowest = i128::checked_add(lowest, reach.min(0))?;
        highest = i128::checked_add(highest, reach.max(0))?;
        packed = packed.checked_mul(i128::from(*len))?;
    }
    Some(if shape.contains(&0) { (0, 0) } else { (lowest, highest) })
}

fn check_tensor(tensor: &Tensor, says: &Says, is_on_host: bool) {
    let layout = tensor.layout();
    layout.fits(tensor.region().len_bytes(), tensor.offset_bytes()).expect("elements lie inside the region");
    let shape: Vec<i64> = layout.shape().iter().map(|len| *len as i64).collect();
    assert_eq!((shape.len(), layout.dtype()), (says.ndim as usize, says.dtype));
    assert!(shape.is_empty() || Some(shape) == says.shape);
    if is_on_host && !layout.is_empty() {
        check_elements(tensor, layout, says);
    }
}

/// Reads the first byte of each element through the region, and compares it with the producer's own.
fn check_elements(tensor: &Tensor, layout: &Layout, says: &Says) {
    let bytes = tensor.region().as_bytes().expect("host memory");
    let mut index = vec![0; layout.ndim()];
    for number in 0..layout.len_elems().min(HOST_BYTES) {
        let mut rest = number;
        for (at, len) in index.iter_mut().zip(layout.shape()).rev() {
            (*at, rest) = (rest % len, rest / len);
        }
        let offset = layout.offset_bytes(&index).expect("an index inside the shape");
        let here = bytes[tensor.offset_bytes().checked_add_signed(offset).expect("inside the region")];
        let there = i128::from(says.byte_offset) + offset as i128;
        assert_eq!(i128::from(here), there % 251, "{says:?} at {index:?}");
    }
}

/// Name, options, dtype, byte offset, and length and stride of each axis.
type Case = (&'static str, u8, (u8, u8, u16), u64, &'static [(i64, i64)]);

fn seeds() -> Vec<Seed> {
    let u8 = (1, 8, 1);
    let cases: &[Case] = &[
        ("host", ON_HOST, u8, 0, &[(4, 16), (16, 1)]),
        ("host-packed", ON_HOST | NO_STRIDES, (2, 32, 1), 64, &[(4, 0), (16, 0)]),
        ("host-flipped", ON_HOST, u8, 1024, &[(4, -16), (16, 1)]),
        ("host-broadcast", ON_HOST, (2, 64, 1), 8, &[(9, 0), (3, 1)]),
        ("host-empty", ON_HOST | NO_DATA, u8, 0, &[(0, 1)]),
        ("host-no-axes", ON_HOST | NO_SHAPE, u8, 5, &[]),
        ("host-lanes", ON_HOST, (2, 32, 4), 0, &[(3, 1)]),
        ("host-unknown-code", ON_HOST, (99, 24, 1), 0, &[(7, 3)]),
        ("device", 0, u8, 16, &[(1 << 40, 1)]),
        ("device-null", NO_DATA, u8, 0, &[(3, 1)]),
        ("device-no-shape", NO_SHAPE, u8, 0, &[(3, 1)]),
        ("device-negative", 0, u8, 0, &[(-3, 1)]),
        ("device-huge", 0, (5, 128, 1), u64::MAX, &[(i64::MAX, i64::MIN), (2, i64::MAX)]),
        ("device-padded-half-bytes", 0, (17, 4, 1), 0, &[(3, 1)]),
        ("nine-axes", 0, u8, 0, &[(1, 1); 9]),
    ];
    let mut seeds: Vec<Seed> = cases
        .iter()
        .map(|(name, options, dtype, offset, axes)| {
            ((*name).into(), seed(1, *options, *dtype, *offset, axes))
        })
        .collect();
    seeds.push(("another-major".into(), seed(2, ON_HOST, u8, 0, &[(4, 1)])));
    seeds
}

fn seed(
    major: u32,
    options: u8,
    (code, bits, lanes): (u8, u8, u16),
    offset: u64,
    axes: &[(i64, i64)],
) -> Vec<u8> {
    let mut bytes = vec![options];
    bytes.extend(DeviceKind::CUDA.0.to_le_bytes());
    bytes.extend(major.to_le_bytes());
    bytes.extend(if code == 17 { 4u64 } else { 1u64 }.to_le_bytes());
    bytes.extend([code, bits]);
    bytes.extend(lanes.to_le_bytes());
    bytes.extend((axes.len() as i32).to_le_bytes());
    bytes.extend(offset.to_le_bytes());
    bytes.extend(0x7000u64.to_le_bytes());
    for (len, stride) in axes {
        bytes.extend(len.to_le_bytes());
        bytes.extend(stride.to_le_bytes());
    }
    bytes
}

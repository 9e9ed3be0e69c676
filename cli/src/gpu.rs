// SPDX-License-Identifier: MIT OR Apache-2.0
//! GPUs, as far as the command uses them: it has no kernels, and copies frames to them and from them.

use uncopy::{Device, DeviceKind};

#[cfg(not(feature = "cuda"))]
#[path = "gpu/no_card.rs"]
mod card;
#[cfg(feature = "cuda")]
mod card;
mod on_host;

pub(crate) use card::{Card, named, usable};
pub(crate) use on_host::{OnHost, Seen};

/// Reads where frames are to lie: `cpu`, `cuda` or `cuda:1`.
pub(crate) fn device(text: &str) -> Result<Device, String> {
    let device: Device = match text {
        "cuda" => Device::cuda(0),
        text => text.parse().map_err(|error| format!("{error}"))?,
    };
    match device.kind {
        DeviceKind::CPU | DeviceKind::CUDA => Ok(device),
        _ => Err("frames lie in memory of the cpu or of a cuda device, such as cuda or cuda:1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_the_cpu_or_a_cuda_device_by_its_number() {
        assert_eq!(device("cpu"), Ok(Device::CPU));
        assert_eq!(device("cuda"), Ok(Device::cuda(0)));
        assert_eq!(device("cuda:3"), Ok(Device::cuda(3)));
        for wrong in ["gpu", "metal", "cuda:x", ""] {
            assert!(device(wrong).is_err(), "{wrong}");
        }
    }
}

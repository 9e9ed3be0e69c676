// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the frames of the demo lie: on a GPU if there is one, with a mirror for consumers that can't use it.

use uncopy::Device;

use crate::gpu;

pub(super) struct Memory {
    pub device: Device,
    /// A sentence's end, with the reason where it is not on a GPU.
    pub says: String,
}

impl Memory {
    /// `asked`: by the user; `None` leaves the choice to what there is.
    pub fn find(asked: Option<Device>) -> Self {
        match asked {
            Some(Device::CPU) => Self { device: Device::CPU, says: "in host memory, as asked".to_owned() },
            Some(device) => Self::on(device, ""),
            None => match gpu::usable() {
                Ok((device, name)) => Self::on(device, &format!(" ({name})")),
                Err(why) => {
                    Self { device: Device::CPU, says: format!("in host memory; no GPU is used: {why}") }
                }
            },
        }
    }

    fn on(device: Device, name: &str) -> Self {
        let says = format!("on {device}{name}, and mirrored in host memory for consumers that don't use it");
        Self { device, says }
    }

    pub fn is_on_gpu(&self) -> bool {
        !self.device.is_host_accessible()
    }
}

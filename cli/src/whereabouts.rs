// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the frames of a link lie, in words and as data. A driver is loaded only for links whose frames are on a GPU,
//! to learn what the card is called.

use serde::Serialize;
use uncopy::{Device, DeviceUuid, Whereabouts};

use crate::gpu;

/// Where frames lie, as `--json` prints it.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub(crate) struct WhereReport {
    /// `host`, `cuda`, or `other`.
    kind: &'static str,
    /// The GPU's UUID.
    uuid: Option<String>,
    /// What the card is called and which one it is here, if this process can see it.
    name: Option<String>,
    device: Option<String>,
    /// Whether the frames are in host memory as well.
    mirror: bool,
}

impl WhereReport {
    pub fn of(whereabouts: Whereabouts) -> Self {
        Self::with(whereabouts, gpu::named)
    }

    fn with(whereabouts: Whereabouts, named: impl Fn(DeviceUuid) -> Option<(Device, String)>) -> Self {
        let plain = |kind| Self { kind, uuid: None, name: None, device: None, mirror: false };
        match whereabouts {
            Whereabouts::Host => plain("host"),
            Whereabouts::Cuda { uuid, is_mirrored } => {
                let (device, name) = named(uuid).unzip();
                Self {
                    kind: "cuda",
                    uuid: Some(uuid.to_string()),
                    device: device.map(|device| device.to_string()),
                    name,
                    mirror: is_mirrored,
                }
            }
            _ => plain("other"),
        }
    }

    pub fn is_host(&self) -> bool {
        self.kind == "host"
    }

    /// For a column: `host`, `NVIDIA H200`, `GPU-5a0c231b + host`.
    pub fn short(&self) -> String {
        let Some(uuid) = &self.uuid else { return self.kind.to_owned() };
        let first = uuid.get(..12).unwrap_or(uuid).to_owned();
        self.name.clone().unwrap_or(first) + if self.mirror { " + host" } else { "" }
    }

    /// A sentence's end: `in host memory`, `on cuda:0, NVIDIA H200 (GPU-5a0c…), and mirrored in host memory`.
    pub fn in_words(&self) -> String {
        let Some(uuid) = &self.uuid else {
            return match self.kind {
                "host" => "in host memory".to_owned(),
                _ => "in memory of a kind that this version does not know".to_owned(),
            };
        };
        let on = match (&self.device, &self.name) {
            (Some(device), Some(name)) => format!("on {device}, {name} ({uuid})"),
            _ => format!("on {uuid}, a GPU that can't be seen from here"),
        };
        on + if self.mirror { ", and mirrored in host memory" } else { "" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: DeviceUuid = DeviceUuid([0x5a, 0x0c, 0x23, 0x1b, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);

    fn seen(uuid: DeviceUuid) -> Option<(Device, String)> {
        (uuid == UUID).then(|| (Device::cuda(1), "NVIDIA H200".to_owned()))
    }

    #[test]
    fn host_memory_is_just_that() {
        let host = WhereReport::with(Whereabouts::Host, seen);
        assert_eq!((host.short().as_str(), host.in_words().as_str()), ("host", "in host memory"));
        assert!(host.is_host());
    }

    #[test]
    fn a_card_is_called_by_its_name_where_it_can_be_seen() {
        let here = WhereReport::with(Whereabouts::Cuda { uuid: UUID, is_mirrored: true }, seen);
        assert_eq!(here.short(), "NVIDIA H200 + host");
        let words = here.in_words();
        assert!(words.starts_with("on cuda:1, NVIDIA H200 (GPU-5a0c231b-"), "{words}");
        assert!(words.ends_with("mirrored in host memory"), "{words}");
    }

    #[test]
    fn a_card_that_can_not_be_seen_is_called_by_its_uuid() {
        let hidden = WhereReport::with(Whereabouts::Cuda { uuid: UUID, is_mirrored: false }, |_| None);
        assert_eq!(hidden.short(), "GPU-5a0c231b");
        assert!(hidden.in_words().contains("can't be seen from here"));
    }
}

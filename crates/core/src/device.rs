// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where memory lives: a DLPack device type and an index.
//!
//! Kinds are numbers, not a Rust `enum`: headers newer than 1.3 already hand out others (19 and 20), and such a device
//! must stay a value that can be shown and passed on.
//!
//! This module refuses to know whether a device exists, or to identify one card in two processes: the index counts the
//! devices that *this* process sees. Source of the numbers: DLPack 1.3, `DLDeviceType`.
//!
//! ```
//! use uncopy_core::{Device, DeviceKind};
//!
//! let device: Device = "cuda:1".parse()?;
//! assert_eq!(device, Device::new(DeviceKind::CUDA, 1));
//! assert_eq!(device.to_string(), "cuda:1");
//! assert!(Device::CPU.is_host_accessible());
//! # Ok::<(), uncopy_core::DeviceError>(())
//! ```

use crate::error::ErrorKind;
use crate::name::nearest;
use crate::quote::quoted;
use std::fmt;
use std::str::FromStr;

/// A DLPack device type. Any number is a value; the constants are those of DLPack 1.3.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct DeviceKind(pub i32);

/// Writes the constants and the table of names from one list.
macro_rules! device_kinds {
    ($($number:literal $constant:ident $name:literal $doc:literal;)+) => {
        impl DeviceKind {
            $(#[doc = $doc]
            pub const $constant: DeviceKind = DeviceKind($number);)+

            /// Every kind that has a name.
            pub const ALL: &[DeviceKind] = &[$(DeviceKind::$constant),+];

            /// The name in messages and in [`Device`]'s text form; `None` for a number that this version does not know.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 { $($number => Some($name),)+ _ => None }
            }
        }
    };
}

device_kinds! {
    1 CPU "cpu" "Host memory.";
    2 CUDA "cuda" "Memory of an NVIDIA GPU.";
    3 CUDA_HOST "cuda_host" "Host memory pinned through the CUDA driver.";
    4 OPENCL "opencl" "An OpenCL buffer.";
    7 VULKAN "vulkan" "A Vulkan buffer.";
    8 METAL "metal" "A Metal buffer.";
    9 VPI "vpi" "Verilog simulator memory.";
    10 ROCM "rocm" "Memory of an AMD GPU.";
    11 ROCM_HOST "rocm_host" "Host memory pinned through ROCm.";
    12 EXT_DEV "ext_dev" "A device that DLPack reserves for extensions.";
    13 CUDA_MANAGED "cuda_managed" "CUDA managed (unified) memory.";
    14 ONEAPI "oneapi" "Unified shared memory of a oneAPI device.";
    15 WEBGPU "webgpu" "A WebGPU buffer.";
    16 HEXAGON "hexagon" "Memory of a Hexagon DSP.";
    17 MAIA "maia" "Memory of a Microsoft MAIA device.";
    18 TRN "trn" "Memory of an AWS Trainium device.";
}

impl DeviceKind {
    /// May the CPU dereference addresses of this kind? True for host, pinned and managed memory. It says nothing about
    /// *when*: pinned and managed memory may still be written by a GPU, so wait for its stream first.
    pub const fn is_host_accessible(self) -> bool {
        matches!(
            self,
            DeviceKind::CPU | DeviceKind::CUDA_HOST | DeviceKind::ROCM_HOST | DeviceKind::CUDA_MANAGED
        )
    }

    /// The kind with this name, such as `"cuda"`.
    pub fn from_name(name: &str) -> Option<DeviceKind> {
        Self::ALL.iter().copied().find(|kind| kind.name() == Some(name))
    }
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "device({})", self.0),
        }
    }
}

impl fmt::Debug for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One device: the layout of DLPack's `DLDevice` (8 bytes).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C)]
pub struct Device {
    /// What kind of memory it is.
    pub kind: DeviceKind,
    /// Which one, counted from 0 as this process sees them; 0 for host memory.
    pub id: i32,
}

const _: () = assert!(size_of::<Device>() == 8 && align_of::<Device>() == 4);

impl Device {
    /// Host memory.
    pub const CPU: Device = Device::new(DeviceKind::CPU, 0);

    /// The `id`-th device of this kind.
    pub const fn new(kind: DeviceKind, id: i32) -> Device {
        Device { kind, id }
    }

    /// The `id`-th NVIDIA GPU that this process sees.
    pub const fn cuda(id: i32) -> Device {
        Device::new(DeviceKind::CUDA, id)
    }

    /// May the CPU dereference addresses on this device? See [`DeviceKind::is_host_accessible`].
    pub const fn is_host_accessible(self) -> bool {
        self.kind.is_host_accessible()
    }
}

impl Default for Device {
    fn default() -> Device {
        Device::CPU
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Device::CPU => f.pad("cpu"),
            Device { kind, id } => f.pad(&format!("{kind}:{id}")),
        }
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Device {
    type Err = DeviceError;

    /// Reads `"cpu"`, `"cuda"` (the first one) and `"cuda:1"`.
    fn from_str(text: &str) -> Result<Device, DeviceError> {
        let (name, id) = match text.split_once(':') {
            Some((name, id)) => (name, Some(id)),
            None => (text, None),
        };
        let kind = DeviceKind::from_name(name).ok_or_else(|| DeviceError::UnknownKind {
            text: text.to_owned(),
            nearest: match name {
                // one letter from "cpu", which is the last thing that is meant
                "gpu" => Some("cuda"),
                _ => nearest(name, DeviceKind::ALL.iter().filter_map(|kind| kind.name())),
            },
        })?;
        let id = match id {
            None => Some(0),
            // parse() alone would take "+1" too
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok(),
            Some(_) => None,
        };
        let id = id.ok_or_else(|| DeviceError::BadIndex { text: text.to_owned() })?;
        Ok(Device { kind, id })
    }
}

/// Why a text is not a device.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum DeviceError {
    /// The part before the colon is no device kind.
    UnknownKind {
        /// What was given.
        text: String,
        /// The known name that it resembles most.
        nearest: Option<&'static str>,
    },
    /// The part after the colon is no index.
    BadIndex {
        /// What was given.
        text: String,
    },
}

impl DeviceError {
    /// The kind of this error: always [`ErrorKind::InvalidArgument`].
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidArgument
    }
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceError::UnknownKind { text, nearest: Some(name) } => {
                write!(f, "unknown device {}: did you mean \"{name}\"?", quoted(text))
            }
            DeviceError::UnknownKind { text, nearest: None } => {
                write!(f, "unknown device {}: use a name such as \"cpu\" or \"cuda:0\"", quoted(text))
            }
            DeviceError::BadIndex { text } => write!(
                f,
                "device {} has no valid index: write a number from 0 to {} after the colon, as in \"cuda:0\"",
                quoted(text),
                i32::MAX
            ),
        }
    }
}

impl std::error::Error for DeviceError {}

#[cfg(test)]
mod tests {
    use super::{Device, DeviceKind};
    use crate::ErrorKind;

    #[test]
    fn numbers_are_those_of_dlpack() {
        let numbers: Vec<_> = DeviceKind::ALL.iter().map(|kind| kind.0).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18]);
        assert_eq!(DeviceKind::CUDA.0, 2);
        assert_eq!(DeviceKind::CUDA_MANAGED.0, 13);
        assert_eq!(DeviceKind::TRN.0, 18);
    }

    #[test]
    fn every_known_device_reads_back_from_its_text() {
        for kind in DeviceKind::ALL {
            for id in [0, 1, i32::MAX] {
                let device = Device::new(*kind, id);
                assert_eq!(device.to_string().parse(), Ok(device));
            }
        }
        assert_eq!("cuda".parse(), Ok(Device::cuda(0)));
        assert_eq!(Device::CPU.to_string(), "cpu");
        assert_eq!(Device::new(DeviceKind::CPU, 1).to_string(), "cpu:1");
    }

    #[test]
    fn a_device_of_a_newer_dlpack_stays_a_value_that_can_be_shown() {
        assert_eq!(Device::new(DeviceKind(19), 3).to_string(), "device(19):3");
        assert_eq!(DeviceKind(19).name(), None);
        assert!(!DeviceKind(19).is_host_accessible());
    }

    #[test]
    fn wrong_texts_are_refused_with_advice() {
        for text in
            ["", ":", ":0", "cpu:", "cuda:-1", "cuda:+1", "cuda:1:2", "cuda: 1", "cuda:2147483648", "CUDA"]
        {
            assert!(text.parse::<Device>().is_err(), "{text:?}");
        }
        let error = "cudo:0".parse::<Device>().unwrap_err();
        assert_eq!(error.to_string(), "unknown device \"cudo:0\": did you mean \"cuda\"?");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        let error = "gpu:0".parse::<Device>().unwrap_err();
        assert_eq!(error.to_string(), "unknown device \"gpu:0\": did you mean \"cuda\"?");
        let error = "cuda:x".parse::<Device>().unwrap_err();
        assert!(error.to_string().contains("\"cuda:0\""), "{error}");
    }

    #[test]
    fn pinned_and_managed_memory_counts_as_reachable_from_the_host() {
        let reachable: Vec<_> = DeviceKind::ALL.iter().filter(|kind| kind.is_host_accessible()).collect();
        assert_eq!(
            reachable,
            [&DeviceKind::CPU, &DeviceKind::CUDA_HOST, &DeviceKind::ROCM_HOST, &DeviceKind::CUDA_MANAGED]
        );
    }
}

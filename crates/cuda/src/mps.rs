// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether processes share the card through MPS, NVIDIA's Multi-Process Service.
//!
//! Without it the card takes turns between processes, and a kernel of the process that receives a frame waits for its
//! turn. With it they run side by side.

use std::path::{Path, PathBuf};

use crate::raw::CUdevice;
use crate::raw::numbers::DEVICE_MPS_ENABLED;
use crate::{CudaError, Driver};

/// What is known about MPS for a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mps {
    /// The driver says that contexts of this process go through it.
    On,
    /// The driver says that they do not.
    Off,
    /// The driver is too old to say, but MPS's control pipe is there.
    LikelyOn,
    /// The driver is too old to say, and there is no control pipe.
    LikelyOff,
}

impl Mps {
    pub(crate) fn of(driver: &Driver, device: CUdevice) -> Mps {
        match driver.attribute(device, DEVICE_MPS_ENABLED) {
            Ok(0) => Mps::Off,
            Ok(_) => Mps::On,
            Err(CudaError::Driver { .. }) if has_control_pipe(&pipe_directory()) => Mps::LikelyOn,
            Err(_) => Mps::LikelyOff,
        }
    }
}

/// Where MPS keeps its pipes. Source: "Multi-Process Service", environment variables.
fn pipe_directory() -> PathBuf {
    let named = std::env::var_os("CUDA_MPS_PIPE_DIRECTORY").filter(|directory| !directory.is_empty());
    named.map_or_else(|| PathBuf::from("/tmp/nvidia-mps"), PathBuf::from)
}

/// Whether a control daemon has put its pipe there.
fn has_control_pipe(directory: &Path) -> bool {
    directory.join("control").exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_with_a_control_pipe_means_mps() {
        let directory = std::env::temp_dir().join(format!("uncopy-cuda-mps-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        assert!(!has_control_pipe(&directory));
        std::fs::write(directory.join("control"), "").unwrap();
        assert!(has_control_pipe(&directory));
        std::fs::remove_dir_all(&directory).unwrap();
    }
}

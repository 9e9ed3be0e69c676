// SPDX-License-Identifier: MIT OR Apache-2.0
//! An NVIDIA GPU to put frames on, and which there are.

use std::sync::{Arc, OnceLock};

use uncopy::cuda::{CudaDevice, DeviceReport, ListedDevice, list_devices};
use uncopy::{Accelerator, Device, DeviceUuid, LinkError, Region, Stream, Tensor};

use crate::error::CliError;

/// A GPU, and a stream of the command's own on it.
pub(crate) struct Card {
    device: Arc<CudaDevice>,
    stream: Stream,
}

impl Card {
    /// The GPU that this process counts so.
    pub fn open(device: Device) -> Result<Self, CliError> {
        let device = CudaDevice::with_ordinal(device.id)?;
        let stream = device.stream().map_err(failed("make a stream"))?;
        Ok(Self { device, stream })
    }

    pub fn device(&self) -> Device {
        self.device.device()
    }

    /// What copies are put into.
    pub fn stream(&self) -> Stream {
        self.stream
    }

    /// Puts a copy of a frame's bytes to a tensor on the GPU into the stream.
    pub fn put(&self, pixels: Vec<u8>, to: &Tensor) -> Result<(), CliError> {
        // Memory that is not pinned may be used again, or go, when the call returns.
        let from = Tensor::new(Region::from_vec(pixels), *to.layout(), 0).map_err(LinkError::from)?;
        self.device.copy(&from, to.region(), self.stream).map_err(failed("copy a frame"))
    }
}

fn failed(doing: &'static str) -> impl FnOnce(std::io::Error) -> CliError {
    move |error| CliError::io(format!("{doing} on the GPU"), error)
}

/// A GPU that can carry links, and what it is called; or why none is there.
pub(crate) fn usable() -> Result<(Device, String), String> {
    let devices = list_devices().map_err(|error| error.to_string())?;
    let mut why = "there is no GPU".to_owned();
    for ListedDevice { device, name, .. } in devices {
        match DeviceReport::of(device.id) {
            Ok(report) if report.can_carry_links() => return Ok((device, name)),
            Ok(_) => why = format!("{name} can't share memory with other processes (see uncopy doctor)"),
            Err(error) => why = error.to_string(),
        }
    }
    Err(why)
}

/// What the card with this UUID is here, and what it is called, if this process sees it.
pub(crate) fn named(uuid: DeviceUuid) -> Option<(Device, String)> {
    // Cards don't come and go.
    static CARDS: OnceLock<Vec<ListedDevice>> = OnceLock::new();
    let cards = CARDS.get_or_init(|| list_devices().unwrap_or_default());
    let card = cards.iter().find(|card| card.uuid == uuid)?;
    Some((card.device, card.name.clone()))
}

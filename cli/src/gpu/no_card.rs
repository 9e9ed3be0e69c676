// SPDX-License-Identifier: MIT OR Apache-2.0
//! The same in a build without GPUs: none is there.

use uncopy::{Device, DeviceUuid, ErrorKind, Stream, Tensor};

use crate::error::CliError;

const WHY: &str = "this build of the command has no support for GPUs (its feature 'cuda')";

/// There is none.
pub(crate) enum Card {}

impl Card {
    pub fn open(_: Device) -> Result<Self, CliError> {
        Err(CliError::said(ErrorKind::Unsupported, WHY))
    }

    pub fn device(&self) -> Device {
        match *self {}
    }

    pub fn stream(&self) -> Stream {
        match *self {}
    }

    pub fn put(&self, _: Vec<u8>, _: &Tensor) -> Result<(), CliError> {
        match *self {}
    }
}

pub(crate) fn usable() -> Result<(Device, String), String> {
    Err(WHY.to_owned())
}

pub(crate) fn named(_: DeviceUuid) -> Option<(Device, String)> {
    None
}

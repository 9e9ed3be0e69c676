// SPDX-License-Identifier: MIT OR Apache-2.0
//! Decoding by PyAV, in a Python of the user's.

use std::path::Path;

use serde::Deserialize;

use super::running::Running;
use super::{Details, Rate};
use crate::error::CliError;
use crate::python::Python;

/// Says what is in a video, is told the pixel format, then writes PAM pictures.
const SCRIPT: &str = include_str!("decode.py");

#[derive(Deserialize)]
struct Said {
    rate: Option<String>,
    frames: Option<u64>,
    seconds: Option<f64>,
    pix_fmt: String,
}

/// Starts a decoder, up to where it has to be told the pixel format.
pub(super) fn begin(python: &Python, path: &Path) -> Result<(Details, Running), CliError> {
    let mut command = python.command(SCRIPT);
    command.arg(path);
    let mut running = Running::start(command)?;
    let line = running.line()?;
    let Ok(said) = serde_json::from_str::<Said>(&line) else {
        running.finish(path)?;
        let sentence = format!("PyAV says of {} what is not understood: {line:?}", path.display());
        return Err(CliError::said(uncopy::ErrorKind::System, sentence));
    };
    let rate: Option<Rate> = said.rate.and_then(|text| text.parse().ok());
    let estimated = || Some(Rate::frames_in(rate?, said.seconds?)).filter(|count| *count > 0);
    let frames = said.frames.filter(|count| *count > 0).or_else(estimated);
    Ok((Details { rate, frames, pix_fmt: said.pix_fmt }, running))
}

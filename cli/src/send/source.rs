// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where frames come from: one trait that a video, an image, a pipe and a test picture share.

use uncopy::{CopyReason, Form};

use super::pace::Rate;
use crate::error::CliError;

/// Gives frames one after the other, each into memory of the caller's. It may wait for them, so it lives on a thread
/// of its own.
pub(super) trait Source: Send {
    /// The form of the next frame; `None` when there is none.
    fn next_form(&mut self) -> Result<Option<Form>, CliError>;

    /// Writes that frame into `bytes`, which has exactly the bytes of its form.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), CliError>;

    /// Why [`fill`](Self::fill) copies; `None` where the pixels are made in place.
    fn copies(&self) -> Option<CopyReason>;

    /// Begins again from the first frame. Only sources that can be told to loop are asked.
    fn restart(&mut self) -> Result<(), CliError>;
}

/// A source that is ready, and what is known of it beforehand.
pub(super) struct Opened {
    pub source: Box<dyn Source>,
    /// What is sent, in words.
    pub title: String,
    /// Frames each second, where the source has a rate.
    pub rate: Option<Rate>,
    /// How many frames it has, where that is known. It may be an estimate.
    pub frames: Option<u64>,
    /// Whether it is one picture.
    pub is_still: bool,
}

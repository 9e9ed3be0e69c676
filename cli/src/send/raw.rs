// SPDX-License-Identifier: MIT OR Apache-2.0
//! Raw pixels from standard input: frames of one form, one after the other, nothing between them.

use std::io::{BufRead, Read};

use uncopy::{CopyReason, ErrorKind, Form, Origin, PixelFormat};

use super::Size;
use super::source::{Opened, Source};
use crate::error::CliError;

const READING: &str = "read pixels from standard input";

pub(super) fn open(
    size: Option<Size>,
    pixel: Option<PixelFormat>,
    origin: Origin,
) -> Result<Opened, CliError> {
    let Some(Size { width, height }) = size else {
        return Err(CliError::usage("raw pixels don't say their size: add --size WxH"));
    };
    let form = Form::image(height, width, pixel.unwrap_or(PixelFormat::RGBA8))?.with_origin(origin);
    Ok(Opened {
        title: format!("standard input as {form}"),
        source: Box::new(RawInput { form }),
        rate: None,
        frames: None,
        is_still: false,
    })
}

struct RawInput {
    form: Form,
}

impl Source for RawInput {
    fn next_form(&mut self) -> Result<Option<Form>, CliError> {
        let is_over = std::io::stdin().lock().fill_buf().map_err(|e| CliError::io(READING, e))?.is_empty();
        Ok((!is_over).then_some(self.form))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), CliError> {
        let mut input = std::io::stdin().lock();
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match input.read(rest) {
                Ok(0) => return Err(cut_off(filled, bytes.len(), &self.form)),
                Ok(read) => filled += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(CliError::io(READING, error)),
            }
        }
        Ok(())
    }

    fn copies(&self) -> Option<CopyReason> {
        Some(CopyReason::SEND)
    }

    fn restart(&mut self) -> Result<(), CliError> {
        Err(CliError::usage("standard input can't be read a second time"))
    }
}

fn cut_off(filled: usize, wanted: usize, form: &Form) -> CliError {
    let sentence = format!(
        "standard input ended within a frame: {filled} of {wanted} bytes of {form}; are --size and --pixel right?"
    );
    CliError::said(ErrorKind::InvalidArgument, sentence)
}

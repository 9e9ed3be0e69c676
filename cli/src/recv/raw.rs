// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bytes of received frames on standard output.

use std::io::Write;

use uncopy::{Form, Frame};

use crate::error::CliError;
use crate::host::Session;

/// Writes frames packed, one after the other, with nothing between them.
#[derive(Default)]
pub(super) struct RawOutput {
    form: Option<Form>,
    packed: Vec<u8>,
}

impl RawOutput {
    pub fn take(&mut self, frame: &Frame, session: &Session<'_>) -> Result<(), CliError> {
        let form = frame.form();
        if self.form.replace(*form) != Some(*form) {
            // The bytes alone don't say it.
            session.console.say(format_args!("frames are {form}, {} bytes each", form.layout().len_bytes()));
        }
        let bytes = if form.layout().is_c_contiguous() {
            frame.bytes()
        } else {
            self.packed.resize(form.layout().len_bytes(), 0);
            frame
                .tensor()?
                .copy_packed_into(&mut self.packed)
                .map_err(|error| CliError::Link(error.into()))?;
            &self.packed
        };
        let mut output = std::io::stdout().lock();
        output.write_all(bytes).and_then(|()| output.flush()).map_err(CliError::output)
    }
}

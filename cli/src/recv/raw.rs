// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bytes of received frames on standard output.

use std::io::Write;

use uncopy::Form;

use crate::error::CliError;
use crate::gpu::Seen;
use crate::host::Session;

/// Writes frames packed, one after the other, with nothing between them.
#[derive(Default)]
pub(super) struct RawOutput {
    form: Option<Form>,
}

impl RawOutput {
    pub fn take(&mut self, seen: &mut Seen<'_>, session: &Session<'_>) -> Result<(), CliError> {
        let form = *seen.frame.form();
        if self.form.replace(form) != Some(form) {
            // The bytes alone don't say it.
            session.console.say(format_args!("frames are {form}, {} bytes each", form.layout().len_bytes()));
        }
        let mut output = std::io::stdout().lock();
        output.write_all(seen.packed()?).and_then(|()| output.flush()).map_err(CliError::output)
    }
}

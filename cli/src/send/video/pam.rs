// SPDX-License-Identifier: MIT OR Apache-2.0
//! The text before the pixels of a PAM picture.
//!
//! `P7`, then lines of a word and a value, then `ENDHDR`: <https://netpbm.sourceforge.net/doc/pam.html>.

use std::io::{BufRead, Read};

use uncopy::{ErrorKind, Form, PixelFormat};

use crate::error::CliError;

/// Longer headers are no headers.
const MAX_HEADER_BYTES: u64 = 4096;

/// Size and depth of the picture that follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Header {
    width: usize,
    height: usize,
    channels: usize,
}

impl Header {
    /// Reads up to the first byte of the pixels; `None` at the end of the input.
    pub fn read(input: &mut impl BufRead) -> Result<Option<Self>, CliError> {
        let mut lines = Lines { input: input.take(MAX_HEADER_BYTES), line: String::new() };
        match lines.next()? {
            "" => return Ok(None),
            "P7" => {}
            other => return Err(malformed(other)),
        }
        let mut header = Self::default();
        loop {
            let line = lines.next()?;
            let (word, value) = line.split_once(' ').unwrap_or((line, ""));
            let number = || value.trim().parse().map_err(|_| malformed(line));
            match word {
                "ENDHDR" => return Ok(Some(header)),
                "WIDTH" => header.width = number()?,
                "HEIGHT" => header.height = number()?,
                "DEPTH" => header.channels = number()?,
                "MAXVAL" if number()? != 255 => return Err(malformed(line)),
                "MAXVAL" | "TUPLTYPE" => {}
                _ => return Err(malformed(line)),
            }
        }
    }

    /// The form of the frame, whose pixels were asked for in `pixel`.
    pub fn form(self, pixel: PixelFormat) -> Result<Form, CliError> {
        if pixel.channels() != Some(self.channels) {
            let sentence =
                format!("the decoder sends {} channels where {pixel} was asked for", self.channels);
            return Err(CliError::said(ErrorKind::System, sentence));
        }
        Ok(Form::image(self.height, self.width, pixel)?)
    }
}

struct Lines<R> {
    input: R,
    line: String,
}

impl<R: Read + BufRead> Lines<R> {
    /// The next line without its end; empty at the end of the input.
    fn next(&mut self) -> Result<&str, CliError> {
        self.line.clear();
        self.input.read_line(&mut self.line).map_err(|e| CliError::io("read from the decoder", e))?;
        Ok(self.line.trim_end_matches('\n'))
    }
}

fn malformed(line: &str) -> CliError {
    let shown: String = line.chars().take(40).collect();
    CliError::said(ErrorKind::System, format!("the decoder's output is not understood at {shown:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Header>, CliError> {
        Header::read(&mut text.as_bytes())
    }

    #[test]
    fn a_header_ends_where_the_pixels_begin() {
        let mut input =
            b"P7\nWIDTH 3\nHEIGHT 2\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\nP7".as_slice();
        let header = Header::read(&mut input).unwrap().unwrap();
        assert_eq!(header, Header { width: 3, height: 2, channels: 4 });
        assert_eq!(input, b"P7");
        assert_eq!(header.form(PixelFormat::RGBA8).unwrap().shape(), [2, 3, 4]);
        assert!(header.form(PixelFormat::RGB8).is_err());
    }

    #[test]
    fn the_end_of_the_input_is_no_header() {
        assert_eq!(read("").unwrap(), None);
    }

    #[test]
    fn anything_else_is_refused_with_what_was_found() {
        let long = format!("P7\nWIDTH {}", "1".repeat(10_000));
        for wrong in
            ["P6\n1 1\n", "P7\nWIDTH x\n", "P7\nMAXVAL 65535\nENDHDR\n", "P7\nWIDTH 1\n", &long, "\u{1}"]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert!(read("P6\n").unwrap_err().to_string().contains("P6"));
    }
}

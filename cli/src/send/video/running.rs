// SPDX-License-Identifier: MIT OR Apache-2.0
//! A decoder that runs: its frames on one pipe, its complaints on another. It ends with its owner.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;

use uncopy::ErrorKind;

use super::pam::Header;
use crate::error::CliError;

const READING: &str = "read from the decoder";

pub(super) struct Running {
    child: Child,
    output: BufReader<ChildStdout>,
    complaints: Option<JoinHandle<String>>,
}

impl Running {
    pub fn start(mut command: Command) -> Result<Self, CliError> {
        let doing = format!("start {}", command.get_program().display());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|e| CliError::io(doing.clone(), e))?;
        let (Some(output), Some(errors)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(CliError::io(doing, std::io::Error::other("its pipes are missing")));
        };
        // Read all the while: a decoder that complains a lot must not stop at a full pipe.
        let complaints = std::thread::spawn(move || last_line(errors));
        Ok(Self { child, output: BufReader::new(output), complaints: Some(complaints) })
    }

    /// One line of what the decoder says before the frames.
    pub fn line(&mut self) -> Result<String, CliError> {
        let mut line = String::new();
        self.output.read_line(&mut line).map_err(|e| CliError::io(READING, e))?;
        Ok(line)
    }

    /// One line to the decoder, the only one.
    pub fn tell(&mut self, line: &str) -> Result<(), CliError> {
        let Some(mut input) = self.child.stdin.take() else { return Ok(()) };
        writeln!(input, "{line}").map_err(|e| CliError::io("write to the decoder", e))
    }

    /// The text before the next frame; `None` when there is none.
    pub fn next_header(&mut self) -> Result<Option<Header>, CliError> {
        Header::read(&mut self.output)
    }

    /// Reads the pixels of a frame; `false` when they end too early.
    pub fn fill(&mut self, bytes: &mut [u8]) -> Result<bool, CliError> {
        match self.output.read_exact(bytes) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(CliError::io(READING, error)),
        }
    }

    /// An error if the decoder ended with one.
    pub fn finish(mut self, path: &Path) -> Result<(), CliError> {
        let status = self.child.wait().map_err(|e| CliError::io("wait for the decoder", e))?;
        let complaint = self.complaints.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        if status.success() {
            return Ok(());
        }
        let why = if complaint.is_empty() { status.to_string() } else { complaint };
        Err(CliError::said(ErrorKind::InvalidArgument, format!("{} can't be decoded: {why}", path.display())))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only for a child that has ended and was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The last line that says something; programs end with the reason.
fn last_line(errors: impl Read) -> String {
    let mut last = String::new();
    let mut reader = BufReader::new(errors);
    let mut line = Vec::new();
    while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
        let text = String::from_utf8_lossy(&line);
        if !text.trim().is_empty() {
            last = text.trim().replace(char::is_control, "?");
        }
        line.clear();
    }
    last
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a peer hears what to do and says what happened: lines on stdin, JSON lines on stdout.

use std::io::Write;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use serde_json::{Value, json};
use uncopy::LinkError;

/// Says that something happened. Ends the process when nobody listens any more.
pub fn emit(event: &Value) {
    let line = format!("{event}\n");
    let mut out = std::io::stdout().lock();
    if out.write_all(line.as_bytes()).and_then(|()| out.flush()).is_err() {
        std::process::exit(1);
    }
}

/// Says that a call failed, with the error's kind and words.
pub fn emit_error(error: &LinkError) {
    emit(&json!({ "event": "error", "kind": error.kind().name(), "text": error.to_string() }));
}

/// Commands from stdin, one per line.
#[derive(Default)]
pub struct Commands {
    read: Vec<u8>,
}

impl Commands {
    /// The next command; waits for it. `None` when the test has closed its end.
    pub fn next_command(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return Some(String::from_utf8_lossy(&line).trim().to_owned());
            }
            let mut more = [0; 512];
            match rustix::io::read(std::io::stdin(), &mut more) {
                Ok(0) => return None,
                Ok(len) => self.read.extend_from_slice(&more[..len]),
                Err(Errno::INTR) => {}
                Err(errno) => panic!("commands can't be read: {errno}"),
            }
        }
    }

    /// Whether a command, or the end of commands, is there already.
    #[must_use]
    pub fn waiting(&self) -> bool {
        let stdin = std::io::stdin();
        let mut polled = [PollFd::new(&stdin, PollFlags::IN)];
        !self.read.is_empty() || poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) != Ok(0)
    }
}

/// Words of a role's command line: `NAME --option value --flag`.
pub struct Words(Vec<String>);

impl Words {
    /// From the arguments behind the role.
    #[must_use]
    pub fn new(words: Vec<String>) -> Self {
        Self(words)
    }

    /// The first word: the name of a link.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.first().expect("a role has the name of a link")
    }

    /// Whether `--flag` is there.
    #[must_use]
    pub fn has(&self, flag: &str) -> bool {
        self.0.iter().any(|word| word == flag)
    }

    /// What follows `--option`.
    #[must_use]
    pub fn value(&self, option: &str) -> Option<&str> {
        let at = self.0.iter().position(|word| word == option)?;
        self.0.get(at + 1).map(String::as_str)
    }

    /// The number that follows `--option`.
    ///
    /// # Panics
    /// When it is no number.
    #[must_use]
    pub fn number(&self, option: &str) -> Option<u64> {
        self.value(option).map(|text| text.parse().expect("a number"))
    }
}

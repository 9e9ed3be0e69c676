// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a task could not do its work at all; a check that fails is a result, not an error.

use std::{fmt, io, path::Path};

/// What stopped a task.
#[derive(Debug)]
pub enum Error {
    /// A file or a process could not be used.
    Io { doing: String, source: io::Error },
    /// A command that had to succeed did not.
    Command { shown: String, code: Option<i32>, tail: String },
    /// A file does not have the form that it must have.
    Form { what: String, why: String },
    /// Something is missing on this machine; the sentence names it and says how to get it.
    Missing(String),
}

impl Error {
    /// `doing` is a verb phrase: "start `cargo fmt`".
    pub fn io(doing: impl Into<String>, source: io::Error) -> Self {
        Self::Io { doing: doing.into(), source }
    }

    pub fn form(what: impl Into<String>, why: impl fmt::Display) -> Self {
        Self::Form { what: what.into(), why: why.to_string() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { doing, source } => write!(f, "cannot {doing}: {source}"),
            Self::Command { shown, code: Some(code), tail } => {
                write!(f, "`{shown}` ended with code {code}{}", indented(tail))
            }
            Self::Command { shown, code: None, tail } => {
                write!(f, "`{shown}` was ended by a signal{}", indented(tail))
            }
            Self::Form { what, why } => write!(f, "{what}: {why}"),
            Self::Missing(sentence) => f.write_str(sentence),
        }
    }
}

impl std::error::Error for Error {}

fn indented(tail: &str) -> String {
    tail.lines().map(|line| format!("\n  {line}")).collect()
}

pub fn read_text(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|e| Error::io(format!("read {}", path.display()), e))
}

pub fn write_text(path: &Path, text: &str) -> Result<(), Error> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|e| Error::io(format!("create {}", parent.display()), e))?;
    }
    std::fs::write(path, text).map_err(|e| Error::io(format!("write {}", path.display()), e))
}

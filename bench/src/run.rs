// SPDX-License-Identifier: MIT OR Apache-2.0
//! One run: how much to measure, with which programs, and a runtime directory of its own.

use crate::failure::Failure;
use std::path::{Path, PathBuf};

/// What the caller may choose.
#[derive(clap::Args)]
pub struct Options {
    /// Fewer samples: enough to see whether something broke, not to compare with.
    #[arg(long)]
    quick: bool,
    /// Only the figures with this in their names, where a topic has several: to work on one of them.
    #[arg(long)]
    only: Option<String>,
    /// The `uncopy` program to time (the one beside this program unless told).
    #[arg(long)]
    uncopy: Option<PathBuf>,
    /// The wheel to weigh.
    #[arg(long)]
    wheel: Option<PathBuf>,
}

/// A run in progress. Its runtime directory is removed when it ends.
pub struct Run {
    options: Options,
    dir: PathBuf,
}

impl Run {
    /// A run with what the caller chose.
    ///
    /// # Errors
    /// None yet.
    pub fn new(options: Options) -> Result<Self, Failure> {
        let dir = std::env::temp_dir().join(format!("uncopy-bench-{}", std::process::id()));
        Ok(Self { options, dir })
    }

    /// The runtime directory of the links that are measured.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The directory as an argument for the other process.
    #[must_use]
    pub fn dir_argument(&self) -> String {
        self.dir.to_string_lossy().into_owned()
    }

    /// `full`, or `quick` where the caller is in a hurry.
    #[must_use]
    pub fn count(&self, full: usize, quick: usize) -> usize {
        if self.options.quick { quick } else { full }
    }

    /// Whether the figure of this name was asked for.
    #[must_use]
    pub fn wants(&self, figure: &str) -> bool {
        self.options.only.as_deref().is_none_or(|only| figure.contains(only))
    }

    /// The wheel, where the caller named one.
    #[must_use]
    pub fn wheel(&self) -> Option<&Path> {
        self.options.wheel.as_deref()
    }

    /// The `uncopy` program.
    ///
    /// # Errors
    /// As for [`this_program`].
    pub fn uncopy(&self) -> Result<PathBuf, Failure> {
        match &self.options.uncopy {
            Some(path) => Ok(path.clone()),
            None => Ok(this_program()?.with_file_name("uncopy")),
        }
    }

    /// Tells the user what is being done; figures alone go to standard output.
    pub fn say(&self, text: &str) {
        eprintln!("  {text}");
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // It may never have been made; what can't be removed lies in the temporary directory.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// The path of this program.
///
/// # Errors
/// The system does not tell.
pub fn this_program() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|e| Failure::system("find this program", e))
}

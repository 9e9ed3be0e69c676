// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Python interpreter that the command can ask for help: which one, and what it has.
//!
//! Looked for in this order: what the user named (`--python`, else `$UNCOPY_PYTHON`), the one beside the command (so a
//! command that came with a wheel finds the environment that it was installed into), `python3` on `PATH`. One that was
//! named and does not start is an error; nothing is tried in its place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};
use uncopy::ErrorKind;

use crate::error::CliError;
use crate::host::Session;

/// Says what an interpreter has, without importing any of it.
const PROBE: &str = include_str!("python/probe.py");

/// The modules that the command may need.
const MODULES: [&str; 6] = ["uncopy", "numpy", "torch", "jax", "av", "skvideo"];

/// The oldest Python 3 that the package supports, and the first with the option `-P`.
const OLDEST_MINOR: u32 = 11;

/// An interpreter that starts.
#[derive(Clone, Deserialize, Serialize, Debug)]
pub(crate) struct Python {
    pub executable: PathBuf,
    pub version: String,
    /// Modules that it has, with their versions (empty where a module doesn't say) and places.
    pub modules: BTreeMap<String, Module>,
}

#[derive(Clone, Deserialize, Serialize, Debug)]
pub(crate) struct Module {
    pub version: String,
    pub directory: Option<PathBuf>,
}

impl Python {
    /// The first interpreter in the order of the [module](self).
    pub fn find(named: Option<&Path>, session: &Session<'_>) -> Result<Self, CliError> {
        let variable = std::env::var_os("UNCOPY_PYTHON").filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(named) = named.map(Path::to_owned).or(variable) {
            return Self::at(&named).map_err(|why| {
                let sentence =
                    format!("the Python that was named, {}, does not start: {why}", named.display());
                CliError::said(ErrorKind::NotFound, sentence)
            });
        }
        let beside =
            session.own_directory().into_iter().flat_map(|dir| [dir.join("python3"), dir.join("python")]);
        let candidates: Vec<PathBuf> =
            beside.filter(|path| path.is_file()).chain(["python3".into(), "python".into()]).collect();
        candidates.iter().find_map(|path| Self::at(path).ok()).ok_or_else(|| {
            let sentence = "no Python starts: there is none beside this command and no python3 on PATH; \
                            name one with --python or UNCOPY_PYTHON";
            CliError::said(ErrorKind::NotFound, sentence)
        })
    }

    fn at(path: &Path) -> Result<Self, String> {
        let mut command = Command::new(path);
        command.args(["-c", PROBE]).args(MODULES).stdin(Stdio::null());
        let output = command.output().map_err(|e| e.to_string())?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            return Err(words.lines().last().unwrap_or("it fails without a word").to_owned());
        }
        let python: Self = serde_json::from_slice(&output.stdout)
            .map_err(|e| format!("its answer is not understood: {e}"))?;
        match python.is_supported() {
            true => Ok(python),
            false => {
                Err(format!("it is Python {}, and 3.{OLDEST_MINOR} is the oldest that works", python.version))
            }
        }
    }

    fn is_supported(&self) -> bool {
        let mut numbers = self.version.split('.').map(str::parse::<u32>);
        matches!((numbers.next(), numbers.next()), (Some(Ok(3)), Some(Ok(OLDEST_MINOR..))))
    }

    /// Whether it has the module.
    pub fn has(&self, module: &str) -> bool {
        self.modules.contains_key(module)
    }

    /// The command line that gives it `modules`. Ours is built from the checkout: a registry may have a stranger's of
    /// that name.
    pub fn installing(&self, modules: &[&str]) -> String {
        let wheel = concat!("dist/uncopy-", env!("CARGO_PKG_VERSION"), "-*.whl");
        let packages: Vec<&str> =
            modules.iter().map(|module| if *module == "uncopy" { wheel } else { *module }).collect();
        let made = if modules.contains(&"uncopy") { " (cargo xtask wheel makes that file)" } else { "" };
        format!("{} -m pip install {}{made}", self.executable.display(), packages.join(" "))
    }

    /// A command that runs `script`, kept apart from the directory that the user is in.
    pub fn command(&self, script: &str) -> Command {
        let mut command = Command::new(&self.executable);
        // -P: the current directory, where a file may be called numpy.py, is not searched.
        command.args(["-P", "-c", script]);
        command
    }
}

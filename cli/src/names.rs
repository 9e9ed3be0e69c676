// SPDX-License-Identifier: MIT OR Apache-2.0
//! The names under which links may be found: read from the directory, without a question to anybody.

use uncopy::LinkName;
use uncopy::os::RuntimeDir;

use crate::error::CliError;

/// The names that have a socket, sorted. It may be a dead producer's.
pub(crate) fn names_in(dir: &RuntimeDir) -> Result<Vec<String>, CliError> {
    let entries = dir.entries()?;
    let sockets = entries.iter().filter_map(|file| file.strip_suffix(".sock"));
    let mut names: Vec<String> =
        sockets.filter(|name| LinkName::parse(name).is_ok()).map(str::to_owned).collect();
    names.sort();
    Ok(names)
}

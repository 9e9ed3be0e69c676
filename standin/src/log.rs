// SPDX-License-Identifier: MIT OR Apache-2.0
//! One line for each call, `FUNCTION RESULT`, appended to the file that `UNCOPY_STANDIN_LOG` names; `%p` in its name
//! becomes the process id.

use crate::settings;
use std::{
    fs::{File, OpenOptions},
    io::Write,
    sync::OnceLock,
};

/// Writes the line of a call that has ended.
pub fn note(name: &str, code: i32) {
    line(&format!("{name} {code}\n"));
}

/// Writes the line of a call that ends the process.
pub fn note_kill(name: &str) {
    line(&format!("{name} kill\n"));
}

fn line(text: &str) {
    if let Some(mut file) = file() {
        // One write each, so that lines of several threads and processes stay whole.
        if let Err(error) = file.write_all(text.as_bytes()) {
            settings::refuse(&format!("can't write the log: {error}"));
        }
    }
}

fn file() -> Option<&'static File> {
    static FILE: OnceLock<Option<File>> = OnceLock::new();
    let open = || {
        let path = settings::settings().log.as_ref()?.replace("%p", &std::process::id().to_string());
        let file = OpenOptions::new().create(true).append(true).open(&path);
        Some(file.unwrap_or_else(|error| settings::refuse(&format!("can't open the log {path}: {error}"))))
    };
    FILE.get_or_init(open).as_ref()
}

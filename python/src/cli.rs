// SPDX-License-Identifier: MIT OR Apache-2.0
//! The `uncopy` command, run inside the interpreter that was started for it.

use std::cell::Cell;
use std::ffi::OsString;

use pyo3::prelude::*;
use uncopy_cli::Host;

/// Runs the command with these arguments, the program's name first, and returns its exit code. program is what starts
/// it again in another process. Ctrl-C ends it in order, with exit code 130.
#[pyfunction]
pub fn _run_cli(py: Python<'_>, program: Vec<OsString>, arguments: Vec<OsString>) -> i32 {
    py.detach(|| {
        let interrupted = Cell::new(false);
        let is_asked_to_end = || {
            let signalled = || Python::try_attach(|py| py.check_signals().is_err()).unwrap_or(true);
            interrupted.set(interrupted.get() || signalled());
            interrupted.get()
        };
        let host = Host { program, is_asked_to_end: &is_asked_to_end };
        i32::from(uncopy_cli::run_in(&host, arguments))
    })
}

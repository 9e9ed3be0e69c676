// SPDX-License-Identifier: MIT OR Apache-2.0
//! The `uncopy` command as a program of its own: what [`uncopy_cli::run_in`] does, with Ctrl-C handled.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use uncopy_cli::Host;

fn main() -> ExitCode {
    let asked_to_end = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // In this order, so that the first signal asks and a second one ends the process at once. If neither can be
        // set, the signals end it at once as they always did; consumers then find the links of a dead producer.
        let _ = flag::register_conditional_default(signal, Arc::clone(&asked_to_end));
        let _ = flag::register(signal, Arc::clone(&asked_to_end));
    }
    let is_asked_to_end = || asked_to_end.load(Relaxed);
    let host = Host { is_asked_to_end: &is_asked_to_end, ..Host::default() };
    ExitCode::from(uncopy_cli::run_in(&host, std::env::args_os()))
}

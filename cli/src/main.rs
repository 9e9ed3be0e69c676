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
    // Whoever started us with nohup wants the end of the terminal not to be ours.
    let hang_up = if is_ignored(SIGHUP) { None } else { Some(SIGHUP) };
    for signal in [SIGINT, SIGTERM].into_iter().chain(hang_up) {
        // In this order, so that the first signal asks and a second one ends the process at once. If neither can be
        // set, the signals end it at once as they always did; consumers then find the links of a dead producer.
        let _ = flag::register_conditional_default(signal, Arc::clone(&asked_to_end));
        let _ = flag::register(signal, Arc::clone(&asked_to_end));
    }
    let is_asked_to_end = || asked_to_end.load(Relaxed);
    let host = Host { is_asked_to_end: &is_asked_to_end, ..Host::default() };
    ExitCode::from(uncopy_cli::run_in(&host, std::env::args_os()))
}

/// Whether this process was started with the signal ignored: `SigIgn` of proc_pid_status(5).
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

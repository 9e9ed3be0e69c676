// SPDX-License-Identifier: MIT OR Apache-2.0
//! The `uncopy` command: look at frame links, send into them, receive from them, and find out what is wrong.
//!
//! One implementation, run as a program of its own and, in-process, by the Python package's `uncopy` command. So it
//! never ends the process, keeps no global state, installs no signal handler, and returns an exit code instead.
//!
//! | module | is |
//! |---|---|
//! | `list`, `info`, `hz`, `top`, `send`, `recv`, `doctor`, `clean`, `bench`, `demo`, `exit_codes`, `completions`, `man` | one subcommand each |
//! | `host`, `console`, `table`, `units` | where it runs, and how it speaks |
//! | `picture`, `checksum`, `names`, `tally`, `rhythm`, `report`, `whereabouts` | what several subcommands know about frames and links |
//! | `gpu` | GPUs: which there are, and copies to and from them |
//! | `python` | the interpreter that decodes video where ffmpeg is missing |
//!
//! It refuses to write anything but data to standard output: messages and progress go to standard error.
//!
//! ```
//! assert_eq!(uncopy_cli::run(["uncopy", "exit-codes"]), 0);
//! assert_eq!(uncopy_cli::run(["uncopy", "no-such-subcommand"]), 2);
//! ```
#![forbid(unsafe_code)]

use std::ffi::OsString;

mod bench;
mod checksum;
mod clean;
mod command;
mod completions;
mod console;
mod demo;
mod doctor;
mod error;
mod exit_codes;
mod gpu;
mod host;
mod hz;
mod info;
mod list;
mod man;
mod names;
mod picture;
mod python;
mod recv;
mod report;
mod rhythm;
mod send;
mod table;
mod tally;
mod top;
mod units;
mod whereabouts;

pub use host::Host;

/// Runs the command with `args`, the first of which is the name it was called by, and returns its exit code.
///
/// Data goes to standard output, everything else to standard error. Waits can't be interrupted from here; use
/// [`run_in`] for that.
pub fn run<A: Into<OsString> + Clone>(args: impl IntoIterator<Item = A>) -> u8 {
    run_in(&Host::default(), args)
}

/// Like [`run`], in a program that says how it is started again and when the user wants it to end.
pub fn run_in<A: Into<OsString> + Clone>(host: &Host<'_>, args: impl IntoIterator<Item = A>) -> u8 {
    command::run(host, args.into_iter().map(Into::into).collect())
}

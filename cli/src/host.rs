// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program that the command runs in: a process of its own, or a Python interpreter.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use uncopy::Waiting;

use crate::console::Console;
use crate::error::CliError;

/// The longest that the command goes on after the user asked it to end.
pub(crate) const SLICE: Duration = Duration::from_millis(50);

/// What the command has to know of the program that it runs in.
///
/// ```
/// use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
/// let stop = AtomicBool::new(false);
/// let host = uncopy_cli::Host {
///     program: vec!["python3".into(), "-m".into(), "uncopy".into()],
///     is_asked_to_end: &|| stop.load(Relaxed),
/// };
/// assert_eq!(uncopy_cli::run_in(&host, ["uncopy", "--version"]), 0);
/// ```
#[derive(Clone)]
pub struct Host<'h> {
    /// The words that start this command again in another process; empty: the name that it was called by.
    pub program: Vec<OsString>,
    /// Whether the user wants it to end. Asked at least every 80 ms, always on the thread that called
    /// [`run_in`](crate::run_in).
    pub is_asked_to_end: &'h dyn Fn() -> bool,
}

impl Default for Host<'_> {
    fn default() -> Self {
        Self { program: Vec::new(), is_asked_to_end: &|| false }
    }
}

/// One run of the command: its host, its terminal, and the name that it was called by.
pub(crate) struct Session<'h> {
    pub host: &'h Host<'h>,
    pub console: Console,
    pub called_by: PathBuf,
}

impl Session<'_> {
    /// An error if the user wants the command to end.
    pub fn check(&self) -> Result<(), CliError> {
        if (self.host.is_asked_to_end)() { Err(CliError::Interrupted) } else { Ok(()) }
    }

    /// Sleeps until `deadline`, or until the user wants the command to end.
    pub fn sleep_until(&self, deadline: Instant) -> Result<(), CliError> {
        loop {
            self.check()?;
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(SLICE));
        }
    }

    /// What a waiting subscriber asks and tells.
    pub fn waiting(&self) -> impl Waiting + '_ {
        Patience(self)
    }

    /// This command again, for another process.
    pub fn command_again(&self) -> Command {
        let (program, first) = match self.host.program.split_first() {
            Some((program, first)) => (program.clone(), first),
            None => (own_program(&self.called_by).into_os_string(), &[][..]),
        };
        let mut command = Command::new(program);
        command.args(first);
        command
    }

    /// The directory that this command was started from: where its Python is, when it came with one.
    pub fn own_directory(&self) -> Option<PathBuf> {
        let program = match self.host.program.first() {
            Some(program) => PathBuf::from(program),
            None => own_program(&self.called_by),
        };
        Some(program.parent()?.to_owned()).filter(|dir| !dir.as_os_str().is_empty())
    }
}

/// The file that is running, if it goes by the name that it was called by. Inside another program (an interpreter that
/// runs a script) it does not, and then the name is what can be started.
fn own_program(called_by: &Path) -> PathBuf {
    match std::env::current_exe() {
        Ok(running) if running.file_name() == called_by.file_name() => running,
        _ => called_by.to_owned(),
    }
}

struct Patience<'s>(&'s Session<'s>);

impl Waiting for Patience<'_> {
    fn keep_waiting(&mut self) -> bool {
        self.0.check().is_ok()
    }

    fn notice(&mut self, text: &str) {
        self.0.console.note(text);
    }
}

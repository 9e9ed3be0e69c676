// SPDX-License-Identifier: MIT OR Apache-2.0
//! `uncopy completions`: what makes a shell complete this command, the names of live links included.
//!
//! The script that it prints asks this command for candidates whenever the user wants some: clap's completion engine
//! answers from the command line's own definition, so that no list can grow old. The engine is asked through an
//! environment variable, [`VARIABLE`].

use std::ffi::OsString;
use std::io::Write;

use clap::CommandFactory;
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::{CompleteEnv, Shells};
use uncopy::os::RuntimeDir;

use crate::command::CommandLine;
use crate::error::CliError;
use crate::host::Session;
use crate::names::names_in;

/// Set by the script when it asks.
const VARIABLE: &str = "UNCOPY_COMPLETE";

const EXAMPLES: &str = "\
Examples:
  uncopy completions bash > ~/.local/share/bash-completion/completions/uncopy
  uncopy completions zsh > ~/.zfunc/_uncopy       with ~/.zfunc in fpath, before compinit
  uncopy completions fish > ~/.config/fish/completions/uncopy.fish
  source <(uncopy completions bash)               for this shell only";

/// Print what makes a shell complete this command
///
/// Completes subcommands, options, and the names of live links.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
    /// Print JSON: the shell, and the script as text
    #[arg(long)]
    json: bool,
}

/// Shells that can be helped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum Shell {
    Bash,
    Elvish,
    Fish,
    Powershell,
    Zsh,
}

impl Shell {
    const fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Elvish => "elvish",
            Self::Fish => "fish",
            Self::Powershell => "powershell",
            Self::Zsh => "zsh",
        }
    }
}

pub(crate) fn run(options: &Options, session: &Session<'_>) -> Result<(), CliError> {
    let mut script = Vec::new();
    let name = options.shell.name();
    let shells = Shells::builtins();
    let shell =
        shells.completer(name).ok_or_else(|| CliError::usage(format!("no completions for {name}")))?;
    shell
        .write_registration(VARIABLE, "uncopy", "uncopy", "uncopy", &mut script)
        .map_err(|e| CliError::io("write the completions", e))?;
    let script = String::from_utf8_lossy(&script);
    if options.json {
        return session.console.json(&serde_json::json!({ "shell": name, "script": script }));
    }
    session.console.line(script.trim_end())
}

/// Answers a shell that asks for candidates. `None` when none does, and the command line is one to be run.
pub(crate) fn answer(args: &[OsString]) -> Option<u8> {
    let directory = std::env::current_dir().ok();
    let asked = CompleteEnv::with_factory(CommandLine::command)
        .var(VARIABLE)
        .bin("uncopy")
        .try_complete(args.iter().cloned(), directory.as_deref());
    match asked {
        Ok(false) => None,
        Ok(true) => {
            // The candidates end without a line's end, and an interpreter that we run in flushes nothing of ours.
            let _ = std::io::stdout().flush();
            Some(0)
        }
        Err(message) => {
            // To a shell that waits for candidates; if it has gone, nobody is left to tell.
            let _ = message.print();
            Some(2)
        }
    }
}

/// What completes the name of a link: the names under which a socket is found, without a question to anybody.
pub(crate) fn link_names() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let dir = RuntimeDir::open().map_err(CliError::from);
        let names = dir.and_then(|dir| names_in(&dir)).unwrap_or_default();
        names.into_iter().map(CompletionCandidate::new).collect()
    })
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line: what can be asked for, and who answers.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::console::Console;
use crate::error::CliError;
use crate::host::{Host, Session};
use crate::{bench, clean, completions, demo, doctor, exit_codes, hz, info, list, man, recv, send, top};

const EXAMPLES: &str = "\
Examples:
  uncopy send camera video.mp4          publish a video at its frame rate
  uncopy send camera --pattern          publish a moving test picture
  uncopy list                           which links are live
  uncopy top                            all links, live
  uncopy recv camera                    receive, and say how fast and how whole
  uncopy recv camera --png frame.png    keep one frame
  uncopy doctor                         what this machine can do and what is wrong

Links are found in $UNCOPY_RUNTIME_DIR, else in $XDG_RUNTIME_DIR/uncopy, else in a directory of the user's own under \
the temporary directory. Exit codes: uncopy exit-codes. What an error means: \
uncopy doctor --explain NotFound.";

/// Frame links between processes: look at them, send into them, receive from them.
#[derive(Parser)]
#[command(name = "uncopy", bin_name = "uncopy", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    subcommand: Task,
}

#[derive(Subcommand)]
enum Task {
    List(list::Options),
    Info(info::Options),
    Hz(hz::Options),
    Top(top::Options),
    Send(Box<send::Options>),
    Recv(recv::Options),
    Doctor(doctor::Options),
    Clean(clean::Options),
    Bench(bench::Options),
    Demo(demo::Options),
    ExitCodes(exit_codes::Options),
    Completions(completions::Options),
    Man(man::Options),
    #[command(name = "demo-consumer", hide = true)]
    DemoConsumer(demo::ConsumerOptions),
    #[command(name = "bench-peer", hide = true)]
    BenchPeer(bench::PeerOptions),
}

/// Runs the command line and returns its exit code.
pub(crate) fn run(host: &Host<'_>, args: Vec<OsString>) -> u8 {
    let called_by = args.first().map_or_else(|| PathBuf::from("uncopy"), PathBuf::from);
    if let Some(code) = completions::answer(&args) {
        return code;
    }
    let parsed = match CommandLine::try_parse_from(args) {
        Ok(parsed) => parsed,
        Err(message) => {
            // Help and version come this way too. If the reader has gone, nobody is left to tell.
            let _ = message.print();
            return u8::try_from(message.exit_code()).unwrap_or(2);
        }
    };
    let session = Session { host, console: Console::new(), called_by };
    let result = answer(parsed.subcommand, &session).and_then(|()| session.console.flush());
    match result {
        Ok(()) => 0,
        Err(error) => {
            if error.needs_words() {
                session.console.error(&error);
            }
            error.exit_code()
        }
    }
}

fn answer(task: Task, session: &Session<'_>) -> Result<(), CliError> {
    match task {
        Task::List(options) => list::run(&options, session),
        Task::Info(options) => info::run(&options, session),
        Task::Hz(options) => hz::run(&options, session),
        Task::Top(options) => top::run(&options, session),
        Task::Send(options) => send::run(*options, session),
        Task::Recv(options) => recv::run(&options, session),
        Task::Doctor(options) => doctor::run(&options, session),
        Task::Clean(options) => clean::run(&options, session),
        Task::Bench(options) => bench::run(&options, session),
        Task::Demo(options) => demo::run(&options, session),
        Task::ExitCodes(options) => exit_codes::run(&options, session),
        Task::Completions(options) => completions::run(&options, session),
        Task::Man(options) => man::run(&options, session),
        Task::DemoConsumer(options) => demo::consume(&options, session),
        Task::BenchPeer(options) => bench::play_peer(&options, session),
    }
}

#[cfg(test)]
mod pages;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn every_subcommand_that_is_shown_says_what_it_does() {
        for subcommand in CommandLine::command().get_subcommands().filter(|shown| !shown.is_hide_set()) {
            assert!(subcommand.get_about().is_some(), "{}", subcommand.get_name());
        }
    }
}

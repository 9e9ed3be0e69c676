// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a running part has at hand: the checkout, a log, and a voice.

use super::{case::Case, libtest};
use crate::{
    error::{Error, write_text},
    process::{Finished, last_lines, shown, watched},
    repo::Repo,
};
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

pub struct Context<'a> {
    pub repo: &'a Repo,
    /// Leave out what takes long.
    pub quick: bool,
    /// `[ 3/11] unit`: stands before each line that the part prints.
    label: String,
    log: PathBuf,
}

impl<'a> Context<'a> {
    /// Starts an empty log for the part.
    pub fn new(repo: &'a Repo, quick: bool, label: String, part: &str) -> Result<Self, Error> {
        let log = repo.target().join("xtask").join(format!("{part}.log"));
        write_text(&log, "")?;
        Ok(Self { repo, quick, label, log })
    }

    /// Says what is done next.
    pub fn say(&self, text: &str) {
        println!("{} {text}", self.label);
    }

    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Runs a command, says so, and shows a sign of life while it is silent.
    pub fn run(&self, command: Command) -> Result<Finished, Error> {
        self.say(&shown(&command));
        let label = self.label.clone();
        watched(command, &self.log, &mut |elapsed, last| println!("{}", sign_of_life(&label, elapsed, last)))
    }

    /// One check that passes when the command ends with `wanted`.
    pub fn check(&self, name: &str, command: Command, wanted: i32) -> Result<Vec<Case>, Error> {
        let done = self.run(command)?;
        let result = if done.code == Some(wanted) {
            Ok(())
        } else {
            println!("{}", last_lines(&done.output, 60));
            let ended = done
                .code
                .map_or("was ended by a signal".to_string(), |code| format!("ended with code {code}"));
            Err(if wanted == 0 { ended } else { format!("{ended}, not with {wanted}") })
        };
        Ok(std::iter::once(Case::of(name, result)).chain(leftover(&done)).collect())
    }

    /// Runs `cargo test` with what it needs for its output to be read, and reads it.
    pub fn cargo_test(&self, mut command: Command, filters: &[&str]) -> Result<Vec<Case>, Error> {
        command.args(["--no-fail-fast", "--", "--show-output"]).args(filters);
        let done = self.run(command)?;
        let mut cases = libtest::cases(&done.output, done.code);
        if cases.iter().any(Case::is_failed) {
            println!("{}", failures_in(&done.output));
        }
        cases.extend(leftover(&done));
        Ok(cases)
    }
}

fn sign_of_life(label: &str, elapsed: Duration, last: &str) -> String {
    let last: String = last.chars().take(90).collect();
    format!("{label} {} s: {last}", elapsed.as_secs())
}

/// A process that outlives its test is a fault of the test or of the product.
pub fn leftover(done: &Finished) -> Option<Case> {
    let why = "a process that the run started outlived it and still holds its output";
    done.left_processes.then(|| Case::failed("no process is left behind", why))
}

/// What libtest prints between `failures:` and its result, or the end of an output without that.
fn failures_in(output: &str) -> String {
    let mut kept = Vec::new();
    let mut inside = false;
    for line in output.lines() {
        inside = (inside || line == "failures:") && !line.starts_with("test result:");
        if inside {
            kept.push(line);
        }
    }
    if kept.is_empty() { last_lines(output, 60) } else { kept.join("\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_failures_of_every_binary_are_shown_and_nothing_else() {
        let output = "noise\nfailures:\n\n---- a stdout ----\nwhy a\n\nfailures:\n    a\n\ntest result: FAILED\n\
            noise\nfailures:\nwhy b\ntest result: FAILED\nnoise\n";
        let shown = failures_in(output);
        assert!(shown.contains("why a") && shown.contains("why b"), "{shown}");
        assert!(!shown.contains("noise"), "{shown}");
    }

    #[test]
    fn without_a_failed_test_the_end_of_the_output_is_shown() {
        assert_eq!(failures_in("error: cannot build"), "error: cannot build");
    }

    #[test]
    fn a_check_passes_only_with_the_wanted_code() {
        let repo = Repo::this();
        let context = Context::new(&repo, false, "[test]".to_string(), "own-check").unwrap();
        let exit = |code: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", &format!("exit {code}")]);
            command
        };
        assert!(context.check("breaks", exit("1"), 1).unwrap().iter().all(Case::is_passed));
        assert!(context.check("breaks", exit("0"), 1).unwrap().iter().any(Case::is_failed));
        assert!(context.check("works", exit("3"), 0).unwrap().iter().any(Case::is_failed));
    }
}

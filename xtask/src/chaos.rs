// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask chaos`: builds the chaos runner, and the participants that it must notice, and lets them loose.
//!
//! The runner is `uncopy-tests`' own binary (`tests/src/chaos`); what it does and demands is written there. The
//! participants with leases off are a binary of their own name, built without optimisation because the feature exists
//! in no other build.

use crate::{
    error::{Error, write_text},
    process::{last_lines, shown, watched},
    repo::Repo,
    toolchain::cargo,
};
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// How much, and of what. A run ends when everything that is asked for is reached; one minute when nothing is.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Options {
    /// Play for so many minutes.
    #[arg(long, conflicts_with = "seconds")]
    pub minutes: Option<u64>,
    /// Play for so many seconds.
    #[arg(long)]
    pub seconds: Option<u64>,
    /// Play until so many frames were checked, byte by byte.
    #[arg(long)]
    pub frames: Option<u64>,
    /// Play until so many processes were killed.
    #[arg(long)]
    pub kills: Option<u64>,
    /// Repeat a run (every act and its moment follow from the seed; a random one unless told).
    #[arg(long)]
    pub seed: Option<u64>,
    /// What frames look like: small (64 bytes), mixed (nothing to megabytes, new memory again and again), video
    /// (1080p).
    #[arg(long, default_value = "mixed", value_parser = ["small", "mixed", "video"])]
    pub forms: String,
    /// When they are published: bursts, flat-out, or a number of frames each second.
    #[arg(long, default_value = "bursts")]
    pub pace: String,
    /// Nobody is killed or stopped: one producer and two consumers that stay, to see whether they grow.
    #[arg(long)]
    pub calm: bool,
    /// Print the results as JSON.
    #[arg(long)]
    pub json: bool,
    /// Build without optimisation: sooner ready, fewer frames.
    #[arg(long)]
    pub unoptimised: bool,
}

impl Options {
    /// The words that the runner understands.
    fn words(&self) -> Vec<String> {
        let seconds = self.seconds.or(self.minutes.map(|minutes| minutes * 60));
        let numbers = [
            ("--seconds", seconds),
            ("--frames", self.frames),
            ("--kills", self.kills),
            ("--seed", self.seed),
        ];
        let mut words: Vec<String> = numbers
            .iter()
            .filter_map(|(word, number)| Some([(*word).to_string(), number.as_ref()?.to_string()]))
            .flatten()
            .collect();
        words.extend(["--forms", &self.forms, "--pace", &self.pace].map(str::to_string));
        let flags = [("--calm", self.calm), ("--json", self.json)];
        words.extend(flags.iter().filter(|(_, is_asked)| *is_asked).map(|(flag, _)| (*flag).to_string()));
        words
    }
}

/// The programs of a run.
pub struct Programs {
    runner: PathBuf,
    leases_off: PathBuf,
}

/// Lets chaos loose; true when nothing was wrong.
pub fn run(repo: &Repo, options: &Options) -> Result<bool, Error> {
    let programs = build(repo, options.unoptimised)?;
    let mut command = programs.command(options);
    let doing = format!("start `{}`", shown(&command));
    let status = command.stdin(Stdio::null()).status().map_err(|e| Error::io(doing, e))?;
    Ok(status.success())
}

/// Builds the runner and the participants that it must notice.
pub fn build(repo: &Repo, unoptimised: bool) -> Result<Programs, Error> {
    let log = repo.target().join("xtask/chaos-build.log");
    write_text(&log, "")?;
    let of_tests = |options: &[&str]| {
        let mut command = cargo(repo);
        command.args(["build", "--locked", "--quiet", "--package", "uncopy-tests"]).args(options);
        command
    };
    let leases_off = ["--bin", "chaos-leases-off", "--features", "leases-off"];
    step("building participants with leases off", of_tests(&leases_off), &log)?;
    let (profile, optimised): (&str, &[&str]) =
        if unoptimised { ("debug", &[]) } else { ("release", &["--release"]) };
    let mut runner = of_tests(&["--bin", "chaos"]);
    runner.args(optimised);
    step("building the chaos runner", runner, &log)?;
    Ok(Programs {
        runner: repo.target().join(profile).join("chaos"),
        leases_off: repo.target().join("debug/chaos-leases-off"),
    })
}

impl Programs {
    /// A run, which first proves what it would notice.
    pub fn command(&self, options: &Options) -> Command {
        let mut command = Command::new(&self.runner);
        command.args(options.words()).arg("--leases-off").arg(&self.leases_off);
        command
    }
}

/// Builds in one line while it goes well; standard output is for the results.
fn step(what: &str, command: Command, log: &Path) -> Result<(), Error> {
    eprintln!("{what}");
    let name = shown(&command);
    let done = watched(command, log, &mut |elapsed, _| eprintln!("{what}: {} s", elapsed.as_secs()))?;
    if done.code == Some(0) {
        return Ok(());
    }
    Err(Error::Command { shown: name, code: done.code, tail: last_lines(&done.output, 30) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runner_is_told_what_was_asked_for_and_what_it_must_notice() {
        let programs = Programs { runner: "/t/release/chaos".into(), leases_off: "/t/debug/off".into() };
        let options = Options {
            minutes: Some(2),
            kills: Some(9),
            forms: "small".to_string(),
            pace: "60".to_string(),
            calm: true,
            ..Options::default()
        };
        let command = programs.command(&options);
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
        assert_eq!(
            words.join(" "),
            "--seconds 120 --kills 9 --forms small --pace 60 --calm --leases-off /t/debug/off"
        );
    }
}

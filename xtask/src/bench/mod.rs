// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask bench`: measures ours beside the references and keeps what came out.
//!
//! Results go to `bench/results/MACHINE/TOPIC.json`, to be committed. With `--quick` they go below the build directory
//! instead: too few samples to compare with, enough to see whether everything runs.

mod arrays;
mod chaos;
pub mod machine;
mod peer;
pub mod results;
mod topics;

use crate::{
    env::{self, Environment, Group},
    error::{Error, write_text},
    git,
    process::{output_of, passed_through},
    repo::Repo,
    toolchain::cargo,
    wheel,
};
use peer::Peer;
use results::{Figure, Results, Versions};
use std::{
    path::PathBuf,
    process::{Command, Stdio},
};
pub use topics::Topic;

/// What to measure and how thoroughly.
#[derive(clap::Args)]
pub struct Options {
    /// The topic to measure (all but the long ones unless told).
    topic: Option<Topic>,
    /// Fewer samples, kept below the build directory: shows whether everything runs.
    #[arg(long)]
    quick: bool,
}

/// Measures; false when a topic could not be measured.
pub fn run(repo: &Repo, options: &Options) -> Result<bool, Error> {
    let topics = match options.topic {
        Some(topic) => vec![topic],
        None => Topic::ALL.iter().copied().filter(|topic| !topic.is_long()).collect(),
    };
    let bench = Bench::prepare(repo, &topics, options.quick)?;
    let mut is_all_measured = true;
    for topic in topics {
        println!("{}", topic.name());
        match bench.measure(topic) {
            Ok(results) => {
                print!("{}", results.table());
                let path = bench.keep(&results)?;
                println!("  kept in {}", repo.shown(&path));
            }
            Err(error) => {
                println!("  not measured: {error}");
                is_all_measured = false;
            }
        }
    }
    Ok(is_all_measured)
}

/// Everything that is needed to measure, built.
struct Bench<'a> {
    repo: &'a Repo,
    is_quick: bool,
    program: PathBuf,
    /// Where Python or the wheel is needed.
    python: Option<Environment>,
    wheel: Option<PathBuf>,
}

impl<'a> Bench<'a> {
    fn prepare(repo: &'a Repo, topics: &[Topic], is_quick: bool) -> Result<Self, Error> {
        if topics.iter().any(|topic| topic.is_in_rust()) {
            println!("building with optimisation");
            let mut build = cargo(repo);
            build.args(["build", "--release", "--locked", "--quiet"]);
            build.args(["-p", "uncopy-bench", "-p", "uncopy-cli"]);
            passed_through(build)?;
        }
        let program = repo.target().join("release/uncopy-bench");
        let mut bench = Self { repo, is_quick, program, python: None, wheel: None };
        if topics.iter().any(|topic| topic.needs_wheel()) {
            bench.install_wheel()?;
        }
        Ok(bench)
    }

    fn install_wheel(&mut self) -> Result<(), Error> {
        let environment = env::ensure(self.repo, &[Group::Build, Group::Test])?;
        wheel::clear(self.repo)?;
        passed_through(wheel::command(self.repo, &environment))?;
        let built = wheel::collect(self.repo)?;
        let (uv, _) = env::tools(self.repo)?;
        let wheel = built.path.to_string_lossy().into_owned();
        uv.install(&environment.python(), &["--quiet", "--offline", "--no-deps", "--reinstall", &wheel])?;
        self.python = Some(environment);
        self.wheel = Some(built.path);
        Ok(())
    }

    fn measure(&self, topic: Topic) -> Result<Results, Error> {
        let mut figures = Vec::new();
        let peer = topic.peer().map(|name| Peer::build(self.repo, name)).transpose()?;
        let machine = machine::describe();
        if topic == Topic::Chaos {
            figures.extend(chaos::measure(self.repo, self.is_quick)?);
        }
        if topic.is_in_rust() {
            let mut command = Command::new(peer.as_ref().map_or(&self.program, |peer| &peer.program));
            command.args(["measure", topic.name()]);
            if let Some(wheel) = &self.wheel {
                command.arg("--wheel").arg(wheel);
            }
            figures.extend(self.figures_of(command)?);
        }
        if let (Some(script), Some(environment)) = (topic.script(), &self.python) {
            let mut command = environment.command("python");
            command.arg(self.repo.join("bench/python").join(script));
            if topic == Topic::Arrays {
                command.env("BENCH_ARRAYS", arrays::build(self.repo)?);
            }
            figures.extend(self.figures_of(command)?);
        }
        Ok(Results {
            topic: topic.name().to_string(),
            date: output_of(date())?.trim().to_string(),
            commit: git::commit(self.repo)?,
            has_uncommitted_changes: git::has_uncommitted_changes(self.repo)?,
            is_quick: self.is_quick,
            machine,
            versions: self.versions(peer.map(|peer| peer.version))?,
            figures,
        })
    }

    /// Runs a program that prints figures; what it says meanwhile goes to the terminal.
    fn figures_of(&self, mut command: Command) -> Result<Vec<Figure>, Error> {
        let shown = crate::process::shown(&command);
        if self.is_quick {
            command.arg("--quick");
        }
        let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
        let output = output.map_err(|e| Error::io(format!("start `{shown}`"), e))?;
        if !output.status.success() {
            return Err(Error::Command { shown, code: output.status.code(), tail: String::new() });
        }
        serde_json::from_slice(&output.stdout).map_err(|e| Error::form(format!("what `{shown}` printed"), e))
    }

    fn versions(&self, peer: Option<String>) -> Result<Versions, Error> {
        let mut rustc = Command::new("rustc");
        rustc.arg("--version");
        let python = match &self.python {
            Some(environment) => {
                let mut command = environment.command("python");
                command.args(["-c", PYTHON_VERSIONS]);
                Some(output_of(command)?.trim().to_string())
            }
            None => None,
        };
        let uncopy = env!("CARGO_PKG_VERSION").to_string();
        Ok(Versions { uncopy, rustc: output_of(rustc)?.trim().to_string(), python, peer })
    }

    fn keep(&self, results: &Results) -> Result<PathBuf, Error> {
        let dir = if self.is_quick { self.repo.target().join("bench") } else { results::dir(self.repo) };
        let path = dir.join(&results.machine.name).join(format!("{}.json", results.topic));
        write_text(&path, &results.to_json()?)?;
        Ok(path)
    }
}

const PYTHON_VERSIONS: &str =
    "import platform, numpy; print(f'Python {platform.python_version()}, NumPy {numpy.__version__}')";

fn date() -> Command {
    let mut command = Command::new("date");
    command.args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]);
    command
}

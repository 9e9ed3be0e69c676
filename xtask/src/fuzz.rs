// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask fuzz`: libFuzzer on the targets of `fuzz/`, where a nightly toolchain can be had.
//!
//! A run begins with the committed corpus and with what earlier runs found, which is kept in `target/fuzz/corpus`. An
//! input that breaks a target is kept in `target/fuzz/artifacts`: fix what it shows, and commit it as
//! `fuzz/corpus/TARGET/found-WHAT`.

use crate::{
    error::Error,
    process::passed_through,
    repo::Repo,
    toolchain::{obtain_toolchain, program_of},
    tools::CARGO_FUZZ,
};
use clap::Args;
use std::process::Command;

#[derive(Args, Debug)]
pub struct Options {
    /// Run only these targets; all when none is named.
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// How long to run each of them.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

/// What starts and ends threads for each input. The leak checker takes the list of what a thread cleans up for a leak
/// when it looks while that thread ends; these targets count descriptors and mappings instead.
const LIVE: &[&str] = &["control_page", "description", "from_client", "from_producer"];

/// The longest input that libFuzzer makes: a frame's description with all its metadata fits.
const MAX_LEN: u32 = 4700;

/// True when no target found anything.
pub fn run(repo: &Repo, options: &Options) -> Result<bool, Error> {
    let targets = chosen(repo, &options.targets)?;
    let missing =
        |what: &str, why: String| Error::Missing(format!("fuzzing needs {what}, which cannot be had: {why}"));
    let toolchain = obtain_toolchain("nightly").map_err(|why| missing("a nightly toolchain", why))?;
    let fuzzer = CARGO_FUZZ.obtain(repo).map_err(|why| missing("cargo-fuzz", why))?;
    let mut found = Vec::new();
    for target in &targets {
        let mut command = program_of(&toolchain, &fuzzer, repo);
        prepare(&mut command, repo, target, options.seconds)?;
        if let Err(error) = passed_through(command) {
            println!("{target}: {error}");
            found.push(target.as_str());
        }
    }
    match found.as_slice() {
        [] => println!("{} targets ran for {} s each and found nothing", targets.len(), options.seconds),
        found => println!("did not end well: {}; see above and target/fuzz/artifacts", found.join(", ")),
    }
    Ok(found.is_empty())
}

/// The targets that were asked for, all when none was.
fn chosen(repo: &Repo, asked: &[String]) -> Result<Vec<String>, Error> {
    let programs = repo.files("fuzz/fuzz_targets")?;
    let known: Vec<String> =
        programs.iter().filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned())).collect();
    match asked.iter().find(|name| !known.contains(name)) {
        Some(name) => {
            Err(Error::Missing(format!("there is no fuzz target {name}; there are {}", known.join(", "))))
        }
        None if asked.is_empty() => Ok(known),
        None => Ok(asked.to_vec()),
    }
}

fn prepare(command: &mut Command, repo: &Repo, target: &str, seconds: u64) -> Result<(), Error> {
    let below = |dir: &str| repo.target().join("fuzz").join(dir).join(target);
    let (corpus, artifacts, scratch) = (below("corpus"), below("artifacts"), below("tmp"));
    for dir in [&corpus, &artifacts, &scratch] {
        std::fs::create_dir_all(dir).map_err(|e| Error::io(format!("create {}", dir.display()), e))?;
    }
    command
        .args(["fuzz", "run", target, "--features", "doors", "--target-dir"])
        .arg(repo.target().join("fuzz"));
    // New inputs go to the first directory; the committed ones are only read.
    command.arg(&corpus).arg(repo.join("fuzz/corpus").join(target)).arg("--");
    command.args([
        format!("-max_total_time={seconds}"),
        format!("-max_len={MAX_LEN}"),
        "-timeout=30".to_string(),
        "-print_final_stats=1".to_string(),
        format!("-artifact_prefix={}/", artifacts.display()),
    ]);
    if LIVE.contains(&target) {
        command.arg("-detect_leaks=0");
    }
    // There are many programs, which need not be linked as a whole.
    command.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    command.env("CARGO_PROFILE_RELEASE_STRIP", "none");
    // A target that is ended can't remove its runtime directory.
    command.env("TMPDIR", scratch);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_is_a_target_and_an_unknown_one_is_named() {
        let repo = Repo::this();
        let all = chosen(&repo, &[]).unwrap();
        assert!(all.contains(&"header".to_string()) && all.len() >= 6, "{all:?}");
        assert_eq!(chosen(&repo, &["layout".to_string()]).unwrap(), ["layout"]);
        let error = chosen(&repo, &["no-such".to_string()]).unwrap_err().to_string();
        assert!(error.contains("no-such") && error.contains("header"), "{error}");
    }

    #[test]
    fn every_target_has_a_program_a_corpus_and_a_test() {
        let repo = Repo::this();
        let replay = std::fs::read_to_string(repo.join("fuzz/tests/replay.rs")).unwrap();
        for target in chosen(&repo, &[]).unwrap() {
            assert!(!repo.files(&format!("fuzz/corpus/{target}")).unwrap().is_empty(), "{target}");
            assert!(replay.contains(&format!("replay(\"{target}\"")), "{target}");
        }
    }
}

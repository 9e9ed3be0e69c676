// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask layers`: the rules of ARCHITECTURE.md that a machine can keep.
//!
//! Each check is a sentence that is true or comes with a list of what is wrong.

mod arrows;
mod code;
mod compile;
mod dependencies;
mod features;
mod fences;
mod manifests;
pub mod metadata;
mod pages;
mod texts;

use crate::{error::Error, repo::Repo};

/// A rule and what breaks it.
#[derive(Debug)]
pub struct Check {
    pub name: String,
    /// One line for each place; empty when the rule is kept.
    pub wrong: Vec<String>,
    /// Why the rule could not be checked here.
    pub skipped: Option<String>,
}

impl Check {
    fn of(name: &str, wrong: Vec<String>) -> Self {
        Self { name: name.to_string(), wrong, skipped: None }
    }

    fn skipped(name: &str, reason: &str) -> Self {
        Self { name: name.to_string(), wrong: Vec::new(), skipped: Some(reason.to_string()) }
    }
}

/// Every check, in the order of its cost.
pub fn checks(repo: &Repo) -> Result<Vec<Check>, Error> {
    let metadata = metadata::Metadata::read(repo)?;
    let mut checks = vec![arrows::check(&metadata), manifests::check(&metadata)?, features::check(&metadata)];
    checks.extend(fences::check(repo, &metadata)?);
    checks.extend(texts::check(repo)?);
    checks.extend(pages::check(repo)?);
    checks.extend(dependencies::check(repo, &metadata)?);
    checks.extend(compile::check(repo, &metadata));
    Ok(checks)
}

/// Prints each check; true when none found anything wrong.
pub fn run(repo: &Repo) -> Result<bool, Error> {
    let checks = checks(repo)?;
    for check in &checks {
        let verdict = match (&check.skipped, check.wrong.is_empty()) {
            (Some(_), _) => "skipped",
            (None, true) => "ok     ",
            (None, false) => "FAILED ",
        };
        println!("{verdict} {}", check.name);
        for line in check.wrong.iter().chain(&check.skipped) {
            println!("        {line}");
        }
    }
    Ok(checks.iter().all(|check| check.wrong.is_empty()))
}

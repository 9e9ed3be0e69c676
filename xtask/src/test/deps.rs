// SPDX-License-Identifier: MIT OR Apache-2.0
//! Dependencies: what `deny.toml` allows, without a network; and advisories, where the database of them can be had.

use super::{case::Case, context::Context};
use crate::{
    error::Error,
    process::tried_for,
    tools::{CARGO_AUDIT, CARGO_DENY, Tool},
};
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

const ALLOWED: &str = "licences, sources and versions of dependencies are those that deny.toml allows";
const DENY_ADVISORIES: &str = "cargo-deny knows no advisory about a dependency";
const AUDIT_ADVISORIES: &str = "cargo-audit knows no advisory about Cargo.lock";

/// The database of advisories is small.
const FETCH: Duration = Duration::from_secs(120);

pub fn run(context: &Context<'_>) -> Result<Vec<Case>, Error> {
    let program = match obtain(context, CARGO_DENY) {
        Ok(program) => program,
        Err(why) => {
            return Ok([ALLOWED, DENY_ADVISORIES, AUDIT_ADVISORIES]
                .map(|name| Case::skipped(name, &why))
                .into());
        }
    };
    let deny = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.current_dir(context.repo.root()).args(["--color", "never", "--workspace"]).args(arguments);
        command
    };
    let mut cases =
        context.check(ALLOWED, deny(&["--offline", "check", "licenses", "bans", "sources"]), 0)?;
    context.say("fetching the database of advisories");
    let databases = context.repo.target().join("advisory-dbs");
    if let Err(why) = tried_for(FETCH, deny(&["fetch", "db"]))
        // One that was fetched before is better than none.
        && database_in(&databases).is_none()
    {
        let why = format!("the database of advisories cannot be had: {why}");
        cases.extend([DENY_ADVISORIES, AUDIT_ADVISORIES].map(|name| Case::skipped(name, &why)));
        return Ok(cases);
    }
    cases.extend(context.check(DENY_ADVISORIES, deny(&["--offline", "check", "advisories"]), 0)?);
    cases.extend(audit(context, &databases)?);
    Ok(cases)
}

/// The same database, and another reader of it.
fn audit(context: &Context<'_>, databases: &Path) -> Result<Vec<Case>, Error> {
    let Some(database) = database_in(databases) else {
        return Ok(vec![Case::failed(
            AUDIT_ADVISORIES,
            "cargo-deny fetched no database into target/advisory-dbs",
        )]);
    };
    let program = match obtain(context, CARGO_AUDIT) {
        Ok(program) => program,
        Err(why) => return Ok(vec![Case::skipped(AUDIT_ADVISORIES, why)]),
    };
    let mut command = Command::new(program);
    command.current_dir(context.repo.root());
    command
        .args(["audit", "--color", "never", "--no-fetch", "--stale", "--deny", "warnings", "--db"])
        .arg(database);
    context.check(AUDIT_ADVISORIES, command, 0)
}

fn obtain(context: &Context<'_>, tool: Tool) -> Result<PathBuf, String> {
    context.say(&format!("{} {}", tool.name, tool.version));
    tool.obtain(context.repo).map_err(|why| format!("{} cannot be had: {why}", tool.name))
}

/// The one database below the directory that deny.toml names: its own name has a hash in it.
fn database_in(dir: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(dir).ok()?;
    entries.filter_map(Result::ok).map(|entry| entry.path()).find(|path| path.join(".git").exists())
}

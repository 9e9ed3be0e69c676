// SPDX-License-Identifier: MIT OR Apache-2.0
//! cargo and rustup: the toolchain that runs us, others that are installed, and what can be added.

use crate::{
    process::{output_of, tried_for},
    repo::Repo,
};
use std::{path::Path, process::Command, time::Duration};

/// A small download may take this long before it counts as "cannot be had".
const SMALL_DOWNLOAD: Duration = Duration::from_secs(120);
/// The same for a whole toolchain.
const LARGE_DOWNLOAD: Duration = Duration::from_secs(400);

/// What cargo tells the programs that it runs about *their* package; it must not reach other packages.
const OF_OUR_PACKAGE: &[&str] = &["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH"];

/// What points at the toolchain that runs us.
const OF_OUR_TOOLCHAIN: &[&str] = &["RUSTUP_TOOLCHAIN", "CARGO", "RUSTC", "RUSTDOC"];

/// The cargo that runs us, in the root of the checkout, without colours.
pub fn cargo(repo: &Repo) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    prepared(Command::new(program), repo)
}

/// The cargo of another installed toolchain, with nothing left that points at ours.
pub fn cargo_of(toolchain: &str, repo: &Repo) -> Command {
    program_of(toolchain, Path::new("cargo"), repo)
}

/// Any program, run so that the cargo that it calls is that of another installed toolchain.
pub fn program_of(toolchain: &str, program: &Path, repo: &Repo) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", toolchain]).arg(program);
    for name in OF_OUR_TOOLCHAIN {
        command.env_remove(name);
    }
    prepared(command, repo)
}

fn prepared(mut command: Command, repo: &Repo) -> Command {
    command
        .current_dir(repo.root())
        .env("CARGO_TERM_COLOR", "never")
        .env("CARGO_TERM_PROGRESS_WHEN", "never")
        // Nothing that is built here starts Python by itself, so nothing may ask for libpython: a plain
        // Debian has an interpreter and no library to link with.
        .env("PYO3_BUILD_EXTENSION_MODULE", "1");
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || OF_OUR_PACKAGE.contains(&text.as_ref()) {
            command.env_remove(&name);
        }
    }
    command
}

/// A toolchain whose name is `wanted` or starts with `wanted` and a dot or a dash.
pub fn installed_toolchain(wanted: &str) -> Option<String> {
    let list = output_of(rustup(&["toolchain", "list"])).ok()?;
    toolchain_in(&list, wanted)
}

fn toolchain_in(list: &str, wanted: &str) -> Option<String> {
    let names = list.lines().filter_map(|line| line.split_whitespace().next());
    names
        .filter(|name| {
            name.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-']))
        })
        .map(str::to_string)
        .next()
}

/// Makes sure that the standard library for `target` is there; an error is the reason why it is not.
pub fn obtain_target(target: &str) -> Result<(), String> {
    let list = output_of(rustup(&["target", "list", "--installed"])).map_err(|_| no_rustup())?;
    if list.lines().any(|line| line.trim() == target) {
        return Ok(());
    }
    println!("       adding the Rust target {target} with rustup");
    tried_for(SMALL_DOWNLOAD, rustup(&["target", "add", target]))
}

/// Makes sure that `component` of `toolchain` is there; an error is the reason why it is not.
pub fn obtain_component(toolchain: &str, component: &str) -> Result<(), String> {
    let list = output_of(rustup(&["component", "list", "--installed", "--toolchain", toolchain]));
    let list = list.map_err(|_| no_rustup())?;
    if list.lines().any(|line| line.starts_with(component)) {
        return Ok(());
    }
    println!("       adding {component} of the toolchain {toolchain} with rustup");
    tried_for(SMALL_DOWNLOAD, rustup(&["component", "add", component, "--toolchain", toolchain]))
}

/// Makes sure that a toolchain is there; its full name, or the reason why it is not.
pub fn obtain_toolchain(name: &str) -> Result<String, String> {
    if output_of(rustup(&["--version"])).is_err() {
        return Err(no_rustup());
    }
    if let Some(found) = installed_toolchain(name) {
        return Ok(found);
    }
    println!("       installing the toolchain {name} with rustup");
    // Without --no-self-update rustup would also replace itself, which nobody asked for.
    let install = rustup(&["toolchain", "install", name, "--profile", "minimal", "--no-self-update"]);
    tried_for(LARGE_DOWNLOAD, install)?;
    installed_toolchain(name).ok_or_else(|| format!("rustup installed no toolchain named {name}"))
}

fn no_rustup() -> String {
    "rustup is not on PATH, so nothing can be added to this toolchain".to_string()
}

fn rustup(arguments: &[&str]) -> Command {
    let mut command = Command::new("rustup");
    command.args(arguments);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str =
        "stable-x86_64-unknown-linux-gnu (active, default)\n1.88.0-x86_64-unknown-linux-gnu\n1.9-x\n";

    #[test]
    fn a_toolchain_is_found_by_its_short_name() {
        assert_eq!(toolchain_in(LIST, "1.88").as_deref(), Some("1.88.0-x86_64-unknown-linux-gnu"));
        assert_eq!(toolchain_in(LIST, "stable").as_deref(), Some("stable-x86_64-unknown-linux-gnu"));
    }

    #[test]
    fn a_name_is_not_found_inside_a_longer_one() {
        assert_eq!(toolchain_in(LIST, "1.8"), None);
        assert_eq!(toolchain_in(LIST, "nightly"), None);
    }

    #[test]
    fn cargo_does_not_pass_on_what_it_said_about_this_package() {
        let command = cargo(&Repo::this());
        let removed: Vec<_> = command
            .get_envs()
            .filter(|(_, value)| value.is_none())
            .map(|(name, _)| name.to_owned())
            .collect();
        assert!(removed.iter().any(|name| name == "CARGO_PKG_NAME"), "{removed:?}");
    }
}

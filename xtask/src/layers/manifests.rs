// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every member takes its lints, version, edition, licence and minimum Rust from the workspace.

use super::{Check, metadata::Metadata};
use crate::error::{Error, read_text};

const INHERITED: &[&str] = &["version", "edition", "rust-version", "license"];

pub fn check(metadata: &Metadata) -> Result<Check, Error> {
    let mut wrong = Vec::new();
    for package in metadata.members() {
        let text = read_text(&package.manifest_path)?;
        wrong.extend(
            not_inherited(&text)?.iter().map(|what| format!("{} does not inherit {what}", package.name)),
        );
    }
    Ok(Check::of("each crate inherits lints, version, edition, licence and rust-version", wrong))
}

fn not_inherited(manifest: &str) -> Result<Vec<&'static str>, Error> {
    let manifest: toml::Table = toml::from_str(manifest).map_err(|e| Error::form("a Cargo.toml", e))?;
    let is_inherited = |value: Option<&toml::Value>| {
        value.and_then(|value| value.get("workspace")).and_then(toml::Value::as_bool) == Some(true)
    };
    let package = manifest.get("package");
    let mut missing: Vec<&str> = INHERITED
        .iter()
        .filter(|key| !is_inherited(package.and_then(|package| package.get(**key))))
        .copied()
        .collect();
    if !is_inherited(manifest.get("lints")) {
        missing.push("lints");
    }
    Ok(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[package]\nname = \"x\"\nversion.workspace = true\nedition.workspace = true\n\
        rust-version.workspace = true\nlicense.workspace = true\n[lints]\nworkspace = true\n";

    #[test]
    fn a_member_that_inherits_everything_passes() {
        assert_eq!(not_inherited(GOOD).unwrap(), Vec::<&str>::new());
    }

    #[test]
    fn an_own_edition_and_missing_lints_are_named() {
        let own =
            GOOD.replace("edition.workspace = true", "edition = \"2021\"").replace("[lints]\n", "[other]\n");
        assert_eq!(not_inherited(&own).unwrap(), ["edition", "lints"]);
    }
}

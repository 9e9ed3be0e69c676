// SPDX-License-Identifier: MIT OR Apache-2.0
//! Error variants that no test produces: those none of whose constructions was run.
//!
//! Read from the text of the sources: `Enum::Variant` (or `Self::Variant` beside the enum) on a line that is no
//! pattern. A variant made by `#[from]` has no such line and is left to the tests of what it is made from.

use super::lcov::{Lines, first_line_of_tests};
use crate::{
    error::{Error, read_text},
    repo::Repo,
};
use std::collections::BTreeMap;

/// `LinkError::Forked`, … of the crates below `crates/` with these names.
pub fn unproduced(
    repo: &Repo,
    files: &BTreeMap<String, Lines>,
    crates: &[&str],
) -> Result<Vec<String>, Error> {
    let mut sources = BTreeMap::new();
    for name in crates {
        for path in repo.files(&format!("crates/{name}/src"))? {
            if path.extension().is_some_and(|extension| extension == "rs") {
                sources.insert(repo.shown(&path), read_text(&path)?);
            }
        }
    }
    let mut found = Vec::new();
    for (path, source) in &sources {
        for (name, variants) in error_enums(source) {
            let is_missing = |variant: &&String| !is_produced(&sources, files, (path, &name), variant);
            found.extend(variants.iter().filter(is_missing).map(|variant| format!("{name}::{variant}")));
        }
    }
    Ok(found)
}

fn is_produced(
    sources: &BTreeMap<String, String>,
    files: &BTreeMap<String, Lines>,
    (home, name): (&str, &str),
    variant: &str,
) -> bool {
    sources.iter().any(|(path, source)| {
        let Some(lines) = files.get(path) else { return false };
        let of_self = (path == home).then(|| format!("Self::{variant}"));
        let words: Vec<String> = of_self.into_iter().chain([format!("{name}::{variant}")]).collect();
        let product =
            source.lines().enumerate().take_while(|(index, _)| index + 1 < first_line_of_tests(source));
        product
            .filter(|(_, line)| words.iter().any(|word| constructs(line, word)))
            .any(|(index, _)| lines.was_run(index + 1) == Some(true))
    })
}

/// Whether the line makes a value by `word`, and does not match one.
fn constructs(line: &str, word: &str) -> bool {
    let code = line.trim_start();
    let is_other = code.starts_with("//")
        || code.starts_with('|')
        || code.contains("matches!")
        || code.contains("if let");
    let Some((_, after)) = code.split_once(word).filter(|_| !is_other) else { return false };
    let ends = !after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    ends && !after.contains("=>")
}

/// The public error enums of a source with those variants that are made by name.
fn error_enums(source: &str) -> Vec<(String, Vec<String>)> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    let mut depth: Option<i32> = None;
    for line in source.lines() {
        let code = line.trim();
        if depth.is_none() {
            let name = code
                .split_once("enum ")
                .filter(|(before, _)| before.starts_with("pub"))
                .map(|(_, rest)| rest);
            if let Some(name) =
                name.and_then(|rest| rest.strip_suffix(" {")).filter(|name| name.ends_with("Error"))
            {
                found.push((name.to_owned(), Vec::new()));
                depth = Some(0);
            }
            continue;
        }
        if code.starts_with("//") || code.starts_with('#') {
            continue;
        }
        let word: String = code.chars().take_while(char::is_ascii_alphanumeric).collect();
        let is_variant = depth == Some(0) && word.starts_with(|c: char| c.is_ascii_uppercase());
        if let Some((_, variants)) = found.last_mut().filter(|_| is_variant && !code.contains("#[from]")) {
            variants.push(word);
        }
        let change =
            |open: char, close: char| code.matches(open).count() as i32 - code.matches(close).count() as i32;
        depth = depth.map(|depth| depth + change('{', '}') + change('(', ')')).filter(|depth| *depth >= 0);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_are_found_without_their_fields_and_without_what_is_converted() {
        let source = "pub enum AnError {\n    /// Doc\n    #[error(\"{a}\")]\n    First {\n        /// A field.\n        a: Second,\n    },\n    \
            Third,\n    Fourth(Box<X>),\n    Fifth(#[from] Other),\n}\npub enum Kind { A }\nimpl AnError {}\n";
        let names = ["First", "Third", "Fourth"].map(str::to_owned).to_vec();
        assert_eq!(error_enums(source), [("AnError".to_owned(), names)]);
    }

    #[test]
    fn a_pattern_is_no_construction() {
        for line in
            ["return Err(AnError::First { a });", ".ok_or(AnError::First)?", "Err(_) => AnError::First,"]
        {
            assert!(constructs(line, "AnError::First"), "{line}");
        }
        for line in [
            "AnError::First { .. } => 3,",
            "| AnError::First { .. }",
            "// AnError::First",
            "if let AnError::First = x {",
        ] {
            assert!(!constructs(line, "AnError::First"), "{line}");
        }
        assert!(!constructs("AnError::FirstOfAll", "AnError::First"));
    }
}

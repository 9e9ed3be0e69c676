// SPDX-License-Identifier: MIT OR Apache-2.0
//! The C and C++ examples of README and docs, built and run as they stand.

use std::path::Path;

use crate::setup::{Installed, Language, Links, manifest, run, scratch};

const PAGES: &[&str] = &["README.md", "docs/c.md"];

/// The fenced blocks of a page that are programs.
fn programs(page: &str) -> Vec<(Language, String)> {
    let mut found = Vec::new();
    let mut block: Option<(Option<Language>, String)> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), &mut block) {
            (Some(language), None) => {
                let language = match language {
                    "c" => Some(Language::C),
                    "cpp" => Some(Language::Cpp),
                    _ => None,
                };
                block = Some((language, String::new()));
            }
            (Some(_), Some(_)) => {
                if let Some((Some(language), text)) = block.take() {
                    found.push((language, text));
                }
            }
            (None, Some((_, text))) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    found
}

#[test]
fn every_example_of_a_page_is_a_program_that_runs() {
    let Some(installed) = Installed::find() else { return };
    let mut count = 0;
    for page in PAGES {
        let text = std::fs::read_to_string(manifest().parent().unwrap_or(Path::new("")).join(page)).unwrap();
        for (language, source) in programs(&text) {
            count += 1;
            let extension = if language == Language::C { "c" } else { "cpp" };
            let path = scratch().join(format!("page-{count}.{extension}"));
            std::fs::write(&path, source).unwrap();
            let program = installed.build(path.to_str().unwrap(), &[]);
            run(&mut Links::new(&format!("page-{count}")).command(&program));
        }
    }
    assert!(count >= 4, "only {count} examples were found");
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every source file names its licence, and no file knows the machine that it was written on.

use super::Check;
use crate::{error::Error, repo::Repo};

const LICENCE: &str = "SPDX-License-Identifier: MIT OR Apache-2.0";

/// Extensions of files that start with the licence line.
const SOURCE: &[&str] = &["rs", "py", "pyi", "sh", "c", "h", "cpp", "hpp", "cu", "cuh", "glsl"];

/// Directories that only one machine has. Split, so that this file does not name them.
const OF_ONE_MACHINE: &[&str] = &[
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
    concat!("/Use", "rs/"),
    concat!("\\Use", "rs\\"),
];

pub fn check(repo: &Repo) -> Result<Vec<Check>, Error> {
    let (mut no_licence, mut paths) = (Vec::new(), Vec::new());
    for path in repo.files("")? {
        // What is not text has neither.
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let shown = repo.shown(&path);
        let extension = path.extension().unwrap_or_default();
        let is_source = SOURCE.iter().any(|e| extension == *e) || text.starts_with("#!/");
        if is_source && !names_licence(&text) {
            no_licence.push(format!("{shown} lacks the line {LICENCE}"));
        }
        paths.extend(
            machine_paths(&text).into_iter().map(|(line, found)| format!("{shown}:{line} names {found}")),
        );
    }
    Ok(vec![
        Check::of("every source file names its licence", no_licence),
        Check::of("no file names a path of one machine", paths),
    ])
}

/// In the first line, or in the second below a `#!` line.
fn names_licence(text: &str) -> bool {
    let skipped = usize::from(text.starts_with("#!/"));
    text.lines().nth(skipped).is_some_and(|line| line.contains(LICENCE))
}

/// Lines with an absolute path below one of the directories, with the directory.
fn machine_paths(text: &str) -> Vec<(usize, &'static str)> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for dir in OF_ONE_MACHINE {
            if line.match_indices(dir).any(|(at, _)| begins_a_path(line, at)) {
                found.push((number + 1, *dir));
            }
        }
    }
    found
}

/// A path begins where the character before cannot belong to one: `a/home/b` and `https://x/home/` do not.
fn begins_a_path(line: &str, at: usize) -> bool {
    let before = line.get(..at).and_then(|text| text.chars().next_back());
    before.is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '/' | '.' | '_' | '-' | '}' | '~'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_licence_stands_first_or_below_the_interpreter_line() {
        assert!(names_licence(&format!("// {LICENCE}\ncode")));
        assert!(names_licence(&format!("#!/usr/bin/env bash\n# {LICENCE}\n")));
        assert!(!names_licence(&format!("code\n// {LICENCE}\n")));
        assert!(!names_licence(""));
    }

    #[test]
    fn an_absolute_path_of_one_machine_is_found_with_its_line() {
        let text = format!("fine\nsee {}someone/x\n", OF_ONE_MACHINE[0]);
        assert_eq!(machine_paths(&text), [(2, OF_ONE_MACHINE[0])]);
    }

    #[test]
    fn a_directory_of_that_name_inside_another_path_is_fine() {
        for dir in OF_ONE_MACHINE.iter().filter(|dir| dir.starts_with('/')) {
            for text in [format!("https://host{dir}page"), format!("docs{dir}x"), format!("${{HOME}}{dir}x")]
            {
                assert!(machine_paths(&text).is_empty(), "{text}");
            }
        }
    }
}

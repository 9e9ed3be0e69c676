// SPDX-License-Identifier: MIT OR Apache-2.0
//! The table of lines that cargo-llvm-cov writes (lcov's format), without the lines of tests.

use crate::{
    error::{Error, read_text},
    repo::Repo,
};
use std::{collections::BTreeMap, path::Path};

/// How often each line of a file was run.
#[derive(Debug, Default, PartialEq)]
pub struct Lines(BTreeMap<usize, u64>);

impl Lines {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn covered(&self) -> usize {
        self.0.values().filter(|count| **count > 0).count()
    }

    pub fn missing(&self) -> impl Iterator<Item = usize> {
        self.0.iter().filter(|(_, count)| **count == 0).map(|(line, _)| *line)
    }

    /// Whether the line was run; `None` for one that has no code.
    pub fn was_run(&self, line: usize) -> Option<bool> {
        self.0.get(&line).map(|count| *count > 0)
    }
}

/// The lines of the repository's files by path, those of a file's own tests left out.
pub fn product_lines(repo: &Repo, table: &str) -> Result<BTreeMap<String, Lines>, Error> {
    let mut files = parse(table);
    files.retain(|path, _| Path::new(path).starts_with(repo.root()));
    let shown = files.into_iter().map(|(path, mut lines)| {
        let tests_from = first_line_of_tests(&read_text(Path::new(&path))?);
        lines.0.retain(|line, _| *line < tests_from);
        Ok((repo.shown(Path::new(&path)), lines))
    });
    shown.collect()
}

/// Where the tests of a source begin, by our layout: `#[cfg(test)]` before a module, at the end of the file.
pub fn first_line_of_tests(source: &str) -> usize {
    let lines: Vec<&str> = source.lines().collect();
    let begins = |pair: &[&str]| matches!(pair, ["#[cfg(test)]", module] if module.starts_with("mod "));
    lines.windows(2).position(begins).map_or(usize::MAX, |at| at + 1)
}

fn parse(table: &str) -> BTreeMap<String, Lines> {
    let mut files: BTreeMap<String, Lines> = BTreeMap::new();
    let mut current = None;
    for line in table.lines() {
        if let Some(path) = line.strip_prefix("SF:") {
            current = Some(path.to_owned());
        } else if let Some((path, data)) = current.as_ref().zip(line.strip_prefix("DA:")) {
            let mut numbers = data.split(',').map(str::parse::<u64>);
            if let (Some(Ok(line)), Some(Ok(count))) = (numbers.next(), numbers.next()) {
                *files.entry(path.clone()).or_default().0.entry(line as usize).or_default() += count;
            }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_a_line_are_summed_over_all_programs() {
        let files =
            parse("SF:/a.rs\nDA:1,0\nDA:2,3\nend_of_record\nSF:/a.rs\nDA:1,1\nDA:9,0\nend_of_record\n");
        let lines = &files["/a.rs"];
        assert_eq!((lines.len(), lines.covered()), (3, 2));
        assert_eq!(lines.missing().collect::<Vec<_>>(), [9]);
        assert_eq!((lines.was_run(1), lines.was_run(9), lines.was_run(5)), (Some(true), Some(false), None));
    }

    #[test]
    fn tests_begin_at_their_module_and_not_at_a_function_for_tests() {
        assert_eq!(first_line_of_tests("fn a() {}\n#[cfg(test)]\nmod tests {\n"), 2);
        assert_eq!(first_line_of_tests("#[cfg(test)]\nfn only_for_tests() {}\n"), usize::MAX);
    }
}

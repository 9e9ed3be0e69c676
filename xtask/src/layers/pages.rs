// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the Markdown pages promise their readers: links that lead somewhere, examples that compile, tests and tasks
//! that are there. (Python and shell examples are run and parsed by the tests of the package and of the command.)

use super::Check;
use crate::{error::Error, repo::Repo};
use clap::CommandFactory;
use std::path::{Path, PathBuf};

/// Where Rust examples of pages are made documentation tests.
const COMPILED_IN: &str = "crates/uncopy/src/lib.rs";

/// The page whose every claim names the test that proves it.
const CLAIMS: &str = "SECURITY.md";

/// A page without its code blocks, and the languages of those.
struct Page {
    path: PathBuf,
    prose: String,
    languages: Vec<String>,
}

impl Page {
    fn read(path: PathBuf) -> Result<Self, Error> {
        let text = crate::error::read_text(&path)?;
        let (prose, languages) = parted(&text);
        Ok(Self { path, prose, languages })
    }
}

pub fn check(repo: &Repo) -> Result<Vec<Check>, Error> {
    let files = repo.files("")?;
    let paths = files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let pages = paths.cloned().map(Page::read).collect::<Result<Vec<_>, _>>()?;
    let compiled = crate::error::read_text(&repo.join(COMPILED_IN))?;
    let tests: String = files
        .iter()
        .filter(|path| is_source(path))
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .collect();
    let tasks: Vec<String> =
        crate::Cli::command().get_subcommands().map(|task| task.get_name().to_string()).collect();
    let (mut links, mut examples, mut claims, mut unknown) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for page in &pages {
        let shown = repo.shown(&page.path);
        links.extend(lost_links(page, &pages).into_iter().map(|link| format!("{shown}: {link}")));
        let is_compiled = compiled.contains(&format!("include_str!(\"../../../{shown}\")"));
        if page.languages.iter().any(|language| language == "rust") && !is_compiled {
            examples.push(format!("{shown} has Rust examples and is not included by {COMPILED_IN}"));
        }
        if shown == CLAIMS {
            let missing = tests_named(&page.prose).into_iter().filter(|name| !is_defined(&tests, name));
            claims.extend(missing.map(|name| format!("{shown}: there is no test {name}")));
        }
        let missing = tasks_named(&page.prose).into_iter().filter(|name| !tasks.contains(name));
        unknown.extend(missing.map(|name| format!("{shown}: cargo xtask has no {name}")));
    }
    Ok(vec![
        Check::of("every link between pages leads to a file and to a heading of it", links),
        Check::of("every Rust example of a page is compiled", examples),
        Check::of(&format!("every test that {CLAIMS} names is there"), claims),
        Check::of("every task of cargo xtask that a page names is there", unknown),
    ])
}

fn is_source(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rs" || extension == "py")
}

/// The text outside of fenced blocks, and the language of each block.
fn parted(text: &str) -> (String, Vec<String>) {
    let (mut prose, mut languages, mut is_code) = (String::new(), Vec::new(), false);
    for line in text.lines() {
        match line.trim_start().strip_prefix("```") {
            Some(language) => {
                if !is_code {
                    languages.push(language.trim().to_string());
                }
                is_code = !is_code;
            }
            None if is_code => {}
            None => prose.extend([line, "\n"]),
        }
    }
    (prose, languages)
}

/// The links of a page that lead nowhere. Addresses of other hosts are not looked at.
fn lost_links(page: &Page, pages: &[Page]) -> Vec<String> {
    let targets =
        page.prose.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    let own = targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:"));
    own.filter(|target| !leads_somewhere(page, target, pages)).map(str::to_string).collect()
}

fn leads_somewhere(page: &Page, target: &str, pages: &[Page]) -> bool {
    let (file, heading) = target.split_once('#').unwrap_or((target, ""));
    let path = match file {
        "" => page.path.clone(),
        _ => page.path.parent().unwrap_or(Path::new("")).join(file),
    };
    let Ok(path) = path.canonicalize() else { return false };
    let linked = pages.iter().find(|other| other.path.canonicalize().is_ok_and(|other| other == path));
    match linked {
        _ if heading.is_empty() => true,
        Some(linked) => anchors(&linked.prose).iter().any(|anchor| anchor == heading),
        None => false,
    }
}

/// What the headings of a page are linked by, as Markdown viewers make it.
fn anchors(prose: &str) -> Vec<String> {
    let headings = prose.lines().filter_map(|line| line.strip_prefix('#'));
    headings
        .map(|line| {
            let text = line.trim_start_matches('#').trim();
            let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

/// Code spans that are sentences, as names of tests are.
fn tests_named(prose: &str) -> Vec<&str> {
    let is_sentence = |span: &&str| {
        span.split('_').count() >= 4
            && span.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    prose.split('`').skip(1).step_by(2).filter(is_sentence).collect()
}

fn is_defined(sources: &str, test: &str) -> bool {
    sources.contains(&format!("fn {test}(")) || sources.contains(&format!("def {test}("))
}

/// The tasks in code spans such as `cargo xtask wheel`.
fn tasks_named(prose: &str) -> Vec<String> {
    let is_name = |c: &char| c.is_ascii_lowercase() || *c == '-';
    let spans = prose.split('`').skip(1).step_by(2);
    let tasks = spans.filter_map(|span| span.split_once("cargo xtask ")).map(|(_, rest)| rest);
    tasks
        .map(|rest| rest.chars().take_while(is_name).collect::<String>())
        .filter(|task| !task.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_blocks_are_no_prose_and_have_a_language() {
        let (prose, languages) = parted("a\n```rust\n[x](y)\n```\nb\n```sh\n# c\n```\n");
        assert_eq!(
            (prose.as_str(), languages.as_slice()),
            ("a\nb\n", &["rust".to_string(), "sh".to_string()][..])
        );
    }

    #[test]
    fn headings_are_linked_in_lower_case_with_hyphens_and_without_punctuation() {
        assert_eq!(
            anchors("# A link that can't `be` read\n### /dev/shm is not used\ntext\n"),
            ["a-link-that-cant-be-read", "devshm-is-not-used"]
        );
    }

    #[test]
    fn only_code_spans_that_are_sentences_are_names_of_tests() {
        assert_eq!(
            tests_named("`f01_a_test_of_it` and `SO_PEERCRED`, `a_b`, no_span_is_this_one"),
            ["f01_a_test_of_it"]
        );
        assert!(
            is_defined("fn a_b(x: u8)", "a_b")
                && is_defined("def a_b():", "a_b")
                && !is_defined("a_b()", "a_b")
        );
    }

    #[test]
    fn tasks_are_the_words_after_cargo_xtask() {
        assert_eq!(
            tasks_named("`cargo xtask test [PART]`, `cargo xtask wheel` and cargo xtask none"),
            ["test", "wheel"]
        );
    }

    #[test]
    fn a_link_is_lost_without_its_file_or_its_heading() {
        let page = |prose: &str| Page {
            path: Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md"),
            prose: prose.to_string(),
            languages: Vec::new(),
        };
        let lost = |prose: &str| lost_links(&page(prose), &[page(prose)]);
        assert!(lost("# Top\n[a](README.md#top) [b](#top) [c](xtask) [d](https://no.where/x)").is_empty());
        assert_eq!(
            lost("# Top\n[a](README.md#none) [b](missing.md) [c](Cargo.toml#x)"),
            ["README.md#none", "missing.md", "Cargo.toml#x"]
        );
    }
}

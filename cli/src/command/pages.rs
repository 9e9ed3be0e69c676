// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the pages and the help texts tell users to type is understood: every command line of ours in a shell example of
//! a Markdown page, and every example below a help text.

use std::path::{Path, PathBuf};

use clap::{CommandFactory, Parser};

use super::CommandLine;

/// The checkout.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// README.md and its like, and every page below `docs`.
fn pages() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![root().join("docs")];
    let mut take = |dir: PathBuf, left: &mut Vec<PathBuf>| {
        for path in std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    };
    take(root(), &mut Vec::new());
    while let Some(dir) = left.pop() {
        take(dir, &mut left);
    }
    found
}

/// The lines of the shell examples of a page.
fn shell_lines(page: &str) -> Vec<&str> {
    let mut is_shell = false;
    let mut lines = Vec::new();
    for line in page.lines() {
        match line.trim_start().strip_prefix("```") {
            Some(language) => is_shell = !is_shell && matches!(language.trim(), "sh" | "bash" | "console"),
            None if is_shell => lines.push(line),
            None => {}
        }
    }
    lines
}

/// The commands of a line, each in words: what stands between pipes, `&&`, `;` and `>`, without the comment.
fn commands(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut quote = None;
    let end_word = |word: &mut Option<String>, commands: &mut Vec<Vec<String>>| {
        commands.last_mut().unwrap().extend(word.take());
    };
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), _) if open == letter => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, '|' | '&' | ';' | '>') => {
                end_word(&mut word, &mut commands);
                commands.push(Vec::new());
            }
            (None, ' ') => end_word(&mut word, &mut commands),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    end_word(&mut word, &mut commands);
    commands.retain(|words| !words.is_empty());
    commands
}

/// How many commands of ours are in the line; panics at one that is not understood.
fn understood(line: &str, place: &str) -> usize {
    let ours = |words: &Vec<String>| words.first().is_some_and(|first| first == "uncopy");
    let commands: Vec<_> = commands(line).into_iter().filter(ours).collect();
    for words in &commands {
        if let Err(error) = CommandLine::try_parse_from(words)
            && error.use_stderr()
        {
            panic!("{place}: {line}\n{error}");
        }
    }
    commands.len()
}

#[test]
fn every_command_of_ours_on_a_page_is_understood() {
    let mut found = 0;
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        let place = page.display().to_string();
        found += shell_lines(&text).into_iter().map(|line| understood(line, &place)).sum::<usize>();
    }
    assert!(
        found >= 8,
        "the pages have {found} commands of ours; are they still looked for in the right place?"
    );
}

#[test]
fn every_example_below_a_help_text_is_understood() {
    let mut command = CommandLine::command();
    let mut texts: Vec<(String, String)> = vec![("uncopy".into(), text_after(&command))];
    texts.extend(command.get_subcommands_mut().map(|sub| (sub.get_name().to_owned(), text_after(sub))));
    let mut found = 0;
    for (name, text) in texts {
        // An example is indented; three spaces part it from what it does.
        let examples = text.lines().filter_map(|line| line.strip_prefix("  "));
        let examples = examples.map(|line| line.split("   ").next().unwrap_or_default());
        found += examples.map(|line| understood(line, &name)).sum::<usize>();
    }
    assert!(found >= 25, "{found} examples");
}

fn text_after(command: &clap::Command) -> String {
    command.get_after_help().map(ToString::to_string).unwrap_or_default()
}

#[test]
fn a_line_is_taken_apart_as_a_shell_does() {
    let words = |line| commands(line).into_iter().map(|words| words.join("_")).collect::<Vec<_>>();
    assert_eq!(words("a 'b c' | d && e  # f | g"), ["a_b c", "d", "e"]);
    assert_eq!(words("jq '.x[] | y' ''"), ["jq_.x[] | y_"]);
    assert_eq!(words("a b > c"), ["a_b", "c"]);
    assert_eq!(words("# nothing"), [""; 0]);
    let page = "uncopy nonsense\n```sh\nuncopy list\n```\n```python\nuncopy nonsense\n```\n";
    assert_eq!(shell_lines(page), ["uncopy list"]);
}

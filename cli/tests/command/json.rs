// SPDX-License-Identifier: MIT OR Apache-2.0
//! `--json` on every subcommand: there, told in the help, and nothing else on standard output.

use serde_json::Value;

use crate::place::Place;

/// The subcommands that the help lists.
pub fn subcommands(help: &str) -> Vec<String> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = listed
        .take_while(|line| !line.is_empty())
        // Further lines of a description are indented more.
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn every_subcommand_takes_json_and_says_so() {
    let place = Place::new();
    let names = subcommands(&place.run(&["--help"]).ended_with(0).text());
    for expected in ["list", "hz", "top", "clean", "bench", "man"] {
        assert!(names.iter().any(|name| name == expected), "{expected}: {names:?}");
    }
    for name in names {
        let help = place.run(&[&name, "--help"]).ended_with(0).text();
        assert!(help.contains("--json"), "{name}: {help}");
    }
}

#[test]
fn what_is_printed_is_json_and_nothing_else() {
    let place = Place::new();
    let out = uncopy::publish("camera").directory(place.links()).open().unwrap();
    for args in [
        &["list"][..],
        &["info", "camera"],
        &["doctor"],
        &["clean"],
        &["exit-codes"],
        &["completions", "bash"],
        &["man"],
        &["man", "--dir", "pages"],
    ] {
        let done = place.run(&[args, &["--json"]].concat()).ended_with(0);
        assert!(done.json().is_object(), "{args:?}");
    }
    for args in [
        &["hz", "camera", "--count", "2", "--every", "0.05"][..],
        &["top", "--count", "2", "--every", "0.05"],
    ] {
        let done = place.run(&[args, &["--json"]].concat()).ended_with(0);
        let lines: Vec<Value> = done
            .text()
            .lines()
            .map(|line| serde_json::from_str(line).expect("a JSON object a line"))
            .collect();
        assert!(lines.len() >= 2 && lines.iter().all(Value::is_object), "{args:?}: {lines:?}");
    }
    drop(out);
}

#[test]
fn scripts_and_pages_are_the_same_as_text_and_as_json() {
    let place = Place::new();
    let script = place.run(&["completions", "zsh", "--json"]).ended_with(0).json();
    let text = place.run(&["completions", "zsh"]).ended_with(0).text();
    assert_eq!(script["script"].as_str().unwrap().trim_end(), text.trim_end());
    let page = place.run(&["man", "hz", "--json"]).ended_with(0).json();
    assert_eq!(page["file_name"], "uncopy-hz.1");
    let text = place.run(&["man", "hz"]).ended_with(0).text();
    assert_eq!(page["text"].as_str().unwrap().trim_end(), text.trim_end());
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! `man`: pages that readers of manual pages read without complaint.

use std::process::{Command, Stdio};

use crate::place::{Place, tool};

#[test]
fn every_subcommand_has_a_page_with_its_options_and_examples() {
    let place = Place::new();
    let written = place.run(&["man", "--dir", "pages"]).ended_with(0).text();
    let help = place.run(&["--help"]).ended_with(0).text();
    let subcommands = crate::json::subcommands(&help);
    assert_eq!(written.lines().count(), subcommands.len() + 1, "{written}");
    for name in &subcommands {
        let page = std::fs::read_to_string(place.file(&format!("pages/uncopy-{name}.1"))).unwrap();
        for words in [
            format!(".TH \"UNCOPY-{}\"", name.to_uppercase()),
            format!("uncopy {}", name.replace('-', "\\-")),
        ] {
            assert!(page.contains(&words), "{words}: {page}");
        }
        assert!(page.contains(".SH EXAMPLES") || name == "exit-codes", "{page}");
        assert_eq!(place.run(&["man", name]).ended_with(0).text(), page);
    }
    let page = std::fs::read_to_string(place.file("pages/uncopy.1")).unwrap();
    assert!(subcommands.iter().all(|name| page.contains(&name.replace('-', "\\-"))), "{page}");
    assert_eq!(place.run(&["man"]).ended_with(0).text(), page);
    place.run(&["man", "no-such-subcommand"]).ended_with(2);
}

#[test]
fn mandoc_has_nothing_to_complain_about_but_that_a_page_has_no_date() {
    let Some(mandoc) = tool("mandoc") else { return };
    let place = Place::new();
    for page in place.run(&["man", "--dir", "pages"]).ended_with(0).text().lines() {
        let mut command = Command::new(&mandoc);
        command.args(["-T", "lint", "-W", "warning"]).arg(place.file(page));
        let said = String::from_utf8(command.output().unwrap().stdout).unwrap();
        let complaints: Vec<&str> = said.lines().filter(|line| !line.contains("missing date")).collect();
        assert!(complaints.is_empty(), "{complaints:#?}");
    }
}

#[test]
fn man_shows_the_page() {
    let Some(man) = tool("man") else { return };
    let place = Place::new();
    let page = place.file("page.1");
    std::fs::write(&page, place.run(&["man", "recv"]).ended_with(0).out).unwrap();
    let mut command = Command::new(man);
    command.args(["--warnings", "-l"]).arg(&page).env("MANWIDTH", "100").env("LC_ALL", "C.UTF-8");
    let output = command.stdin(Stdio::null()).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    if shown.trim().is_empty() {
        println!("SKIP man shows nothing here (a system without manual pages): {output:?}");
        return;
    }
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    for words in ["UNCOPY-RECV(1)", "EXAMPLES", "--until-closed"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
}

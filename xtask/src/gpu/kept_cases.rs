// SPDX-License-Identifier: MIT OR Apache-2.0
//! What ran on a card, case by case: `bench/gpu/cases/CARD.json`. Parts that were not run again keep their last record.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::Path};

use crate::error::{Error, read_text, write_text};

/// One test, or one measurement.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Case {
    pub part: String,
    pub name: String,
    pub outcome: String,
    pub why: String,
}

/// A part of the bundle, as it ran last.
#[derive(Serialize, Deserialize)]
struct Part {
    date: String,
    commit: String,
    card: String,
    cards: usize,
    driver: String,
    passed: usize,
    failed: usize,
    skipped: usize,
    cases: Vec<KeptCase>,
}

/// A case, without its part.
#[derive(Serialize, Deserialize)]
struct KeptCase {
    name: String,
    outcome: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    why: String,
}

/// Where and when cases ran.
pub struct Run<'r> {
    pub date: &'r str,
    pub commit: &'r str,
    pub card: &'r str,
    pub cards: usize,
    pub driver: &'r str,
}

/// Writes the cases to `path`, each part in the place of its last record.
///
/// # Errors
/// The file can't be read or written, or is something else.
pub fn keep(path: &Path, run: &Run<'_>, cases: &[Case]) -> Result<(), Error> {
    let mut kept: BTreeMap<String, Part> = match path.is_file() {
        true => serde_json::from_str(&read_text(path)?)
            .map_err(|error| Error::form(path.display().to_string(), error))?,
        false => BTreeMap::new(),
    };
    let mut by_part: BTreeMap<&str, Vec<&Case>> = BTreeMap::new();
    for case in cases {
        by_part.entry(&case.part).or_default().push(case);
    }
    for (part, cases) in by_part {
        let count = |outcome: &str| cases.iter().filter(|case| case.outcome == outcome).count();
        let record = Part {
            date: run.date.to_owned(),
            commit: run.commit.to_owned(),
            card: run.card.to_owned(),
            cards: run.cards,
            driver: run.driver.to_owned(),
            passed: count("passed"),
            failed: count("failed"),
            skipped: count("skipped"),
            cases: cases.into_iter().cloned().map(KeptCase::from).collect(),
        };
        kept.insert(part.to_owned(), record);
    }
    let text = serde_json::to_string_pretty(&kept)
        .map_err(|error| Error::form(path.display().to_string(), error))?;
    write_text(path, &(text + "\n"))
}

impl From<Case> for KeptCase {
    fn from(Case { name, outcome, why, .. }: Case) -> Self {
        Self { name, outcome, why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(part: &str, name: &str, outcome: &str) -> Case {
        let why = if outcome == "passed" { "" } else { "because" };
        Case { part: part.into(), name: name.into(), outcome: outcome.into(), why: why.into() }
    }

    #[test]
    fn each_part_keeps_the_cases_of_its_last_run() {
        let dir = std::env::temp_dir().join(format!("uncopy-xtask-cases-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("card.json");
        let run = |commit| Run { date: "d", commit, card: "c", cards: 1, driver: "v" };
        keep(&path, &run("1"), &[case("rust", "a", "passed"), case("python", "p", "failed")]).unwrap();
        keep(&path, &run("2"), &[case("rust", "b", "skipped"), case("rust", "c", "passed")]).unwrap();
        let kept: BTreeMap<String, Part> = serde_json::from_str(&read_text(&path).unwrap()).unwrap();
        let told = |part: &str| {
            let part = &kept[part];
            let names: Vec<_> = part.cases.iter().map(|case| format!("{} {}", case.name, case.why)).collect();
            (part.commit.clone(), (part.passed, part.failed, part.skipped), names)
        };
        assert_eq!(told("rust"), ("2".into(), (1, 0, 1), vec!["b because".into(), "c ".into()]));
        assert_eq!(told("python"), ("1".into(), (0, 1, 0), vec!["p because".into()]));
        std::fs::remove_dir_all(dir).unwrap();
    }
}

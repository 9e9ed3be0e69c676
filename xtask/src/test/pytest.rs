// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads the case log that `xtask/python/case_log.py` writes while pytest runs.

use super::{
    case::{Case, Outcome},
    faults::FaultId,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Line {
    name: String,
    outcome: String,
    why: String,
    faults: Vec<String>,
}

/// The cases of one run. `code` is pytest's exit code: 0 when all passed, 1 when a test failed.
pub fn cases(log: &str, code: Option<i32>) -> Vec<Case> {
    let mut cases: Vec<Case> = log.lines().map(case).collect();
    let failed = cases.iter().any(Case::is_failed);
    if !(code == Some(0) || code == Some(1) && failed) {
        let ended =
            code.map_or("was ended by a signal".to_string(), |code| format!("ended with code {code}"));
        let last = cases.last().map_or("none".to_string(), |case| case.name.clone());
        cases.push(Case::failed("pytest", format!("{ended}; the last test that it finished is {last}")));
    }
    cases
}

fn case(line: &str) -> Case {
    let read: Line = match serde_json::from_str(line) {
        Ok(read) => read,
        Err(e) => return Case::failed("the case log of pytest", format!("{line:?} cannot be read: {e}")),
    };
    let faults: Result<Vec<FaultId>, String> = read.faults.iter().map(|id| id.parse()).collect();
    let outcome = match (read.outcome.as_str(), &faults) {
        (_, Err(why)) => Outcome::Failed { why: why.clone() },
        ("passed", _) => Outcome::Passed,
        ("skipped", _) => Outcome::Skipped { why: read.why },
        _ => Outcome::Failed { why: read.why },
    };
    Case { name: read.name, outcome, faults: faults.unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = r#"{"name": "t.py::a", "outcome": "passed", "why": "", "faults": ["F08", "F47"]}
{"name": "t.py::b", "outcome": "skipped", "why": "torch is not installed", "faults": []}
{"name": "t.py::c", "outcome": "failed", "why": "assert 1 == 2", "faults": []}
"#;

    #[test]
    fn each_line_becomes_a_case() {
        let cases = cases(LOG, Some(1));
        assert_eq!(cases.len(), 3);
        assert_eq!(cases[0].faults, ["F08".parse().unwrap(), "F47".parse().unwrap()]);
        assert_eq!(cases[1], Case::skipped("t.py::b", "torch is not installed"));
        assert_eq!(cases[2], Case::failed("t.py::c", "assert 1 == 2"));
    }

    #[test]
    fn a_crash_of_the_interpreter_is_a_failure_that_names_the_last_test() {
        let cases = cases(LOG, None);
        let last = cases.last().unwrap();
        assert!(matches!(&last.outcome, Outcome::Failed { why } if why.contains("t.py::c")), "{last:?}");
    }

    #[test]
    fn no_test_found_and_an_exit_without_a_failed_test_are_failures() {
        assert!(cases("", Some(5))[0].is_failed());
        assert!(cases("", Some(1))[0].is_failed());
    }

    #[test]
    fn a_marker_that_is_no_fault_id_fails_its_test() {
        let log = r#"{"name": "a", "outcome": "passed", "why": "", "faults": ["F1"]}"#;
        assert!(cases(log, Some(0))[0].is_failed());
    }
}

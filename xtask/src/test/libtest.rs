// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads what `cargo test -- --show-output` prints.
//!
//! A test that finds at run time that it cannot run here prints a line `SKIP reason` and returns: it counts
//! as skipped, not as passed.

use super::case::Case;

/// The cases in the output of one `cargo test`. `code` is its exit code.
pub fn cases(output: &str, code: Option<i32>) -> Vec<Case> {
    let mut reader = Reader::default();
    for line in output.lines() {
        reader.read(line);
    }
    reader.close_binary();
    let mut cases = reader.cases;
    if code != Some(0) && !cases.iter().any(Case::is_failed) {
        let ended =
            code.map_or("was ended by a signal".to_string(), |code| format!("ended with code {code}"));
        cases.push(Case::failed("cargo test", format!("{ended}, but no test failed: did it build?")));
    }
    cases
}

/// Where in the output of one test binary we are.
#[derive(Default, PartialEq)]
enum Section {
    #[default]
    Outside,
    /// `test name ... ok` lines.
    Running,
    /// The captured output of one passed test.
    OutputOf(String),
    /// The list of passed tests.
    Passed,
    /// The output and the list of failed tests.
    Failed,
}

#[derive(Default)]
struct Reader {
    cases: Vec<Case>,
    section: Section,
    binary: String,
    passed: Vec<String>,
    failed: Vec<String>,
    ignored: Vec<(String, String)>,
    skips: Vec<(String, String)>,
}

impl Reader {
    fn read(&mut self, line: &str) {
        if let Some(binary) =
            line.trim_start().strip_prefix("Running ").or(line.trim_start().strip_prefix("Doc-tests "))
        {
            self.close_binary();
            self.binary = binary.to_string();
        } else if is_start(line) {
            self.close_binary();
            self.section = Section::Running;
        } else if let Some(counts) = line.strip_prefix("test result: ") {
            self.finish_binary(counts);
        } else if self.section != Section::Outside {
            self.read_in_binary(line);
        }
    }

    fn read_in_binary(&mut self, line: &str) {
        let heading = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----"));
        match (line, heading, &self.section) {
            // Each heading comes twice, first above the outputs and then above the names: the last list counts.
            ("successes:", ..) => self.begin_list(Section::Passed),
            ("failures:", ..) => self.begin_list(Section::Failed),
            (_, Some(name), Section::Passed | Section::OutputOf(_)) => {
                self.section = Section::OutputOf(name.to_string())
            }
            (_, None, Section::OutputOf(name)) => {
                if let Some(reason) = line.strip_prefix("SKIP ") {
                    self.skips.push((name.clone(), reason.trim().to_string()));
                }
            }
            (_, None, Section::Passed) => self.passed.extend(listed_name(line)),
            (_, None, Section::Failed) => self.failed.extend(listed_name(line)),
            (_, None, Section::Running) => self.ignored.extend(ignored(line)),
            _ => {}
        }
    }

    fn begin_list(&mut self, section: Section) {
        let list = if section == Section::Passed { &mut self.passed } else { &mut self.failed };
        list.clear();
        self.section = section;
    }

    /// The counts are what libtest vouches for; names are added as far as its lists have them.
    fn finish_binary(&mut self, counts: &str) {
        let mut passed = std::mem::take(&mut self.passed);
        let mut skips = std::mem::take(&mut self.skips);
        passed.resize(count(counts, "passed"), "a passed test".to_string());
        for name in passed {
            let (own, others) = skips.into_iter().partition(|(of, _)| *of == name);
            skips = others;
            let reasons: Vec<String> = Vec::into_iter(own).map(|(_, reason)| reason).collect();
            let case =
                if reasons.is_empty() { Case::passed(name) } else { Case::skipped(name, reasons.join("; ")) };
            self.cases.push(case);
        }
        let mut failed = std::mem::take(&mut self.failed);
        failed.resize(count(counts, "failed"), "a failed test".to_string());
        self.cases
            .extend(failed.into_iter().map(|name| Case::failed(name, format!("failed in {}", self.binary))));
        let mut ignored = std::mem::take(&mut self.ignored);
        ignored.resize(count(counts, "ignored"), ("an ignored test".into(), "marked as ignored".into()));
        self.cases.extend(ignored.into_iter().map(|(name, reason)| Case::skipped(name, reason)));
        self.section = Section::Outside;
    }

    /// A binary that began and never gave its result has died.
    fn close_binary(&mut self) {
        if self.section != Section::Outside {
            let why = "the test binary ended before its last test: killed, aborted or crashed";
            self.cases.push(Case::failed(self.binary.clone(), why));
            self.section = Section::Outside;
        }
        self.passed.clear();
        self.failed.clear();
        self.ignored.clear();
        self.skips.clear();
    }
}

/// `running 3 tests`
fn is_start(line: &str) -> bool {
    let count = line.strip_prefix("running ").and_then(|rest| rest.split_once(' '));
    count.is_some_and(|(count, rest)| count.parse::<usize>().is_ok() && matches!(rest, "test" | "tests"))
}

/// The lists indent each name by four spaces.
fn listed_name(line: &str) -> Option<String> {
    line.strip_prefix("    ").filter(|name| !name.starts_with(' ') && !name.is_empty()).map(str::to_string)
}

fn ignored(line: &str) -> Option<(String, String)> {
    let (name, verdict) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let reason = verdict.strip_prefix("ignored")?;
    let reason = reason.strip_prefix(", ").unwrap_or("marked as ignored");
    Some((name.to_string(), reason.to_string()))
}

/// The number before `what` in `ok. 3 passed; 0 failed; 1 ignored; ...`.
fn count(counts: &str, what: &str) -> usize {
    let mut words = counts.split([' ', ';', '.']).filter(|word| !word.is_empty());
    let mut previous = "";
    words
        .find_map(|word| {
            let found = (word == what).then(|| previous.parse().unwrap_or(0));
            previous = word;
            found
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{super::case::Outcome, *};

    const GOOD: &str = "     Running unittests src/lib.rs (target/debug/deps/x-1)

running 4 tests
test a::is_right ... ok
test b::needs_two_cores ... ok
test c::is_slow ... ignored, takes an hour
test f01_survives ... ok

successes:

---- b::needs_two_cores stdout ----
SKIP this machine has one core

successes:
    a::is_right
    b::needs_two_cores
    f01_survives

test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s

";

    const BAD: &str = "     Running tests/pairs.rs (target/debug/deps/pairs-2)

running 2 tests
test one ... ok
test two ... FAILED

successes:

successes:
    one

failures:

---- two stdout ----
    indented as a name
SKIP not counted in a failure

failures:
    two

test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

error: test failed, to rerun pass `-p x --test pairs`
";

    fn counts(cases: &[Case]) -> (usize, usize, usize) {
        let passed = cases.iter().filter(|case| case.is_passed()).count();
        let failed = cases.iter().filter(|case| case.is_failed()).count();
        (passed, failed, cases.len() - passed - failed)
    }

    #[test]
    fn passed_skipped_and_ignored_tests_are_told_apart() {
        let cases = cases(GOOD, Some(0));
        assert_eq!(counts(&cases), (2, 0, 2));
        assert!(cases.contains(&Case::skipped("b::needs_two_cores", "this machine has one core")));
        assert!(cases.contains(&Case::skipped("c::is_slow", "takes an hour")));
        assert!(cases.contains(&Case::passed("f01_survives")));
    }

    #[test]
    fn failures_of_one_binary_do_not_hide_the_others() {
        let cases = cases(&format!("{GOOD}{BAD}{GOOD}"), Some(101));
        assert_eq!(counts(&cases), (5, 1, 4));
        let failed = cases.iter().find(|case| case.is_failed()).unwrap();
        assert_eq!(failed.name, "two");
        assert!(matches!(&failed.outcome, Outcome::Failed { why } if why.contains("tests/pairs.rs")));
    }

    #[test]
    fn a_binary_that_dies_is_one_failure() {
        let dead = "     Running unittests src/lib.rs (x)\n\nrunning 2 tests\ntest a ... ok\nerror: test failed\n\n\
            Caused by:\n  process didn't exit successfully: `x` (signal: 11, SIGSEGV)\n";
        let cases = cases(&format!("{dead}{GOOD}"), Some(101));
        assert_eq!(counts(&cases), (2, 1, 2));
    }

    #[test]
    fn a_build_that_fails_is_one_failure() {
        assert_eq!(counts(&cases("error[E0425]: cannot find value\n", Some(101))), (0, 1, 0));
        assert_eq!(counts(&cases("", None)), (0, 1, 0));
    }

    #[test]
    fn a_binary_without_tests_counts_nothing() {
        let none = "running 0 tests\n\nsuccesses:\n\nsuccesses:\n\ntest result: ok. 0 passed; 0 failed; 0 ignored; \
            0 measured; 0 filtered out; finished in 0.00s\n";
        assert_eq!(counts(&cases(none, Some(0))), (0, 0, 0));
    }

    #[test]
    fn lines_between_binaries_that_look_like_lists_are_not_read() {
        let text = format!("{GOOD}successes:\n    not::a_test\n");
        assert_eq!(counts(&cases(&text, Some(0))), (2, 0, 2));
    }
}

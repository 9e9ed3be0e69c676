// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which faults of the catalogue the tests inject, and which of them `tests/faults.toml` claims.

use super::case::Case;
use crate::{
    error::{Error, read_text},
    repo::Repo,
};
use serde::Deserialize;
use std::{collections::BTreeSet, fmt, str::FromStr};

/// `F` and two digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FaultId(u8);

impl fmt::Display for FaultId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "F{:02}", self.0)
    }
}

impl FromStr for FaultId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("{text:?} is no fault id; one looks like F01");
        let digits = text.strip_prefix(['F', 'f']).filter(|digits| digits.len() == 2).ok_or_else(refused)?;
        digits.parse().map(Self).map_err(|_| refused())
    }
}

/// The ids at the beginning of a test's own name: two in `link::f18_f41_hostile_header`.
pub fn faults_in_name(name: &str) -> Vec<FaultId> {
    let own = name.rsplit("::").next().unwrap_or(name);
    own.split('_').map_while(|word| word.strip_prefix('f').and_then(|_| word.parse().ok())).collect()
}

/// The ids that passed tests cover.
pub fn covered<'a>(cases: impl IntoIterator<Item = &'a Case>) -> BTreeSet<FaultId> {
    cases.into_iter().filter(|case| case.is_passed()).flat_map(|case| case.faults.iter().copied()).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    claimed: Vec<String>,
}

/// What `tests/faults.toml` claims.
pub fn claimed(repo: &Repo) -> Result<BTreeSet<FaultId>, Error> {
    claims_in(&read_text(&repo.join("tests/faults.toml"))?)
}

fn claims_in(text: &str) -> Result<BTreeSet<FaultId>, Error> {
    let form = |why: String| Error::form("tests/faults.toml", why);
    let claims: Claims = toml::from_str(text).map_err(|e| form(e.to_string()))?;
    claims.claimed.iter().map(|id| id.parse().map_err(form)).collect()
}

/// One case: every claim has a passed test.
pub fn judged(claimed: &BTreeSet<FaultId>, covered: &BTreeSet<FaultId>) -> Case {
    let name = "every claimed fault has a passed test";
    let missing = listed(&(claimed - covered));
    if missing.is_empty() {
        return Case::passed(name);
    }
    Case::failed(name, format!("tests/faults.toml claims {missing}, but no passed test carries the id"))
}

pub fn listed(ids: &BTreeSet<FaultId>) -> String {
    ids.iter().map(FaultId::to_string).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(text: &[&str]) -> Vec<FaultId> {
        text.iter().map(|id| id.parse().unwrap()).collect()
    }

    #[test]
    fn ids_are_read_from_the_beginning_of_a_tests_own_name() {
        assert_eq!(faults_in_name("link::tests::f01_producer_killed"), ids(&["F01"]));
        assert_eq!(faults_in_name("f18_f41_odd_arrays"), ids(&["F18", "F41"]));
    }

    #[test]
    fn other_words_with_an_f_are_no_ids() {
        for name in ["f32_is_a_float::reads", "reads_f32", "f1_short", "f001_long", "format_is_kept", "f_01"]
        {
            assert_eq!(faults_in_name(name), [], "{name}");
        }
    }

    #[test]
    fn only_passed_tests_cover() {
        let cases = [
            Case::passed("f01_a"),
            Case::skipped("f02_b", "no kernel"),
            Case::failed("f03_c", "broken"),
            Case::passed("f04_f01_d"),
        ];
        assert_eq!(listed(&covered(&cases)), "F01 F04");
    }

    #[test]
    fn a_claim_without_a_test_fails_and_is_named() {
        let claims = claims_in("claimed = [\"F01\", \"F09\"]").unwrap();
        let covered = covered(&[Case::passed("f01_a")]);
        let Case { outcome: super::super::case::Outcome::Failed { why }, .. } = judged(&claims, &covered)
        else {
            panic!("F09 has no test");
        };
        assert!(why.contains("claims F09,"), "{why}");
    }

    #[test]
    fn a_claim_that_is_no_id_is_refused() {
        assert!(claims_in("claimed = [\"F1\"]").is_err());
        assert!(claims_in("claims = []").is_err());
    }

    #[test]
    fn the_list_of_the_repository_can_be_read() {
        claimed(&Repo::this()).unwrap();
    }
}

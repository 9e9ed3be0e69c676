// SPDX-License-Identifier: MIT OR Apache-2.0
//! One test or check of any runner, and what became of it.

use super::faults::{FaultId, faults_in_name};

#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Passed,
    Failed { why: String },
    Skipped { why: String },
}

#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    pub name: String,
    pub outcome: Outcome,
    /// The faults of the catalogue that it injects.
    pub faults: Vec<FaultId>,
}

impl Case {
    pub fn passed(name: impl Into<String>) -> Self {
        Self::new(name.into(), Outcome::Passed)
    }

    pub fn failed(name: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new(name.into(), Outcome::Failed { why: why.into() })
    }

    pub fn skipped(name: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new(name.into(), Outcome::Skipped { why: why.into() })
    }

    /// Passed, or failed with the reason.
    pub fn of(name: impl Into<String>, result: Result<(), String>) -> Self {
        match result {
            Ok(()) => Self::passed(name),
            Err(why) => Self::failed(name, why),
        }
    }

    fn new(name: String, outcome: Outcome) -> Self {
        let faults = faults_in_name(&name);
        Self { name, outcome, faults }
    }

    pub fn is_passed(&self) -> bool {
        self.outcome == Outcome::Passed
    }

    pub fn is_failed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed { .. })
    }
}

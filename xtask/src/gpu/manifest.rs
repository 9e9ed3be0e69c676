// SPDX-License-Identifier: MIT OR Apache-2.0
//! `manifest.json` of a bundle: what its runner finds in it, and which sources it is of.

use serde::Serialize;

/// Everything that `bench/gpu/run` must be told.
#[derive(Debug, Default, Serialize)]
pub struct Manifest {
    pub commit: String,
    pub has_uncommitted_changes: bool,
    pub uncopy: String,
    pub rustc: String,
    /// The glibc that its programs need at least.
    pub glibc: String,
    /// The programs, in one compressed file.
    pub archive: String,
    pub tests: Vec<Test>,
    pub measures: Vec<Call>,
    /// Whose figures must not be right.
    pub proofs: Vec<Call>,
    pub soaks: Vec<Call>,
    /// Wheels, by their paths in the bundle.
    pub wheel: Option<String>,
    pub cuda_link: Option<String>,
    /// What the list of contents names and the checkout does not have.
    pub absent: Vec<Absent>,
}

/// A test program.
#[derive(Debug, Serialize)]
pub struct Test {
    pub program: String,
    pub arguments: Vec<String>,
    pub limit_s: u32,
    /// Whether it uses a GPU, so that compute-sanitizer has something to look at.
    pub sanitize: bool,
}

/// A program with its arguments.
#[derive(Debug, Serialize)]
pub struct Call {
    pub name: String,
    pub program: String,
    pub arguments: Vec<String>,
}

/// Something that is skipped, with the reason.
#[derive(Debug, Serialize)]
pub struct Absent {
    pub what: String,
    pub why: String,
}

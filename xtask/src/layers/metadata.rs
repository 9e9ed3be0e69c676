// SPDX-License-Identifier: MIT OR Apache-2.0
//! What cargo knows of the workspace, as far as the layer checks need it.

use crate::{error::Error, process::output_of, repo::Repo, toolchain::cargo};
use serde::Deserialize;
use std::{collections::BTreeMap, path::PathBuf};

/// The workspace with all packages that it may ever build.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    pub packages: Vec<Package>,
    workspace_members: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub struct Package {
    id: String,
    pub name: String,
    pub version: String,
    pub rust_version: Option<String>,
    pub manifest_path: PathBuf,
    pub dependencies: Vec<Dependency>,
    /// What each feature enables.
    #[serde(default)]
    pub features: BTreeMap<String, Vec<String>>,
    pub targets: Vec<Target>,
}

#[derive(Debug, Deserialize)]
pub struct Dependency {
    pub name: String,
    /// `None` for an ordinary one, else `dev` or `build`.
    pub kind: Option<String>,
    /// The features that are asked for.
    #[serde(default)]
    pub features: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub struct Target {
    pub name: String,
    pub kind: Vec<String>,
    pub src_path: PathBuf,
}

impl Metadata {
    pub fn read(repo: &Repo) -> Result<Self, Error> {
        let mut command = cargo(repo);
        command.args(["metadata", "--format-version", "1", "--locked"]);
        let text = output_of(command)?;
        serde_json::from_str(&text).map_err(|e| Error::form("the output of cargo metadata", e))
    }

    /// The packages of the repository itself.
    pub fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.workspace_members.contains(&package.id))
    }

    pub fn is_member(&self, name: &str) -> bool {
        self.members().any(|package| package.name == name)
    }
}

impl Package {
    /// The files where the crates of this package begin, without tests, examples and benches.
    pub fn crate_roots(&self) -> impl Iterator<Item = &PathBuf> {
        let ships = |target: &&Target| target.kind.iter().any(|kind| kind.ends_with("lib") || kind == "bin");
        self.targets.iter().filter(ships).map(|target| &target.src_path)
    }
}

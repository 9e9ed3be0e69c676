// SPDX-License-Identifier: MIT OR Apache-2.0
//! The programs in `bench/peers`: each measures uncopy beside one other library, and is a workspace of its own, so
//! that what that library needs is never a dependency of uncopy's, nor built by its tests.

use crate::{
    error::{Error, read_text},
    process::passed_through,
    repo::Repo,
    toolchain::cargo,
};
use std::path::PathBuf;

/// A peer's program, built.
pub struct Peer {
    pub program: PathBuf,
    /// The library and its version.
    pub version: String,
}

impl Peer {
    /// Builds the program of `bench/peers/NAME`, which measures against the package of that name. Its own Cargo.lock
    /// pins what it needs; that is fetched from the registry where it is not here yet.
    pub fn build(repo: &Repo, name: &str) -> Result<Self, Error> {
        println!("  building with {name}");
        let target = repo.target().join("peers");
        let mut build = cargo(repo);
        build.args(["build", "--release", "--quiet", "--manifest-path"]);
        build.arg(home(repo, name).join("Cargo.toml")).arg("--target-dir").arg(&target);
        passed_through(build)?;
        let lock = read_text(&home(repo, name).join("Cargo.lock"))?;
        let version = version_in(&lock, name)?.unwrap_or_else(|| "of unknown version".to_string());
        let program = target.join("release").join(format!("uncopy-bench-{name}"));
        Ok(Self { program, version: format!("{name} {version}") })
    }
}

fn home(repo: &Repo, name: &str) -> PathBuf {
    repo.join("bench/peers").join(name)
}

/// The version of a package that a Cargo.lock pins.
fn version_in(lock: &str, package: &str) -> Result<Option<String>, Error> {
    let lock: toml::Table = toml::from_str(lock).map_err(|e| Error::form("a Cargo.lock", e))?;
    let packages = lock.get("package").and_then(toml::Value::as_array);
    let text = |table: &toml::Value, key| table.get(key).and_then(toml::Value::as_str).map(str::to_string);
    let found = packages.into_iter().flatten().find(|found| text(found, "name").as_deref() == Some(package));
    Ok(found.and_then(|found| text(found, "version")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Topic;

    fn table(path: PathBuf) -> toml::Table {
        toml::from_str(&read_text(&path).unwrap()).unwrap()
    }

    #[test]
    fn a_peer_is_built_like_uncopy_and_is_no_part_of_its_workspace() {
        let repo = Repo::this();
        let ours = table(repo.join("Cargo.toml"));
        for name in Topic::ALL.iter().filter_map(|topic| topic.peer()) {
            let peer = table(home(&repo, name).join("Cargo.toml"));
            assert!(peer.contains_key("workspace"), "{name} is a workspace of its own");
            assert_eq!(peer.get("profile"), ours.get("profile").map(release_alone).as_ref(), "{name}");
        }
    }

    fn release_alone(profiles: &toml::Value) -> toml::Value {
        let release = profiles.get("release").cloned().unwrap();
        toml::Table::from_iter([("release".to_string(), release)]).into()
    }

    #[test]
    fn a_peers_version_is_the_one_that_its_lock_pins() {
        let repo = Repo::this();
        for name in Topic::ALL.iter().filter_map(|topic| topic.peer()) {
            let lock = read_text(&home(&repo, name).join("Cargo.lock")).unwrap();
            assert!(version_in(&lock, name).unwrap().is_some(), "{name}");
            assert_eq!(version_in(&lock, "no-such-package").unwrap(), None);
        }
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! What must not be in the tree of what we ship, and how old a Rust every dependency accepts.

use super::{
    Check,
    metadata::{Metadata, Package},
};
use crate::{error::Error, process::output_of, repo::Repo, toolchain::cargo};
use std::collections::BTreeSet;

/// What users install: the libraries, the command and the wheel's extension module.
const SHIPPED: &[&str] = &[
    "uncopy-core",
    "uncopy-tensor",
    "uncopy-os",
    "uncopy-link",
    "uncopy-cuda",
    "uncopy",
    "uncopy-pyo3",
    "uncopy-cli",
    "uncopy-python",
];

/// Decided against, whatever the features: a name, or a beginning of names when it ends with `-`.
const NEVER: &[&str] = &["cudarc", "dlpark", "iceoryx2", "iceoryx2-", "cust", "rustacuda"];

/// Graphics, GPU and network crates: never in a build without features, on Linux.
const NOT_ON_CPU: &[&str] = &[
    "uncopy-cuda",
    "uncopy-gfx",
    "uncopy-net",
    "zenoh",
    "zenoh-",
    "ash",
    "vulkano",
    "vulkano-",
    "wgpu",
    "wgpu-",
    "glow",
    "glutin",
    "glutin-",
    "gl",
    "gl-",
    "khronos-egl",
    "d3d12",
    "metal",
    "opencl3",
    "ocl",
    "cuda-",
    "nvml-",
    "windows",
    "windows-",
    "winapi",
];

const LINUX: &str = "x86_64-unknown-linux-gnu";
const WINDOWS: &str = "x86_64-pc-windows-gnu";

/// What whoever adds a link to a program must trust.
const CORE: &[&str] = &["uncopy-core", "uncopy-tensor", "uncopy-os", "uncopy-link"];
/// The most crates of others that they are built from, with their default features; those that only help to build
/// count.
const MOST_IN_CORE: usize = 25;

/// Features that open a product for its tests.
const TEST_FEATURES: &[&str] = &["feature \"fuzzing\"", "feature \"kill-points\"", "feature \"skip-waits\""];

pub fn check(repo: &Repo, metadata: &Metadata) -> Result<Vec<Check>, Error> {
    let (mut never, mut not_on_cpu) = (Vec::new(), Vec::new());
    for package in SHIPPED.iter().filter(|name| metadata.is_member(name)) {
        never.extend(found(package, &tree(repo, package, &["--all-features", "--target", "all"])?, NEVER));
        if NOT_ON_CPU.contains(package) {
            continue;
        }
        let cpu_only = tree(repo, package, &["--no-default-features", "--target", LINUX])?;
        not_on_cpu.extend(found(package, &cpu_only, NOT_ON_CPU));
    }
    Ok(vec![
        core(repo)?,
        test_features(repo, metadata)?,
        Check::of("no shipped crate depends on a library that was decided against", never),
        Check::of("the CPU-only build has no GPU, graphics or network crate", not_on_cpu),
        minimum_rust(metadata),
    ])
}

/// The libraries of links stand on few shoulders.
fn core(repo: &Repo) -> Result<Check, Error> {
    let mut most = BTreeSet::new();
    for target in [LINUX, WINDOWS] {
        let mut others = BTreeSet::new();
        for package in CORE {
            others.extend(others_in(&tree(repo, package, &["--target", target])?));
        }
        if others.len() > most.len() {
            most = others;
        }
    }
    Ok(few(&most))
}

fn few(others: &BTreeSet<String>) -> Check {
    let name = format!("the core crates have {} dependencies, at most {MOST_IN_CORE}", others.len());
    let listed = || others.iter().cloned().collect::<Vec<_>>().join(", ");
    let wrong = if others.len() > MOST_IN_CORE { vec![format!("they are {}", listed())] } else { Vec::new() };
    Check::of(&name, wrong)
}

/// Name and version of every crate in a tree that is not ours: ours have a path.
fn others_in(tree: &str) -> BTreeSet<String> {
    let others = tree.lines().filter(|line| !line.contains("(/") && !line.trim().is_empty());
    others.map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")).collect()
}

/// Doors for tests stay shut in what is shipped.
fn test_features(repo: &Repo, metadata: &Metadata) -> Result<Check, Error> {
    let mut wrong = Vec::new();
    for package in SHIPPED.iter().filter(|name| metadata.is_member(name)) {
        let mut command = cargo(repo);
        command.args(["tree", "--locked", "--package", package, "--edges", "normal,build,features"]);
        command.args(["--prefix", "none", "--target", "all"]);
        wrong.extend(opened(package, &output_of(command)?));
    }
    Ok(Check::of("no shipped crate is built with the features that tests need", wrong))
}

fn opened(package: &str, tree: &str) -> Vec<String> {
    let is_opened =
        |feature: &&&str| tree.lines().any(|line| line.starts_with("uncopy") && line.contains(**feature));
    TEST_FEATURES.iter().filter(is_opened).map(|feature| format!("{package} asks for {feature}")).collect()
}

/// The names of everything that `package` is built from, itself included.
fn tree(repo: &Repo, package: &str, options: &[&str]) -> Result<String, Error> {
    let mut command = cargo(repo);
    command.args(["tree", "--locked", "--package", package, "--edges", "normal,build"]);
    command.args(["--prefix", "none", "--format", "{p}"]).args(options);
    output_of(command)
}

fn found(package: &str, tree: &str, forbidden: &[&str]) -> Vec<String> {
    let mut names: Vec<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    names.sort_unstable();
    names.dedup();
    let is_forbidden = |name: &&str| {
        forbidden.iter().any(|entry| name == entry || (entry.ends_with('-') && name.starts_with(entry)))
    };
    names.into_iter().filter(is_forbidden).map(|name| format!("{package} depends on {name}")).collect()
}

/// No dependency asks for a newer Rust than we promise; clippy's `incompatible_msrv` covers our own code.
fn minimum_rust(metadata: &Metadata) -> Check {
    let ours = metadata.members().filter_map(declared).min();
    let Some(ours) = ours else {
        return Check::of(
            "every dependency accepts our minimum Rust",
            vec!["no member declares rust-version".into()],
        );
    };
    let wrong = metadata
        .packages
        .iter()
        .filter(|package| declared(package).is_some_and(|needs| needs > ours))
        .map(|package| format!("{} {} needs Rust {:?}", package.name, package.version, package.rust_version))
        .collect();
    Check::of(&format!("every dependency accepts our minimum Rust {}.{}", ours.0, ours.1), wrong)
}

fn declared(package: &Package) -> Option<(u32, u32, u32)> {
    let mut numbers = package.rust_version.as_deref()?.split('.').map(|part| part.parse().unwrap_or(0));
    Some((numbers.next()?, numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forbidden_crate_is_found_by_name_and_by_family() {
        let tree = "uncopy v0.1.0 (/x)\nash v0.38.0\niceoryx2-cal v0.7.0\nrustix v1.0.0\nash v0.38.0\n";
        assert_eq!(found("uncopy", tree, NEVER), ["uncopy depends on iceoryx2-cal"]);
        assert_eq!(found("uncopy", tree, NOT_ON_CPU), ["uncopy depends on ash"]);
    }

    #[test]
    fn a_longer_name_is_not_taken_for_a_forbidden_one() {
        assert!(found("uncopy", "ashpd v1.0.0\nglob v0.3.0\nmetallic v1.0.0\n", NOT_ON_CPU).is_empty());
    }

    #[test]
    fn dependencies_of_others_are_counted_once_for_each_version() {
        let tree =
            "uncopy-os v0.1.0 (/x)\nlibc v0.2.1\nsyn v2.0.1 (proc-macro)\n\nsyn v3.0.0\nlibc v0.2.1 (*)\n";
        let others = others_in(tree);
        assert_eq!(others.iter().collect::<Vec<_>>(), ["libc v0.2.1", "syn v2.0.1", "syn v3.0.0"]);
        assert!(few(&others).wrong.is_empty());
        assert!(few(&others).name.contains("have 3 dependencies"));
    }

    #[test]
    fn one_dependency_too_many_in_the_core_is_refused_with_all_of_them() {
        let most: BTreeSet<String> = (0..=MOST_IN_CORE).map(|number| format!("crate-{number}")).collect();
        assert!(few(&most).wrong.concat().contains("crate-25"));
    }

    #[test]
    fn a_door_that_a_shipped_crate_opens_is_named() {
        let tree = "uncopy v0.1.0 (/x)\nuncopy-link feature \"fuzzing\"\nlibc feature \"kill-points\"\n";
        assert_eq!(opened("uncopy", tree), ["uncopy asks for feature \"fuzzing\""]);
    }

    fn metadata(needs: &str) -> Metadata {
        let text = format!(
            r#"{{"workspace_members": ["1"], "packages": [
                {{"id": "1", "name": "ours", "version": "0.1.0", "rust_version": "1.88",
                  "manifest_path": "/c", "dependencies": [], "targets": []}},
                {{"id": "2", "name": "theirs", "version": "1.2.3", "rust_version": "{needs}",
                  "manifest_path": "/d", "dependencies": [], "targets": []}}]}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_dependency_that_accepts_our_rust_passes() {
        assert_eq!(minimum_rust(&metadata("1.88.0")).wrong, Vec::<String>::new());
    }

    #[test]
    fn a_dependency_that_needs_a_newer_rust_is_named() {
        let wrong = minimum_rust(&metadata("1.88.1")).wrong.concat();
        assert!(wrong.contains("theirs 1.2.3"), "{wrong}");
    }
}

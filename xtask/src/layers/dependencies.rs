// SPDX-License-Identifier: MIT OR Apache-2.0
//! What must not be in the tree of what we ship, and how old a Rust every dependency accepts.

use super::{
    Check,
    metadata::{Metadata, Package},
};
use crate::{error::Error, process::output_of, repo::Repo, toolchain::cargo};

/// What users install: the libraries, the command and the wheel's extension module.
const SHIPPED: &[&str] = &[
    "uncopy-core",
    "uncopy-tensor",
    "uncopy-os",
    "uncopy-link",
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

pub fn check(repo: &Repo, metadata: &Metadata) -> Result<Vec<Check>, Error> {
    let (mut never, mut not_on_cpu) = (Vec::new(), Vec::new());
    for package in SHIPPED.iter().filter(|name| metadata.is_member(name)) {
        never.extend(found(package, &tree(repo, package, &["--all-features", "--target", "all"])?, NEVER));
        let cpu_only = tree(repo, package, &["--no-default-features", "--target", LINUX])?;
        not_on_cpu.extend(found(package, &cpu_only, NOT_ON_CPU));
    }
    Ok(vec![
        Check::of("no shipped crate depends on a library that was decided against", never),
        Check::of("the CPU-only build has no GPU, graphics or network crate", not_on_cpu),
        minimum_rust(metadata),
    ])
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

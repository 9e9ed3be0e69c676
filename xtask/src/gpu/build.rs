// SPDX-License-Identifier: MIT OR Apache-2.0
//! Building what the bundle needs, with optimisation, and finding where cargo put it.

use super::contents::{GPU_PACKAGES, GPU_PREFIX, Program, Tests, Which};
use crate::{
    error::Error,
    layers::metadata::{Metadata, Package},
    process::output_of,
    repo::Repo,
    toolchain::cargo,
};
use serde::Deserialize;
use std::path::PathBuf;

/// Something that was built.
#[derive(Debug, PartialEq)]
pub struct Built {
    /// How it is called in the bundle.
    pub name: String,
    pub path: PathBuf,
    /// A test binary, or a program.
    pub is_test: bool,
    /// Whether it needs a GPU: known of test binaries only.
    pub uses_gpu: bool,
}

/// Builds test binaries and the programs that they start; the reason where there are none.
pub fn tests(repo: &Repo, metadata: &Metadata, tests: &Tests) -> Result<Result<Vec<Built>, String>, Error> {
    let Some(package) = metadata.members().find(|package| package.name == tests.package) else {
        return Ok(Err(format!("there is no package {} yet", tests.package)));
    };
    let mut command = cargo(repo);
    command.args(["test", "--no-run", "--release", "--locked", "--message-format", "json"]);
    command.args(["--package", tests.package]).args(features_of(package, tests.features));
    command.args(targets_of(package, &tests.which));
    Ok(Ok(built_in(&output_of(command)?, tests.package)))
}

/// Builds one program; the reason where there is none.
pub fn program(repo: &Repo, metadata: &Metadata, program: &Program) -> Result<Result<Built, String>, Error> {
    let Some(package) = metadata.members().find(|package| package.name == program.package) else {
        return Ok(Err(format!("there is no package {} yet", program.package)));
    };
    let mut command = cargo(repo);
    command.args(["build", "--locked", "--message-format", "json"]);
    if !program.is_debug {
        command.arg("--release");
    }
    command.args(["--package", program.package, "--bin", program.name]);
    command.args(features_of(package, program.features));
    let built = built_in(&output_of(command)?, program.package);
    let found = built.into_iter().find(|built| built.name == program.name);
    let found = found.map(|built| Built { name: program.called.to_string(), ..built });
    Ok(found.ok_or_else(|| format!("cargo built no program {}", program.name)))
}

/// Whether a package has a feature.
pub fn has_feature(metadata: &Metadata, package: &str, feature: &str) -> bool {
    metadata.members().any(|member| member.name == package && member.features.contains_key(feature))
}

/// Those features that the package has, as an option of cargo's.
fn features_of(package: &Package, wanted: &[&str]) -> Vec<String> {
    let has: Vec<&str> =
        wanted.iter().copied().filter(|feature| package.features.contains_key(*feature)).collect();
    if has.is_empty() { Vec::new() } else { vec!["--features".to_string(), has.join(",")] }
}

/// The options of cargo's that choose test targets.
fn targets_of(package: &Package, which: &Which) -> Vec<String> {
    let Which::NamedAndGpu(named) = which else { return vec!["--lib".to_string(), "--tests".to_string()] };
    let is_test = |kinds: &[String]| kinds.iter().any(|kind| kind == "test");
    let tests = package.targets.iter().filter(|target| is_test(&target.kind)).map(|target| &target.name);
    let chosen = tests.filter(|name| named.contains(&name.as_str()) || name.starts_with(GPU_PREFIX));
    chosen.flat_map(|name| ["--test".to_string(), name.clone()]).collect()
}

/// A message of cargo's; of most kinds nothing is needed.
#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    target: Target,
    #[serde(default)]
    profile: Profile,
    executable: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
struct Target {
    #[serde(default)]
    name: String,
    #[serde(default)]
    kind: Vec<String>,
}

#[derive(Default, Deserialize)]
struct Profile {
    #[serde(default)]
    test: bool,
}

/// The executables that cargo's messages name, those of tests called after their package.
fn built_in(messages: &str, package: &str) -> Vec<Built> {
    let read = messages.lines().filter_map(|line| serde_json::from_str::<Message>(line).ok());
    read.filter_map(|message| {
        let is_test = message.profile.test;
        let target = message.target.name;
        // The tests inside of a program's own sources are no two-process test.
        if is_test && message.target.kind.iter().any(|kind| kind == "bin") {
            return None;
        }
        let is_lib = message.target.kind.iter().any(|kind| kind.ends_with("lib"));
        let name = match (is_test, is_lib) {
            (false, _) => target.clone(),
            (true, true) => format!("{package}-lib"),
            (true, false) => format!("{package}-{target}"),
        };
        let uses_gpu = is_test && (GPU_PACKAGES.contains(&package) || target.starts_with(GPU_PREFIX));
        Some(Built { name, path: message.executable?, is_test, uses_gpu })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::contents;

    const MESSAGES: &str = r#"{"reason":"compiler-artifact","target":{"name":"serde","kind":["lib"]},"profile":{"test":false},"executable":null}
{"reason":"compiler-artifact","target":{"name":"peer","kind":["bin"]},"profile":{"test":false},"executable":"/t/release/peer"}
{"reason":"compiler-artifact","target":{"name":"peer","kind":["bin"]},"profile":{"test":true},"executable":"/t/release/deps/peer-3"}
{"reason":"compiler-artifact","target":{"name":"gpu_links","kind":["test"]},"profile":{"test":true},"executable":"/t/release/deps/gpu_links-1"}
{"reason":"compiler-artifact","target":{"name":"uncopy_cuda","kind":["lib"]},"profile":{"test":true},"executable":"/t/release/deps/uncopy_cuda-2"}
{"reason":"build-finished","success":true}
"#;

    fn names(package: &str) -> Vec<(String, bool, bool)> {
        built_in(MESSAGES, package).into_iter().map(|it| (it.name, it.is_test, it.uses_gpu)).collect()
    }

    #[test]
    fn executables_are_found_and_tests_are_called_after_their_package() {
        assert_eq!(
            names("uncopy-tests"),
            [
                ("peer".to_string(), false, false),
                ("uncopy-tests-gpu_links".to_string(), true, true),
                ("uncopy-tests-lib".to_string(), true, false),
            ]
        );
    }

    #[test]
    fn all_tests_of_the_driver_need_a_gpu() {
        assert!(names("uncopy-cuda").iter().all(|(_, is_test, uses_gpu)| is_test == uses_gpu));
    }

    #[test]
    fn only_features_that_a_package_has_are_asked_for() {
        let metadata = Metadata::read(&Repo::this()).unwrap();
        let tests = metadata.members().find(|package| package.name == "uncopy-tests").unwrap();
        assert_eq!(features_of(tests, &["kill-points", "no-such"]), ["--features", "kill-points"]);
        assert!(features_of(tests, &["no-such"]).is_empty());
        assert!(has_feature(&metadata, "uncopy-tests", "kill-points"));
        assert!(!has_feature(&metadata, "no-such", "kill-points"));
    }

    #[test]
    fn each_test_that_the_contents_name_is_there() {
        let metadata = Metadata::read(&Repo::this()).unwrap();
        for tests in contents::TESTS {
            let Some(package) = metadata.members().find(|package| package.name == tests.package) else {
                continue;
            };
            let chosen = targets_of(package, &tests.which);
            if let Which::NamedAndGpu(named) = &tests.which {
                assert!(named.iter().all(|name| chosen.iter().any(|word| word == name)), "{chosen:?}");
            }
        }
    }
}

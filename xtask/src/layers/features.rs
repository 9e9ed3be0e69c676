// SPDX-License-Identifier: MIT OR Apache-2.0
//! A feature that breaks a promise, so that the tests can prove that they would notice, reaches nothing that is
//! shipped.

use super::{Check, metadata::Metadata};

/// Such a feature, the crates whose promises it breaks, and the only crates that may ask for it.
struct Breaking {
    feature: &'static str,
    of: &'static [&'static str],
    only_for: &'static [&'static str],
}

const BREAKING: &[Breaking] = &[
    Breaking { feature: "leases-off", of: &["uncopy-link"], only_for: &["uncopy-tests", "uncopy-bench"] },
    Breaking { feature: "skip-waits", of: &["uncopy-cuda", "uncopy-link"], only_for: &["uncopy-gpu-tests"] },
];

pub fn check(metadata: &Metadata) -> Check {
    let wrong = BREAKING.iter().flat_map(|breaking| reached(breaking, metadata)).collect();
    Check::of("no feature that breaks a promise can be reached from what is shipped", wrong)
}

/// Who names the feature and may not.
fn reached(breaking: &Breaking, metadata: &Metadata) -> Vec<String> {
    let Breaking { feature, of, only_for } = breaking;
    let mut wrong = Vec::new();
    for package in metadata.members().filter(|package| !only_for.contains(&package.name.as_str())) {
        let is_own = of.contains(&package.name.as_str());
        for (name, enables) in &package.features {
            let enabled =
                enables.iter().any(|other| other == feature || other.ends_with(&format!("/{feature}")));
            if enabled || (name == feature && !is_own) {
                wrong.push(format!("feature {name} of {} leads to {feature}", package.name));
            }
        }
        let asks = |enabled: &[String]| enabled.iter().any(|enabled| enabled == feature);
        let asking = package.dependencies.iter().filter(|dependency| asks(&dependency.features));
        wrong.extend(
            asking.map(|dependency| format!("{} asks {} for {feature}", package.name, dependency.name)),
        );
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The workspace with these features of the facade and of its dependency.
    fn workspace(own: &str, asked: &str) -> Metadata {
        let package = |id: u32, name: &str, features: &str, dependencies: &str| {
            format!(
                r#"{{"id": "{id}", "name": "{name}", "version": "0.1.0", "rust_version": null,
                "manifest_path": "/c/Cargo.toml", "targets": [], "features": {features}, "dependencies": {dependencies}}}"#
            )
        };
        let packages = [
            package(1, "uncopy-link", r#"{"leases-off": []}"#, "[]"),
            package(2, "uncopy-tests", r#"{"leases-off": ["uncopy-link/leases-off"]}"#, "[]"),
            package(
                3,
                "uncopy",
                own,
                &format!(r#"[{{"name": "uncopy-link", "kind": null, "features": {asked}}}]"#),
            ),
        ];
        let text =
            format!(r#"{{"workspace_members": ["1", "2", "3"], "packages": [{}]}}"#, packages.join(","));
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn the_tests_may_break_a_promise_and_nobody_else() {
        assert_eq!(check(&workspace("{}", "[]")).wrong, Vec::<String>::new());
        assert_eq!(check(&workspace(r#"{"fast": ["uncopy-link/leases-off"]}"#, "[]")).wrong.len(), 1);
        assert_eq!(check(&workspace(r#"{"leases-off": []}"#, "[]")).wrong.len(), 1);
        assert_eq!(check(&workspace("{}", r#"["leases-off"]"#)).wrong.len(), 1);
    }
}

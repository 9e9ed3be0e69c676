// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which crate may use which: the arrows of the design.

use super::{
    Check,
    metadata::{Metadata, Package},
};

/// A crate and the crates of ours that it may use in what it ships.
struct Row {
    package: &'static str,
    may_use: &'static [&'static str],
}

const LIBRARIES: &[&str] =
    &["uncopy-core", "uncopy-tensor", "uncopy-os", "uncopy-link", "uncopy-cuda", "uncopy", "uncopy-pyo3"];

/// A new crate gets a row here.
const ARROWS: &[Row] = &[
    Row { package: "uncopy-core", may_use: &[] },
    Row { package: "uncopy-tensor", may_use: &["uncopy-core"] },
    Row { package: "uncopy-os", may_use: &["uncopy-core", "uncopy-tensor"] },
    Row { package: "uncopy-link", may_use: &["uncopy-core", "uncopy-tensor", "uncopy-os"] },
    Row { package: "uncopy-cuda", may_use: &["uncopy-core", "uncopy-tensor"] },
    Row {
        package: "uncopy",
        may_use: &["uncopy-core", "uncopy-tensor", "uncopy-os", "uncopy-link", "uncopy-cuda"],
    },
    // They read at compile time what is checked at run time.
    Row { package: "uncopy-pyo3-macros", may_use: &["uncopy-core"] },
    Row { package: "uncopy-pyo3", may_use: &["uncopy", "uncopy-pyo3-macros"] },
    Row { package: "uncopy-cli", may_use: &["uncopy"] },
    Row { package: "uncopy-capi", may_use: &["uncopy"] },
    Row { package: "uncopy-python", may_use: &["uncopy", "uncopy-pyo3", "uncopy-cli"] },
    Row { package: "uncopy-tests", may_use: LIBRARIES },
    Row {
        package: "uncopy-bench",
        may_use: &["uncopy-core", "uncopy-tensor", "uncopy-os", "uncopy-link", "uncopy", "uncopy-cuda"],
    },
    Row { package: "uncopy-pycai", may_use: &["uncopy", "uncopy-pyo3"] },
    Row { package: "uncopy-bench-arrays", may_use: &["uncopy", "uncopy-pyo3"] },
    // Its stages and scripts are those of the tests.
    Row { package: "uncopy-gpu-tests", may_use: &["uncopy", "uncopy-cuda", "uncopy-link", "uncopy-tests"] },
    // Its hostile peers are those of the tests.
    Row {
        package: "uncopy-fuzz",
        may_use: &["uncopy-core", "uncopy-tensor", "uncopy-link", "uncopy", "uncopy-tests"],
    },
    // It takes the driver's place, so that nothing of ours may be in it.
    Row { package: "uncopy-standin", may_use: &[] },
    // Tasks must run when the product does not build.
    Row { package: "xtask", may_use: &[] },
];

/// What nothing else may use, not even in its tests.
const ENDS: &[&str] = &[
    "uncopy-tests",
    "uncopy-gpu-tests",
    "uncopy-bench",
    "uncopy-bench-arrays",
    "uncopy-pycai",
    "uncopy-fuzz",
    "uncopy-standin",
    "uncopy-capi",
    "xtask",
];

/// Every member uses only what its row names.
pub fn check(metadata: &Metadata) -> Check {
    let wrong = metadata.members().flat_map(|package| wrong_uses(package, metadata)).collect();
    Check::of("each crate uses only the crates that stand below it", wrong)
}

fn wrong_uses(package: &Package, metadata: &Metadata) -> Vec<String> {
    let Some(row) = ARROWS.iter().find(|row| row.package == package.name) else {
        return vec![format!(
            "{} has no row in xtask/src/layers/arrows.rs: add what it may use",
            package.name
        )];
    };
    let uses = package.dependencies.iter().filter(|dependency| metadata.is_member(&dependency.name));
    uses.filter_map(|dependency| {
        let name = dependency.name.as_str();
        let is_dev = dependency.kind.as_deref() == Some("dev");
        let is_allowed = if is_dev { !ENDS.contains(&name) } else { row.may_use.contains(&name) };
        (!is_allowed).then(|| format!("{} uses {name}, allowed is {:?}", package.name, row.may_use))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(core_uses: &str) -> Metadata {
        let text = format!(
            r#"{{"workspace_members": ["1", "2", "3"], "packages": [
                {{"id": "1", "name": "uncopy-core", "version": "0.1.0", "rust_version": null,
                  "manifest_path": "/c/Cargo.toml", "dependencies": [{core_uses}], "targets": []}},
                {{"id": "2", "name": "uncopy-tensor", "version": "0.1.0", "rust_version": null,
                  "manifest_path": "/t/Cargo.toml", "dependencies": [{{"name": "uncopy-core", "kind": null}}],
                  "targets": []}},
                {{"id": "3", "name": "xtask", "version": "0.1.0", "rust_version": null,
                  "manifest_path": "/x/Cargo.toml", "dependencies": [{{"name": "clap", "kind": null}}],
                  "targets": []}}]}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn arrows_that_point_down_are_accepted() {
        assert_eq!(check(&workspace("")).wrong, Vec::<String>::new());
    }

    #[test]
    fn an_arrow_that_points_up_is_named() {
        let wrong = check(&workspace(r#"{"name": "uncopy-tensor", "kind": null}"#)).wrong;
        assert_eq!(wrong, ["uncopy-core uses uncopy-tensor, allowed is []"]);
    }

    #[test]
    fn tests_may_point_up_but_never_at_an_end() {
        assert!(check(&workspace(r#"{"name": "uncopy-tensor", "kind": "dev"}"#)).wrong.is_empty());
        assert_eq!(check(&workspace(r#"{"name": "xtask", "kind": "dev"}"#)).wrong.len(), 1);
    }

    #[test]
    fn a_crate_without_a_row_is_refused() {
        let text = r#"{"workspace_members": ["1"], "packages": [{"id": "1", "name": "uncopy-new",
            "version": "0.1.0", "rust_version": null, "manifest_path": "/n/Cargo.toml",
            "dependencies": [], "targets": []}]}"#;
        let wrong = check(&serde_json::from_str(text).unwrap()).wrong;
        assert!(wrong.concat().contains("uncopy-new has no row"), "{wrong:?}");
    }
}

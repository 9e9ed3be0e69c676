// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kill points of the product: those that its sources name, and those that this process has passed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Whether this build can be killed at points.
pub const ARMED: bool = cfg!(feature = "kill-points");

/// What a test says when it can't run.
pub const UNARMED: &str = "SKIP kill points are not built in; run with --features kill-points";

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/link/src")
}

/// Whether the sources are on this machine; where they are not, a test says [`NO_SOURCES`].
#[must_use]
pub fn are_known() -> bool {
    sources().is_dir()
}

/// What a test says that needs the names of all points.
pub const NO_SOURCES: &str = "SKIP the sources, which name the points, are not on this machine";

/// The points whose names start with `side` (`producer.` or `consumer.`), as the link's sources have them.
///
/// # Panics
/// When the sources can't be read or name no such point.
#[must_use]
pub fn named(side: &str) -> BTreeSet<String> {
    let sources = sources();
    let mut found = BTreeSet::new();
    collect(&sources, side, &mut found);
    assert!(!found.is_empty(), "no {side} point in {}", sources.display());
    found
}

fn collect(dir: &Path, side: &str, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).expect("the sources are there") {
        let path = entry.expect("a file of the sources").path();
        if path.is_dir() {
            collect(&path, side, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("sources are text");
            let calls = text.split("kill_point(\"").skip(1).filter_map(|rest| rest.split('"').next());
            found.extend(calls.filter(|name| name.starts_with(side)).map(str::to_owned));
        }
    }
}

/// The points that this process has passed; none in a build that has none.
#[must_use]
pub fn passed() -> Vec<&'static str> {
    #[cfg(feature = "kill-points")]
    return uncopy::os::killpoint::passed();
    #[cfg(not(feature = "kill-points"))]
    Vec::new()
}

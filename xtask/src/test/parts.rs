// SPDX-License-Identifier: MIT OR Apache-2.0
//! The parts of `cargo xtask test`, in the order in which they run. A new part is one entry here.

use super::{capi, case::Case, casters, chaos, context::Context, demo, deps, python, rust, standin};
use crate::{error::Error, repo::Repo};

/// What `--quick` does to a part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Quick {
    Whole,
    /// Runs with less; says what is left out.
    Without(&'static str),
    LeftOut,
}

pub struct Part {
    pub name: &'static str,
    pub quick: Quick,
    /// A part whose subject does not exist yet is absent, not skipped.
    pub exists: fn(&Repo) -> bool,
    pub run: fn(&Context<'_>) -> Result<Vec<Case>, Error>,
}

pub const PARTS: &[Part] = &[
    Part { name: "fmt", quick: Quick::Whole, exists: always, run: rust::fmt },
    Part { name: "layers", quick: Quick::Whole, exists: always, run: layers },
    Part { name: "clippy", quick: Quick::Whole, exists: always, run: rust::clippy },
    Part { name: "unit", quick: Quick::Whole, exists: always, run: rust::unit },
    Part { name: "doc", quick: Quick::Whole, exists: always, run: rust::doc },
    Part {
        name: "loom",
        quick: Quick::Without("models whose names begin with big_"),
        exists: |repo| repo.mentions("crates/link", "rs", "loom::"),
        run: rust::loom,
    },
    Part {
        name: "miri",
        quick: Quick::LeftOut,
        exists: |repo| repo.mentions("crates/tensor/src", "rs", "unsafe "),
        run: rust::miri,
    },
    Part {
        name: "pairs",
        quick: Quick::Whole,
        exists: |repo| repo.mentions("tests", "rs", "#[test]"),
        run: rust::pairs,
    },
    Part {
        name: "chaos",
        quick: Quick::Whole,
        exists: |repo| repo.join("tests/src/chaos/mod.rs").is_file(),
        run: chaos::run,
    },
    Part {
        name: "standin",
        quick: Quick::Whole,
        exists: |repo| repo.join("standin/src/lib.rs").is_file(),
        run: standin::run,
    },
    Part {
        name: "fuzz",
        quick: Quick::Whole,
        exists: |repo| repo.join("fuzz/corpus").is_dir(),
        run: rust::fuzz,
    },
    Part {
        name: "deps",
        quick: Quick::LeftOut,
        exists: |repo| repo.join("deny.toml").is_file(),
        run: deps::run,
    },
    Part {
        name: "cli",
        quick: Quick::Whole,
        exists: |repo| repo.mentions("cli", "rs", "#[test]"),
        run: rust::cli,
    },
    Part {
        name: "capi",
        quick: Quick::Without("the comparison of uncopy.h, unless cbindgen is there"),
        exists: |repo| repo.join("capi/src/lib.rs").is_file(),
        run: capi::run,
    },
    Part {
        name: "wheel",
        quick: Quick::Without("the clean environment"),
        exists: |repo| repo.join("python/pyproject.toml").is_file(),
        run: python::wheel,
    },
    Part {
        name: "python",
        quick: Quick::Without("torch and jax, unless they are there"),
        exists: |repo| repo.join("python/tests").is_dir(),
        run: python::pytest,
    },
    Part {
        name: "casters",
        quick: Quick::Without("torch and jax, unless they are there"),
        exists: |repo| repo.join("capi/tests/arrays/build.py").is_file(),
        run: casters::run,
    },
    Part {
        name: "demo",
        quick: Quick::LeftOut,
        exists: |repo| repo.join("cli/src/demo.rs").is_file(),
        run: demo::run,
    },
];

fn always(_: &Repo) -> bool {
    true
}

fn layers(context: &Context<'_>) -> Result<Vec<Case>, Error> {
    context.say("the rules of ARCHITECTURE.md");
    let checks = crate::layers::checks(context.repo)?;
    Ok(checks.into_iter().map(case_of_check).collect())
}

fn case_of_check(check: crate::layers::Check) -> Case {
    match (check.skipped, check.wrong.is_empty()) {
        (Some(why), _) => Case::skipped(check.name, why),
        (None, true) => Case::passed(check.name),
        (None, false) => Case::failed(check.name, check.wrong.join("\n")),
    }
}

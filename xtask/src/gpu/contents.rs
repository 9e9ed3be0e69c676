// SPDX-License-Identifier: MIT OR Apache-2.0
//! What goes into the bundle. The one list of it: a new test, program or script is one entry here.
//!
//! What does not exist yet is no error: it is left out, and the machine with the GPU counts it as skipped.

/// Test binaries of a package, with the programs of it that they start.
pub struct Tests {
    pub package: &'static str,
    /// Those of them that the package has are asked for.
    pub features: &'static [&'static str],
    pub which: Which,
    /// A test binary may take this long.
    pub limit_s: u32,
}

/// Which test targets of a package.
pub enum Which {
    /// All, with the tests inside of the library.
    All,
    /// Those with these names, and those whose names begin with [`GPU_PREFIX`].
    NamedAndGpu(&'static [&'static str]),
}

/// Integration tests whose names begin so need a GPU, and run under compute-sanitizer too.
pub const GPU_PREFIX: &str = "gpu_";

pub const TESTS: &[Tests] = &[
    Tests { package: "uncopy-cuda", features: &[], which: Which::All, limit_s: 240 },
    Tests {
        package: "uncopy-gpu-tests",
        features: &["kill-points", "skip-waits"],
        which: Which::All,
        // Hundreds of thousands of frames.
        limit_s: 540,
    },
    Tests {
        package: "uncopy-tests",
        features: &["kill-points"],
        // That links work at all on the kernel of that machine.
        which: Which::NamedAndGpu(&["frames"]),
        limit_s: 240,
    },
];

/// Packages all of whose tests need a GPU, whatever they are called.
pub const GPU_PACKAGES: &[&str] = &["uncopy-cuda", "uncopy-gpu-tests"];

/// A program that users have, or that measures.
pub struct Program {
    pub package: &'static str,
    pub name: &'static str,
    pub features: &'static [&'static str],
    /// Its name in the bundle.
    pub called: &'static str,
    /// Built without optimisation, as what breaks a promise has to be.
    pub is_debug: bool,
}

pub const PROGRAMS: &[Program] = &[
    Program { package: "uncopy-cli", name: "uncopy", features: &["cuda"], called: "uncopy", is_debug: false },
    Program {
        package: "uncopy-bench",
        name: "uncopy-bench",
        features: &["cuda"],
        called: "uncopy-bench",
        is_debug: false,
    },
    Program {
        package: "uncopy-bench",
        name: "uncopy-bench",
        features: &["cuda", "leases-off"],
        called: "uncopy-bench-leases-off",
        is_debug: true,
    },
];

/// A call of one of the [`PROGRAMS`].
pub struct Call {
    pub name: &'static str,
    pub program: &'static str,
    pub arguments: &'static [&'static str],
    /// The package and the feature of it without which the program does not know this call.
    pub needs: (&'static str, &'static str),
}

/// Each prints rows of figures, as `bench/gpu/README.md` describes.
pub const MEASURES: &[Call] = &[
    Call { name: "uncopy", program: "uncopy-bench", arguments: &["gpu"], needs: ("uncopy-bench", "cuda") },
    // These once, and not under MPS: see `run/figures.py`.
    Call {
        name: "frames",
        program: "uncopy-bench",
        arguments: &["gpu-frames"],
        needs: ("uncopy-bench", "cuda"),
    },
    Call {
        name: "deaths",
        program: "uncopy-bench",
        arguments: &["gpu-deaths"],
        needs: ("uncopy-bench", "cuda"),
    },
];

/// Each prints rows of figures, too, some of which must *not* be what they are to be: a check that can't fail is none.
pub const PROOFS: &[Call] = &[Call {
    name: "frames with leases off",
    program: "uncopy-bench-leases-off",
    arguments: &["gpu-frames", "--small", "20000", "--large", "4000", "--latest", "4000"],
    needs: ("uncopy-bench", "leases-off"),
}];

/// Each is given its minutes as the last argument.
pub const SOAKS: &[Call] = &[Call {
    name: "soak",
    program: "uncopy-bench",
    arguments: &["gpu-soak", "--minutes"],
    needs: ("uncopy-bench", "cuda"),
}];

/// Files and whole directories of the checkout, and where they go in the bundle.
pub struct Files {
    pub from: &'static str,
    pub to: &'static str,
    /// Only files with this extension, where one is given.
    pub extension: Option<&'static str>,
}

pub const FILES: &[Files] = &[
    Files { from: "bench/gpu/run.sh", to: "run.sh", extension: None },
    Files { from: "bench/gpu/run", to: "run", extension: Some("py") },
    Files { from: "bench/gpu/floors.cu", to: "floors.cu", extension: None },
    Files { from: "bench/gpu/planted.cu", to: "planted.cu", extension: None },
    Files { from: "bench/gpu/floors", to: "floors", extension: None },
    Files { from: "bench/gpu/peers", to: "peers", extension: Some("py") },
    Files { from: "bench/gpu/python", to: "python", extension: Some("py") },
    Files { from: "tests/gpu/python", to: "tests/python", extension: Some("py") },
    Files { from: "examples", to: "examples", extension: Some("py") },
    Files { from: "docs/concepts/devices.md", to: "docs/concepts/devices.md", extension: None },
    Files { from: "README.md", to: "README.md", extension: None },
    Files { from: "xtask/python/case_log.py", to: "plugins/case_log.py", extension: None },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::Repo;

    #[test]
    fn each_call_is_of_a_program_that_is_packed() {
        for call in MEASURES.iter().chain(PROOFS).chain(SOAKS) {
            let program = PROGRAMS.iter().find(|program| program.called == call.program).unwrap();
            assert_eq!(program.package, call.needs.0, "{}", call.name);
            assert!(program.features.contains(&call.needs.1), "{} is built with what it needs", call.name);
        }
    }

    #[test]
    fn what_the_runner_can_not_do_without_is_there() {
        let repo = Repo::this();
        for needed in ["run.sh", "run", "floors.cu", "planted.cu", "floors", "peers", "plugins/case_log.py"] {
            let files = FILES.iter().find(|files| files.to == needed).unwrap();
            assert!(repo.join(files.from).exists(), "{}", files.from);
        }
    }
}

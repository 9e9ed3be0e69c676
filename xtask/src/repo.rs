// SPDX-License-Identifier: MIT OR Apache-2.0
//! The checkout: where it is, where build output goes, and which files belong to the project.

use crate::error::Error;
use std::path::{Path, PathBuf};

/// What holds no source: build output, environments and caches (compare `.gitignore`), and git's own.
const NOT_SOURCE: &[&str] =
    &[".git", "target", "dist", ".venv", ".cache", "__pycache__", ".pytest_cache", ".mypy_cache"];

/// One checkout of the repository.
#[derive(Clone, Debug)]
pub struct Repo {
    root: PathBuf,
}

impl Repo {
    /// The checkout that this binary was built from.
    pub fn this() -> Self {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        Self { root: manifest.parent().unwrap_or(manifest).to_path_buf() }
    }

    #[cfg(test)]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn join(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Where cargo puts its output: `CARGO_TARGET_DIR` where that is set.
    pub fn target(&self) -> PathBuf {
        match std::env::var_os("CARGO_TARGET_DIR") {
            Some(dir) => self.root.join(dir),
            None => self.root.join("target"),
        }
    }

    /// A path as it is written in messages: relative to the checkout, with forward slashes.
    pub fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).to_string_lossy().replace('\\', "/")
    }

    /// Every source file under `dir` (relative to the root, `""` for all), sorted.
    /// A directory that does not exist has no files.
    pub fn files(&self, dir: &str) -> Result<Vec<PathBuf>, Error> {
        let mut found = Vec::new();
        let mut left = vec![self.join(dir)];
        while let Some(next) = left.pop() {
            if !next.is_dir() {
                continue;
            }
            let doing = || format!("list {}", next.display());
            for entry in std::fs::read_dir(&next).map_err(|e| Error::io(doing(), e))? {
                let entry = entry.map_err(|e| Error::io(doing(), e))?;
                let kind = entry.file_type().map_err(|e| Error::io(doing(), e))?;
                if NOT_SOURCE.iter().any(|name| entry.file_name() == *name) {
                    continue;
                }
                if kind.is_dir() {
                    left.push(entry.path());
                } else if kind.is_file() {
                    found.push(entry.path());
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// Whether a file under `dir` with this extension contains `needle`.
    pub fn mentions(&self, dir: &str, extension: &str, needle: &str) -> bool {
        self.files(dir).unwrap_or_default().iter().any(|path| {
            path.extension().is_some_and(|e| e == extension)
                && std::fs::read_to_string(path).is_ok_and(|text| text.contains(needle))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_lists_sources_and_no_build_output() {
        let repo = Repo::this();
        let files: Vec<String> = repo.files("xtask").unwrap().iter().map(|path| repo.shown(path)).collect();
        assert!(files.contains(&"xtask/src/repo.rs".to_string()), "{files:?}");
        assert!(repo.files("").unwrap().iter().all(|p| !repo.shown(p).starts_with("target/")));
    }

    #[test]
    fn a_missing_directory_has_no_files() {
        assert_eq!(Repo::this().files("no/such/place").unwrap(), Vec::<PathBuf>::new());
    }

    #[test]
    fn mentions_looks_only_at_the_asked_extension() {
        let repo = Repo::this();
        assert!(repo.mentions("xtask/src", "rs", "fn mentions"));
        assert!(!repo.mentions("xtask/src", "py", "fn mentions"));
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask wheel`: the Python package as one file in `dist/`.

use crate::{
    env::{self, Environment, Group},
    error::Error,
    process::passed_through,
    repo::Repo,
};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// A wheel larger than this has something in it that does not belong there.
pub const LIMIT_BYTES: u64 = 5_000_000;

/// A built wheel.
#[derive(Debug)]
pub struct Wheel {
    pub path: PathBuf,
    pub len_bytes: u64,
}

impl Wheel {
    pub fn within_limit(&self) -> Result<(), String> {
        if self.len_bytes < LIMIT_BYTES {
            return Ok(());
        }
        Err(format!("{} has {} bytes", self.path.display(), self.len_bytes))
    }
}

/// Builds it, says its size; false when it is too large.
pub fn run(repo: &Repo) -> Result<bool, Error> {
    let environment = env::ensure(repo, &[Group::Build])?;
    clear(repo)?;
    passed_through(command(repo, &environment))?;
    let wheel = collect(repo)?;
    println!("{}: {:.2} MB", repo.shown(&wheel.path), wheel.len_bytes as f64 / 1e6);
    if let Err(why) = wheel.within_limit() {
        println!("{why}; at most {LIMIT_BYTES} are allowed");
        return Ok(false);
    }
    Ok(true)
}

/// The command that builds into `dist/`.
pub fn command(repo: &Repo, environment: &Environment) -> Command {
    let mut command = environment.command("maturin");
    command.current_dir(repo.root()).args([
        "build",
        "--release",
        "--locked",
        "--manifest-path",
        "python/Cargo.toml",
    ]);
    command.arg("--out").arg(repo.join("dist"));
    command
}

/// Removes our wheels of earlier builds, so that the one that is found is the one that was built.
pub fn clear(repo: &Repo) -> Result<(), Error> {
    for path in wheels_in(&repo.join("dist"))? {
        std::fs::remove_file(&path).map_err(|e| Error::io(format!("remove {}", path.display()), e))?;
    }
    Ok(())
}

/// The one wheel in `dist/`.
pub fn collect(repo: &Repo) -> Result<Wheel, Error> {
    let found = wheels_in(&repo.join("dist"))?;
    let [path] = found.as_slice() else {
        return Err(Error::form("dist/", format!("expected one wheel, found {}", found.len())));
    };
    let data = std::fs::metadata(path).map_err(|e| Error::io(format!("read {}", path.display()), e))?;
    Ok(Wheel { path: path.clone(), len_bytes: data.len() })
}

fn wheels_in(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(dir).map_err(|e| Error::io(format!("list {}", dir.display()), e))?;
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("uncopy-") && name.ends_with(".whl")
    };
    Ok(entries.filter_map(Result::ok).map(|entry| entry.path()).filter(is_ours).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repo(name: &str) -> Repo {
        let root = std::env::temp_dir().join(format!("uncopy-xtask-{}-{name}", std::process::id()));
        std::fs::create_dir_all(root.join("dist")).unwrap();
        Repo::at(root)
    }

    #[test]
    fn old_wheels_are_removed_and_other_files_stay() {
        let repo = repo("clear");
        for name in ["uncopy-0.0.1-cp311-abi3-linux_x86_64.whl", "other.whl"] {
            std::fs::write(repo.join("dist").join(name), "x").unwrap();
        }
        assert_eq!(collect(&repo).unwrap().len_bytes, 1);
        clear(&repo).unwrap();
        assert!(collect(&repo).is_err());
        assert!(repo.join("dist/other.whl").is_file());
        env::remove(repo.root()).unwrap();
    }

    #[test]
    fn a_wheel_at_the_limit_is_refused_with_its_size() {
        let wheel = |len_bytes| Wheel { path: "dist/uncopy.whl".into(), len_bytes };
        assert!(wheel(LIMIT_BYTES - 1).within_limit().is_ok());
        assert!(wheel(LIMIT_BYTES).within_limit().unwrap_err().contains("5000000"));
    }
}

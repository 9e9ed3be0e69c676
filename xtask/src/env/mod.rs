// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Python environment of the repository: `.venv`, made and filled as tasks need it.
//!
//! A stamp in the environment records what was installed, so that a second run asks nobody and works
//! without a network. It never touches a Python outside the repository.

mod groups;
mod python;
mod uv;

pub use groups::Group;
pub use python::Python;
pub use uv::Uv;

use crate::{
    error::{Error, read_text, write_text},
    repo::Repo,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

const STAMP: &str = "uncopy-groups.toml";

/// Group name to the requirements that were installed for it.
type Stamp = BTreeMap<String, Vec<String>>;

/// A Python environment on disk.
#[derive(Clone, Debug)]
pub struct Environment {
    dir: PathBuf,
}

impl Environment {
    pub fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    pub fn python(&self) -> PathBuf {
        self.program("python")
    }

    pub fn program(&self, name: &str) -> PathBuf {
        self.dir.join("bin").join(name)
    }

    /// A command that sees this environment as the active one.
    pub fn command(&self, program: &str) -> Command {
        let mut dirs = vec![self.dir.join("bin")];
        dirs.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        let mut command = Command::new(self.program(program));
        command.env("VIRTUAL_ENV", &self.dir).env_remove("PYTHONHOME").env_remove("PYTHONPATH");
        if let Ok(path) = std::env::join_paths(dirs) {
            command.env("PATH", path);
        }
        command
    }

    fn stamp(&self) -> Stamp {
        // No stamp, or one that cannot be read, means that nothing is known to be installed.
        read_text(&self.dir.join(STAMP)).ok().and_then(|text| toml::from_str(&text).ok()).unwrap_or_default()
    }
}

/// The repository's environment with at least these groups in it.
pub fn ensure(repo: &Repo, groups: &[Group]) -> Result<Environment, Error> {
    let environment = Environment::at(repo.join(".venv"));
    let runs = python::describe(repo, &environment.python()).is_some_and(|python| python.is_suitable());
    let stamp = if runs { environment.stamp() } else { Stamp::new() };
    let missing = missing_from(&stamp, groups);
    if missing.is_empty() {
        return Ok(environment);
    }
    let pythons = python::find_all(repo)?;
    let uv = Uv::obtain(repo, &pythons)?;
    if let (false, Some(best)) = (runs, pythons.first()) {
        println!("making the Python environment .venv with Python {}", best.version());
        uv.make_environment(&environment.dir, best)?;
    }
    fill(&uv, &environment, &missing)?;
    record(&environment, stamp, &missing)?;
    Ok(environment)
}

/// `cargo xtask env`: the environment with these groups, or with all.
pub fn run(repo: &Repo, groups: &[Group]) -> Result<bool, Error> {
    let environment = ensure(repo, if groups.is_empty() { Group::ALL } else { groups })?;
    println!("ready: {}", repo.shown(&environment.python()));
    Ok(true)
}

/// uv and the interpreters to make other environments with.
pub fn tools(repo: &Repo) -> Result<(Uv, Vec<Python>), Error> {
    let pythons = python::find_all(repo)?;
    let uv = Uv::obtain(repo, &pythons)?;
    Ok((uv, pythons))
}

fn missing_from(stamp: &Stamp, groups: &[Group]) -> Vec<Group> {
    let is_missing = |group: &&Group| stamp.get(group.name()) != Some(&group.recorded());
    groups.iter().filter(is_missing).copied().collect()
}

fn fill(uv: &Uv, environment: &Environment, groups: &[Group]) -> Result<(), Error> {
    let names: Vec<&str> = groups.iter().map(|group| group.name()).collect();
    let requirements: Vec<&str> = groups.iter().flat_map(|group| group.requirements()).copied().collect();
    println!("installing Python packages into .venv for {}: {}", names.join(", "), requirements.join(" "));
    if let Some(notice) = groups::notice(&requirements) {
        println!("{notice}");
    }
    let python = environment.python();
    let files: Vec<&str> = groups.iter().flat_map(|group| group.files_only()).copied().collect();
    let all = |uv: &Uv| {
        uv.install(&python, &requirements)?;
        if files.is_empty() {
            Ok(())
        } else {
            uv.install(&python, &[&["--no-deps"], files.as_slice()].concat())
        }
    };
    all(uv).map_err(|e| {
        Error::Missing(format!(
            "the Python packages could not be installed: {e}; a network is needed the first time, \
             and the next run goes on where this one stopped"
        ))
    })
}

fn record(environment: &Environment, mut stamp: Stamp, installed: &[Group]) -> Result<(), Error> {
    stamp.extend(installed.iter().map(|group| (group.name().to_string(), group.recorded())));
    let path = environment.dir.join(STAMP);
    let text = toml::to_string(&stamp).map_err(|e| Error::form(path.display().to_string(), e))?;
    write_text(&path, &text)
}

/// Removes an environment that a task made for itself.
pub fn remove(dir: &Path) -> Result<(), Error> {
    match std::fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(format!("remove {}", dir.display()), e))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_was_recorded_is_not_missing() {
        let stamp = Stamp::from([("test".to_string(), Group::Test.recorded())]);
        assert_eq!(missing_from(&stamp, &[Group::Test, Group::Build]), [Group::Build]);
    }

    #[test]
    fn a_group_whose_list_has_changed_since_is_missing() {
        let stamp = Stamp::from([("test".to_string(), vec!["pytest>=1".to_string()])]);
        assert_eq!(missing_from(&stamp, &[Group::Test]), [Group::Test]);
    }

    #[test]
    fn the_stamp_is_read_back_as_it_was_written() {
        let dir = std::env::temp_dir().join(format!("uncopy-xtask-stamp-{}", std::process::id()));
        let environment = Environment::at(dir.clone());
        assert_eq!(environment.stamp(), Stamp::new());
        record(&environment, Stamp::new(), &[Group::Demo]).unwrap();
        record(&environment, environment.stamp(), &[Group::Build]).unwrap();
        assert_eq!(
            missing_from(&environment.stamp(), Group::ALL),
            [Group::Test, Group::Frameworks, Group::Bindings]
        );
        remove(&dir).unwrap();
    }

    #[test]
    fn a_command_of_the_environment_finds_its_programs_first() {
        let environment = Environment::at("/somewhere/env".into());
        let command = environment.command("python");
        let path = command.get_envs().find(|(name, _)| *name == "PATH").and_then(|(_, value)| value).unwrap();
        assert_eq!(std::env::split_paths(path).next(), Some(PathBuf::from("/somewhere/env/bin")));
    }
}

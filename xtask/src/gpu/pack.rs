// SPDX-License-Identifier: MIT OR Apache-2.0
//! Packing: builds what the contents list, strips it, checks which glibc it needs, and lays it out in `target/gpu`.

use super::{
    build::{self, Built},
    contents::{self, Call, Files},
    glibc::{self, Version},
    manifest::{Absent, Call as ManifestCall, Manifest, Test},
};
use crate::{
    env::{self, Group},
    error::{Error, write_text},
    git,
    layers::metadata::Metadata,
    process::{output_of, passed_through},
    repo::Repo,
    wheel,
};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// A bundle must travel: it may have this many bytes.
const LIMIT_BYTES: u64 = 40 << 20;
/// The programs in the bundle, and the directory that they unpack into.
const ARCHIVE: &str = "programs.tar.gz";
const PROGRAMS: &str = "programs";

/// What else to pack.
#[derive(clap::Args)]
pub struct Options {
    /// cuda-link to measure against: a wheel of it, or a directory that holds the package cuda_link.
    #[arg(long, value_name = "PATH")]
    cuda_link: Option<PathBuf>,
    /// The glibc of the machine with the GPU; programs that need a newer one are refused.
    #[arg(long, value_name = "VERSION", default_value_t = Version::USUAL)]
    glibc: Version,
}

/// Packs; false when the bundle would not run there, or is too large.
pub fn run(repo: &Repo, options: &Options) -> Result<bool, Error> {
    let metadata = Metadata::read(repo)?;
    let mut bundle = Bundle::begin(repo)?;
    bundle.add_tests(&metadata)?;
    bundle.add_programs(&metadata)?;
    bundle.manifest.measures = bundle.calls(&metadata, contents::MEASURES);
    bundle.manifest.proofs = bundle.calls(&metadata, contents::PROOFS);
    bundle.manifest.soaks = bundle.calls(&metadata, contents::SOAKS);
    let is_startable = bundle.check_glibc(options.glibc)?;
    bundle.archive_programs()?;
    bundle.add_files()?;
    bundle.add_wheel(options.glibc)?;
    if let Some(path) = &options.cuda_link {
        bundle.add_cuda_link(path)?;
    }
    bundle.finish(is_startable)
}

struct Bundle<'a> {
    repo: &'a Repo,
    /// The bundle.
    home: PathBuf,
    /// Programs, before they are compressed.
    stage: PathBuf,
    manifest: Manifest,
}

impl<'a> Bundle<'a> {
    /// An empty bundle in the place of the last one.
    fn begin(repo: &'a Repo) -> Result<Self, Error> {
        let home = repo.target().join("gpu");
        let stage = repo.target().join("gpu-programs");
        for dir in [&home, &stage] {
            env::remove(dir)?;
        }
        make_dir(&home)?;
        make_dir(&stage.join(PROGRAMS))?;
        let mut rustc = Command::new("rustc");
        rustc.arg("--version");
        let manifest = Manifest {
            commit: git::commit(repo)?,
            has_uncommitted_changes: git::has_uncommitted_changes(repo)?,
            uncopy: env!("CARGO_PKG_VERSION").to_string(),
            rustc: output_of(rustc)?.trim().to_string(),
            archive: ARCHIVE.to_string(),
            ..Manifest::default()
        };
        Ok(Self { repo, home, stage, manifest })
    }

    fn add_tests(&mut self, metadata: &Metadata) -> Result<(), Error> {
        for tests in contents::TESTS {
            println!("building the tests of {}", tests.package);
            match build::tests(self.repo, metadata, tests)? {
                Err(why) => self.leave_out(&format!("tests of {}", tests.package), why),
                Ok(all) => {
                    for built in all {
                        self.add_program(&built)?;
                        if built.is_test {
                            self.manifest.tests.push(test(&built, tests.limit_s));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn add_programs(&mut self, metadata: &Metadata) -> Result<(), Error> {
        for program in contents::PROGRAMS {
            println!("building {}", program.called);
            match build::program(self.repo, metadata, program)? {
                Err(why) => self.leave_out(program.called, why),
                Ok(built) => self.add_program(&built)?,
            }
        }
        Ok(())
    }

    /// Copies it without what only a debugger needs.
    fn add_program(&mut self, built: &Built) -> Result<(), Error> {
        let mut strip = Command::new("strip");
        strip.arg("--strip-all").arg("-o").arg(self.stage.join(PROGRAMS).join(&built.name)).arg(&built.path);
        output_of(strip).map(|_| ())
    }

    /// The calls whose feature is there.
    fn calls(&mut self, metadata: &Metadata, calls: &[Call]) -> Vec<ManifestCall> {
        let mut found = Vec::new();
        for call in calls {
            let (package, feature) = call.needs;
            if build::has_feature(metadata, package, feature) {
                found.push(ManifestCall {
                    name: call.name.to_string(),
                    program: call.program.to_string(),
                    arguments: call.arguments.iter().map(|word| (*word).to_string()).collect(),
                });
            } else {
                self.leave_out(call.name, format!("{package} has no feature '{feature}' yet"));
            }
        }
        found
    }

    fn leave_out(&mut self, what: &str, why: String) {
        println!("left out: {what}: {why}");
        self.manifest.absent.push(Absent { what: what.to_string(), why });
    }

    /// Whether each program starts with that glibc; says which one needs what.
    fn check_glibc(&mut self, newest: Version) -> Result<bool, Error> {
        let mut all: Vec<(String, Version)> = Vec::new();
        for path in files_below(&self.stage)? {
            if let Some(needed) = glibc::needed_by(&path)? {
                all.push((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), needed));
            }
        }
        for (name, needed) in all.iter().filter(|(_, needed)| *needed > newest) {
            println!("{name} needs glibc {needed}; the machine with the GPU is said to have {newest}");
        }
        let needed = all.iter().map(|(_, needed)| *needed).max();
        self.manifest.glibc = needed.map_or("none".to_string(), |needed| needed.to_string());
        println!("{} programs, which need glibc {}", all.len(), self.manifest.glibc);
        Ok(needed.is_none_or(|needed| needed <= newest))
    }

    fn archive_programs(&self) -> Result<(), Error> {
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(&self.stage).arg("-czf").arg(self.home.join(ARCHIVE)).arg(PROGRAMS);
        output_of(tar).map(|_| ())
    }

    fn add_files(&mut self) -> Result<(), Error> {
        for files in contents::FILES {
            let copied = copy_files(self.repo, files, &self.home.join(files.to))?;
            if copied == 0 {
                self.leave_out(files.from, "there is nothing yet".to_string());
            }
        }
        Ok(())
    }

    fn add_wheel(&mut self, newest: Version) -> Result<(), Error> {
        let environment = env::ensure(self.repo, &[Group::Build])?;
        wheel::clear(self.repo)?;
        passed_through(wheel::command(self.repo, &environment))?;
        let built = wheel::collect(self.repo)?;
        let name = built.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match glibc::needed_by_wheel(&name) {
            Some(needed) if needed > newest => {
                self.leave_out("the wheel", format!("{name} needs glibc {needed}, newer than {newest}"));
                return Ok(());
            }
            Some(needed) => println!("the wheel needs glibc {needed}"),
            None => println!("the wheel's name does not say which glibc it needs: {name}"),
        }
        self.manifest.wheel = Some(self.add_file_to("wheels", &built.path)?);
        Ok(())
    }

    fn add_cuda_link(&mut self, path: &Path) -> Result<(), Error> {
        if path.is_file() {
            self.manifest.cuda_link = Some(self.add_file_to("wheels", path)?);
            return Ok(());
        }
        let package = path.join("cuda_link");
        if !package.join("__init__.py").is_file() {
            let sentence = format!(
                "{} holds no package cuda_link; give a wheel, or the directory above the package",
                path.display()
            );
            return Err(Error::Missing(sentence));
        }
        copy_tree(&package, &self.home.join("peers/cuda-link/cuda_link"), Some("py")).map(|_| ())
    }

    /// Copies a file; its path in the bundle.
    fn add_file_to(&self, dir: &str, path: &Path) -> Result<String, Error> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        copy_file(path, &self.home.join(dir).join(&name))?;
        Ok(format!("{dir}/{name}"))
    }

    fn finish(self, is_startable: bool) -> Result<bool, Error> {
        let text =
            serde_json::to_string_pretty(&self.manifest).map_err(|e| Error::form("the manifest", e))?;
        write_text(&self.home.join("manifest.json"), &(text + "\n"))?;
        let mut len_bytes = 0;
        for path in files_below(&self.home)? {
            len_bytes += size_of(&path)?;
        }
        println!("{}: {:.1} MiB", self.repo.shown(&self.home), len_bytes as f64 / f64::from(1 << 20));
        if len_bytes > LIMIT_BYTES {
            println!("at most {} MiB are allowed", LIMIT_BYTES >> 20);
        }
        if !is_startable {
            println!(
                "it would not start there: build on an older system, or say --glibc if that machine's is newer"
            );
        }
        Ok(is_startable && len_bytes <= LIMIT_BYTES)
    }
}

fn test(built: &Built, limit_s: u32) -> Test {
    Test { program: built.name.clone(), arguments: Vec::new(), limit_s, sanitize: built.uses_gpu }
}

/// Copies what an entry of the list names; how many files that were.
fn copy_files(repo: &Repo, files: &Files, to: &Path) -> Result<usize, Error> {
    let from = repo.join(files.from);
    if from.is_file() {
        return copy_file(&from, to).map(|()| 1);
    }
    if !from.is_dir() {
        return Ok(0);
    }
    copy_tree(&from, to, files.extension)
}

fn copy_tree(from: &Path, to: &Path, extension: Option<&str>) -> Result<usize, Error> {
    let mut copied = 0;
    for path in files_below(from)? {
        let is_wanted = extension.is_none_or(|wanted| path.extension().is_some_and(|found| found == wanted));
        if let (true, Ok(relative)) = (is_wanted, path.strip_prefix(from)) {
            copy_file(&path, &to.join(relative))?;
            copied += 1;
        }
    }
    Ok(copied)
}

/// With its permissions.
fn copy_file(from: &Path, to: &Path) -> Result<(), Error> {
    make_dir(to.parent().unwrap_or(to))?;
    std::fs::copy(from, to).map_err(|e| Error::io(format!("copy {}", from.display()), e))?;
    Ok(())
}

fn make_dir(path: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(path).map_err(|e| Error::io(format!("create {}", path.display()), e))
}

fn size_of(path: &Path) -> Result<u64, Error> {
    let data = std::fs::metadata(path).map_err(|e| Error::io(format!("read {}", path.display()), e))?;
    Ok(data.len())
}

/// Every file below a directory, in no order.
fn files_below(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let (mut found, mut left) = (Vec::new(), vec![dir.to_path_buf()]);
    while let Some(next) = left.pop() {
        let doing = || format!("list {}", next.display());
        for entry in std::fs::read_dir(&next).map_err(|e| Error::io(doing(), e))? {
            let path = entry.map_err(|e| Error::io(doing(), e))?.path();
            if path.is_dir() { left.push(path) } else { found.push(path) }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A checkout with a few files and nothing else.
    fn repo(name: &str) -> Repo {
        let root = std::env::temp_dir().join(format!("uncopy-xtask-{}-{name}", std::process::id()));
        env::remove(&root).unwrap();
        for path in ["a/one.py", "a/b/two.py", "a/b/three.txt"] {
            write_text(&root.join(path), path).unwrap();
        }
        Repo::at(root)
    }

    #[test]
    fn a_directory_is_copied_as_it_stands_and_only_what_is_wanted_of_it() {
        let repo = repo("copied");
        let files = Files { from: "a", to: "x", extension: Some("py") };
        assert_eq!(copy_files(&repo, &files, &repo.join("x")).unwrap(), 2);
        assert!(repo.join("x/b/two.py").is_file() && !repo.join("x/b/three.txt").exists());
        let all = Files { extension: None, ..files };
        assert_eq!(copy_files(&repo, &all, &repo.join("y")).unwrap(), 3);
        env::remove(repo.root()).unwrap();
    }

    #[test]
    fn what_is_not_there_is_no_file() {
        let repo = repo("absent");
        let files = Files { from: "no/such", to: "x", extension: None };
        assert_eq!(copy_files(&repo, &files, &repo.join("x")).unwrap(), 0);
        env::remove(repo.root()).unwrap();
    }

    #[test]
    fn a_path_without_the_package_is_no_cuda_link() {
        let repo = repo("no-cuda-link");
        let mut bundle = Bundle {
            repo: &repo,
            home: repo.join("gpu"),
            stage: repo.join("stage"),
            manifest: Manifest::default(),
        };
        assert!(bundle.add_cuda_link(&repo.join("a")).unwrap_err().to_string().contains("cuda_link"));
        write_text(&repo.join("a/cuda_link/__init__.py"), "").unwrap();
        bundle.add_cuda_link(&repo.join("a")).unwrap();
        assert!(repo.join("gpu/peers/cuda-link/cuda_link/__init__.py").is_file());
        env::remove(repo.root()).unwrap();
    }
}

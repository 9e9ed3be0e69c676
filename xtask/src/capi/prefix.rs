// SPDX-License-Identifier: MIT OR Apache-2.0
//! The installed library: a directory with `include/`, `lib/`, `lib/cmake/uncopy/` and `lib/pkgconfig/`, that may be moved.

use crate::{
    error::{Error, read_text, write_text},
    repo::Repo,
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// What programs ask for at run time: `capi/build.rs` puts it into the library.
const SONAME: &str = "libuncopy.so.1";

/// How the library was built.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Profile {
    Debug,
    Release,
}

impl Profile {
    fn directory(self) -> &'static str {
        match self {
            Profile::Debug => "debug",
            Profile::Release => "release",
        }
    }
}

/// Where it goes unless told.
pub fn of_this(repo: &Repo) -> PathBuf {
    repo.target().join("capi").join("prefix")
}

/// Puts what was built there.
pub fn install(repo: &Repo, profile: Profile, prefix: &Path) -> Result<(), Error> {
    let built = repo.target().join(profile.directory());
    let version = env!("CARGO_PKG_VERSION");
    copy_tree(&repo.join("capi/include"), &prefix.join("include"))?;
    let lib = prefix.join("lib");
    let whole_name = format!("libuncopy.so.{version}");
    copy(&built.join("libuncopy.so"), &lib.join(&whole_name))?;
    copy(&built.join("libuncopy.a"), &lib.join("libuncopy.a"))?;
    link(&whole_name, &lib.join(SONAME))?;
    link(SONAME, &lib.join("libuncopy.so"))?;
    for name in ["uncopyConfig.cmake", "uncopyConfigVersion.cmake"] {
        let template = read_text(&repo.join(&format!("capi/cmake/{name}.in")))?;
        write_text(&lib.join("cmake/uncopy").join(name), &filled(&template, version))?;
    }
    let template = read_text(&repo.join("capi/cmake/uncopy.pc.in"))?;
    write_text(&lib.join("pkgconfig/uncopy.pc"), &filled(&template, version))
}

fn filled(template: &str, version: &str) -> String {
    template.replace("@VERSION@", version).replace("@SONAME@", SONAME)
}

fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    let doing = || format!("copy {} to {}", from.display(), to.display());
    // A program that has mapped the old file keeps it.
    let new = to.with_extension("new");
    fs::create_dir_all(to.parent().unwrap_or(to))
        .and_then(|()| fs::copy(from, &new))
        .and_then(|_| fs::rename(&new, to))
        .map_err(|e| Error::io(doing(), e))
}

fn copy_tree(from: &Path, to: &Path) -> Result<(), Error> {
    let doing = || format!("list {}", from.display());
    for entry in fs::read_dir(from).map_err(|e| Error::io(doing(), e))? {
        let path = entry.map_err(|e| Error::io(doing(), e))?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy_tree(&path, &target)?;
        } else {
            copy(&path, &target)?;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn link(to: &str, at: &Path) -> Result<(), Error> {
    match fs::remove_file(at) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::io(format!("remove {}", at.display()), error));
        }
        _ => {}
    }
    std::os::unix::fs::symlink(to, at).map_err(|e| Error::io(format!("link {}", at.display()), e))
}

#[cfg(not(unix))]
fn link(_: &str, at: &Path) -> Result<(), Error> {
    let error = io::Error::from(io::ErrorKind::Unsupported);
    Err(Error::io(format!("link {}", at.display()), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_filled_completely() {
        let text = filled("@VERSION@ as @SONAME@", "1.2.3");
        assert_eq!(text, format!("1.2.3 as {SONAME}"));
    }
}

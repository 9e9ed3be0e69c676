// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which directory it is: decided from the environment, before anything is opened.
#![expect(unsafe_code, reason = "fence: getauxval")]

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, stat};

use crate::OsError;
use crate::dir::RUNTIME_DIR_VARIABLE;

/// What the decision depends on.
#[derive(Clone, Debug, Default)]
struct Surroundings {
    is_secure: bool,
    uid: u32,
    own_variable: Option<OsString>,
    xdg_runtime_dir: Option<PathBuf>,
    temp_dir: PathBuf,
}

/// The directory to use, by the rules of the module's header.
pub(super) fn choose() -> Result<PathBuf, OsError> {
    let uid = crate::current_uid();
    let xdg_runtime_dir = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    choose_from(Surroundings {
        is_secure: runs_with_raised_rights(),
        uid,
        own_variable: env::var_os(RUNTIME_DIR_VARIABLE).filter(|value| !value.is_empty()),
        xdg_runtime_dir: xdg_runtime_dir.filter(|dir| is_directory_of(dir, uid)),
        temp_dir: env::temp_dir(),
    })
}

fn choose_from(from: Surroundings) -> Result<PathBuf, OsError> {
    let temporary = format!("uncopy-{}", from.uid);
    if from.is_secure {
        return Ok(Path::new("/tmp").join(temporary));
    }
    if let Some(own) = from.own_variable {
        let path = PathBuf::from(own);
        let reason = "UNCOPY_RUNTIME_DIR must be an absolute path";
        return if path.is_absolute() { Ok(path) } else { Err(OsError::InvalidPath { path, reason }) };
    }
    match from.xdg_runtime_dir {
        Some(xdg) => Ok(xdg.join("uncopy")),
        None => Ok(from.temp_dir.join(temporary)),
    }
}

/// Whether `XDG_RUNTIME_DIR` can be believed: absolute (as its specification demands), there, and ours. After `sudo` it
/// may still name the other user's.
fn is_directory_of(dir: &Path, uid: u32) -> bool {
    let is_ours = dir.is_absolute()
        && stat(dir).is_ok_and(|stat| {
            stat.st_uid == uid && FileType::from_raw_mode(stat.st_mode) == FileType::Directory
        });
    if !is_ours {
        tracing::debug!(dir = %dir.display(), "XDG_RUNTIME_DIR is not a directory of ours and is not used");
    }
    is_ours
}

/// Whether this program runs with more rights than whoever started it, who then must not steer it by the environment.
fn runs_with_raised_rights() -> bool {
    // SAFETY: a lookup in a table that the kernel gave the process at its start; any key may be asked for.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surroundings() -> Surroundings {
        Surroundings {
            uid: 1000,
            own_variable: Some("/own".into()),
            xdg_runtime_dir: Some("/run/user/1000".into()),
            temp_dir: "/var/tmp".into(),
            ..Surroundings::default()
        }
    }

    #[test]
    fn our_own_variable_comes_first_then_xdg_then_the_temporary_directory() {
        let all = surroundings();
        assert_eq!(choose_from(all.clone()).expect("absolute"), Path::new("/own"));
        let xdg = Surroundings { own_variable: None, ..all };
        assert_eq!(choose_from(xdg.clone()).expect("a choice"), Path::new("/run/user/1000/uncopy"));
        let none = Surroundings { xdg_runtime_dir: None, ..xdg };
        assert_eq!(choose_from(none).expect("a choice"), Path::new("/var/tmp/uncopy-1000"));
    }

    #[test]
    fn a_relative_path_in_our_variable_is_refused() {
        let relative = Surroundings { own_variable: Some("run".into()), ..surroundings() };
        let error = choose_from(relative).expect_err("relative");
        assert!(error.to_string().contains("absolute"), "{error}");
    }

    #[test]
    fn a_program_with_raised_rights_believes_no_variable() {
        let secure = Surroundings { is_secure: true, ..surroundings() };
        assert_eq!(choose_from(secure).expect("a choice"), Path::new("/tmp/uncopy-1000"));
    }

    #[test]
    fn a_foreign_missing_or_relative_xdg_directory_is_not_believed() {
        let uid = crate::current_uid();
        assert!(is_directory_of(Path::new("/proc/self"), uid));
        assert!(!is_directory_of(Path::new("/proc/self"), uid + 1));
        assert!(!is_directory_of(Path::new("/nowhere/at/all"), uid));
        assert!(!is_directory_of(Path::new("."), uid));
        assert!(!is_directory_of(Path::new("/proc/self/stat"), uid));
    }
}

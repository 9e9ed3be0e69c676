// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads the kernel's files on memory limits, and checks a wish against them.

use std::fs;
use std::io;

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use crate::OsError;
use crate::map::available::{
    Available, CgroupVersion, available_from_cgroup, available_from_meminfo, cgroup_directories,
};

/// The least memory that any limit on this process leaves, and that limit's name.
///
/// Considered are the system's available memory and the memory limit of every control group (versions 1 and 2) from
/// this process's own up to the root that it can see. Read afresh on each call: some ten small files.
///
/// # Errors
///
/// [`OsError::System`] when `/proc` cannot be read. Groups whose files are hidden do not count.
pub fn available_bytes() -> Result<Available, OsError> {
    let meminfo = read_proc("/proc/meminfo")?;
    let mut tightest = Available::UNLIMITED.tighter(available_from_meminfo(&meminfo));
    let self_cgroup = read_optional("/proc/self/cgroup")?;
    let mountinfo = read_optional("/proc/self/mountinfo")?;
    for (version, directory) in cgroup_directories(&self_cgroup, &mountinfo) {
        tightest = tightest.tighter(available_in(version, &directory)?);
    }
    Ok(tightest)
}

/// What the group in `directory` leaves, if it has a limit that can be read. The root group of version 2 has none.
fn available_in(version: CgroupVersion, directory: &str) -> Result<Option<Available>, OsError> {
    let (limit, used) = version.file_names();
    let limit = read_optional(&format!("{directory}/{limit}"))?;
    let used = read_optional(&format!("{directory}/{used}"))?;
    let stat = read_optional(&format!("{directory}/memory.stat"))?;
    Ok(available_from_cgroup(version, &limit, &used, &stat))
}

/// Refuses `need_bytes` that some limit does not leave room for.
pub(super) fn check_room(need_bytes: u64) -> Result<(), OsError> {
    // Growing a file past RLIMIT_FSIZE does not fail: it kills (SIGXFSZ). So it is asked first.
    let file_limit = getrlimit(Resource::Fsize).current.unwrap_or(u64::MAX);
    if need_bytes > file_limit {
        return Err(OsError::OutOfMemory {
            need_bytes,
            free_bytes: file_limit,
            limit: "RLIMIT_FSIZE (ulimit -f)",
        });
    }
    let Available { free_bytes, limit } = available_bytes()?;
    if need_bytes > free_bytes {
        return Err(OsError::OutOfMemory { need_bytes, free_bytes, limit });
    }
    Ok(())
}

/// The error for an allocation that the system refused although [`check_room`] saw room.
pub(super) fn refused(need_bytes: u64) -> OsError {
    match available_bytes() {
        // Somebody else took the memory in between.
        Ok(Available { free_bytes, limit }) if free_bytes < need_bytes => {
            OsError::OutOfMemory { need_bytes, free_bytes, limit }
        }
        Ok(Available { free_bytes, .. }) => OsError::OutOfMemory {
            need_bytes,
            free_bytes,
            limit: "the kernel's overcommit rule (CommitLimit)",
        },
        Err(error) => error,
    }
}

/// The error for a mapping that found no address space.
pub(super) fn no_address_space(need_bytes: u64) -> OsError {
    match getrlimit(Resource::As).current {
        Some(limit) => OsError::OutOfMemory {
            need_bytes,
            free_bytes: limit.saturating_sub(address_space_in_use()),
            limit: "RLIMIT_AS (ulimit -v)",
        },
        None => OsError::OutOfMemory {
            need_bytes,
            free_bytes: 0,
            limit: "the number of mappings (vm.max_map_count)",
        },
    }
}

/// Bytes of address space that this process has mapped: the first number of `statm`, in pages.
fn address_space_in_use() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').next().and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages.saturating_mul(rustix::param::page_size() as u64)
}

fn read_proc(path: &str) -> Result<String, OsError> {
    fs::read_to_string(path).map_err(|error| read_failed(path, &error))
}

/// A file's text; empty when it is not there or hidden. Being out of descriptors is no reason to see no limit.
fn read_optional(path: &str) -> Result<String, OsError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) => match read_failed(path, &error) {
            out @ OsError::OutOfDescriptors { .. } => Err(out),
            _ => {
                tracing::trace!(path, %error, "a limit cannot be read and does not count");
                Ok(String::new())
            }
        },
    }
}

fn read_failed(path: &str, error: &io::Error) -> OsError {
    let errno = Errno::from_io_error(error).unwrap_or(Errno::IO);
    OsError::from_errno("read", path, errno)
}

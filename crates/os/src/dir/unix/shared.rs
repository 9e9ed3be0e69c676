// SPDX-License-Identifier: MIT OR Apache-2.0
//! Small files in the runtime directory that several processes change in turns.

use rustix::fd::OwnedFd;
use rustix::fs::{FileType, FlockOperation, Mode, OFlags, flock, fstat, ftruncate, openat};
use rustix::io::{Errno, pread, pwrite};

use super::RuntimeDir;
use crate::{CloseInChild, OsError};

/// The content of `file_name`, at most `max_len` bytes of it; `None` where there is no such file.
pub(super) fn read(dir: &RuntimeDir, file_name: &str, max_len: usize) -> Result<Option<Vec<u8>>, OsError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    match openat(dir, file_name, flags, Mode::empty()) {
        Ok(file) => read_all(dir, file_name, &checked(dir, file_name, file)?, max_len).map(Some),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(OsError::from_errno("open", dir.show(file_name), errno)),
    }
}

/// Gives the content to `change` and writes what it returns, while no other call of this in any process does.
/// `false`, and nothing changed, while another does. Never waits.
pub(super) fn edit(
    dir: &RuntimeDir,
    file_name: &str,
    max_len: usize,
    change: impl FnOnce(Vec<u8>) -> Vec<u8>,
) -> Result<bool, OsError> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let failed = |call| move |errno| OsError::from_errno(call, dir.show(file_name), errno);
    // A child that was forked meanwhile would keep the lock for as long as it lives.
    let file = CloseInChild::make(|| {
        let file = openat(dir, file_name, flags, Mode::RUSR | Mode::WUSR).map_err(failed("open"))?;
        checked(dir, file_name, file)
    })?;
    match flock(file.get()?, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::AGAIN | Errno::INTR) => return Ok(false),
        Err(errno) => return Err(failed("flock")(errno)),
    }
    let content = change(read_all(dir, file_name, file.get()?, max_len)?);
    let mut written = 0;
    while let Some(rest) = content.get(written..).filter(|rest| !rest.is_empty()) {
        match pwrite(file.get()?, rest, written as u64) {
            Ok(0) => return Err(failed("write")(Errno::NOSPC)),
            Ok(len) => written += len,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(failed("write")(errno)),
        }
    }
    ftruncate(file.get()?, content.len() as u64).map_err(failed("ftruncate"))?;
    Ok(true)
}

/// Only a plain file: anything else could make us wait, or be somebody's device.
fn checked(dir: &RuntimeDir, file_name: &str, file: OwnedFd) -> Result<OwnedFd, OsError> {
    let stat = fstat(&file).map_err(|errno| OsError::from_errno("fstat", dir.show(file_name), errno))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(file),
        _ => Err(OsError::InvalidPath { path: dir.path().join(file_name), reason: "it is no plain file" }),
    }
}

fn read_all(
    dir: &RuntimeDir,
    file_name: &str,
    file: impl rustix::fd::AsFd,
    max_len: usize,
) -> Result<Vec<u8>, OsError> {
    let mut content = vec![0; max_len];
    let mut len = 0;
    while let Some(rest) = content.get_mut(len..).filter(|rest| !rest.is_empty()) {
        match pread(&file, rest, len as u64) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(OsError::from_errno("read", dir.show(file_name), errno)),
        }
    }
    content.truncate(len);
    Ok(content)
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! What dead producers left in the runtime directory, and removing it.
//!
//! Files of a name are removed by whoever holds the lock of the name, and by nobody else. A producer that is starting
//! holds it from before its first file is there, so nothing of a live one can be taken for a leftover; one that comes
//! while the lock is held for removing tries again, as if it had met another producer.

use uncopy_core::{ErrorKind, LinkName};
use uncopy_os::{Connection, LockOutcome, LockState, OsError, RuntimeDir, temporary_name};

use super::naming::{Holder, lock_file, socket_file};
use crate::error::LinkError;
use crate::errors::errors_file;

/// Some files of a runtime directory that belong together, and what became of them.
#[derive(Debug)]
#[non_exhaustive]
pub struct RuntimeFiles {
    /// The name of the link; `None` for a file that is of no link.
    pub name: Option<String>,
    /// The files' names.
    pub files: Vec<String>,
    /// What became of them.
    pub fate: Fate,
}

/// What became of files in the runtime directory.
#[derive(Debug)]
pub enum Fate {
    /// Their producer is dead: they are removed, or would be.
    Removed,
    /// A live producer has the name.
    InUse {
        /// Its process, 0 where that is not known.
        pid: i32,
        /// Its command.
        command: String,
    },
    /// Nobody has the name's lock, and yet somebody listens: the lock file was removed under a live producer.
    Listening {
        /// Its process, 0 where that is not known.
        pid: i32,
    },
    /// They hold the errors of a name, which are kept for whoever reads them.
    Errors,
    /// They are no files of a link.
    Foreign,
    /// They could not be looked at or removed.
    Failed(OsError),
}

/// What to remove.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cleaning {
    /// Nothing: only tell what would be removed.
    pub dry_run: bool,
    /// Also the [errors](crate::errors()) of names that nobody publishes under.
    pub errors: bool,
}

/// Removes what dead producers left in a runtime directory. Tells the fate of every file that is there, sorted by name.
///
/// # Errors
/// The directory can't be read.
pub fn clean_in(dir: &RuntimeDir, cleaning: Cleaning) -> Result<Vec<RuntimeFiles>, LinkError> {
    let mut entries = dir.entries()?;
    entries.sort();
    let mut groups: Vec<(Option<String>, Vec<String>)> = Vec::new();
    for file in entries {
        let name = name_of(&file);
        match groups.iter_mut().find(|(known, _)| known.is_some() && *known == name) {
            Some((_, files)) => files.push(file),
            None => groups.push((name, vec![file])),
        }
    }
    groups.sort();
    let judged = groups.into_iter().filter_map(|(name, mut files)| {
        let Some(link) = &name else { return Some(apart(dir, files, cleaning)) };
        let fate = if cleaning.dry_run { look(dir, link) } else { clear(dir, link, &mut files) };
        let fate = fate.unwrap_or_else(Fate::Failed);
        // Their producer may have ended, or somebody else may have removed them, since they were listed.
        (!files.is_empty()).then_some(RuntimeFiles { name, files, fate })
    });
    Ok(judged.collect())
}

/// A file that no producer needs to have removed.
fn apart(dir: &RuntimeDir, files: Vec<String>, cleaning: Cleaning) -> RuntimeFiles {
    let name = files.first().and_then(|file| file.strip_suffix(&errors_file("")));
    let name = name.filter(|name| LinkName::parse(name).is_ok()).map(str::to_owned);
    let fate = match &name {
        None => Fate::Foreign,
        Some(name) if cleaning.errors => forget(dir, name, cleaning.dry_run).unwrap_or_else(Fate::Failed),
        Some(_) => Fate::Errors,
    };
    RuntimeFiles { name, files, fate }
}

/// Removes the errors of a name that nobody has. Who notes one at that moment loses it.
fn forget(dir: &RuntimeDir, name: &str, dry_run: bool) -> Result<Fate, OsError> {
    if let LockState::Held { .. } = dir.look_at_lock(&lock_file(name))? {
        return Ok(Fate::Errors);
    }
    if !dry_run {
        dir.remove(&errors_file(name))?;
    }
    Ok(Fate::Removed)
}

/// The link whose producer a file belongs to.
fn name_of(file: &str) -> Option<String> {
    let name = file
        .strip_suffix(".sock")
        .or_else(|| file.strip_suffix(".lock"))
        .filter(|name| LinkName::parse(name).is_ok())
        .or_else(|| file.strip_prefix('.')?.strip_suffix(".sock.tmp"))?;
    LinkName::parse(name).is_ok().then(|| name.to_owned())
}

/// Removes what a dead producer left behind under one name. A live one holds the lock, and then nothing is touched.
pub(crate) fn sweep(dir: &RuntimeDir, name: &str) {
    let Ok(entries) = dir.entries() else { return };
    if entries.iter().any(|file| name_of(file).as_deref() == Some(name)) {
        // A failure means that somebody else is at it: a new producer, or another sweeper.
        let _ = clear(dir, name, &mut Vec::new());
    }
}

/// Removes the files of a name while its lock is held. Of `listed`, those stay that it has removed.
fn clear(dir: &RuntimeDir, name: &str, listed: &mut Vec<String>) -> Result<Fate, OsError> {
    let lock = match dir.lock(&lock_file(name))? {
        LockOutcome::Locked(lock) => lock,
        LockOutcome::Held { holder } => return Ok(in_use(holder.as_deref())),
    };
    if let Some(pid) = listener(dir, name) {
        return Ok(Fate::Listening { pid });
    }
    let socket = socket_file(name);
    for file in [temporary_name(&socket), socket] {
        if !dir.remove(&file)? {
            listed.retain(|listed| *listed != file);
        }
    }
    // Taking the lock makes its file where there is none, so that this one is there to be removed.
    lock.unlink()?;
    Ok(Fate::Removed)
}

/// What [`clear`] would do, without a change to any file.
fn look(dir: &RuntimeDir, name: &str) -> Result<Fate, OsError> {
    if let LockState::Held { holder } = dir.look_at_lock(&lock_file(name))? {
        return Ok(in_use(holder.as_deref()));
    }
    Ok(listener(dir, name).map_or(Fate::Removed, |pid| Fate::Listening { pid }))
}

fn in_use(note: Option<&str>) -> Fate {
    let holder = Holder::parse(note).unwrap_or_default();
    Fate::InUse { pid: holder.pid, command: holder.command }
}

/// The process that listens on the socket of a name, 0 where it is not known; `None` where nobody does.
fn listener(dir: &RuntimeDir, name: &str) -> Option<i32> {
    match Connection::connect(dir, &socket_file(name)) {
        Ok(connection) => Some(connection.peer().ok().and_then(|peer| peer.pid).unwrap_or(0)),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        // Somebody is there and can't be reached now.
        Err(OsError::QueueFull { .. }) => Some(0),
        // It is no socket, or can't be told; whoever removes it will be told why not.
        Err(_) => None,
    }
}

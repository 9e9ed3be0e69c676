// SPDX-License-Identifier: MIT OR Apache-2.0
//! Events that several processes know: counters in memory that they all map.
//!
//! Records are numbered, and a record is done only after the one before it. So a process that is killed between
//! recording an event and reaching it leaves the event undone for ever, and whoever records it next hangs too, as
//! was read on an H200 (driver 580).

#![expect(unsafe_code, reason = "maps memory that processes share, and reads its words")]

use crate::{
    code::{Answer, Code},
    lock::lock,
    poll,
    queue::Queue,
    random,
    seal::Clear,
};
use rustix::{
    fs::{MemfdFlags, fstat, ftruncate, memfd_create},
    mm::{MapFlags, ProtFlags, mmap},
};
use std::{
    collections::BTreeMap,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    ptr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// How many a process can have: read on an H200, driver 580.
const MOST: usize = 4095;
const WORDS_OF_ONE: usize = 4;
const LEN: usize = MOST * WORDS_OF_ONE * 8;

/// The events of one process, mapped for ever: streams may look at them to the end.
struct Arena {
    file: Option<OwnedFd>,
    base: usize,
}

impl Arena {
    fn word(&self, index: usize, word: usize) -> &AtomicU64 {
        let at = self.base + (index.min(MOST - 1) * WORDS_OF_ONE + word) * 8;
        // SAFETY: (1) the mapping is `LEN` bytes long and is never unmapped; (2) `at` lies in it, a multiple of 8
        // from its page-aligned start; (3) every process uses these words through atomics alone.
        unsafe { AtomicU64::from_ptr(ptr::with_exposed_provenance_mut(at)) }
    }
}

/// One event.
#[derive(Clone)]
pub struct SharedEvent {
    arena: Arc<Arena>,
    index: usize,
    pub serial: u64,
}

struct Own {
    arena: Option<Arc<Arena>>,
    free: Vec<usize>,
}

static OWN: Mutex<Own> = Mutex::new(Own { arena: None, free: Vec::new() });
/// Those of other processes, by process and start.
static OTHERS: Mutex<BTreeMap<(u32, u64), Arc<Arena>>> = Mutex::new(BTreeMap::new());

impl SharedEvent {
    /// A new event; refused when the process has all that it can have.
    pub fn make() -> Answer<SharedEvent> {
        let mut own = lock(&OWN);
        let arena = match &own.arena {
            Some(arena) => Arc::clone(arena),
            None => {
                let file = memfd_create("uncopy-standin-events", MemfdFlags::CLOEXEC)
                    .map_err(|_| Code::OUT_OF_MEMORY)?;
                ftruncate(&file, LEN as u64).map_err(|_| Code::OUT_OF_MEMORY)?;
                let base = mapped(file.as_fd())?;
                let arena = Arc::new(Arena { file: Some(file), base });
                own.arena = Some(Arc::clone(&arena));
                own.free = (0..MOST).rev().collect();
                arena
            }
        };
        let index = own.free.pop().ok_or(Code::OUT_OF_MEMORY)?;
        let serial = random::number();
        arena.word(index, 1).store(0, Ordering::Relaxed);
        arena.word(index, 2).store(0, Ordering::Relaxed);
        arena.word(index, 0).store(serial, Ordering::Release);
        Ok(SharedEvent { arena, index, serial })
    }

    /// The event that another process made and a handle names.
    pub fn open(clear: &Clear) -> Answer<SharedEvent> {
        let mut others = lock(&OTHERS);
        let key = (clear.pid, clear.started);
        let known = others.get(&key).cloned();
        let arena = match known {
            Some(arena) => arena,
            // A dead process's handle still opens (read on an H200); nothing of the event is left to see.
            None if !clear.is_maker_alive() => Arc::new(Arena { file: None, base: private()? }),
            None => {
                let file = clear.open_descriptor().ok_or(Code::MAP_FAILED)?;
                let len = fstat(&file).map_err(|_| Code::MAP_FAILED)?.st_size;
                if usize::try_from(len) != Ok(LEN) {
                    return Err(Code::MAP_FAILED);
                }
                let arena = Arc::new(Arena { file: None, base: mapped(file.as_fd())? });
                others.insert(key, Arc::clone(&arena));
                arena
            }
        };
        let event = SharedEvent {
            arena,
            index: usize::try_from(clear.index).unwrap_or_default(),
            serial: clear.serial,
        };
        if clear.is_maker_alive() && event.word(0).load(Ordering::Acquire) != clear.serial {
            return Err(Code::MAP_FAILED);
        }
        Ok(event)
    }

    fn word(&self, word: usize) -> &AtomicU64 {
        self.arena.word(self.index, word)
    }

    /// The number of the newest record; 0 before the first.
    pub fn recorded(&self) -> u64 {
        self.word(1).load(Ordering::Acquire)
    }

    /// A new record's number.
    pub fn record(&self) -> u64 {
        self.word(1).fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Whether this record is done.
    pub fn is_done(&self, record: u64) -> bool {
        self.word(2).load(Ordering::Acquire) >= record
    }

    /// Does this record, after the one before it.
    pub fn complete(&self, record: u64, stream: &Queue) {
        poll::until(stream, || self.is_done(record - 1));
        if self.is_done(record - 1) {
            self.word(2).fetch_max(record, Ordering::AcqRel);
        }
    }

    /// Takes an event of this process away: its handle opens no more.
    pub fn retire(&self) {
        let mut own = lock(&OWN);
        if own.arena.as_ref().is_some_and(|arena| Arc::ptr_eq(arena, &self.arena)) {
            self.word(0).store(0, Ordering::Release);
            own.free.push(self.index);
        }
    }

    /// The descriptor and slot by which another process finds it; None for one that was opened.
    pub fn place(&self) -> Option<(u32, u32)> {
        let descriptor = self.arena.file.as_ref()?.as_raw_fd();
        Some((u32::try_from(descriptor).ok()?, u32::try_from(self.index).ok()?))
    }
}

fn mapped(file: BorrowedFd<'_>) -> Answer<usize> {
    // SAFETY: a new mapping at a place of the kernel's choice disturbs no other one.
    let base =
        unsafe { mmap(ptr::null_mut(), LEN, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, file, 0) };
    base.map(|base| base.expose_provenance()).map_err(|_| Code::OUT_OF_MEMORY)
}

fn private() -> Answer<usize> {
    let file = memfd_create("uncopy-standin-events", MemfdFlags::CLOEXEC).map_err(|_| Code::OUT_OF_MEMORY)?;
    ftruncate(&file, LEN as u64).map_err(|_| Code::OUT_OF_MEMORY)?;
    mapped(file.as_fd())
}

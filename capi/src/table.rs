// SPDX-License-Identifier: MIT OR Apache-2.0
//! Handles: what C programs hold instead of our objects.
//!
//! A handle is no address but a ticket: the number of a cell, and how often that cell was used before. So a handle that
//! was destroyed, twice destroyed, of another type or invented is *told*, and never followed, also from several threads.
//! Its upper bits make it an address that no system maps: who dereferences it is told by the processor.
//!
//! | bits | hold |
//! |---|---|
//! | 0 to 23 | the cell, from 1 |
//! | 24 to 55 | the generation of the cell |
//! | 56 to 63 | the type, from `0x51` |
//!
//! # Fork
//! A cell remembers the process that filled it, and a child is refused before any lock is taken: a thread of the parent
//! may have held it. The list of free cells has no lock, and a cell that is in it is not held by anybody.
//!
//! # Limits
//! 65536 handles of one type at a time. A ticket comes again after four billion uses of one cell.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use uncopy::os::fork_generation;

use crate::failure::{Failure, Stale};

const CELL_BITS: u32 = 24;
const TYPE_SHIFT: u32 = 56;
const CELLS_IN_CHUNK: usize = 256;
const CHUNKS: usize = 256;

/// All live objects of one type.
pub struct Table<T> {
    /// The type's name in the header.
    what: &'static str,
    type_byte: u8,
    chunks: [OnceLock<Box<[Cell<T>]>>; CHUNKS],
    /// Cells that were never used begin here.
    untouched: AtomicU32,
    /// The newest free cell, from 1, and above it a count of changes, so that a cell that left and came back in between
    /// is told.
    free: AtomicU64,
}

struct Cell<T> {
    /// Odd while it holds an object.
    generation: AtomicU32,
    /// The process that filled it.
    born_in: AtomicU32,
    next_free: AtomicU32,
    object: Mutex<Option<Arc<T>>>,
}

impl<T> Cell<T> {
    fn empty() -> Self {
        Cell {
            generation: AtomicU32::new(0),
            born_in: AtomicU32::new(0),
            next_free: AtomicU32::new(0),
            object: Mutex::new(None),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<T>>> {
        // Nothing panics while it is held.
        self.object.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Table<T> {
    /// A table whose handles carry `type_byte`, another one for each type.
    pub const fn new(what: &'static str, type_byte: u8) -> Self {
        Table {
            what,
            type_byte,
            chunks: [const { OnceLock::new() }; CHUNKS],
            untouched: AtomicU32::new(0),
            free: AtomicU64::new(0),
        }
    }

    /// Keeps an object and gives its handle.
    pub fn put(&self, object: T) -> Result<usize, Failure> {
        let Some((number, cell)) = self.free_cell() else {
            let most = CELLS_IN_CHUNK * CHUNKS;
            return Err(Failure::Argument(format!(
                "this process has {most} handles of type {}, which is the most; destroy those that it does not need",
                self.what
            )));
        };
        let mut held = cell.lock();
        *held = Some(Arc::new(object));
        cell.born_in.store(fork_generation(), Relaxed);
        let generation = cell.generation.load(Relaxed).wrapping_add(1);
        // pairs with: the load in `cell_of`
        cell.generation.store(generation, Release);
        drop(held);
        // `as` only widens.
        Ok((usize::from(self.type_byte) << TYPE_SHIFT)
            | ((generation as usize) << CELL_BITS)
            | number as usize)
    }

    /// The object of a handle.
    pub fn get(&self, handle: usize) -> Result<Arc<T>, Failure> {
        let (cell, generation) = self.cell_of(handle)?;
        let held = cell.lock();
        match &*held {
            // Again under the lock: another thread may have destroyed it in between.
            Some(object) if cell.generation.load(Relaxed) == generation => Ok(Arc::clone(object)),
            _ => Err(self.stale(Stale::Destroyed)),
        }
    }

    /// Ends a handle and gives its object back. Who is in a call with it keeps it until that returns.
    pub fn take(&self, handle: usize) -> Result<Arc<T>, Failure> {
        let (cell, generation) = self.cell_of(handle)?;
        let mut held = cell.lock();
        if cell.generation.load(Relaxed) != generation {
            return Err(self.stale(Stale::Destroyed));
        }
        let object = held.take();
        cell.generation.store(generation.wrapping_add(1), Release);
        drop(held);
        self.free(number_of(handle), cell);
        object.ok_or_else(|| self.stale(Stale::Destroyed))
    }

    /// The cell of a handle that looks right, and the generation that it names.
    fn cell_of(&self, handle: usize) -> Result<(&Cell<T>, u32), Failure> {
        if handle == 0 {
            return Err(self.stale(Stale::Null));
        }
        let type_byte = (handle >> TYPE_SHIFT) as u8;
        if type_byte != self.type_byte {
            let is_ours = (FIRST_TYPE..FIRST_TYPE + TYPES).contains(&type_byte);
            return Err(self.stale(if is_ours { Stale::OtherType } else { Stale::Never }));
        }
        let never = || self.stale(Stale::Never);
        let cell = self.cell(number_of(handle)).ok_or_else(never)?;
        // Truncation takes the type byte off.
        let generation = (handle >> CELL_BITS) as u32;
        let now = cell.generation.load(Acquire);
        if now != generation {
            return Err(self.stale(Stale::Destroyed));
        }
        if cell.born_in.load(Relaxed) != fork_generation() {
            return Err(Failure::Forked { what: self.what });
        }
        Ok((cell, generation))
    }

    fn stale(&self, found: Stale) -> Failure {
        Failure::Handle { wanted: self.what, found }
    }

    /// A cell by its number, from 1, if it was ever used.
    fn cell(&self, number: u32) -> Option<&Cell<T>> {
        let index = usize::try_from(number.checked_sub(1)?).ok()?;
        self.chunks.get(index / CELLS_IN_CHUNK)?.get()?.get(index % CELLS_IN_CHUNK)
    }

    /// Takes a cell out of the list, or a new one.
    fn free_cell(&self) -> Option<(u32, &Cell<T>)> {
        let mut head = self.free.load(Acquire);
        // The lower half is the cell, the upper half the count.
        while let Some(cell) = self.cell(head as u32) {
            let next = u64::from(cell.next_free.load(Relaxed)) | counted(head);
            match self.free.compare_exchange_weak(head, next, AcqRel, Acquire) {
                Ok(_) => return Some((head as u32, cell)),
                Err(now) => head = now,
            }
        }
        let most = (CELLS_IN_CHUNK * CHUNKS) as u32;
        let taken =
            self.untouched.fetch_update(Relaxed, Relaxed, |count| (count < most).then_some(count + 1));
        let index = usize::try_from(taken.ok()?).ok()?;
        let chunk = self.chunks.get(index / CELLS_IN_CHUNK)?;
        let cells = chunk.get_or_init(|| (0..CELLS_IN_CHUNK).map(|_| Cell::empty()).collect());
        // Lossless: at most `most`.
        Some((index as u32 + 1, cells.get(index % CELLS_IN_CHUNK)?))
    }

    /// Puts a cell into the list.
    fn free(&self, number: u32, cell: &Cell<T>) {
        let mut head = self.free.load(Relaxed);
        loop {
            cell.next_free.store(head as u32, Relaxed);
            let new = u64::from(number) | counted(head);
            // pairs with: the loads in `free_cell`
            match self.free.compare_exchange_weak(head, new, Release, Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }
}

/// The upper half of the list's head after one more change.
fn counted(head: u64) -> u64 {
    (head >> 32).wrapping_add(1) << 32
}

fn number_of(handle: usize) -> u32 {
    // Lossless: 24 bits.
    (handle & ((1 << CELL_BITS) - 1)) as u32
}

/// The types of handles begin with this.
pub const FIRST_TYPE: u8 = 0x51;
/// How many there are.
pub const TYPES: u8 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    fn found(result: Result<Arc<u32>, Failure>) -> Stale {
        match result {
            Err(Failure::Handle { found, .. }) => found,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn f42_a_handle_that_was_destroyed_is_told_also_when_its_cell_is_used_again() {
        let table = Table::new("uncopy_number", FIRST_TYPE);
        let first = table.put(1).unwrap();
        assert_eq!(*table.get(first).unwrap(), 1);
        assert_eq!(*table.take(first).unwrap(), 1);
        let second = table.put(2).unwrap();
        assert_eq!(number_of(first), number_of(second));
        assert_eq!(found(table.get(first)), Stale::Destroyed);
        assert_eq!(found(table.take(first)), Stale::Destroyed);
        assert_eq!(*table.get(second).unwrap(), 2);
    }

    #[test]
    fn what_was_never_a_handle_of_the_type_is_told() {
        let table: Table<u32> = Table::new("uncopy_number", FIRST_TYPE);
        let other = Table::new("uncopy_other", FIRST_TYPE + 1);
        let local = 5;
        assert_eq!(found(table.get(0)), Stale::Null);
        assert_eq!(found(table.get(&raw const local as usize)), Stale::Never);
        assert_eq!(found(table.get(other.put(3).unwrap())), Stale::OtherType);
        assert_eq!(found(table.get((usize::from(FIRST_TYPE) << TYPE_SHIFT) | 77)), Stale::Never);
    }

    #[test]
    fn who_is_in_a_call_keeps_the_object_until_it_returns() {
        let table = Table::new("uncopy_number", FIRST_TYPE);
        let handle = table.put(7).unwrap();
        let inside = table.get(handle).unwrap();
        drop(table.take(handle).unwrap());
        assert_eq!(*inside, 7);
    }

    #[test]
    fn a_full_table_says_so_and_has_room_again_after_one_goes() {
        let table = Table::new("uncopy_number", FIRST_TYPE);
        let handles: Vec<_> = (0..CELLS_IN_CHUNK * CHUNKS).map(|n| table.put(n).unwrap()).collect();
        assert!(matches!(table.put(0), Err(Failure::Argument(_))));
        assert_eq!(*table.take(handles[9]).unwrap(), 9);
        assert_eq!(*table.get(table.put(10).unwrap()).unwrap(), 10);
    }

    #[test]
    fn threads_that_make_and_destroy_at_once_never_share_a_cell() {
        let table = Table::new("uncopy_number", FIRST_TYPE);
        std::thread::scope(|threads| {
            for thread in 0..4_u32 {
                let table = &table;
                threads.spawn(move || {
                    for round in 0..20_000 {
                        let handle = table.put((thread, round)).unwrap();
                        assert_eq!(*table.take(handle).unwrap(), (thread, round));
                    }
                });
            }
        });
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! What lies at which device address.
//!
//! Device addresses lie in a reservation of this process that nobody may touch, so that a host that takes one for
//! a pointer of its own crashes. A mapping says where the stand-in finds the bytes. Addresses are given out once
//! around the whole reservation before any is used again, so that an old pointer doesn't come to mean new memory.

#![expect(unsafe_code, reason = "reserves address space")]

use crate::{
    code::{Answer, Code},
    contexts::Context,
    devices::MOST_CARDS,
    lock::lock,
    physical::{GRANULE, Physical},
};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
use std::{
    collections::BTreeMap,
    ptr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
};

/// How much address space is asked for; less when there is a limit.
const WANTED: usize = 256 << 30;
const LEAST: usize = 4 << 30;

/// `CU_MEM_ACCESS_FLAGS_PROT_READ` and `..._READWRITE`
pub const READ: u8 = 1;
pub const READ_WRITE: u8 = 3;
/// What the second has and the first has not.
pub const WRITE: u8 = 2;

/// How a mapping came to be, and so what may end it.
#[derive(Debug)]
pub enum Origin {
    Legacy,
    /// Opened from a legacy handle.
    LegacyImport,
    Virtual {
        handle: u64,
    },
    /// From a pool, at this place of its memory.
    Pool {
        pool: u64,
        offset: usize,
    },
    /// Of a pool of another process.
    PoolImport {
        pool: u64,
    },
    /// `cuMemHostAlloc`, at this address of the host.
    HostAlloc,
    /// `cuMemHostRegister`, of this address of the host.
    HostRegistered {
        host: u64,
    },
}

impl Origin {
    /// Whether it is the host's memory.
    pub fn is_host(&self) -> bool {
        matches!(self, Origin::HostAlloc | Origin::HostRegistered { .. })
    }
}

/// Bytes at a device address.
#[derive(Debug)]
pub struct Mapping {
    pub id: u64,
    pub start: u64,
    pub len: usize,
    /// Where the stand-in finds them.
    pub base: usize,
    pub memory: Option<Arc<Physical>>,
    pub origin: Origin,
    /// The ordinal of the context that it belongs to.
    pub owner: usize,
    /// What each ordinal may do with it.
    access: [AtomicU8; MOST_CARDS],
    is_mapped: AtomicBool,
}

impl Mapping {
    /// What a device may do with it: 0, `READ` or `READ_WRITE`.
    pub fn access_of(&self, ordinal: usize) -> u8 {
        self.access.get(ordinal).map_or(0, |access| access.load(Ordering::Relaxed))
    }

    /// Says what a device may do with it.
    pub fn allow(&self, ordinal: usize, access: u8) {
        if let Some(place) = self.access.get(ordinal) {
            place.store(access, Ordering::Relaxed);
        }
    }

    /// Whether it is still there.
    pub fn is_mapped(&self) -> bool {
        self.is_mapped.load(Ordering::Acquire)
    }

    /// Makes it useless for work that is still pending.
    pub fn end(&self) {
        self.is_mapped.store(false, Ordering::Release);
    }

    /// The address behind its last byte.
    pub fn address_behind(&self) -> u64 {
        self.start + self.len as u64
    }

    /// The card whose memory it is; None for the host's.
    pub fn card(&self) -> Option<usize> {
        self.memory.as_ref().map(|memory| memory.card)
    }
}

/// A mapping to be made.
pub struct Wanted {
    pub start: u64,
    pub len: usize,
    pub base: usize,
    pub memory: Option<Arc<Physical>>,
    pub origin: Origin,
    pub owner: usize,
    /// What every device may do with it.
    pub access: u8,
}

/// The device addresses of this process.
#[derive(Default)]
pub struct Space {
    first: u64,
    end: u64,
    next: u64,
    /// What is given out, by address, with its length.
    reserved: BTreeMap<u64, usize>,
    mappings: BTreeMap<u64, Arc<Mapping>>,
    /// Mappings of pinned host memory, by their host address.
    pinned: BTreeMap<u64, Arc<Mapping>>,
}

static SPACE: Mutex<Space> = Mutex::new(Space {
    first: 0,
    end: 0,
    next: 0,
    reserved: BTreeMap::new(),
    mappings: BTreeMap::new(),
    pinned: BTreeMap::new(),
});

/// The device addresses of this process.
pub fn space() -> MutexGuard<'static, Space> {
    lock(&SPACE)
}

/// Takes the address space, once.
pub fn reserve() -> Answer {
    let mut space = space();
    if space.end > 0 {
        return Ok(());
    }
    let mut len = WANTED;
    while len >= LEAST {
        // SAFETY: a new mapping at a place of the kernel's choice disturbs no other one; it is never unmapped.
        let taken = unsafe {
            mmap_anonymous(ptr::null_mut(), len, ProtFlags::empty(), MapFlags::PRIVATE | MapFlags::NORESERVE)
        };
        if let Ok(start) = taken {
            let start = start.addr().next_multiple_of(GRANULE) as u64;
            (space.first, space.next) = (start, start);
            space.end = start + (len - GRANULE) as u64;
            return Ok(());
        }
        len /= 2;
    }
    Err(Code::OUT_OF_MEMORY)
}

/// Everything of a context whose life has ended is gone.
pub fn forget_context(ordinal: usize) {
    let mut space = space();
    let of_it = |mapping: &Arc<Mapping>| {
        mapping.owner == ordinal && !matches!(mapping.origin, Origin::Virtual { .. })
    };
    let starts: Vec<u64> =
        space.mappings.values().filter(|mapping| of_it(mapping)).map(|mapping| mapping.start).collect();
    for start in starts {
        if let Some(gone) = space.unmap(start)
            && !matches!(gone.origin, Origin::HostAlloc)
        {
            space.release(start);
        }
    }
}

impl Space {
    /// Gives out device addresses, in granules aligned to `alignment`.
    pub fn take(&mut self, len: usize, alignment: u64) -> Answer<u64> {
        let len = len.checked_next_multiple_of(GRANULE).filter(|len| *len > 0).ok_or(Code::INVALID_VALUE)?;
        let alignment = alignment.max(GRANULE as u64);
        let from_next = self.free_from(self.next, len, alignment);
        let start =
            from_next.or_else(|| self.free_from(self.first, len, alignment)).ok_or(Code::OUT_OF_MEMORY)?;
        self.next = start + len as u64;
        self.reserved.insert(start, len);
        Ok(start)
    }

    fn free_from(&self, from: u64, len: usize, alignment: u64) -> Option<u64> {
        let mut start = from.checked_next_multiple_of(alignment)?;
        let before = self.reserved.range(..start).next_back();
        if let Some((other, other_len)) = before {
            start = start.max(other + *other_len as u64).checked_next_multiple_of(alignment)?;
        }
        for (other, other_len) in self.reserved.range(start..) {
            if start + len as u64 <= *other {
                break;
            }
            start = (other + *other_len as u64).checked_next_multiple_of(alignment)?;
        }
        (start + len as u64 <= self.end).then_some(start)
    }

    /// Takes addresses back.
    pub fn release(&mut self, start: u64) -> Option<usize> {
        self.reserved.remove(&start)
    }

    /// How many addresses were given out from `start` on.
    pub fn reserved_len(&self, start: u64) -> Option<usize> {
        self.reserved.get(&start).copied()
    }

    /// Whether all of the range was given out as one.
    pub fn is_reserved(&self, start: u64, len: usize) -> bool {
        let before = self.reserved.range(..=start).next_back();
        before.is_some_and(|(from, from_len)| start.saturating_add(len as u64) <= from + *from_len as u64)
    }

    /// Whether the address is one of ours, given out or not.
    pub fn is_device_address(&self, address: u64) -> bool {
        (self.first..self.end).contains(&address)
    }

    /// Puts a mapping there.
    pub fn map(&mut self, wanted: Wanted) -> Arc<Mapping> {
        static IDS: AtomicU64 = AtomicU64::new(1);
        let mapping = Arc::new(Mapping {
            id: IDS.fetch_add(1, Ordering::Relaxed),
            start: wanted.start,
            len: wanted.len,
            base: wanted.base,
            memory: wanted.memory,
            origin: wanted.origin,
            owner: wanted.owner,
            access: [const { AtomicU8::new(0) }; MOST_CARDS],
            is_mapped: AtomicBool::new(true),
        });
        (0..MOST_CARDS).for_each(|ordinal| mapping.allow(ordinal, wanted.access));
        match mapping.origin {
            Origin::HostAlloc => self.pinned.insert(mapping.start, Arc::clone(&mapping)),
            Origin::HostRegistered { host } => self.pinned.insert(host, Arc::clone(&mapping)),
            _ => None,
        };
        self.mappings.insert(mapping.start, Arc::clone(&mapping));
        mapping
    }

    /// Takes the mapping that begins there away. Work that still needs it will find that out.
    pub fn unmap(&mut self, start: u64) -> Option<Arc<Mapping>> {
        let mapping = self.hide(start)?;
        mapping.end();
        Some(mapping)
    }

    /// Lets no new work have the mapping that begins there; what was put in before still may.
    pub fn hide(&mut self, start: u64) -> Option<Arc<Mapping>> {
        let mapping = self.mappings.remove(&start)?;
        match mapping.origin {
            Origin::HostAlloc => self.pinned.remove(&mapping.start),
            Origin::HostRegistered { host } => self.pinned.remove(&host),
            _ => None,
        };
        Some(mapping)
    }

    /// The mapping that holds a device address.
    pub fn at(&self, address: u64) -> Option<&Arc<Mapping>> {
        let (_, mapping) = self.mappings.range(..=address).next_back()?;
        (address < mapping.address_behind()).then_some(mapping)
    }

    /// The mapping that begins at a device address.
    pub fn starting_at(&self, address: u64) -> Option<&Arc<Mapping>> {
        self.mappings.get(&address)
    }

    /// The mappings that touch a range of device addresses.
    pub fn touching(&self, start: u64, len: usize) -> Vec<Arc<Mapping>> {
        let end = start.saturating_add(len as u64);
        let first = self.at(start).map_or(start, |mapping| mapping.start);
        self.mappings.range(first..end).map(|(_, mapping)| Arc::clone(mapping)).collect()
    }

    /// The pinned memory that holds a host address.
    pub fn pinned_at(&self, host: u64) -> Option<&Arc<Mapping>> {
        let (start, mapping) = self.pinned.range(..=host).next_back()?;
        (host < start + mapping.len as u64).then_some(mapping)
    }

    /// The pinned memory that begins at a host address.
    pub fn pinned_starting_at(&self, host: u64) -> Option<&Arc<Mapping>> {
        self.pinned.get(&host)
    }

    /// Whether any pinned memory touches a range of host addresses.
    pub fn is_pinned_anywhere(&self, host: u64, len: usize) -> bool {
        let end = host.saturating_add(len as u64);
        self.pinned_at(host).is_some() || self.pinned.range(host..end).next().is_some()
    }
}

/// Whether the memory of a mapping is that of the context's own card, or of one that it was let into. Memory that was
/// mapped by itself is let to each card by `cuMemSetAccess`, and needs no more (`cuda.h`).
pub fn is_reachable(mapping: &Mapping, context: &Context) -> bool {
    if matches!(mapping.origin, Origin::Virtual { .. }) {
        return mapping.access_of(context.ordinal) != 0;
    }
    mapping.card().is_none_or(|card| context.reaches(card))
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the bytes of an address are: checked when a call is made, and once more when its work is done.

use crate::{
    code::{Answer, Code},
    contexts::Context,
    queue::Queue,
    settings::refuse,
    space::{self, Mapping},
};
use std::sync::Arc;

/// What a call says an address is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Named {
    Device,
    Host,
    /// The driver finds out (unified addressing).
    Any,
}

/// Bytes that a call names.
#[derive(Clone, Debug)]
pub enum Place {
    /// In memory that the driver knows.
    Mapped { mapping: Arc<Mapping>, offset: usize },
    /// In the host's ordinary memory, which the caller answers for.
    Pageable(u64),
}

impl Place {
    /// Where the stand-in finds the bytes. Ends the process when they were unmapped while the work waited its
    /// turn: the driver doesn't wait before it unmaps, and a card would read or write whatever lies there by then.
    pub fn address(&self, call: &str, stream: &Queue) -> usize {
        match self {
            Place::Mapped { mapping, offset } => {
                if !mapping.is_mapped() {
                    let way = if mapping.origin.is_host() { "unregister" } else { "unmap" };
                    refuse(&format!(
                        "use after {way}: {call} in {stream:?} needs {:#x}, which was taken away while the work was \
                         pending",
                        mapping.start + *offset as u64
                    ));
                }
                mapping.base + offset
            }
            // Truncation is impossible: only 64-bit Linux has this driver.
            Place::Pageable(host) => usize::try_from(*host).unwrap_or_default(),
        }
    }

    /// Whether a copy from or to here can't be left to the card.
    pub fn is_pageable(&self) -> bool {
        matches!(self, Place::Pageable(_))
    }

    /// Whether a card may write here.
    pub fn is_writable_by(&self, ordinal: usize) -> bool {
        match self {
            Place::Mapped { mapping, .. } => mapping.access_of(ordinal) & space::WRITE != 0,
            Place::Pageable(_) => true,
        }
    }

    /// The same place, further on.
    pub fn ahead(&self, bytes: usize) -> Place {
        match self {
            Place::Mapped { mapping, offset } => {
                Place::Mapped { mapping: Arc::clone(mapping), offset: offset + bytes }
            }
            Place::Pageable(host) => Place::Pageable(host + bytes as u64),
        }
    }
}

/// What a call needs to do with the bytes: `space::READ` or `space::WRITE`, by a device of this context.
#[derive(Clone, Copy)]
pub struct Use<'a> {
    pub access: u8,
    pub context: &'a Context,
}

/// The pieces in which `len` bytes at `address` lie; one, unless mappings meet there. Refused where a byte is
/// missing or may not be used so.
pub fn pieces(address: u64, len: usize, named: Named, used: Use<'_>) -> Answer<Vec<(Place, usize)>> {
    let space = space::space();
    let (mut found, mut at, mut left) = (Vec::new(), address, len);
    while left > 0 {
        let by_device =
            if named == Named::Host { None } else { space.at(at).map(|mapping| (mapping, mapping.start)) };
        let known = by_device.or_else(|| {
            let mapping = if named == Named::Device { None } else { space.pinned_at(at) }?;
            let host = match mapping.origin {
                space::Origin::HostRegistered { host } => host,
                _ => mapping.start,
            };
            Some((mapping, host))
        });
        let Some((mapping, start)) = known else {
            if named == Named::Device || space.is_device_address(at) || !found.is_empty() {
                return Err(Code::INVALID_VALUE);
            }
            return Ok(vec![(Place::Pageable(address), len)]);
        };
        if mapping.access_of(used.context.ordinal) & used.access != used.access {
            return Err(Code::INVALID_VALUE);
        }
        let offset = usize::try_from(at - start).map_err(|_| Code::INVALID_VALUE)?;
        let here = left.min(mapping.len - offset);
        found.push((Place::Mapped { mapping: Arc::clone(mapping), offset }, here));
        left -= here;
        at = at.checked_add(here as u64).ok_or(Code::INVALID_VALUE)?;
    }
    Ok(found)
}

/// The one piece in which `len` bytes lie.
pub fn whole(address: u64, len: usize, named: Named, used: Use<'_>) -> Answer<Place> {
    let mut pieces = pieces(address, len, named, used)?.into_iter();
    match (pieces.next(), pieces.next()) {
        (Some((place, _)), None) => Ok(place),
        (None, _) => Err(Code::INVALID_VALUE),
        // Mappings that meet: a card doesn't mind, the stand-in can't.
        (Some(_), Some(_)) => Err(Code::NOT_SUPPORTED),
    }
}

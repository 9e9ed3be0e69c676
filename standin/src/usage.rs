// SPDX-License-Identifier: MIT OR Apache-2.0
//! How much of a card's memory is in use.
//!
//! A process counts its own. Processes that name the same card (`UNCOPY_STANDIN_CARD`) see each other's: what any
//! of them still has open is in use, and what a killed one had is free once nobody else has it, because it is the
//! kernel that keeps the books.

use crate::{
    code::{Answer, Code},
    devices::MOST_CARDS,
    physical::GRANULE,
    settings::settings,
};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

static OWN: [AtomicUsize; MOST_CARDS] = [const { AtomicUsize::new(0) }; MOST_CARDS];

/// Counts memory that this process makes on a card; refused when the card has no more.
pub fn take(card: usize, len_bytes: usize) -> Answer {
    if used_bytes(card).saturating_add(len_bytes) > settings().memory_bytes {
        return Err(Code::OUT_OF_MEMORY);
    }
    if let Some(own) = OWN.get(card) {
        own.fetch_add(len_bytes, Ordering::Relaxed);
    }
    Ok(())
}

/// Counts it out again.
pub fn give_back(card: usize, len_bytes: usize) {
    if let Some(own) = OWN.get(card) {
        own.fetch_sub(len_bytes, Ordering::Relaxed);
    }
}

/// How much of a card is in use.
pub fn used_bytes(card: usize) -> usize {
    match &settings().card {
        None => OWN.get(card).map_or(0, |own| own.load(Ordering::Relaxed)),
        Some(_) => {
            let name = file_name(card);
            // Each memory once, in however many processes it is open.
            let mut memories = BTreeMap::new();
            for process in entries(Path::new("/proc")) {
                let is_process = process
                    .file_name()
                    .is_some_and(|name| name.to_string_lossy().starts_with(|c: char| c.is_ascii_digit()));
                if !is_process {
                    continue;
                }
                for descriptor in entries(&process.join("fd")) {
                    memories.extend(memory_behind(&descriptor, &name));
                }
            }
            memories.values().sum()
        }
    }
}

/// What the memory of a card is called; it can be read beside its descriptors.
pub fn file_name(card: usize) -> String {
    format!("uncopy-standin-{}-card{card}", settings().card.as_deref().unwrap_or_default())
}

/// Processes come and go, and those of others are closed to us: what can't be read is left out.
fn entries(dir: &Path) -> impl Iterator<Item = std::path::PathBuf> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn memory_behind(descriptor: &Path, name: &str) -> Option<(u64, usize)> {
    let target = fs::read_link(descriptor).ok()?;
    let rest = target.to_str()?.strip_prefix("/memfd:")?.strip_prefix(name)?;
    if !rest.starts_with(' ') {
        return None;
    }
    let file = fs::metadata(descriptor).ok()?;
    // The page behind the memory, which describes it, is not the card's.
    let bytes = usize::try_from(file.blocks()).ok()? * 512;
    Some((file.ino(), bytes / GRANULE * GRANULE))
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! Each acquire, release and fence of the slot machine taken away in turn: some model must fail without it (F27).
//!
//! A *site* is a place in `ring.rs` at which a word is touched in an order stronger than relaxed, or a fence stands.
//! The models learn of it by their callers' locations, so that a new one is found without being written down. Without
//! an acquire or a release the access itself stays.
//!
//! GPU waits get sites of the same kind, whose removal two processes and a driver must notice.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::Location;
use std::sync::Mutex;
use std::sync::atomic::Ordering::{self, Relaxed};
use std::time::Instant;

/// Line and column in `ring.rs`.
type Site = (u32, u32);

thread_local! {
    /// The site that is missing in the models of this thread.
    static MISSING: Cell<Option<Site>> = const { Cell::new(None) };
    /// The sites that the models of this thread have passed.
    static PASSED: Cell<Option<&'static Mutex<BTreeMap<Site, String>>>> = const { Cell::new(None) };
}

/// The order of an access at the caller's site.
#[track_caller]
pub(super) fn order(order: Ordering) -> Ordering {
    if order == Relaxed || is_there(&format!("{order:?}")) { order } else { Relaxed }
}

/// Whether the caller's site is there.
#[track_caller]
pub(super) fn is_there(what: &str) -> bool {
    let caller = Location::caller();
    let site = (caller.line(), caller.column());
    if !caller.file().ends_with("ring.rs") {
        return true;
    }
    if let Some(passed) = PASSED.get() {
        passed.lock().unwrap().entry(site).or_insert_with(|| what.to_owned());
    }
    MISSING.get() != Some(site)
}

/// Runs a model on a thread of its own; whether it fails.
fn fails(model: fn(), missing: Option<Site>, passed: Option<&'static Mutex<BTreeMap<Site, String>>>) -> bool {
    let run = move || {
        MISSING.set(missing);
        PASSED.set(passed);
        model();
    };
    std::thread::Builder::new().name("without a site".to_owned()).spawn(run).unwrap().join().is_err()
}

/// Sites whose order no model needs, and why they have it all the same.
const NOT_NEEDED: &[(&str, &str)] = &[
    (
        "cells.trail((seq % TRAIL_LEN) as usize).store(latest, Release);",
        "the protocol asks for it; here *latest* orders it",
    ),
    (
        "let entry = unpack_latest(cells.trail((seq % TRAIL_LEN) as usize).load(Acquire));",
        "the same; a later entry is told by its number",
    ),
    (
        "places.map(|place| cells.cursor(place).load(Acquire).saturating_add(1)).min().unwrap_or(u64::MAX)",
        "the protocol asks for it; here the exchange of the slot's word orders what was read",
    ),
    (
        "cells.sleepers().load(Acquire) & !(1 << place) != 0",
        "the kernel's queue orders it, also where it takes no lock",
    ),
];

#[test]
fn f27_without_any_one_acquire_release_or_fence_some_model_fails() {
    // A thread that is expected to fail says nothing.
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().name() != Some("without a site") {
            before(info);
        }
    }));
    let mut sites: BTreeMap<Site, (String, Vec<(&str, fn())>)> = BTreeMap::new();
    for (name, model) in super::MODELS {
        let begun = Instant::now();
        let passed: &'static Mutex<BTreeMap<Site, String>> = Box::leak(Box::default());
        assert!(!fails(*model, None, Some(passed)), "{name} fails with every site");
        println!("{name}: {:.2?}", begun.elapsed());
        for (site, what) in std::mem::take(&mut *passed.lock().unwrap()) {
            sites.entry(site).or_insert_with(|| (what, Vec::new())).1.push((name, *model));
        }
    }
    let mut unneeded = Vec::new();
    let source = include_str!("ring.rs");
    for (site, (what, models)) in &sites {
        let line = source.lines().nth(site.0 as usize - 1).unwrap().trim();
        let begun = Instant::now();
        match models.iter().find(|(_, model)| fails(*model, Some(*site), None)) {
            Some((name, _)) => println!("{what} at {site:?} `{line}`: {name} ({:.2?})", begun.elapsed()),
            None => unneeded.push(line),
        }
    }
    assert!(sites.len() > 15, "{sites:?}");
    let known: Vec<&str> = NOT_NEEDED.iter().map(|(line, _)| *line).collect();
    unneeded.sort_by_key(|line| known.iter().position(|known| known == line));
    assert_eq!(unneeded, known, "no model needs the former; the latter are known not to be needed");
}

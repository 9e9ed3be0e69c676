// SPDX-License-Identifier: MIT OR Apache-2.0
//! Each acquire, release and fence of the slot machine taken away in turn: some model must fail without it (F27).
//!
//! A *site* is a place in the source at which a word is touched in an order stronger than relaxed, at which a fence
//! stands, or at which something else can be left out. The models learn of it by their callers' locations, so that a
//! new one is found without being written down. Without an acquire or a release the access itself stays.
//!
//! GPU waits get sites of the same kind, whose removal two processes and a driver must notice.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::Location;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed, Release};
use std::time::Instant;

/// File, line, column, and what there is.
type Site = (&'static str, u32, u32, &'static str);

/// The sites that some models have passed.
type Passed = Mutex<BTreeMap<Site, ()>>;

thread_local! {
    /// The site that is missing in the models of this thread.
    static MISSING: Cell<Option<Site>> = const { Cell::new(None) };
    /// The sites that the models of this thread have passed.
    static PASSED: Cell<Option<&'static Passed>> = const { Cell::new(None) };
}

/// The order of an access at the caller's site.
#[track_caller]
pub(in crate::native) fn order(order: Ordering) -> Ordering {
    let what = match order {
        Relaxed => return Relaxed,
        Acquire => "Acquire",
        Release => "Release",
        AcqRel => "AcqRel",
        _ => "SeqCst",
    };
    if is_there(what) { order } else { Relaxed }
}

/// Whether what stands at the caller's site is there.
#[track_caller]
pub(in crate::native) fn is_there(what: &'static str) -> bool {
    let caller = Location::caller();
    let site = (caller.file(), caller.line(), caller.column(), what);
    if let Some(passed) = PASSED.get() {
        passed.lock().unwrap().insert(site, ());
    }
    MISSING.get() != Some(site)
}

/// Runs a model on a thread of its own; gives what it says when it fails.
fn failure(model: fn(), missing: Option<Site>, passed: Option<&'static Passed>) -> Option<String> {
    let run = move || {
        MISSING.set(missing);
        PASSED.set(passed);
        model();
    };
    let ran = std::thread::Builder::new().name("without a site".to_owned()).spawn(run).unwrap().join();
    let said = ran.err()?;
    let text = said.downcast_ref::<String>().map(String::as_str).or_else(|| said.downcast_ref().copied());
    Some(text.unwrap_or_default().trim().lines().next().unwrap_or_default().to_owned())
}

/// Takes the sites of some files away, one by one: for each some model must fail, but for those in `not_needed`, by
/// their lines of source and with the reason.
pub(in crate::native) fn each_site_is_needed(
    sources: &[(&str, &str)],
    models: &[(&str, fn())],
    not_needed: &[(&str, &str)],
) -> usize {
    // A thread that is expected to fail says nothing.
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().name() != Some("without a site") {
            before(info);
        }
    }));
    let line_of = |(file, line, _, _): Site| {
        let name = Path::new(file).file_name()?.to_str()?;
        let (_, source) = sources.iter().find(|(known, _)| *known == name)?;
        source.lines().nth(line as usize - 1).map(str::trim)
    };
    let mut sites: BTreeMap<Site, Vec<(&str, fn())>> = BTreeMap::new();
    for (name, model) in models {
        let begun = Instant::now();
        let passed: &'static Passed = Box::leak(Box::default());
        let failed = failure(*model, None, Some(passed));
        assert_eq!(failed, None, "{name} fails with every site");
        println!("{name}: {:.2?}", begun.elapsed());
        for (site, ()) in std::mem::take(&mut *passed.lock().unwrap()) {
            if line_of(site).is_some() {
                sites.entry(site).or_default().push((name, *model));
            }
        }
    }
    let mut unneeded = Vec::new();
    for (site, models) in &sites {
        let (line, what) = (line_of(*site).unwrap(), site.3);
        let begun = Instant::now();
        let found = models.iter().find_map(|(name, model)| Some((name, failure(*model, Some(*site), None)?)));
        match found {
            Some((name, said)) => println!("{what} at `{line}`: {name}, {said} ({:.2?})", begun.elapsed()),
            None => {
                println!("{what} at `{line}`: NOT NEEDED ({:.2?})", begun.elapsed());
                unneeded.push(line);
            }
        }
    }
    let known: Vec<&str> = not_needed.iter().map(|(line, _)| *line).collect();
    unneeded.sort_by_key(|line| known.iter().position(|known| known == line));
    assert_eq!(unneeded, known, "no model needs the former; the latter are known not to be needed");
    sites.len()
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
    let sites = each_site_is_needed(&[("ring.rs", include_str!("ring.rs"))], super::MODELS, NOT_NEEDED);
    assert!(sites > 15, "only {sites} sites");
}

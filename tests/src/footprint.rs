// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a process has of ours: descriptors, service threads, mappings of link memory.

use std::collections::BTreeSet;
use std::fs;

/// A count of what links take from a process; two of them are compared.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Footprint {
    /// Open descriptors, each with what it leads to.
    pub descriptors: BTreeSet<String>,
    /// Threads that uncopy started.
    pub threads: Vec<String>,
    /// Mappings of link memory.
    pub mappings: Vec<String>,
}

impl Footprint {
    /// Of this process, now.
    #[must_use]
    pub fn now() -> Self {
        // Threads first: one that has ended takes its descriptors along.
        let threads = threads();
        Self { threads, descriptors: descriptors(), mappings: mappings() }
    }

    /// What is there now and was not before, in words; empty when nothing leaked.
    #[must_use]
    pub fn grown_since(&self, before: &Self) -> Vec<String> {
        let mut grown: Vec<String> =
            self.descriptors.difference(&before.descriptors).map(|d| format!("descriptor {d}")).collect();
        if self.threads.len() > before.threads.len() {
            grown.push(format!("threads {:?}, before {:?}", self.threads, before.threads));
        }
        if self.mappings.len() > before.mappings.len() {
            grown.push(format!("mappings {:?}, before {:?}", self.mappings, before.mappings));
        }
        grown
    }
}

fn descriptors() -> BTreeSet<String> {
    let entries = fs::read_dir("/proc/self/fd").expect("/proc is mounted");
    entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            // The descriptor of this very listing is gone by the time its link is read.
            let target = fs::read_link(&path).ok()?;
            let number = path.file_name()?.to_string_lossy().into_owned();
            let is_listing = target.to_string_lossy().ends_with("/fd");
            (!is_listing).then(|| format!("{number} -> {}", target.display()))
        })
        .collect()
}

fn threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").expect("/proc is mounted");
    // A thread that ends between the listing and the look has no name any more, and is not there.
    tasks
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .filter(|name| name.starts_with("uncopy-"))
        .map(|name| name.trim().to_owned())
        .collect()
}

fn mappings() -> Vec<String> {
    let maps = fs::read_to_string("/proc/self/maps").expect("/proc is mounted");
    maps.lines().filter(|line| line.contains("memfd:uncopy")).map(str::to_owned).collect()
}

/// Bytes of the process that are in memory and not shared: what grows when something leaks slowly.
#[must_use]
pub fn private_bytes(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("a live process of ours");
    let kilobytes = |key: &str| -> u64 {
        let line = text.lines().find(|line| line.starts_with(key)).expect("smaps_rollup has the line");
        line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number of kB")
    };
    1024 * (kilobytes("Private_Clean:") + kilobytes("Private_Dirty:"))
}

/// The pieces of frame memory that a process maps or has open, by the kernel's number of each.
#[must_use]
pub fn frame_memory_of(pid: i32) -> BTreeSet<u64> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let mapped = maps.lines().filter(|line| line.contains("memfd:uncopy:uncopy-slots"));
    let mut found: BTreeSet<u64> =
        mapped.filter_map(|line| line.split_whitespace().nth(4)?.parse().ok()).collect();
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return found };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let target = fs::read_link(&path).unwrap_or_default();
        if target.to_string_lossy().contains("memfd:uncopy:uncopy-slots") {
            found.extend(fs::metadata(&path).map(|file| std::os::unix::fs::MetadataExt::ino(&file)));
        }
    }
    found
}

/// Bytes of the process that are in memory and belong to no file and to no shared memory: what its heap takes.
///
/// # Panics
/// When there is no such process of ours.
#[must_use]
pub fn anonymous_bytes(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("a live process of ours");
    let line = text.lines().find(|line| line.starts_with("RssAnon:")).expect("status has the line");
    1024 * line
        .split_whitespace()
        .nth(1)
        .and_then(|number| number.parse::<u64>().ok())
        .expect("a number of kB")
}

/// How many descriptors the process has open.
///
/// # Panics
/// When there is no such process of ours.
#[must_use]
pub fn descriptor_count(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("a live process of ours").count()
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! A reader's words that somebody else writes while it reads: it remembers by itself what it owes, and neither keeps
//! frame memory for ever nor loses its place.

use std::os::unix::fs::FileExt;
use std::path::Path;

use uncopy_tests::{Peer, Stage, wire};

use crate::{FORM, nothing_is_left, open_with, standin_stage};

/// Where one slot's words of all readers lie in its row: their last tickets, and those that are done.
const WANTED: u64 = 64;
const DONE: u64 = 128;
const ROW_BYTES: u64 = 256;
const PLACES: usize = 16;
/// The producer's default.
const SLOTS: usize = 4;

/// Writes the words of all readers, for all slots, through the memory that this process shares with them.
fn overwrite(process: &Peer, words: u64, value: u32) {
    let directory = format!("/proc/{}/fd", process.pid());
    let is_control = |path: &std::path::PathBuf| {
        std::fs::read_link(path).is_ok_and(|name| name.to_string_lossy().contains("uncopy-control"))
    };
    let mut entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let path = entries.find(is_control).expect("a producer has control memory");
    let control = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    let row = value.to_le_bytes().repeat(PLACES);
    for slot in 0..SLOTS as u64 {
        let offset = wire::device_offset(SLOTS) as u64 + slot * ROW_BYTES + words;
        control.write_all_at(&row, offset).unwrap();
    }
}

/// A producer, and a reader that has put a reading of a frame into a stream, which lasts so long.
fn with_a_reading(stage: &Stage, log: &Path, lasts_ms: u32) -> (Peer, Peer) {
    let mut producer = stage.open(&["produce", "cam"]);
    let mut reader = open_with(stage, &["consume", "cam"], &[("LOG", log.to_str().unwrap())]);
    producer.tell(&format!("run {FORM} 1"));
    producer.expect("ran");
    reader.tell(&format!("use 1 {lasts_ms}"));
    reader.expect("used");
    (producer, reader)
}

/// A reader has read in a stream to the end; then these words are overwritten, and it leaves. `then` says what becomes of
/// the producer; the reader's memory must go.
fn leaves_after_overwriting(words: u64, then: impl FnOnce(Peer) -> Option<Peer>) {
    let Some(stage) = standin_stage() else { return };
    let log = stage.path("log");
    let (producer, mut reader) = with_a_reading(&stage, &log, 0);
    reader.tell("sync");
    reader.expect("synced");
    // Before the ticket that was taken, and after it: far away.
    overwrite(&producer, words, u32::MAX / 2 + 2);
    reader.tell("close");
    reader.expect("closed");
    let producer = then(producer);
    // A counter of the test's stays.
    nothing_is_left(&log, 1);
    reader.kill();
    if let Some(mut producer) = producer {
        producer.kill();
    }
}

#[test]
fn f15_a_reader_whose_last_ticket_is_overwritten_lets_its_memory_go_when_it_leaves() {
    leaves_after_overwriting(WANTED, Some);
}

#[test]
fn f15_a_reader_whose_done_ticket_is_overwritten_lets_its_memory_go_when_the_producer_is_dead() {
    leaves_after_overwriting(DONE, |mut producer| {
        producer.kill();
        None
    });
}

#[test]
fn f15_a_reader_keeps_its_memory_until_its_stream_is_done_whoever_is_dead() {
    let Some(stage) = standin_stage() else { return };
    let log = stage.path("log");
    // Longer than words are believed.
    let (mut producer, mut reader) = with_a_reading(&stage, &log, 1500);
    reader.tell("close");
    reader.expect("closed");
    producer.kill();
    // A kernel that reads what is unmapped loses the device.
    reader.tell("sync");
    reader.expect("synced");
    nothing_is_left(&log, 1);
    reader.quit();
}

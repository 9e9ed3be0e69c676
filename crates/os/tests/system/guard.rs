// SPDX-License-Identifier: MIT OR Apache-2.0
//! The last message of a process that writes into a received frame.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use uncopy_os::guard::{MAX_WATCH_NOTE_BYTES, MAX_WATCHED};
use uncopy_os::{Mapping, SlotMemory, WatchGuard, watch_read_only};
use uncopy_tensor::{Access, Region};

use crate::support::{self, Child, Role};

pub const ROLES: &[Role] = &[
    ("guard::writes_into_a_frame", || write_into_frame(&Frame::watched(NOTE))),
    ("guard::writes_into_the_last_byte", || {
        support::write_byte(Frame::watched(NOTE).region.address() + 4095)
    }),
    ("guard::writes_into_an_unwatched_frame", || write_into_frame(&Frame::new())),
    ("guard::writes_after_the_watch", writes_after_the_watch),
    ("guard::writes_to_nowhere", writes_to_nowhere),
    ("guard::has_a_plain_handler", has_a_plain_handler),
    ("guard::ignores_the_signal", ignores_the_signal),
    ("guard::is_sent_the_signal", is_sent_the_signal),
    ("guard::has_a_long_note", || write_into_frame(&Frame::watched(&"n".repeat(2 * MAX_WATCH_NOTE_BYTES)))),
    ("guard::is_one_of_many", is_one_of_many),
    ("guard::watches_more_than_fit", watches_more_than_fit),
    ("guard::writes_from_a_quiet_thread", writes_from_a_quiet_thread),
    ("guard::writes_into_a_protected_slot", writes_into_a_protected_slot),
    ("guard::overflows_its_stack", overflows_its_stack),
];

const NOTE: &str = "frame of link camera; received frames are read-only, use copy=True";

/// A received frame, mapped for reading only.
struct Frame {
    region: Region,
    _watch: Option<WatchGuard>,
}

impl Frame {
    fn new() -> Frame {
        let frames = SlotMemory::create("guarded", 1, 4096).unwrap();
        let mapping = Arc::new(Mapping::open(&frames.share().unwrap(), 4096, Access::ReadOnly).unwrap());
        Frame { region: mapping.region(0, 4096, ()).unwrap(), _watch: None }
    }

    fn watched(note: &str) -> Frame {
        let frame = Frame::new();
        let watch = watch_read_only(frame.range(), note.into());
        assert!(watch.is_active());
        Frame { _watch: Some(watch), ..frame }
    }

    fn range(&self) -> (usize, usize) {
        (self.region.address(), self.region.address() + self.region.len_bytes())
    }
}

fn write_into_frame(frame: &Frame) {
    support::tell(format!("{:016x}", frame.region.address() + 100));
    support::write_byte(frame.region.address() + 100);
}

/// Plays the role; answers what it told first, its end, and its standard error.
fn last_words(role: &str) -> (Option<String>, ExitStatus, String) {
    let mut child = Child::start_with(role, "", |command| {
        command.stderr(Stdio::piped());
    });
    let told = child.try_hear();
    let mut text = String::new();
    child.process.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    (told, child.wait(), text)
}

fn dies_of_the_fault(status: ExitStatus) -> bool {
    status.signal() == Some(libc::SIGSEGV)
}

#[test]
fn a_stray_write_ends_the_process_with_the_note_and_the_address() {
    let (address, status, text) = last_words("guard::writes_into_a_frame");
    assert!(dies_of_the_fault(status), "{status}: {text}");
    let expected = format!("uncopy: write to read-only memory at 0x{}: {NOTE}\n", address.unwrap());
    assert_eq!(text, expected);
}

#[test]
fn the_last_byte_belongs_to_the_frame() {
    let (_, status, text) = last_words("guard::writes_into_the_last_byte");
    assert!(dies_of_the_fault(status) && text.contains(NOTE), "{status}: {text}");
}

#[test]
fn a_write_elsewhere_dies_without_our_note() {
    for role in
        ["guard::writes_into_an_unwatched_frame", "guard::writes_after_the_watch", "guard::writes_to_nowhere"]
    {
        let (_, status, text) = last_words(role);
        assert!(dies_of_the_fault(status), "{role}: {status}: {text}");
        assert!(!text.contains("uncopy: write"), "{role}: {text}");
    }
}

fn writes_after_the_watch() {
    let frame = Frame::new();
    drop(watch_read_only(frame.range(), NOTE.into()));
    write_into_frame(&frame);
}

fn writes_to_nowhere() {
    let _frame = Frame::watched(NOTE);
    support::write_byte(8);
}

fn has_a_plain_handler() {
    extern "C" fn previous(signal: i32) {
        eprintln!("the previous handler got {signal}");
        support::leave(42);
    }
    support::handle(libc::SIGSEGV, previous);
    write_into_frame(&Frame::watched(NOTE));
}

#[test]
fn the_handler_that_was_there_before_runs_after_our_note() {
    let (_, status, text) = last_words("guard::has_a_plain_handler");
    assert_eq!(status.code(), Some(42), "{status}: {text}");
    let (ours, theirs) = (text.find(NOTE), text.find("the previous handler got 11"));
    assert!(ours.is_some() && ours < theirs, "{text}");
}

fn ignores_the_signal() {
    support::ignore(libc::SIGSEGV);
    write_into_frame(&Frame::watched(NOTE));
}

#[test]
fn a_fault_cannot_be_ignored() {
    let (_, status, text) = last_words("guard::ignores_the_signal");
    assert!(dies_of_the_fault(status) && text.contains(NOTE), "{status}: {text}");
}

fn is_sent_the_signal() {
    // The runtime's own handler would let the first one pass.
    support::restore_default(libc::SIGSEGV);
    let _frame = Frame::watched(NOTE);
    support::signal_thread(support::current_thread(), libc::SIGSEGV);
    support::tell("not reached");
}

#[test]
fn the_signal_sent_by_somebody_ends_the_process_as_it_would_without_us() {
    let (told, status, text) = last_words("guard::is_sent_the_signal");
    assert!(dies_of_the_fault(status), "{status}: {text}");
    assert!(told.is_none() && !text.contains("uncopy:"), "{text}");
}

#[test]
fn a_note_is_cut_to_its_limit() {
    let (_, status, text) = last_words("guard::has_a_long_note");
    assert!(dies_of_the_fault(status));
    let note = text.rsplit(' ').next().unwrap();
    assert_eq!(note.trim_end(), "n".repeat(MAX_WATCH_NOTE_BYTES));
}

fn is_one_of_many() {
    let frames: Vec<_> = (0..10).map(|number| Frame::watched(&format!("frame number {number}"))).collect();
    write_into_frame(&frames[7]);
}

#[test]
fn the_note_is_that_of_the_frame_that_was_hit() {
    let (_, status, text) = last_words("guard::is_one_of_many");
    assert!(dies_of_the_fault(status) && text.contains("frame number 7\n"), "{status}: {text}");
}

fn watches_more_than_fit() {
    let range = |number: usize| (number << 12, (number + 1) << 12);
    let mut watches: Vec<_> =
        (1..=MAX_WATCHED).map(|number| watch_read_only(range(number), "x".into())).collect();
    assert!(watches.iter().all(WatchGuard::is_active));
    let one_too_many = watch_read_only(range(0), "x".into());
    assert!(!one_too_many.is_active());
    drop(one_too_many);
    watches.pop();
    assert!(watch_read_only(range(0), "x".into()).is_active());
}

#[test]
fn a_watch_that_does_not_fit_says_so() {
    Child::start("guard::watches_more_than_fit", "").finish();
}

fn writes_from_a_quiet_thread() {
    let frame = Frame::watched(NOTE);
    let _ = uncopy_os::spawn_quiet("quiet", move || write_into_frame(&frame)).unwrap().join();
}

#[test]
fn a_thread_that_blocks_signals_still_says_what_it_died_of() {
    let (_, status, text) = last_words("guard::writes_from_a_quiet_thread");
    assert!(dies_of_the_fault(status) && text.contains(NOTE), "{status}: {text}");
}

fn writes_into_a_protected_slot() {
    let frames = SlotMemory::create("protected", 2, 4096).unwrap();
    let slot = frames.claim(1).unwrap();
    let view = slot.region(4096, ()).unwrap();
    drop(slot); // published, say, while the view is forgotten
    frames.protect(1, Access::ReadOnly).unwrap();
    let note = "slot 1 was published already".to_owned();
    let _watch = watch_read_only((view.address(), view.address() + 4096), note);
    support::write_byte(view.address());
}

#[test]
fn a_forgotten_view_of_a_protected_slot_is_caught_in_the_act() {
    let (_, status, text) = last_words("guard::writes_into_a_protected_slot");
    assert!(dies_of_the_fault(status) && text.contains("slot 1 was published already"), "{status}: {text}");
}

#[expect(unconditional_recursion, reason = "that is how a stack overflows")]
fn dig(depth: u64) -> u64 {
    std::hint::black_box(dig(std::hint::black_box(depth + 1))) + 1
}

fn overflows_its_stack() {
    let _frame = Frame::watched(NOTE);
    dig(0);
}

#[test]
fn a_stack_overflow_is_still_reported_by_the_runtime() {
    let (_, status, text) = last_words("guard::overflows_its_stack");
    assert_eq!(status.signal(), Some(libc::SIGABRT), "{status}: {text}");
    assert!(text.contains("has overflowed its stack") && !text.contains(NOTE), "{text}");
}

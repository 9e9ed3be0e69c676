// SPDX-License-Identifier: MIT OR Apache-2.0
//! What Python does to processes: fork with links open, and signals while waiting.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

use rustix::process::{Pid, Signal, kill_process};
use uncopy_tests::Stage;
use uncopy_tests::stage::eventually;
use uncopy_tests::wire::{self, Guest};

const PEER: &str = env!("CARGO_BIN_EXE_peer");

#[test]
fn f45_a_forked_child_is_told_so_and_closes_nothing_of_its_parents() {
    let stage = Stage::new(PEER);
    let mut parent = stage.open(&["fork", "cam"]);
    let mut reader = stage.open(&["consume", "cam"]);
    for round in 0..5 {
        let uses = parent.ask("child-uses", "uses");
        for call in ["loan", "wait", "recv", "newest", "tensor"] {
            assert_eq!(uses.text(call), "forked_process", "{uses}");
        }
        assert_eq!(parent.expect("forked").number("code"), 0);
        // The parent and its reader go on, and what the parent holds is still held.
        let frame = parent.ask("frame", "frame");
        assert_eq!((frame.number("seq"), frame.value("whole")), (round + 2, &true.into()));
        assert_eq!(reader.ask("take", "took").number("seq"), round + 2);
        reader.ask("drop", "dropped");
        assert_eq!(stage.info("cam").consumers.len(), 2);
        // The child shares the words of the link, and has not written there that it is closed.
        let guest = Guest::join(&stage.runtime_dir(), "cam", wire::OBSERVER);
        assert_eq!(guest.bytes(512, 4), 1u32.to_le_bytes(), "live");
    }
    reader.quit();
    parent.quit();
}

#[test]
fn f45_a_forked_child_that_reads_its_parents_frame_ends_with_our_words_and_alone() {
    let stage = Stage::new(PEER);
    let mut parent = stage.open(&["fork", "cam"]);
    assert_eq!(parent.ask("child-reads", "forked").number("signal"), 11);
    let said = parent.said();
    for part in ["memory of the parent process", "open the link again in the child", "'cam'"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(parent.ask("frame", "frame").value("whole"), true);
    parent.quit();
}

#[test]
fn f45_a_forked_child_may_open_links_of_its_own_and_its_parents_as_anybody() {
    let stage = Stage::new(PEER);
    let mut parent = stage.open(&["fork", "cam"]);
    assert_eq!(parent.ask("child-opens", "opens").value("whole"), true);
    assert_eq!(parent.expect("forked").number("code"), 0);
    assert_eq!(parent.ask("frame", "frame").value("whole"), true);
    // The child ended without closing: what it made is swept, and its place is free.
    eventually("the child's place is free", || match stage.info("cam").consumers.len() {
        1 => Ok(()),
        other => Err(format!("{other} consumers")),
    });
    assert_eq!(stage.list().len(), 1);
    parent.quit();
}

#[test]
fn f45_a_child_that_lives_on_keeps_neither_the_name_nor_the_readers_of_a_dead_parent() {
    let stage = Stage::new(PEER);
    let mut parent = stage.open(&["fork", "cam"]);
    let mut reader = stage.open(&["consume", "cam"]);
    reader.tell("run");
    reader.expect("first");
    let child = parent.ask("child-stays", "child").number("pid");
    parent.kill();
    let gone = reader.expect("gone");
    assert_eq!(gone.text("kind"), "producer_lost", "{gone}");
    let mut next = stage.open(&["produce", "cam"]);
    next.ask("frame 64x64x4", "published");
    assert_eq!(reader.expect("first").number("restarts"), 1);
    assert_eq!(reader.halt(&[]).number("torn"), 0);
    assert!(std::path::Path::new(&format!("/proc/{child}")).exists(), "the child still lives");
    reader.quit();
    next.quit();
    kill_process(Pid::from_raw(i32::try_from(child).unwrap()).unwrap(), Signal::KILL).unwrap();
    drop(parent);
}

#[test]
fn f45_a_child_of_a_consumer_keeps_nothing_held_after_the_consumer_died() {
    let stage = Stage::new(PEER);
    // Here the forking process is the consumer of somebody else's link, too.
    let mut parent = stage.open(&["fork", "cam"]);
    let child = parent.ask("child-stays", "child").number("pid");
    assert_eq!(stage.info("cam").consumers.len(), 1);
    parent.kill();
    // Its link is gone although the child has all of its memory mapped.
    eventually("the link is gone", || match stage.list().len() {
        0 => Ok(()),
        other => Err(format!("{other} links")),
    });
    kill_process(Pid::from_raw(i32::try_from(child).unwrap()).unwrap(), Signal::KILL).unwrap();
    drop(parent);
}

#[test]
fn f47_signals_end_no_plain_wait() {
    let stage = Stage::new(PEER);
    let mut producer = stage.open(&["produce", "cam"]);
    let mut reader = stage.open(&["consume", "cam"]);
    reader.tell("take");
    for sent in 1..=50 {
        reader.signal(Signal::USR1);
        // The next signal is sent when this one has been handled; two at once would be one.
        eventually("the signal was handled", || {
            let status = std::fs::read_to_string(format!("/proc/{}/status", reader.pid())).unwrap();
            let pending =
                status.lines().filter(|line| line.starts_with("SigPnd") || line.starts_with("ShdPnd"));
            match pending.filter(|line| !line.trim_end().ends_with("0000000000000000")).count() {
                0 => Ok(()),
                _ => Err(format!("signal {sent} is pending")),
            }
        });
    }
    producer.ask("frame 64x64x4", "published");
    assert_eq!(reader.expect("took").number("seq"), 1);
    assert!(reader.ask("stats", "stats").number("signals") > 0);
    reader.quit();
    producer.quit();
}

#[test]
fn f47_a_signal_ends_a_wait_whose_caller_says_so() {
    let stage = Stage::new(PEER);
    let producer = stage.open(&["produce", "cam"]);
    let mut reader = stage.open(&["consume", "cam"]);
    for has_producer in [true, false] {
        if !has_producer {
            break;
        }
        reader.ask("wait-interruptibly", "waiting");
        reader.signal(Signal::USR1);
        assert_eq!(reader.expect("error").text("kind"), "interrupted");
    }
    // The same while it waits for a producer.
    producer.quit();
    reader.ask("wait-interruptibly", "waiting");
    reader.signal(Signal::USR1);
    assert_eq!(reader.expect("error").text("kind"), "interrupted");
    reader.quit();
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes that are stopped, forked, or in a namespace of their own.

use std::process::Command;

use crate::{FORM, all_right, is_frame, stage};

#[test]
fn f05_a_producer_that_is_stopped_is_waited_for_and_goes_on() {
    let Some(stage) = stage() else { return };
    let mut producer = stage.open(&["produce", "cam"]);
    let mut consumer = stage.open(&["consume", "cam"]);
    for seq in [1, 3] {
        producer.tell(&format!("run {FORM} 1"));
        producer.expect("ran");
        consumer.tell("take 20000");
        is_frame(&consumer.expect("took"), seq);
        producer.stop();
        producer.tell(&format!("run {FORM} 1"));
        consumer.tell("take 100");
        let said = consumer.expect("error");
        assert_eq!(said.text("kind"), "timed_out", "a stopped producer is not gone: {said}");
        producer.go_on();
        producer.expect("ran");
        consumer.tell("take 20000");
        is_frame(&consumer.expect("took"), seq + 1);
    }
    consumer.quit();
    producer.quit();
}

#[test]
fn f05_a_reader_that_is_stopped_while_it_reads_keeps_its_frame_and_stops_nobody() {
    let Some(stage) = stage() else { return };
    let mut producer = stage.open(&["produce", "cam", "--slots", "3"]);
    let mut stopped = stage.open(&["consume", "cam"]);
    let mut other = stage.open(&["consume", "cam"]);
    producer.tell(&format!("run {FORM} 1"));
    producer.expect("ran");
    stopped.tell("hold");
    stopped.expect("held");
    stopped.stop();
    for seq in [11, 21] {
        producer.tell(&format!("run {FORM} 10"));
        producer.expect("ran");
        producer.tell("idle");
        producer.expect("idle");
        other.tell("take 20000");
        is_frame(&other.expect("took"), seq);
    }
    stopped.go_on();
    stopped.tell("check");
    all_right(&stopped.expect("verified"));
    stopped.tell("drop");
    stopped.expect("dropped");
    stopped.tell("take 20000");
    is_frame(&stopped.expect("took"), 21);
    for peer in [stopped, other, producer] {
        peer.quit();
    }
}

#[test]
fn f45_a_child_forked_with_both_ends_and_the_device_open_is_refused_and_harms_nobody() {
    let Some(stage) = stage() else { return };
    let mut lone = stage.open(&["lone", "cam"]);
    let mut other = stage.open(&["consume", "cam"]);
    for seq in 1..=3 {
        let frame = lone.ask("frame", "frame");
        assert_eq!((frame.number("seq"), frame.value("right")), (seq, &true.into()), "{frame}");
        other.tell("take 20000");
        is_frame(&other.expect("took"), seq);
        lone.tell("fork");
        let uses = lone.expect("uses");
        for call in ["claim", "send", "stream", "recv", "recv_on", "tensor"] {
            assert_eq!(uses.text(call), "forked_process", "{uses}");
        }
        assert!(uses.text("device").contains("fork"), "{uses}");
        let forked = lone.expect("forked");
        assert_eq!((forked.value("code"), forked.value("signal")), (&0.into(), &().into()), "{forked}");
    }
    other.quit();
    lone.quit();
}

#[test]
fn f45_a_loan_that_a_forked_child_drops_is_published_by_its_parent() {
    let Some(stage) = stage() else { return };
    let mut lone = stage.open(&["lone", "cam"]);
    for seq in 1..=3 {
        lone.tell("fork-lent");
        let forked = lone.expect("forked");
        assert_eq!((forked.value("code"), forked.value("signal")), (&0.into(), &().into()), "{forked}");
        let frame = lone.expect("frame");
        assert_eq!((frame.number("seq"), frame.value("right")), (seq, &true.into()), "{frame}");
    }
    lone.quit();
}

/// Whether this process may make such namespaces.
fn can_unshare(options: &[&str]) -> bool {
    let tried = Command::new("unshare").args(options).arg("true").output();
    let can = tried.is_ok_and(|tried| tried.status.success());
    if !can {
        println!("SKIP no namespaces can be made here: unshare {}", options.join(" "));
    }
    can
}

#[test]
fn f38_frames_reach_a_reader_in_other_namespaces() {
    let Some(stage) = stage() else { return };
    let process = &["--pid", "--fork", "--kill-child", "--mount-proc"][..];
    for options in [process, &["--ipc"], &["--user", "--map-root-user"], &["--net"]] {
        if !can_unshare(options) {
            continue;
        }
        let unshare = [&["unshare"], options].concat();
        let mut producer = stage.open(&["produce", "cam", "--block"]);
        let mut reader = stage.peer_under(&unshare, &["consume", "cam", "--every"]);
        reader.expect("open");
        reader.tell("run 20 cpu");
        producer.tell(&format!("run {FORM} 20"));
        all_right(&reader.expect("verified"));
        producer.expect("ran");
        reader.tell("run 5 gpu");
        producer.tell(&format!("run {FORM} 5 loan"));
        all_right(&reader.expect("verified"));
        producer.expect("ran");
        reader.quit();
        producer.quit();
    }
}

#[test]
fn f38_frames_come_from_a_producer_in_other_namespaces() {
    let Some(stage) = stage() else { return };
    let process = &["--pid", "--fork", "--kill-child", "--mount-proc"][..];
    for options in [process, &["--ipc"]] {
        if !can_unshare(options) {
            continue;
        }
        let unshare = [&["unshare"], options].concat();
        let mut producer = stage.peer_under(&unshare, &["produce", "cam", "--block"]);
        producer.expect("open");
        let mut reader = stage.open(&["consume", "cam", "--every"]);
        reader.tell("run 20 cpu");
        producer.tell(&format!("run {FORM} 20"));
        all_right(&reader.expect("verified"));
        producer.expect("ran");
        reader.quit();
        producer.quit();
    }
}

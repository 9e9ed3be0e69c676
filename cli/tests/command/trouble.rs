// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the machine can refuse: descriptors, permissions, memory, slots.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use crate::place::{Done, Place};

#[test]
fn f24_frames_that_find_every_slot_held_are_dropped_and_the_holder_is_named() {
    let place = Place::new();
    let args = [
        "send",
        "camera",
        "--pattern",
        "--size",
        "8x8",
        "--slots",
        "2",
        "--fps",
        "50",
        "--wait",
        "1",
        "--json",
    ];
    let mut sender = place.start(&args);
    sender.says("waiting for 1 consumer");
    let mut reader = uncopy::subscribe("camera").directory(place.links()).open().unwrap();
    let first = reader.recv(Duration::from_secs(60)).unwrap();
    let second = reader.recv(Duration::from_secs(60)).unwrap();
    sender.says(&format!("process {}", std::process::id()));
    let before = (first.bytes().to_vec(), second.bytes().to_vec());
    assert_eq!(before, (first.bytes().to_vec(), second.bytes().to_vec()));
    drop((first, second));
    reader.recv(Duration::from_secs(60)).unwrap();
    sender.signal("INT");
    let sent = sender.done().ended_with(130);
    let count = |what: &str| sent.json()[what].as_u64().unwrap();
    assert!(count("dropped") >= 1, "{sent:?}");
    assert_eq!(count("published") + count("dropped"), count("frames"));
    assert_eq!(sent.err.matches("no free slot").count(), 1, "{sent:?}");
}

#[test]
fn f34_too_few_descriptors_are_named_and_nothing_is_half_made() {
    let place = Place::new();
    for limit in 4..10 {
        let line = format!(
            "ulimit -n {limit}; exec {} send camera --pattern --size 8x8 --frames 1",
            env!("CARGO_BIN_EXE_uncopy")
        );
        let mut command = Command::new("sh");
        command.args(["-c", &line]).env("UNCOPY_RUNTIME_DIR", place.links());
        let done = Done::of(command);
        if done.code != Some(0) {
            assert!(done.ended_with(8).error().contains("file descriptor"));
        }
        place.is_clean();
    }
}

#[test]
fn f36_a_directory_that_lets_others_in_is_refused_with_its_mode() {
    let place = Place::new();
    std::fs::set_permissions(place.links(), std::fs::Permissions::from_mode(0o755)).unwrap();
    for args in [&["list"][..], &["send", "camera", "--pattern"], &["recv", "camera"], &["info", "camera"]] {
        let done = place.run(args).ended_with(5);
        assert!(done.error().contains("0755") && done.error().contains("links"), "{done:?}");
    }
    let done = place.run(&["doctor", "--json"]).ended_with(1);
    assert_eq!(done.json()["worst"], "fail");
    std::fs::set_permissions(place.links(), std::fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn frames_that_memory_can_not_hold_are_refused_with_need_and_free() {
    let place = Place::new();
    let args = ["send", "camera", "--pattern", "--size", "60000x60000", "--slots", "64", "--frames", "1"];
    let done = place.run(&args).ended_with(8);
    assert!(done.error().contains("are needed") && done.error().contains("are free"), "{done:?}");
    place.is_clean();
}

#[test]
fn who_names_nothing_to_send_is_told_what_there_is() {
    let place = Place::new();
    let done = place.run(&["send", "camera"]).ended_with(2);
    assert!(done.err.contains("<SOURCE | --pattern | --raw>"), "{done:?}");
}

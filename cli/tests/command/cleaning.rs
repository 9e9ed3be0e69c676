// SPDX-License-Identifier: MIT OR Apache-2.0
//! `clean`: what it removes, what it leaves, and why.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::place::Place;

const SEND: [&str; 5] = ["--pattern", "--size", "8x8", "--wait", "1"];

/// A link whose producer was killed.
fn with_leftovers(place: &Place, name: &str) {
    let mut sender = place.start(&[&["send", name], &SEND[..]].concat());
    sender.says("waiting for 1 consumer").signal("KILL");
    sender.done();
}

#[test]
fn f09_what_the_dead_left_is_removed_by_name_and_the_rest_stays_with_reasons() {
    let place = Place::new();
    with_leftovers(&place, "dead");
    let mut sender = place.start(&[&["send", "camera"], &SEND[..]].concat());
    sender.says("waiting for 1 consumer");
    std::fs::write(place.links().join("notes.txt"), "mine").unwrap();
    let before = place.runtime_dir().entries().unwrap().len();
    let dry = place.run(&["clean", "--dry-run"]).ended_with(0).text();
    assert!(dry.contains("would remove  dead.lock, dead.sock"), "{dry}");
    assert_eq!(place.runtime_dir().entries().unwrap().len(), before);
    let data = place.run(&["clean", "--json"]).ended_with(0).json();
    assert_eq!(data["removed"], json!([{ "name": "dead", "files": ["dead.lock", "dead.sock"] }]));
    let left = |why: &str| {
        let mut all = data["left"].as_array().unwrap().iter();
        all.find(|left| left["why"] == why).unwrap_or_else(|| panic!("{why}: {data}"))
    };
    assert_eq!((&left("in_use")["name"], &left("in_use")["pid"]), (&json!("camera"), &json!(sender.pid())));
    assert_eq!((&left("foreign")["name"], &left("foreign")["files"]), (&json!(null), &json!(["notes.txt"])));
    let text = place.run(&["clean"]).ended_with(0).text();
    for words in
        ["notes.txt: no file of a link", "its producer lives: process", "0 files removed, 3 files left"]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
    place.run(&["info", "camera"]).ended_with(0);
    std::fs::remove_file(place.links().join("notes.txt")).unwrap();
    sender.signal("INT");
    sender.done().ended_with(130);
    place.is_clean();
}

#[test]
fn what_can_not_be_removed_is_told_and_decides_the_exit_code() {
    let place = Place::new();
    std::fs::create_dir(place.links().join("camera.sock")).unwrap();
    let done = place.run(&["clean"]).ended_with(1);
    assert!(done.error().contains("camera.sock") && done.text().contains("1 file left"), "{done:?}");
    std::fs::remove_dir(place.links().join("camera.sock")).unwrap();
    std::fs::set_permissions(place.links(), std::fs::Permissions::from_mode(0o755)).unwrap();
    place.run(&["clean"]).ended_with(5);
    std::fs::set_permissions(place.links(), std::fs::Permissions::from_mode(0o700)).unwrap();
}

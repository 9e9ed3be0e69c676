// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names: which are refused, and what happens when two want the same.

use crate::place::Place;

#[test]
fn names_that_break_the_rule_are_refused_everywhere() {
    let place = Place::new();
    let long = "x".repeat(65);
    for name in ["a/b", "", ".hidden", "ü", "a b", "..", long.as_str()] {
        for args in [&["info", name][..], &["recv", name], &["send", name, "--pattern"]] {
            let done = place.run(args).ended_with(2);
            assert!(!done.error().is_empty(), "{done:?}");
        }
    }
    place.is_clean();
}

#[test]
fn a_scheme_that_this_version_lacks_is_refused() {
    let place = Place::new();
    let done = place.run(&["recv", "cipd:camera"]).ended_with(6);
    assert!(done.error().contains("not supported"), "{done:?}");
}

#[test]
fn f10_the_second_producer_is_told_who_is_the_first() {
    let place = Place::new();
    let send = ["send", "camera", "--pattern", "--size", "8x8", "--wait", "1"];
    let mut first = place.start(&send);
    first.says("waiting for 1 consumer");
    let done = place.run(&send).ended_with(4);
    for words in ["'camera' is taken", &format!("process {}", first.pid()), "uncopy", "takeover"] {
        assert!(done.error().contains(words), "{words}: {done:?}");
    }
}

#[test]
fn f10_a_takeover_ends_the_first_producer() {
    let place = Place::new();
    let send = ["send", "camera", "--pattern", "--size", "8x8", "--wait", "1"];
    let mut first = place.start(&send);
    first.says("waiting for 1 consumer");
    let mut second = place.start(&[&send[..], &["--takeover"]].concat());
    second.says("waiting for 1 consumer");
    let done = first.done().ended_with(7);
    assert!(done.error().contains("took the name 'camera' over"), "{done:?}");
    let link = place.run(&["info", "camera", "--json"]).ended_with(0).json();
    assert_eq!(link["producer"]["pid"], second.pid());
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! `doctor`: findings, in words and as data.

use crate::place::Place;

const PYTHON: &str = r#"#!/bin/sh
echo '{"executable": "/opt/python", "version": "3.12.1", "modules": {
  "uncopy": {"version": "0.0.1", "directory": null}, "numpy": {"version": "2.1.0", "directory": null}}}'
"#;

#[test]
fn every_finding_has_a_topic_a_level_and_a_sentence() {
    let place = Place::new();
    let data = place.run(&["doctor", "--json"]).ended_with(0).json();
    let findings = data["findings"].as_array().unwrap();
    for finding in findings {
        let level = finding["level"].as_str().unwrap();
        assert!(["ok", "warn", "fail"].contains(&level), "{finding}");
        assert!(finding["says"].as_str().unwrap().len() > 10, "{finding}");
        assert_eq!(finding["advice"].is_string(), level != "ok", "{finding}");
    }
    for topic in ["kernel", "directory", "links", "memory", "limits", "processes", "video", "python", "cuda"]
    {
        assert!(findings.iter().any(|finding| finding["topic"] == topic), "{topic}");
    }
    place.is_clean();
}

#[test]
fn what_is_missing_comes_with_what_to_do() {
    let place = Place::new();
    let text = place.run(&["doctor"]).ended_with(0).text();
    assert!(text.contains("nothing here decodes video") && text.contains("apt install ffmpeg"), "{text}");
    assert!(text.contains("no Python starts"), "{text}");
    assert!(text.lines().last().unwrap().ends_with("0 failures"), "{text}");
}

#[test]
fn a_package_of_another_version_is_noticed() {
    let place = Place::new();
    place.program("python3", PYTHON);
    let text = place.run(&["doctor"]).ended_with(0).text();
    assert!(
        text.contains(concat!("has uncopy 0.0.1, and this command is ", env!("CARGO_PKG_VERSION"))),
        "{text}"
    );
    assert!(text.contains("numpy 2.1.0 (not installed: torch, jax)"), "{text}");
}

#[test]
fn what_a_dead_producer_left_is_swept_and_told() {
    let place = Place::new();
    let mut sender = place.start(&["send", "camera", "--pattern", "--size", "8x8", "--wait", "1"]);
    sender.says("waiting for 1 consumer").signal("KILL");
    sender.done();
    let text = place.run(&["doctor"]).ended_with(0).text();
    assert!(text.contains("had left camera behind"), "{text}");
    place.is_clean();
}

#[test]
fn a_python_that_was_named_and_does_not_start_is_not_replaced() {
    let place = Place::new();
    place.program("python3", PYTHON);
    let text = place.run(&["doctor", "--python", "/no/such/python"]).ended_with(0).text();
    assert!(text.contains("/no/such/python") && !text.contains("numpy 2.1.0"), "{text}");
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! `demo` with its Rust consumer and a decoder that stands in for ffmpeg; `cargo xtask demo` has the real ones.

use std::time::Duration;

use serde_json::json;

use crate::place::{Place, png};

const FFPROBE: &str = r#"#!/bin/sh
if [ "$1" = -version ]; then echo "ffprobe version 7.1 Copyright"; exit; fi
echo '{"streams": [{"pix_fmt": "gray", "avg_frame_rate": "5/1", "nb_frames": "9"}], "format": {}}'
"#;
/// Nine frames of 90 by 60 gray pixels.
const FFMPEG: &str = r#"#!/bin/sh
if [ "$1" = -version ]; then echo "ffmpeg version 7.1 Copyright"; exit; fi
row=abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl
row=$row$row; row=$row$row; row=$row$row$row; row=$row$row$row$row$row
for number in 1 2 3 4 5 6 7 8 9; do
  printf 'P7\nWIDTH 90\nHEIGHT 60\nDEPTH 1\nMAXVAL 255\nTUPLTYPE GRAYSCALE\nENDHDR\n%s' "$row"
done
"#;

/// A place with a video that takes two seconds: slow enough for a busy machine to receive every frame of it.
fn with_video() -> Place {
    let place = Place::new();
    place.program("ffprobe", FFPROBE);
    place.program("ffmpeg", FFMPEG);
    std::fs::write(place.file("in.mp4"), "").unwrap();
    place
}

#[test]
fn the_demo_holds_and_shows_what_was_received() {
    let place = with_video();
    let done =
        place.run(&["demo", "in.mp4", "--consumers", "rust", "--out", "shown", "--json"]).ended_with(0);
    let data = done.json();
    assert_eq!((&data["held"], &data["failures"]), (&json!(true), &json!([])));
    assert_eq!(
        (&data["producer"]["frames"], &data["producer"]["form"]["shape"]),
        (&json!(9), &json!([60, 90]))
    );
    let consumer = &data["consumers"][0];
    assert_eq!((&consumer["name"], &consumer["frames"]), (&json!("rust"), &json!(9)));
    assert_eq!((&consumer["last_frame"], &consumer["torn"]), (&json!(9), &json!(0)));
    assert_eq!(consumer["copies"][0]["reason"], "send");
    assert_eq!(data["contact_sheet"], "shown/uncopy-demo.png");
    let (width, height, ..) = png(&place.file("shown/uncopy-demo.png"));
    assert!(width > 500 && height > 100, "{width} x {height}");
    assert_eq!(std::fs::read_dir(place.file("shown")).unwrap().count(), 1);
    place.is_clean();
}

#[test]
fn the_demo_fails_when_a_byte_was_changed() {
    let place = with_video();
    let done = place.run(&["demo", "in.mp4", "--consumers", "rust", "--break"]).ended_with(1);
    assert_eq!(done.error(), "frame 5 was torn: rust saw it");
    let table = done.text();
    assert!(table.contains("9 of 9") && table.contains("TORN"), "{table}");
    place.is_clean();
}

#[test]
fn without_a_video_the_test_picture_is_sent_and_that_is_said() {
    let place = Place::new();
    let done = place.run(&["demo", "--consumers", "rust", "--frames", "1"]).ended_with(0);
    assert!(done.err.contains("the test picture is sent"), "{done:?}");
    assert!(done.text().contains("made in shared memory"), "{done:?}");
}

#[test]
fn a_video_that_is_not_there_is_named() {
    let place = with_video();
    for name in ["other.mp4", "no/other.mp4"] {
        let done = place.run(&["demo", name, "--consumers", "rust"]).ended_with(3);
        assert!(done.error().contains(name), "{done:?}");
    }
}

#[test]
fn a_consumer_that_can_not_run_is_not_left_out() {
    let place = with_video();
    let done = place.run(&["demo", "in.mp4"]).ended_with(3);
    assert!(done.error().contains("no Python starts"), "{done:?}");
}

#[test]
fn f47_a_demo_that_is_interrupted_ends_everybody() {
    let place = Place::new();
    let mut demo = place.start(&["demo", "--consumers", "rust", "--frames", "100000"]);
    let link = format!("demo-{}", demo.pid());
    let watching = uncopy::subscribe(&link).timeout(None).directory(place.links());
    watching.open().unwrap().recv(Duration::from_secs(600)).unwrap();
    demo.signal("INT");
    let done = demo.done().ended_with(130);
    assert!(!done.err.contains("error"), "{done:?}");
    // Whoever is left would still be there.
    assert_eq!(place.run(&["list", "--json"]).json()["links"], json!([]));
    place.is_clean();
}

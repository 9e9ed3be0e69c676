// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames from one process to another: counted, checked, and byte for byte.

use serde_json::json;
use uncopy::{DType, Form, Meta};

use crate::place::Place;

#[test]
fn every_frame_of_a_paced_pattern_arrives_whole() {
    let place = Place::new();
    let sender = place.start(&[
        "send",
        "camera",
        "--pattern",
        "--size",
        "177x143",
        "--pixel",
        "rgb8",
        "--fps",
        "20",
        "--frames",
        "12",
        "--crc",
        "--wait",
        "1",
        "--json",
    ]);
    let args = ["recv", "camera", "--until-closed", "--timeout", "60", "--json"];
    let received = place.run(&args).ended_with(0).json();
    let sent = sender.done().ended_with(0).json();
    assert_eq!((&sent["frames"], &sent["published"], &sent["dropped"]), (&json!(12), &json!(12), &json!(0)));
    assert_eq!(received["frames"].as_u64().unwrap() + received["missed"].as_u64().unwrap(), 12);
    assert_eq!((&received["last_frame"], &received["torn"]), (&json!(12), &json!(0)));
    assert_eq!((&received["checked"], &received["copies"]), (&received["frames"], &json!([])));
    assert_eq!(
        (&received["form"]["shape"], &received["form"]["pixel"]),
        (&json!([143, 177, 3]), &json!("rgb8"))
    );
    let latency = &received["latency_nanos"];
    assert!(latency["p50"].as_u64().unwrap() > 0 && latency["p50"].as_u64() <= latency["p99"].as_u64());
    place.is_clean();
}

#[test]
fn a_byte_that_was_changed_after_its_checksum_is_torn() {
    let place = Place::new();
    let _sender = place.start(&[
        "send",
        "camera",
        "--pattern",
        "--size",
        "16x16",
        "--frames",
        "1",
        "--crc",
        "--break-frame",
        "1",
        "--hold",
    ]);
    let args = ["recv", "camera", "--frames", "1", "--timeout", "60", "--json"];
    let done = place.run(&args).ended_with(1);
    assert_eq!((&done.json()["torn"], &done.json()["torn_frames"]), (&json!(1), &json!([1])));
    assert!(done.error().contains("number 1"), "{done:?}");
}

#[test]
fn raw_pixels_come_out_as_they_went_in() {
    let place = Place::new();
    let pixels: Vec<u8> = (0..3 * 5 * 4).collect();
    let mut sender = place.start(&["send", "camera", "--raw", "--size", "5x3", "--hold"]);
    sender.given(&pixels).says("stays open");
    let done = place.run(&["recv", "camera", "--raw", "--frames", "1", "--timeout", "60"]).ended_with(0);
    assert_eq!(done.out, pixels);
    // What the bytes don't say is said beside them.
    assert!(done.err.contains("uint8[3, 5, 4] rgba8"), "{done:?}");
    let link = place.run(&["recv", "camera", "--frames", "1", "--json"]).ended_with(0).json();
    assert_eq!((&link["copies"][0]["reason"], &link["copies"][0]["bytes"]), (&json!("send"), &json!(60)));
    sender.signal("INT");
    sender.done().ended_with(130);
    place.is_clean();
}

#[test]
fn padded_rows_are_packed_on_their_way_out() {
    let place = Place::new();
    let layout = uncopy::Layout::strided(DType::U8, &[2, 3], &[8, 1]).unwrap();
    let mut out = uncopy::publish("camera").directory(place.links()).open().unwrap();
    let mut slot = out.loan(&Form::from_layout(layout)).unwrap();
    slot.bytes_mut().copy_from_slice(&[1, 2, 3, 9, 9, 9, 9, 9, 4, 5, 6]);
    slot.publish(Meta::default()).unwrap();
    let done = place.run(&["recv", "camera", "--raw", "--frames", "1", "--timeout", "60"]).ended_with(0);
    assert_eq!(done.out, [1, 2, 3, 4, 5, 6]);
}

#[test]
fn raw_input_that_ends_within_a_frame_is_an_error_with_both_sizes() {
    let place = Place::new();
    let mut sender = place.start(&["send", "camera", "--raw", "--size", "5x3", "--pixel", "rgb8"]);
    sender.given(&[7; 45 + 44]);
    let done = sender.done().ended_with(2);
    assert!(done.error().contains("44 of 45 bytes of uint8[3, 5, 3] rgb8"), "{done:?}");
    place.is_clean();
}

#[test]
fn input_without_a_frame_is_an_error() {
    let place = Place::new();
    let mut sender = place.start(&["send", "camera", "--raw", "--size", "5x3"]);
    sender.given(&[]);
    assert!(sender.done().ended_with(2).error().contains("no frame"));
}

#[test]
fn a_receiver_follows_a_producer_that_starts_again() {
    let place = Place::new();
    let receiver = place.start(&["recv", "camera", "--frames", "2", "--timeout", "60", "--json"]);
    for _ in 0..2 {
        let send = ["send", "camera", "--pattern", "--size", "8x8", "--frames", "1", "--wait", "1"];
        place.run(&send).ended_with(0);
    }
    let received = receiver.done().ended_with(0).json();
    assert_eq!(received["frames"], 2);
    place.is_clean();
}

#[test]
fn statistics_are_words_without_json() {
    let place = Place::new();
    let _sender = place.start(&["send", "camera", "--pattern", "--size", "8x8", "--frames", "1", "--hold"]);
    let text = place.run(&["recv", "camera", "--frames", "1", "--timeout", "60"]).ended_with(0).text();
    for words in ["received   1 frame", "uint8[8, 8, 4] rgba8", "p50", "copies     none", "--crc"] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

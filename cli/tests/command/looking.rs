// SPDX-License-Identifier: MIT OR Apache-2.0
//! `list` and `info`: what is seen of links without taking part.

use std::time::Duration;

use serde_json::json;
use uncopy::os::Listener;

use crate::place::Place;

#[test]
fn without_links_there_is_a_sentence_and_a_hint() {
    let place = Place::new();
    let text = place.run(&["list"]).ended_with(0).text();
    assert!(text.starts_with("No link is live in "), "{text}");
    assert!(text.contains("uncopy send"), "{text}");
    let data = place.run(&["list", "--json"]).ended_with(0).json();
    assert_eq!(data, json!({ "directory": place.links(), "links": [] }));
}

#[test]
fn a_live_link_is_listed_with_who_what_and_how_much() {
    let place = Place::new();
    let args = ["send", "camera", "--pattern", "--size", "64x48", "--frames", "3", "--fast", "--hold"];
    let mut sender = place.start(&args);
    sender.says("stays open");
    let data = place.run(&["list", "--json"]).ended_with(0).json();
    let link = &data["links"][0];
    assert_eq!((link["name"].as_str(), link["answer"].as_str()), (Some("camera"), Some("answering")));
    assert_eq!(link["producer"]["pid"], sender.pid());
    assert!(link["producer"]["command"].as_str().unwrap().contains("send camera --pattern"));
    assert_eq!((&link["published"], &link["dropped"], &link["slots"]), (&json!(3), &json!(0), &json!(4)));
    let form = json!({
        "dtype": "uint8", "shape": [48, 64, 4], "strides_elems": [256, 4, 1], "pixel": "rgba8",
        "origin": "top_left", "channel_order": "rgb", "len_bytes": 48 * 64 * 4,
    });
    assert_eq!(link["form"], form);
    for number in ["uptime_seconds", "mean_fps", "last_frame_age_seconds"] {
        assert!(link[number].as_f64().unwrap() > 0.0, "{number}: {link}");
    }
    let text = place.run(&["list"]).ended_with(0).text();
    for words in ["NAME", "camera", "uint8[48, 64, 4] rgba8", &sender.pid().to_string()] {
        assert!(text.contains(words), "{words}: {text}");
    }
    sender.signal("INT");
    sender.done().ended_with(130);
    place.is_clean();
}

#[test]
fn info_names_every_consumer_and_what_it_holds() {
    let place = Place::new();
    let args =
        ["send", "camera", "--pattern", "--size", "8x8", "--frames", "2", "--fast", "--hold", "--slots", "5"];
    let mut sender = place.start(&args);
    sender.says("stays open");
    let mut reader = uncopy::subscribe("camera").directory(place.links()).open().unwrap();
    let held = reader.recv(Duration::from_secs(60)).unwrap();
    let link = place.run(&["info", "camera", "--json"]).ended_with(0).json();
    let consumer = &link["consumers"][0];
    assert_eq!(consumer["pid"], std::process::id());
    assert_eq!((&consumer["received"], &consumer["holds"]), (&json!(1), &json!(1)));
    let text = place.run(&["info", "camera"]).ended_with(0).text();
    assert!(text.contains("5, of which consumers hold 1"), "{text}");
    drop((held, reader));
    let text = place.run(&["info", "camera"]).ended_with(0).text();
    assert!(text.contains("5, of which consumers hold 0"), "{text}");
}

#[test]
fn looking_takes_no_place_in_a_link() {
    let place = Place::new();
    let mut sender = place.start(&["send", "camera", "--pattern", "--size", "8x8", "--wait", "1"]);
    sender.says("waiting for 1 consumer");
    for _ in 0..20 {
        place.run(&["info", "camera"]).ended_with(0);
    }
    let link = place.run(&["info", "camera", "--json"]).json();
    assert_eq!(
        (&link["consumers"], &link["published"], &link["form"]),
        (&json!([]), &json!(0), &json!(null))
    );
}

#[test]
fn an_unknown_name_is_told_with_the_nearest_one() {
    let place = Place::new();
    let mut sender = place.start(&["send", "camera", "--pattern", "--size", "8x8", "--wait", "1"]);
    sender.says("waiting for 1 consumer");
    let done = place.run(&["info", "camrea"]).ended_with(3);
    assert!(done.error().contains("did you mean 'camera'?"), "{done:?}");
    assert!(done.out.is_empty());
}

#[test]
fn f14_a_producer_that_answers_nonsense_is_shown_as_such() {
    let place = Place::new();
    let listener = Listener::bind(&place.runtime_dir(), "camera.sock").unwrap();
    let answer = std::thread::spawn(move || {
        // One for list, one for info.
        let mut answered = Vec::new();
        while answered.len() < 2 {
            if let Some(connection) = listener.accept().unwrap() {
                connection.wait_readable(None).unwrap();
                let _ = connection.send(&[0xFF; 300], &[]).unwrap();
                answered.push(connection);
            }
        }
        (listener, answered)
    });
    let listed = place.run(&["list"]).ended_with(0);
    assert!(
        listed.text().contains("can't be read") && listed.err.contains("'camera' can't be read"),
        "{listed:?}"
    );
    let done = place.run(&["info", "camera"]).ended_with(1);
    assert!(done.error().contains("'camera' can't be read"), "{done:?}");
    drop(answer.join().unwrap());
}

#[test]
fn a_producer_that_does_not_answer_is_shown_as_such() {
    let place = Place::new();
    let mut sender = place.start(&["send", "camera", "--pattern", "--size", "8x8", "--wait", "1"]);
    sender.says("waiting for 1 consumer").signal("STOP");
    let text = place.run(&["list"]).ended_with(0).text();
    assert!(text.contains("does not answer") && text.contains(&sender.pid().to_string()), "{text}");
    let done = place.run(&["info", "camera"]).ended_with(124);
    assert!(done.error().contains("is it stopped"), "{done:?}");
    let findings = place.run(&["doctor", "--json"]).ended_with(0).json();
    assert!(findings.to_string().contains("does not answer"), "{findings}");
    sender.signal("CONT");
}

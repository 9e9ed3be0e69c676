// SPDX-License-Identifier: MIT OR Apache-2.0
//! `hz`: rates and intervals as they are, of producers that come and go.

use serde_json::{Value, json};

use crate::place::{Done, Place};

fn reports(done: &Done) -> Vec<Value> {
    done.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

const SEND: [&str; 5] = ["send", "camera", "--pattern", "--size", "8x8"];

#[test]
fn the_rate_of_a_paced_link_is_its_pace_and_every_interval_is_seen() {
    let place = Place::new();
    let mut sender =
        place.start(&[&SEND[..], &["--fps", "200", "--frames", "300", "--hold", "--json"]].concat());
    sender.says("sending");
    let mut hz = place.start(&["hz", "camera", "--every", "0.1", "--window", "0.5", "--json"]);
    sender.says("stays open");
    hz.signal("INT");
    let reports = reports(&hz.done().ended_with(130));
    sender.signal("INT");
    let sent = sender.done().ended_with(130).json();
    let summary = reports.last().unwrap();
    assert_eq!(summary["kind"], "summary");
    assert!(reports.iter().rev().skip(1).all(|report| report["kind"] == "report"));
    let link = &summary["links"][0];
    let (frames, seen) =
        (link["frames"].as_u64().unwrap(), link["interval_nanos"]["count"].as_u64().unwrap());
    assert!(seen > 0 && seen <= frames && frames < sent["frames"].as_u64().unwrap(), "{link}");
    let interval = |what: &str| link["interval_nanos"][what].as_u64().unwrap();
    assert!(interval("min") <= interval("mean") && interval("mean") <= interval("max"), "{link}");
    // The rate counts frames over time and the mean is of times between frames: they agree where every one was seen.
    let (fps, from_mean) = (link["fps"].as_f64().unwrap(), 1e9 / interval("mean") as f64);
    assert!(seen < frames || (fps / from_mean - 1.0).abs() < 1e-3, "{link}");
}

#[test]
fn looking_takes_no_place_and_the_link_notices_nothing() {
    let place = Place::new();
    let mut out = uncopy::publish("camera").directory(place.links()).slots(2).open().unwrap();
    let form = uncopy::Form::new(uncopy::DType::U8, &[64]).unwrap();
    let mut hz = place.start(&["hz", "camera", "--every", "0.02", "--json"]);
    let mut line = Vec::new();
    while !String::from_utf8_lossy(&line).contains("\"answering\"") {
        line.extend(hz.gives(1));
        out.loan(&form).unwrap().publish(uncopy::Meta::default()).unwrap();
    }
    assert_eq!((out.stats().dropped, out.stats().consumers), (0, 0));
    hz.signal("INT");
    hz.done().ended_with(130);
}

#[test]
fn f06_a_producer_that_starts_again_is_followed_and_counted() {
    let place = Place::new();
    let mut hz = place.start(&["hz", "camera", "--every", "0.05", "--timeout", "60", "--json"]);
    for round in 0..2 {
        let mut sender = place.start(&[&SEND[..], &["--fps", "100"]].concat());
        let mut seen = String::new();
        // Until it was seen at work: with a rate, and as often restarted as it was.
        while !(seen.contains("\"answering\"")
            && seen.contains(&format!("\"restarts\":{round}"))
            && !seen.contains("\"fps\":null"))
        {
            seen.clear();
            while !seen.ends_with('\n') {
                seen.push_str(&String::from_utf8(hz.gives(1)).unwrap());
            }
        }
        sender.signal("KILL");
        sender.done();
    }
    hz.signal("INT");
    let reports = reports(&hz.done().ended_with(130));
    let link = &reports.last().unwrap()["links"][0];
    assert_eq!(link["restarts"], 1, "{link}");
}

#[test]
fn without_a_producer_it_ends_with_the_code_of_why() {
    let place = Place::new();
    let never = place.run(&["hz", "camera", "--timeout", "0.2"]).ended_with(3);
    assert!(never.error().contains("nobody publishes 'camera'"), "{never:?}");
    let mut sender = place.start(&[&SEND[..], &["--frames", "1", "--hold"]].concat());
    sender.says("stays open");
    let mut hz = place.start(&["hz", "camera", "--every", "0.02", "--timeout", "0.5", "--json"]);
    let mut seen = String::new();
    while !seen.contains("answering") {
        seen.push_str(&String::from_utf8(hz.gives(1)).unwrap());
    }
    sender.signal("KILL");
    sender.done();
    let gone = hz.done().ended_with(7);
    assert!(gone.error().contains("the producer of 'camera' is gone"), "{gone:?}");
    place.run(&["hz"]).ended_with(2);
    place.run(&["hz", "a/b"]).ended_with(2);
    place.run(&["hz", "camera", "--every", "0"]).ended_with(2);
}

#[test]
fn a_stopped_producer_is_told_apart_from_none() {
    let place = Place::new();
    let mut sender = place.start(&[&SEND[..], &["--wait", "1"]].concat());
    sender.says("waiting for 1 consumer").signal("STOP");
    let done = place.run(&["hz", "camera", "--timeout", "0.6"]).ended_with(124);
    assert!(done.error().contains("does not answer"), "{done:?}");
    sender.signal("CONT");
}

#[test]
fn reports_are_words_without_json_and_a_sum_ends_them() {
    let place = Place::new();
    let _sender = place.start(&[&SEND[..], &["--fps", "100"]].concat());
    let text = place.run(&["hz", "camera", "nobody", "--count", "2", "--every", "0.3"]).ended_with(0).text();
    assert_eq!(text.lines().filter(|line| line.starts_with("nobody  nobody publishes")).count(), 2, "{text}");
    for words in [" fps, every ", "(min ", "camera: ", "dropped 0, 0 restarts"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let done = place.run(&["hz", "camera", "--duration", "0.3", "--json"]).ended_with(0);
    let reports = reports(&done);
    assert_eq!(
        reports.iter().map(|one| &one["kind"]).collect::<Vec<_>>(),
        [&json!("report"), &json!("summary")]
    );
}

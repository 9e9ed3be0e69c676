// SPDX-License-Identifier: MIT OR Apache-2.0
//! `bench`: every figure is measured, between two processes, and nothing of it stays.

use serde_json::Value;

use crate::place::Place;

const NAMES: [&str; 7] = [
    "hand_over_spinning",
    "hand_over_asleep_1khz",
    "hand_over_asleep_60hz",
    "publish_alone",
    "publish_waking",
    "send_1080p",
    "copy_1080p",
];

#[test]
fn every_figure_has_samples_and_sensible_quantiles() {
    let place = Place::new();
    let data = place.run(&["bench", "--json"]).ended_with(0).json();
    let figures = data["figures"].as_array().unwrap();
    assert_eq!(figures.iter().map(|figure| figure["name"].as_str().unwrap()).collect::<Vec<_>>(), NAMES);
    for figure in figures.iter().filter(|figure| figure["samples"] != 0) {
        let nanos = |what: &str| figure[what].as_u64().unwrap();
        assert!(nanos("p50_nanos") > 0 && nanos("p50_nanos") <= nanos("p99_nanos"), "{figure}");
        assert!(nanos("p99_nanos") <= nanos("max_nanos"), "{figure}");
    }
    // Two processes that spin may get nothing done on a busy machine, which is told; all else is measured.
    let samples = |name: &str| -> u64 {
        figures
            .iter()
            .find(|figure| figure["name"] == name)
            .and_then(|figure| figure["samples"].as_u64())
            .unwrap()
    };
    assert!(NAMES[1..].iter().all(|name| samples(name) > 0), "{data}");
    assert_eq!((samples("send_1080p"), samples("copy_1080p")), (96, 96));
    assert!(data["send_to_copy"].as_f64().unwrap() > 0.0, "{data}");
    assert!(data["machine"]["cores"].as_u64().unwrap() >= 1);
    place.is_clean();
}

#[test]
fn f47_an_interrupted_measurement_ends_both_processes_and_leaves_nothing() {
    let place = Place::new();
    let mut bench = place.start(&["bench"]);
    let dir = place.runtime_dir();
    // The other process has its link.
    while !dir.entries().unwrap().iter().any(|file| file.ends_with("-pong.sock")) {
        std::thread::yield_now();
    }
    bench.signal("INT");
    bench.done().ended_with(130);
    // The other process was killed, and whoever looks removes what it left.
    let links: Value = place.run(&["list", "--json"]).ended_with(0).json();
    assert_eq!(links["links"], serde_json::json!([]));
    place.is_clean();
}

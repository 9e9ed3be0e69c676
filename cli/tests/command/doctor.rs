// SPDX-License-Identifier: MIT OR Apache-2.0
//! `doctor`: findings, in words and as data.

use std::process::{Command, Stdio};

use crate::place::{Done, Place};

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
        let heading = finding["see"].as_str().unwrap().strip_prefix("docs/troubleshooting.md#").unwrap();
        let told = place.run(&["doctor", "--explain", heading]).ended_with(0).text();
        assert!(told.lines().count() > 2, "{told}");
    }
    for topic in ["kernel", "directory", "links", "memory", "limits", "processes", "video", "python", "cuda"]
    {
        assert!(findings.iter().any(|finding| finding["topic"] == topic), "{topic}");
    }
    place.is_clean();
}

#[test]
fn whether_this_is_wsl2_is_told_in_words_and_as_data() {
    let place = Place::new();
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let is_wsl2 = release.contains("microsoft");
    let data = place.run(&["doctor", "--json"]).ended_with(0).json();
    assert_eq!(data["wsl2"], is_wsl2, "{data}");
    let text = place.run(&["doctor"]).ended_with(0).text();
    let words = if is_wsl2 { "this is WSL2" } else { "this is not WSL2" };
    assert!(text.contains(&format!("{words} (kernel {})", release.trim())), "{text}");
}

#[test]
fn without_a_driver_the_reason_is_told_and_nothing_fails() {
    let place = Place::new();
    // Found before any other, and no library.
    std::fs::write(place.file("libcuda.so.1"), "").unwrap();
    let run = |args: &[&str]| {
        let mut command = place.command(args);
        command.env("LD_LIBRARY_PATH", place.file(""));
        Done::of(command)
    };
    let data = run(&["doctor", "--json"]).ended_with(0).json();
    let gpus = &data["gpus"];
    assert!(gpus["driver"].is_null() && gpus["cards"] == serde_json::json!([]), "{gpus}");
    assert!(gpus["absent"].as_str().unwrap().contains("libcuda.so.1"), "{gpus}");
    let text = run(&["doctor"]).ended_with(0).text();
    assert!(text.contains("frames can't lie on a GPU: there is no CUDA driver"), "{text}");
    let done = run(&["send", "camera", "--pattern", "--device", "cuda"]).ended_with(6);
    assert!(done.error().contains("there is no CUDA driver"), "{done:?}");
    let done = run(&["demo", "--consumers", "rust", "--frames", "1"]).ended_with(0);
    assert!(done.err.contains("in host memory; no GPU is used: there is no CUDA driver"), "{done:?}");
    place.is_clean();
}

#[test]
fn what_is_missing_comes_with_what_to_do() {
    let place = Place::new();
    let text = place.run(&["doctor"]).ended_with(0).text();
    assert!(text.contains("nothing here decodes video") && text.contains("apt install ffmpeg"), "{text}");
    assert!(text.contains("no Python starts"), "{text}");
    assert!(text.contains("see: docs/troubleshooting.md#decoding-video"), "{text}");
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

#[test]
fn what_is_explained_is_found_by_its_heading_and_by_the_name_of_an_error() {
    let place = Place::new();
    let text = place.run(&["doctor", "--explain", "NameTaken"]).ended_with(0).text();
    assert!(
        text.starts_with("NameTaken\n") && text.contains("--takeover") && !text.contains("###"),
        "{text}"
    );
    assert_eq!(place.run(&["doctor", "--explain", "name_taken"]).ended_with(0).text(), text);
    assert!(place.run(&["doctor", "--explain", "x"]).ended_with(3).error().contains("the-runtime-directory"));
}

#[test]
fn without_proc_it_names_proc_and_no_other_culprit() {
    let place = Place::new();
    let script = r#"mount --bind "$1" /proc && exec "$2" doctor --json"#;
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c"]);
        command
    };
    let may = |mut command: Command| command.status().is_ok_and(|status| status.success());
    let mut trial = unshare();
    trial.args([r#"mount --bind "$1" /proc"#, "sh"]).arg(place.links()).stderr(Stdio::null());
    if !may(trial) {
        println!("SKIP a mount namespace of its own is not permitted here");
        return;
    }
    let mut command = unshare();
    command.args([script, "sh"]).arg(place.links()).arg(env!("CARGO_BIN_EXE_uncopy"));
    command.env("UNCOPY_RUNTIME_DIR", place.links());
    let data = Done::of(command).ended_with(1).json();
    let failed: Vec<_> =
        data["findings"].as_array().unwrap().iter().filter(|found| found["level"] == "fail").collect();
    assert_eq!(failed.len(), 1, "{data}");
    assert_eq!(failed[0]["see"], "docs/troubleshooting.md#what-proc-tells");
    place.is_clean();
}

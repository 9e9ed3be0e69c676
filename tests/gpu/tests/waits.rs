// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every wait for a device is needed: with any one left out, some test of `frames` fails.
#![cfg(feature = "skip-waits")]
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

use std::process::{Command, Stdio};

use uncopy_gpu_tests::scene;

/// The binary of another test target of this package, built with the same features.
fn frames() -> std::path::PathBuf {
    let own = std::env::current_exe().unwrap();
    let dir = own.parent().unwrap();
    let is_ours = |name: &str| {
        name.strip_prefix("frames").is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
            && !name.contains('.')
    };
    let mut found: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(is_ours))
        .collect();
    // Older builds may lie beside it.
    found.sort_by_key(|path| path.metadata().and_then(|data| data.modified()).ok());
    found.pop().expect("the tests of frames are built")
}

/// Each place, and the tests of frames that need it.
const NOTICED_BY: &[(&str, &str)] = &[
    ("claim/ready", "a_loan_that_is_dropped_is_written_anew_after_its_stream_is_done"),
    ("claim/done", "f27_a_frame_that_is_held_twice_is_kept_for_both_streams"),
    ("mirror/head", "a_large_frame_is_mirrored_in_two_parts"),
    ("mirror/ready", "a_mirror_in_host_memory_holds_the_same_frames"),
    ("look/processor", "every_frame_that_is_sent_arrives_whole"),
    ("look/stream", "a_stream_that_waits_for_the_content_reads_it_whole"),
    ("release/streams", "f42_a_slot_is_kept_until_the_last_stream_that_reads_it_is_done"),
    ("release/after", "f27_a_frame_that_is_held_twice_is_kept_for_both_streams"),
    ("source/kept", "an_array_may_go_right_after_it_was_sent"),
];

/// Whether a test of frames passes without the wait called `site`.
fn passes_without(site: &str, test: &str) -> bool {
    let mut tests = Command::new(frames());
    tests.env("UNCOPY_SKIP_WAIT", site).args(["--exact", test]);
    let done = tests.stdin(Stdio::null()).output().expect("the tests of frames start");
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(said.contains("running 1 test"), "there is no test '{test}': {said}");
    done.status.success()
}

#[test]
fn f27_each_wait_that_is_left_out_is_noticed() {
    if !scene::has_card() {
        return;
    }
    if !scene::is_standin() {
        return println!("SKIP a card is so fast that a missing wait shows by chance only");
    }
    let named: Vec<&str> = NOTICED_BY.iter().map(|(site, _)| *site).collect();
    assert_eq!(named, uncopy_link::SITES, "each place has a test");
    for (site, test) in NOTICED_BY {
        assert!(passes_without("none", test), "nothing is left out of {test}");
        assert!(!passes_without(site, test), "{test} does not notice that {site} is left out");
    }
}

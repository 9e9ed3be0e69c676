// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every wait for a device is needed: with any one left out, some test of this program fails.

use std::process::{Command, Stdio};

use uncopy_gpu_tests::scene;

/// Each place, and a test that needs it.
const NOTICED_BY: &[(&str, &str)] = &[
    ("claim/ready", "a_loan_that_is_dropped_is_written_anew_after_its_stream_is_done"),
    ("claim/done", "f27_a_frame_that_is_held_twice_is_kept_for_both_streams"),
    ("mirror/head", "a_large_frame_is_mirrored_in_two_parts"),
    ("mirror/ready", "a_mirror_in_host_memory_holds_the_same_frames"),
    ("look/processor", "every_frame_that_is_sent_arrives_whole"),
    ("look/stream", "a_stream_that_waits_for_the_content_reads_it_whole"),
    ("release/streams", "f27_a_frame_that_is_held_twice_is_kept_for_both_streams"),
    ("release/after", "f27_a_frame_that_is_held_twice_is_kept_for_both_streams"),
    ("source/kept", "an_array_may_go_right_after_it_was_sent"),
];

/// Those that show on a card too: what is not waited for takes milliseconds there.
const ON_A_CARD: &[&str] = &["claim/ready", "claim/done", "release/streams"];

/// Whether a test of this program passes without the wait called `site`.
fn passes_without(site: &str, test: &str) -> bool {
    let mut tests = Command::new(std::env::current_exe().expect("this program has a path"));
    // Work is done as late as it may be, so that what is not waited for is not there.
    tests.env("UNCOPY_STANDIN_LAZY_US", "3000");
    tests.env("UNCOPY_SKIP_WAIT", site).args(["--exact", test]);
    let done = tests.stdin(Stdio::null()).output().expect("this program starts again");
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(said.contains("running 1 test"), "there is no test '{test}': {said}");
    done.status.success()
}

#[test]
fn f27_each_wait_that_is_left_out_is_noticed() {
    if !scene::has_card() {
        return;
    }
    // Others take turns with this one: its processes are not their leaks.
    let _stage = scene::stage(super::PEER);
    let named: Vec<&str> = NOTICED_BY.iter().map(|(site, _)| *site).collect();
    assert_eq!(named, uncopy_link::SITES, "each place has a test");
    for (site, test) in NOTICED_BY {
        if !scene::is_standin() && !ON_A_CARD.contains(site) {
            // A card is so fast that this would show by chance only.
            continue;
        }
        assert!(passes_without("none", test), "nothing is left out of {test}");
        assert!(!passes_without(site, test), "{test} does not notice that {site} is left out");
    }
}

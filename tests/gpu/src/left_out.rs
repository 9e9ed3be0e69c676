// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every wait for a device is needed: with any one left out, some test fails. Which, and how that is shown.

use std::process::{Command, Stdio};

use crate::scene;

/// Each place, and a test that needs it, with its program.
const NOTICED_BY: &[(&str, &str, &str)] = &[
    ("claim/ready", "frames", "a_loan_that_is_dropped_is_written_anew_after_its_stream_is_done"),
    ("claim/done", "frames", "f27_a_frame_that_is_held_twice_is_kept_for_both_streams"),
    ("loan/also-on", "frames", "a_loan_that_a_second_stream_writes_over_arrives_as_that_stream_left_it"),
    ("loan/join", "frames", "a_loan_that_a_second_stream_writes_over_arrives_as_that_stream_left_it"),
    ("mirror/head", "frames", "a_large_frame_is_mirrored_in_two_parts"),
    ("mirror/ready", "frames", "a_mirror_in_host_memory_holds_the_same_frames"),
    ("look/processor", "frames", "every_frame_that_is_sent_arrives_whole"),
    ("look/stream", "frames", "a_stream_that_waits_for_the_content_reads_it_whole"),
    ("release/streams", "frames", "f27_a_frame_that_is_held_twice_is_kept_for_both_streams"),
    (
        "release/context",
        "choices",
        "context::f27_a_frame_in_a_stream_that_nobody_named_is_kept_until_everything_in_the_context_is_done",
    ),
    ("release/after", "frames", "f27_a_frame_that_is_held_twice_is_kept_for_both_streams"),
    ("source/kept", "frames", "an_array_may_go_right_after_it_was_sent"),
    (
        "flush/written",
        "choices",
        "ending::f02_the_last_frame_of_a_process_that_closes_its_link_and_ends_arrives_whole",
    ),
    (
        "bring/content",
        "two_cards",
        "copies::a_frame_that_is_never_finished_keeps_no_other_one_from_being_copied",
    ),
    (
        "bring/readers",
        "two_cards",
        "copies::f42_a_copy_is_made_after_every_stream_that_reads_what_was_there_before",
    ),
    ("bring/slot", "two_cards", "copies::f42_a_slot_is_kept_until_the_stream_that_copies_it_is_done"),
    ("bring/memory", "two_cards", "deaths::the_memory_of_copies_outlives_a_reader_that_leaves"),
    ("staging/wait", "frames", "staged::a_copy_in_host_memory_holds_the_same_frames"),
    ("staging/kept", "frames", "staged::f42_pinned_memory_that_is_let_go_of_early_stays_until_it_is_filled"),
    ("staging/stage", "frames", "staged::f42_pinned_memory_outlives_what_made_it_until_it_is_filled"),
];

/// Those that show on a card too: what is not waited for takes milliseconds there.
const ON_A_CARD: &[&str] =
    &["claim/ready", "claim/done", "release/streams", "release/context", "flush/written"];

/// Whether a test of the running program passes without the wait called `site`.
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

/// Checks that each wait that a test of the running program stands for is noticed when it is left out. `peer` as for
/// [`scene::stage`].
///
/// # Panics
/// When one is not, or a place has no test.
pub fn each_is_noticed(peer: &str, program: &str) {
    if !scene::has_card() {
        return;
    }
    // Others take turns with this one: its processes are not their leaks.
    let _stage = scene::stage(peer);
    let named: Vec<&str> = NOTICED_BY.iter().map(|(site, ..)| *site).collect();
    assert_eq!(named, uncopy_link::SITES, "each place has a test");
    for (site, _, test) in NOTICED_BY.iter().filter(|(_, of, _)| *of == program) {
        if !scene::is_standin() && !ON_A_CARD.contains(site) {
            // A card is so fast that this would show by chance only.
            continue;
        }
        assert!(passes_without("none", test), "nothing is left out of {test}");
        assert!(!passes_without(site, test), "{test} does not notice that {site} is left out");
    }
}

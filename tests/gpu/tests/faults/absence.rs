// SPDX-License-Identifier: MIT OR Apache-2.0
//! No driver, an old one, no device, or not the one that a frame is on.

use uncopy_gpu_tests::scene;
use uncopy_tests::{Peer, Stage};

use crate::{FORM, all_right, is_frame, open_with, stage, standin_stage};

/// A peer that finds no driver.
fn without_driver(stage: &Stage, role: &[&str]) -> Peer {
    let mut peer = stage.peer_in(role, |command| {
        command.env_remove("LD_LIBRARY_PATH");
    });
    peer.expect("open");
    peer
}

/// Whether a peer can be kept from the driver: one that is installed it would find.
fn can_hide_the_driver() -> bool {
    let is_installed = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"]
        .iter()
        .any(|dir| std::path::Path::new(dir).join("libcuda.so.1").exists());
    if is_installed || !scene::is_standin() {
        println!("SKIP a driver is installed, which every process finds");
    }
    !is_installed && scene::is_standin()
}

/// Frames of the host pass, and one on a device is refused with all of these words, as often as it is tried.
#[track_caller]
fn host_links_work_and_device_frames_are_refused(mut lone: Peer, words: &[&str]) {
    for _ in 0..2 {
        assert_eq!(lone.ask("host", "host").value("right"), true);
        let refused = lone.ask("device", "error");
        for word in words {
            assert!(refused.text("text").contains(word), "no '{word}': {refused}");
        }
    }
    lone.quit();
}

#[test]
fn f31_without_a_driver_host_links_work_and_a_device_frame_says_what_is_missing() {
    let Some(stage) = standin_stage() else { return };
    if can_hide_the_driver() {
        let lone = without_driver(&stage, &["lone", "cam"]);
        host_links_work_and_device_frames_are_refused(lone, &["link 'cam'", "libcuda.so.1"]);
    }
}

#[test]
fn f31_a_driver_that_lacks_a_function_is_refused_by_its_name() {
    let Some(stage) = standin_stage() else { return };
    for function in [
        "cuMemCreate",
        "cuMemExportToShareableHandle",
        "cuMemHostRegister_v2",
        "cuStreamWriteValue32_v2",
        // Called for a slot that is still being read, and for no frame before.
        "cuStreamBatchMemOp_v2",
    ] {
        let lone = open_with(&stage, &["lone", "cam"], &[("WITHOUT", function)]);
        let name = function.trim_end_matches("_v2");
        host_links_work_and_device_frames_are_refused(lone, &["link 'cam'", name]);
    }
}

#[test]
fn f31_a_reader_whose_driver_lacks_a_function_is_told_and_reads_the_mirror_where_there_is_one() {
    let Some(stage) = standin_stage() else { return };
    let without = [("WITHOUT", "cuStreamBatchMemOp_v2")];
    for (mirror, reads) in [(&[][..], false), (&["--mirror"], true)] {
        let mut producer = stage.open(&[&["produce", "cam"], mirror].concat());
        // There before the reader comes, or after it.
        for early in [1, 0] {
            producer.tell(&format!("run {FORM} {early}"));
            producer.expect("ran");
            let mut reader = open_with(&stage, &["consume", "cam", "--bare"], &without);
            for _ in 0..2 {
                producer.tell(&format!("run {FORM} 1"));
                producer.expect("ran");
                reader.tell("take 20000");
                if reads {
                    let took = reader.expect("took");
                    assert_eq!((took.text("device"), took.value("right")), ("cpu", &true.into()), "{took}");
                } else {
                    let refused = reader.expect("error");
                    for word in ["link 'cam'", "GPU-", "cuStreamBatchMemOp", "mirror"] {
                        assert!(refused.text("text").contains(word), "no '{word}': {refused}");
                    }
                }
            }
            reader.quit();
        }
        producer.quit();
    }
}

#[test]
fn f31_a_driver_that_is_too_old_is_refused_with_its_version() {
    let Some(stage) = standin_stage() else { return };
    let lone = open_with(&stage, &["lone", "cam"], &[("VERSION", "9020")]);
    host_links_work_and_device_frames_are_refused(lone, &["link 'cam'", "9.2"]);
}

#[test]
fn f31_a_process_that_may_see_no_device_is_told_so() {
    let Some(stage) = stage() else { return };
    let mut lone = stage.peer_in(&["lone", "cam"], |command| {
        command.env("CUDA_VISIBLE_DEVICES", "-1");
    });
    lone.expect("open");
    host_links_work_and_device_frames_are_refused(lone, &["link 'cam'", "CUDA_VISIBLE_DEVICES"]);
}

#[test]
fn f31_a_reader_without_a_driver_is_told_and_reads_the_mirror_where_there_is_one() {
    let Some(stage) = standin_stage() else { return };
    if !can_hide_the_driver() {
        return;
    }
    let mut producer = stage.open(&["produce", "cam"]);
    let mut reader = without_driver(&stage, &["consume", "cam", "--bare"]);
    producer.tell(&format!("run {FORM} 1"));
    producer.expect("ran");
    for _ in 0..2 {
        reader.tell("take 500");
        let refused = reader.expect("error");
        for word in ["link 'cam'", "libcuda.so.1", "mirror"] {
            assert!(refused.text("text").contains(word), "no '{word}': {refused}");
        }
    }
    producer.tell("idle");
    producer.expect("idle");
    producer.quit();
    // The next producer has a mirror.
    let mut producer = stage.open(&["produce", "cam", "--mirror", "--life", "2"]);
    for seq in 1..=3 {
        producer.tell(&format!("run {FORM} 1"));
        producer.expect("ran");
        reader.tell("take 20000");
        let took = reader.expect("took");
        is_frame(&took, seq);
        assert_eq!(took.text("device"), "cpu");
    }
    producer.quit();
    reader.quit();
}

/// A peer that sees these of two devices.
fn seeing(stage: &Stage, role: &[&str], visible: &str) -> Peer {
    let mut peer = stage.peer_in(role, |command| {
        command.env("UNCOPY_STANDIN_DEVICES", "2").env("CUDA_VISIBLE_DEVICES", visible);
    });
    peer.expect("open");
    peer
}

#[test]
fn f32_a_device_is_found_whatever_its_number_is_on_the_other_side() {
    let Some(stage) = standin_stage() else { return };
    for (producer_sees, producer_card, reader_sees, reader_card) in
        [("1,0", 0, "0,1", 1), ("0,1", 1, "1", 0), ("1", 0, "0,1", 1), ("0,1", 0, "1,0", 1)]
    {
        let card = producer_card.to_string();
        let mut producer = seeing(&stage, &["produce", "cam", "--block", "--card", &card], producer_sees);
        let card = reader_card.to_string();
        let mut reader = seeing(&stage, &["consume", "cam", "--every", "--card", &card], reader_sees);
        reader.tell("run 20 cpu");
        producer.tell(&format!("run {FORM} 20 send"));
        all_right(&reader.expect("verified"));
        producer.expect("ran");
        reader.tell("take 20000");
        producer.tell(&format!("run {FORM} 1 loan"));
        producer.expect("ran");
        let took = reader.expect("took");
        assert_eq!(took.text("device"), format!("cuda:{card}"), "{took}");
        is_frame(&took, 21);
        producer.quit();
        reader.quit();
    }
}

#[test]
fn f32_a_reader_that_does_not_see_the_device_is_told_and_reads_the_mirror_where_there_is_one() {
    let Some(stage) = standin_stage() else { return };
    for (mirror, reads) in [(&[][..], false), (&["--mirror"], true)] {
        let mut producer = seeing(&stage, &[&["produce", "cam"], mirror].concat(), "1");
        let mut reader = seeing(&stage, &["consume", "cam"], "0");
        for seq in 1..=3 {
            producer.tell(&format!("run {FORM} 1"));
            producer.expect("ran");
            reader.tell(if reads { "take 20000" } else { "take 500" });
            if reads {
                let took = reader.expect("took");
                is_frame(&took, seq);
                assert_eq!(took.text("device"), "cpu");
            } else {
                let refused = reader.expect("error");
                for word in ["link 'cam'", "GPU-", "CUDA_VISIBLE_DEVICES", "mirror"] {
                    assert!(refused.text("text").contains(word), "no '{word}': {refused}");
                }
            }
        }
        producer.quit();
        reader.quit();
    }
}

#[test]
fn f32_a_reader_follows_from_one_device_to_another() {
    let Some(stage) = standin_stage() else { return };
    let mut reader = None;
    for (life, card) in [("1", "1"), ("2", "0"), ("3", "1")] {
        let mut producer = seeing(&stage, &["produce", "cam", "--life", life, "--card", card], "0,1");
        let reader = reader.get_or_insert_with(|| seeing(&stage, &["consume", "cam", "--bare"], "1,0"));
        reader.tell("take 20000");
        producer.tell(&format!("run {FORM} 1"));
        producer.expect("ran");
        let took = reader.expect("took");
        is_frame(&took, 1);
        // Here the two have each other's numbers.
        assert_eq!(took.text("device"), if card == "1" { "cuda:0" } else { "cuda:1" }, "{took}");
        producer.quit();
    }
    reader.unwrap().quit();
}

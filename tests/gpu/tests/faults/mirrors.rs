// SPDX-License-Identifier: MIT OR Apache-2.0
//! Mirrors in host memory, made late. The mirror's stream is the fourth of a producer here: one of the house's own and
//! the two of its role come before.

use crate::{FORM, all_right, is_frame, nothing_is_left, open_with, says_none, standin_stage};

/// The mirror is never made.
const NEVER: (&str, &str) = ("LAG_US", "0,0,0,600000000");

#[test]
fn f01_nobody_is_given_a_mirror_that_was_not_made_when_its_producer_died() {
    let Some(stage) = standin_stage() else { return };
    let mut producer = open_with(&stage, &["produce", "cam", "--mirror"], &[NEVER]);
    let mut readers = [(); 3].map(|()| stage.open(&["consume", "cam", "--host"]));
    producer.tell(&format!("run {FORM} 1"));
    producer.expect("ran");
    // Two wait for it when the producer dies, and one comes to it later.
    for reader in &mut readers[..2] {
        reader.tell("take 1000");
    }
    producer.kill();
    for reader in &mut readers[..2] {
        says_none(reader);
    }
    for ask in ["newest", "take 100", "newest"] {
        for reader in &mut readers {
            reader.tell(ask);
            says_none(reader);
        }
    }
    for reader in readers {
        reader.quit();
    }
}

#[test]
fn f01_the_last_mirror_that_was_made_is_still_read_after_a_death() {
    let Some(stage) = standin_stage() else { return };
    let mut producer = stage.open(&["produce", "cam", "--mirror"]);
    let mut readers = [(); 2].map(|()| stage.open(&["consume", "cam", "--host"]));
    for reader in &mut readers {
        reader.tell("hold");
    }
    producer.tell(&format!("run {FORM} 1"));
    producer.expect("ran");
    for reader in &mut readers {
        reader.expect("held");
    }
    producer.kill();
    for mut reader in readers {
        reader.tell("check");
        all_right(&reader.expect("verified"));
        reader.quit();
    }
}

#[test]
fn f01_a_producer_killed_in_the_middle_of_mirrors_gives_no_torn_frame() {
    let Some(stage) = standin_stage() else { return };
    let mut readers = [(); 2].map(|()| stage.peer(&["consume", "cam", "--host"]));
    for life in 1..=6 {
        // Frames of two parts, whose mirrors are late by another time in each life.
        let late = format!("0,0,0,{}", life * 2_000);
        let role = ["produce", "cam", "--mirror", "--life", &life.to_string()];
        let mut producer = open_with(&stage, &role, &[("LAG_US", &late)]);
        if life == 1 {
            for reader in &mut readers {
                reader.expect("open");
                reader.tell("forever");
            }
        }
        producer.tell("forever 720x1280x4 send");
        for reader in &mut readers {
            reader.until("first", &["gone"]);
        }
        producer.kill();
    }
    for mut reader in readers {
        reader.tell("drop");
        all_right(&reader.until("verified", &["gone"]));
        reader.expect("dropped");
        reader.quit();
    }
}

#[test]
fn an_abandoned_loan_takes_no_mirror_back() {
    let Some(stage) = standin_stage() else { return };
    let log = stage.path("calls");
    let settings = [("LAG_US", "0,0,0,30000"), ("LOG", log.to_str().unwrap())];
    let mut producer = open_with(&stage, &["produce", "cam", "--mirror", "--slots", "2"], &settings);
    for _ in 0..4 {
        // The loan gets the slot of the first of two, whose mirror is still made.
        producer.tell(&format!("run {FORM} 2 send"));
        producer.expect("ran");
        producer.tell(&format!("abandon {FORM}"));
        producer.expect("abandoned");
    }
    producer.tell("idle");
    producer.expect("idle");
    let mut reader = stage.open(&["consume", "cam", "--host"]);
    reader.tell("take 20000");
    is_frame(&reader.expect("took"), 8);
    reader.quit();
    producer.tell(&format!("run {FORM} 2 send"));
    producer.expect("ran");
    producer.tell(&format!("abandon {FORM}"));
    producer.expect("abandoned");
    producer.tell("close");
    producer.expect("closed");
    producer.tell("idle");
    producer.expect("idle");
    // The two arrays that it sent from are still there; what waited for the loan has ended.
    nothing_is_left(&log, 2);
    producer.quit();
}

#[test]
fn late_mirrors_of_older_sizes_take_no_mirror_back() {
    let Some(stage) = standin_stage() else { return };
    for (late, frames) in [("0,0,0,300000,0,0,0", 3), ("0,0,0,0,300000,0,0", 4)] {
        let log = stage.path(&format!("calls-{late}"));
        let settings = [("LAG_US", late), ("LOG", log.to_str().unwrap())];
        let mut producer = open_with(&stage, &["produce", "cam", "--mirror", "--slots", "2"], &settings);
        // Each frame begins an epoch: had each a stream for its mirror, one would be later than those after it.
        let mut forms = ["64x64x4", "512x512x4", "720x1280x4", "1080x1920x4"].iter();
        for form in forms.by_ref().take(frames) {
            producer.tell(&format!("run {form} 1 loan"));
            producer.expect("ran");
        }
        producer.tell("idle");
        producer.expect("idle");
        let mut reader = stage.open(&["consume", "cam", "--host"]);
        reader.tell("take 20000");
        is_frame(&reader.expect("took"), frames as u64);
        producer.tell("close");
        producer.expect("closed");
        nothing_is_left(&log, 0);
        reader.quit();
        producer.quit();
    }
}

#[test]
fn sizes_that_alternate_under_late_mirrors_are_read_whole() {
    let Some(stage) = standin_stage() else { return };
    let log = stage.path("calls");
    // If each epoch had a mirror's stream of its own, some of them would be later than others.
    let settings = [("LAG_US", "0,1000,0,15000,0,3000,0"), ("LOG", log.to_str().unwrap())];
    let mut producer = open_with(&stage, &["produce", "cam", "--mirror", "--block"], &settings);
    let mut on_host = stage.open(&["consume", "cam", "--host", "--every"]);
    let mut on_device = stage.open(&["consume", "cam", "--every"]);
    on_host.tell("run 40 cpu");
    on_device.tell("run 40 gpu");
    producer.tell("alternate 64x64x4 512x512x4 40");
    all_right(&on_host.expect("verified"));
    all_right(&on_device.expect("verified"));
    producer.expect("ran");
    producer.tell("close");
    producer.expect("closed");
    producer.tell("idle");
    producer.expect("idle");
    // Two arrays of each size.
    nothing_is_left(&log, 4);
    producer.quit();
    on_host.quit();
    on_device.quit();
}

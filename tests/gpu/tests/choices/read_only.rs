// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames that are mapped so that nobody here can write to them.

use crate::{FORM, stage};

/// How many words of a frame are wrong for one reader after another has written into it, and whether that lost its
/// device.
fn scribbled(choice: &[&str]) -> Option<(u64, bool)> {
    let stage = stage()?;
    let mut producer = stage.open(&["produce", "cam"]);
    let mut careless = stage.open(&[&["consume", "cam"], choice].concat());
    let mut reader = stage.open(&["consume", "cam"]);
    producer.tell(&format!("run {FORM} 1"));
    producer.expect("ran");
    reader.tell("hold");
    reader.expect("held");
    careless.tell("scribble");
    let lost = careless.expect("scribbled").value("lost") == true;
    reader.tell("check");
    let wrong = reader.expect("verified").number("wrong");
    reader.tell("drop");
    reader.expect("dropped");
    // Its driver may say nothing any more; it has no more to say either.
    careless.kill();
    producer.tell(&format!("run {FORM} 6"));
    producer.expect("ran");
    reader.tell("take 20000");
    assert_eq!(reader.expect("took").value("right"), true, "the link goes on");
    reader.quit();
    producer.quit();
    Some((wrong, lost))
}

#[test]
fn a_kernel_that_writes_into_a_read_only_frame_loses_its_own_device_and_changes_nothing() {
    if std::env::var_os("UNCOPY_TEST_SANITIZED").is_some() {
        println!("SKIP compute-sanitizer reports the store that is to be refused");
        return;
    }
    if let Some(found) = scribbled(&["--read-only"]) {
        assert_eq!(found, (0, true));
    }
}

#[test]
fn a_kernel_that_writes_into_any_other_frame_changes_it_for_everybody() {
    if let Some((wrong, lost)) = scribbled(&[]) {
        assert!(wrong > 0 && !lost, "{wrong} words are wrong; lost: {lost}");
    }
}

#[test]
fn a_frame_that_is_mapped_read_only_says_so_and_is_read_as_any_other() {
    let Some(stage) = stage() else { return };
    let mut producer = stage.open(&["produce", "cam", "--block"]);
    for (choice, writable) in [(&[][..], true), (&["--read-only"], false)] {
        let mut consumer = stage.open(&[&["consume", "cam", "--every"], choice].concat());
        consumer.tell("access");
        producer.tell(&format!("run {FORM} 21"));
        assert_eq!(consumer.expect("access").value("writable"), writable);
        consumer.tell("run 20 cpu");
        let verified = consumer.expect("verified");
        assert_eq!((verified.number("frames"), verified.number("wrong")), (20, 0), "{verified}");
        producer.expect("ran");
        consumer.quit();
    }
    producer.quit();
}

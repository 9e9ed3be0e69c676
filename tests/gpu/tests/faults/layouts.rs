// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arrays that are not one run of bytes, and frames with a long history.

use crate::{FORM, is_frame, stage};

#[test]
fn f39_padded_rows_on_a_device_are_packed_and_named() {
    let Some(stage) = stage() else { return };
    for (producer, consumer) in [(&[][..], &[][..]), (&["--mirror"], &[]), (&["--mirror"], &["--host"])] {
        let mut producer = stage.open(&[&["produce", "cam"], producer].concat());
        let mut consumer = stage.open(&[&["consume", "cam"], consumer].concat());
        // The last has so many bytes that a mirror is begun early.
        let forms = ["64x48x4", "float32:30x64", "uint8:7x128", "720x1280x4", "float32:600x700"];
        for (at, form) in forms.iter().enumerate() {
            consumer.tell("take 20000");
            producer.tell(&format!("strided {form}"));
            producer.expect("ran");
            is_frame(&consumer.expect("took"), at as u64 + 1);
        }
        consumer.quit();
        producer.quit();
    }
}

#[test]
fn records_that_leave_no_room_for_that_of_the_mirror_are_refused_and_the_link_goes_on() {
    let Some(stage) = stage() else { return };
    let mut producer = stage.open(&["produce", "cam", "--mirror", "--slots", "2"]);
    for place in [&[][..], &["--host"]] {
        let mut consumer = stage.open(&[&["consume", "cam"], place].concat());
        // What was there before it came.
        consumer.tell("take 100");
        consumer.next_event().unwrap();
        for (records, how, all) in [(6, "send", 8), (7, "loan", 8), (0, "send", 2), (0, "loan", 1)] {
            producer.tell(&format!("records {records} {FORM} {how}"));
            let seq = producer.expect("ran").number("seq");
            consumer.tell("take 20000");
            let took = consumer.expect("took");
            is_frame(&took, seq);
            assert_eq!(took.number("copies"), all, "{took}");
            for (records, how) in [(7, "send"), (8, "send"), (8, "loan"), (9, "loan")] {
                producer.tell(&format!("records {records} {FORM} {how}"));
                let refused = producer.next_event().unwrap();
                assert_eq!(refused.name(), "error", "{records} and {how}: {refused}");
                assert!(refused.text("text").contains("8 records"), "{refused}");
            }
        }
        consumer.quit();
    }
    producer.quit();
}

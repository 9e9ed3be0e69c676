// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a consumer may choose holds on another card too, where frames lie and for copies of them.

use crate::{FORM, Way, all_right_by, stage};

const WAYS: [Way; 3] = [Way::Reach, Way::Apart, Way::Asked];

#[test]
fn frames_on_another_card_are_mapped_read_only_if_that_is_asked_for() {
    for way in WAYS {
        let Some(stage) = stage(way) else { continue };
        for (choice, writable) in [(&["--every"][..], true), (&["--every", "--read-only"], false)] {
            let (mut producer, mut consumer) = way.pair(&stage, &["--block"], choice);
            consumer.tell("access");
            producer.tell(&format!("run {FORM} 11"));
            assert_eq!(consumer.expect("access").value("writable"), writable);
            consumer.tell("run 10 cpu");
            all_right_by(way, &consumer.expect("verified"));
            producer.expect("ran");
            consumer.quit();
            producer.quit();
        }
    }
}

#[test]
fn f27_a_frame_on_another_card_is_kept_for_streams_that_nobody_named_if_that_is_asked_for() {
    for way in WAYS {
        let Some(stage) = stage(way) else { continue };
        let (mut producer, mut consumer) = way.pair(&stage, &["--slots", "2"], &["--context"]);
        producer.tell(&format!("forever {FORM} send"));
        consumer.tell("unnamed 20");
        let verified = consumer.expect("verified");
        assert_eq!((verified.number("frames"), verified.number("wrong")), (20, 0), "{verified}");
        producer.tell("idle");
        producer.expect("ran");
        producer.expect("idle");
        consumer.quit();
        producer.quit();
    }
}

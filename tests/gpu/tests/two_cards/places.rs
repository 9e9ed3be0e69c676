// SPDX-License-Identifier: MIT OR Apache-2.0
//! Cards that this process counts otherwise than its peer, does not see, or that are not there.

use uncopy_tests::{Peer, Stage};

use crate::{FORM, Way, all_right, all_right_by, stage};

/// A consumer that sees these cards, in this order.
fn seeing(stage: &Stage, way: Way, cards: &str, role: &[&str]) -> Peer {
    let mut peer = stage.peer_in(role, |command| {
        way.cards(command);
        command.env("CUDA_VISIBLE_DEVICES", cards);
    });
    peer.expect("open");
    peer
}

#[test]
fn f32_a_card_is_the_same_one_whatever_its_number_is() {
    for way in [Way::Reach, Way::Apart] {
        let Some(stage) = stage(way) else { continue };
        let mut producer = way.open(&stage, &["produce", "cam", "--block"]);
        // Its second is the producer's first, where the frames are, and its first is the producer's second.
        for (on, is_same) in [("1", true), ("0", false)] {
            let role = ["consume", "cam", "--every", "--on", on];
            let mut consumer = seeing(&stage, way, "1,0", &role);
            consumer.tell("run 10 cpu");
            producer.tell(&format!("run {FORM} 10 send"));
            all_right_by(if is_same { Way::Reach } else { way }, &consumer.expect("verified"));
            producer.expect("ran");
            consumer.quit();
        }
        producer.quit();
    }
}

#[test]
fn f32_frames_of_a_card_that_is_hidden_are_refused_with_a_way_out() {
    let Some(stage) = stage(Way::Reach) else { return };
    let mut producer = Way::Reach.open(&stage, &["produce", "cam"]);
    let mut consumer = seeing(&stage, Way::Reach, "1", &["consume", "cam", "--on", "0"]);
    producer.tell(&format!("run {FORM} 1 send"));
    producer.expect("ran");
    consumer.tell("run 1 cpu");
    let error = consumer.expect("error");
    assert_eq!(error.text("kind"), "unsupported", "{error}");
    let text = error.text("text");
    assert!(text.contains("CUDA_VISIBLE_DEVICES") && text.contains("mirror"), "{text}");
    consumer.quit();
    producer.quit();
}

#[test]
fn f32_the_mirror_of_a_card_that_is_hidden_is_read() {
    let Some(stage) = stage(Way::Reach) else { return };
    let mut producer = Way::Reach.open(&stage, &["produce", "cam", "--mirror", "--block"]);
    let mut consumer = seeing(&stage, Way::Reach, "1", &["consume", "cam", "--on", "0", "--every"]);
    consumer.tell("run 10 cpu");
    producer.tell(&format!("run {FORM} 10 send"));
    let verified = consumer.expect("verified");
    all_right(&verified);
    assert_eq!(verified.number("on_card"), 0, "{verified}");
    producer.expect("ran");
    consumer.quit();
    producer.quit();
}

#[test]
fn a_card_that_is_not_there_is_an_error_at_once_that_says_what_there_is() {
    let Some(stage) = stage(Way::Reach) else { return };
    for more in [&[][..], &["--copied"]] {
        // Nobody publishes, and nobody is waited for.
        let role = [&["consume", "cam", "--on", "7"], more].concat();
        let mut consumer = stage.peer_in(&role, |command| Way::Reach.cards(command));
        let error = consumer.expect("error");
        assert_eq!(error.text("kind"), "unsupported", "{error}");
        let text = error.text("text");
        assert!(text.contains("no CUDA device 7") && text.contains("cuda:0 to cuda:"), "{text}");
        consumer.quit();
    }
}

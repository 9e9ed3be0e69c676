// SPDX-License-Identifier: MIT OR Apache-2.0
//! No memory is left, at each place that asks for some; and memory whose owner is gone.

use uncopy_tests::Stage;

use crate::{FORM, all_right, is_frame, nothing_is_left, open_with, stage, standin_stage, succeeded};

/// Calls that may say that there is no memory.
const CALLS: &[&str] = &[
    "cuMemCreate",
    "cuMemExportToShareableHandle",
    "cuMemAddressReserve",
    "cuMemMap",
    "cuMemSetAccess",
    "cuMemsetD8Async",
    "cuMemHostRegister_v2",
    "cuMemHostGetDevicePointer_v2",
    "cuStreamCreate",
    "cuMemImportFromShareableHandle",
];

/// One producer without memory at this call; says whether the call was made.
fn producer_without(stage: &Stage, call: &str, nth: usize) -> bool {
    let (log, fault) = (stage.path(&format!("{call}-{nth}")), format!("{call}:{nth}=2"));
    let settings = [("LOG", log.to_str().unwrap()), ("FAULTS", &fault)];
    let mut producer = open_with(stage, &["produce", "cam", "--mirror"], &settings);
    let mut consumer = stage.open(&["consume", "cam"]);
    let mut on_host = stage.open(&["consume", "cam", "--host"]);
    let mut refusals = 0;
    loop {
        producer.tell(&format!("run {FORM} 1 loan"));
        let said = producer.next_event().expect("it survives");
        if said.name() == "ran" {
            assert_eq!(said.number("seq"), 1);
            break;
        }
        assert_eq!((said.name(), said.text("kind")), ("error", "out_of_memory"), "{call}:{nth}: {said}");
        refusals += 1;
        assert!(refusals < 2, "{call}:{nth} failed once: {said}");
        // What was begun is undone, but for what the link keeps for its next frame: pinned words and streams.
        let made = succeeded(&log, "cuMemCreate");
        assert_eq!(
            (succeeded(&log, "cuMemMap"), made),
            (succeeded(&log, "cuMemUnmap"), succeeded(&log, "cuMemRelease"))
        );
    }
    for reader in [&mut consumer, &mut on_host] {
        reader.tell("take 20000");
        is_frame(&reader.expect("took"), 1);
    }
    producer.tell("close");
    producer.expect("closed");
    nothing_is_left(&log, 0);
    producer.quit();
    consumer.quit();
    on_host.quit();
    refusals > 0
}

#[test]
fn f28_a_producer_without_memory_undoes_what_it_began_and_goes_on() {
    let Some(stage) = standin_stage() else { return };
    for call in CALLS {
        // Three streams are made before the link is used.
        let first = if *call == "cuStreamCreate" { 4 } else { 1 };
        for nth in first..first + 4 {
            if !producer_without(&stage, call, nth) {
                break;
            }
        }
    }
}

/// One reader without memory at this call, beside one that has all; says whether the call was made.
fn reader_without(stage: &Stage, call: &str, nth: usize, mirror: &[&str]) -> bool {
    let log = stage.path(&format!("reader-{call}-{nth}"));
    let mut producer = stage.open(&[&["produce", "cam"], mirror].concat());
    let fault = format!("{call}:{nth}=2");
    let settings = [("LOG", log.to_str().unwrap()), ("FAULTS", &fault)];
    // It opens no device by itself, so that all calls are the link's, but for those that look.
    let mut reader = open_with(stage, &["consume", "cam", "--bare"], &settings);
    let mut other = stage.open(&["consume", "cam"]);
    let mut refusals = 0;
    for seq in 1..=3 {
        producer.tell(&format!("run {FORM} 1 loan"));
        producer.expect("ran");
        other.tell("take 20000");
        is_frame(&other.expect("took"), seq);
        reader.tell("take 20000");
        let said = reader.next_event().expect("it survives");
        if said.name() == "error" {
            refusals += 1;
            // The next frame is received, or this one with the next call.
            assert!(refusals < 2, "{call}:{nth} failed once: {said}");
            assert!(said.text("text").contains("(2, "), "{call}:{nth}: {said}");
        } else if said.value("why").is_null() {
            is_frame(&said, seq);
        } else {
            // It was the look that had no memory.
            refusals += 1;
        }
    }
    let was_called = succeeded_or_failed(&log, call) >= nth;
    producer.tell("idle");
    producer.expect("idle");
    reader.tell("close");
    reader.expect("closed");
    nothing_is_left(&log, 0);
    reader.quit();
    other.quit();
    producer.quit();
    was_called
}

fn succeeded_or_failed(log: &std::path::Path, call: &str) -> usize {
    let log = std::fs::read_to_string(log).unwrap_or_default();
    log.lines().filter(|line| line.split(' ').next() == Some(call)).count()
}

#[test]
fn f28_a_reader_without_memory_is_told_and_goes_on() {
    let Some(stage) = standin_stage() else { return };
    for mirror in [&[][..], &["--mirror"]] {
        for call in CALLS {
            for nth in 1..=3 {
                if !reader_without(&stage, call, nth, mirror) {
                    break;
                }
            }
        }
    }
}

#[test]
fn f28_a_reader_without_memory_for_a_while_reads_as_soon_as_there_is_some() {
    let Some(stage) = standin_stage() else { return };
    let faults: Vec<String> = (1..=3).map(|nth| format!("cuMemImportFromShareableHandle:{nth}=2")).collect();
    let mut producer = stage.open(&["produce", "cam"]);
    let mut reader = open_with(&stage, &["consume", "cam", "--bare"], &[("FAULTS", &faults.join(";"))]);
    let mut refusals = 0;
    for seq in 1.. {
        producer.tell(&format!("run {FORM} 1"));
        producer.expect("ran");
        reader.tell("take 5000");
        let said = reader.next_event().expect("it survives");
        if said.name() == "took" {
            is_frame(&said, seq);
            break;
        }
        // It says why, every time, and does not fall silent.
        refusals += 1;
        assert!(refusals <= faults.len(), "it had no memory {} times: {said}", faults.len());
        assert!(said.text("text").contains("(2, "), "{said}");
    }
    reader.quit();
    producer.quit();
}

#[test]
fn f28_frames_that_are_too_large_for_the_device_are_refused_and_smaller_ones_pass() {
    let Some(stage) = standin_stage() else { return };
    let settings = [("MEMORY_MIB", "64")];
    let mut producer = open_with(&stage, &["produce", "cam"], &settings);
    let mut consumer = stage.open(&["consume", "cam"]);
    for seq in 1..=3 {
        // 4 slots of 32 MiB.
        producer.tell("run 2048x4096x4 1 loan");
        let refused = producer.expect("error");
        assert_eq!(refused.text("kind"), "out_of_memory", "{refused}");
        producer.tell(&format!("run {FORM} 1 loan"));
        producer.expect("ran");
        consumer.tell("take 20000");
        is_frame(&consumer.expect("took"), seq);
    }
    producer.quit();
    consumer.quit();
}

#[test]
fn f07_a_frame_that_is_held_outlives_the_link_and_its_producer() {
    let Some(stage) = stage() else { return };
    for end in ["close", "quit", "kill", "outgrown"] {
        let mut producer = stage.open(&["produce", "cam"]);
        let mut consumer = stage.open(&["consume", "cam"]);
        consumer.tell("hold");
        producer.tell(&format!("run {FORM} 1"));
        producer.expect("ran");
        consumer.expect("held");
        let check = |consumer: &mut uncopy_tests::Peer| {
            consumer.tell("check");
            all_right(&consumer.expect("verified"));
        };
        match end {
            "close" => {
                producer.tell("close");
                producer.expect("closed");
                producer.tell("idle");
                producer.expect("idle");
                check(&mut consumer);
                producer.quit();
            }
            "quit" => drop(producer.quit()),
            "kill" => producer.kill(),
            _ => {
                // Larger frames take other memory; that of the smaller ones goes.
                producer.tell("run 1080x1920x4 6");
                producer.expect("ran");
                producer.tell("idle");
                producer.expect("idle");
                check(&mut consumer);
                producer.quit();
            }
        }
        check(&mut consumer);
        consumer.quit();
    }
}

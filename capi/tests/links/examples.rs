// SPDX-License-Identifier: MIT OR Apache-2.0
//! The examples, as two processes: what one publishes is what the other says it got, in C and in C++, on the host and on the
//! stand-in for a GPU.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::setup::{Installed, Links, driver, on_stand_in, run};

const FRAMES: u64 = 30;
/// Bytes of a frame of the examples.
const LEN: u64 = 90 * 160 * 4;

/// Runs a producer and a consumer of one link, and returns what the consumer said.
fn play(test: &str, producer: &Path, consumer: &Path, settings: &[(&str, String)]) -> String {
    let links = Links::new(test);
    let command = |program: &Path| {
        let mut command = links.command(program);
        command.envs(settings.iter().cloned());
        command
    };
    let mut producing = command(producer);
    producing.args(["camera", &FRAMES.to_string()]).stdin(Stdio::null());
    let mut producing = producing.spawn().unwrap();
    let said = run(command(consumer).arg("camera"));
    let status = producing.wait().unwrap();
    assert!(status.success(), "the producer ended with {status}");
    said
}

/// What a consumer of the pictures says, worked out here.
fn expected() -> String {
    let mut text = String::new();
    for number in 1..=FRAMES {
        let pixels = (0..LEN).map(|at| (at + number) as u8);
        let sum = pixels.fold(0_u64, |sum, pixel| sum.wrapping_mul(31).wrapping_add(pixel.into()));
        writeln!(
            text,
            "frame {number}: 160 x 90, {{\"number\": {number}}}, 0 missed, 0 copies, sum {sum:016x}"
        )
        .unwrap();
    }
    text
}

fn build(installed: &Installed, name: &str) -> PathBuf {
    installed.build(&format!("examples/links/{name}"), &[])
}

#[test]
fn every_frame_of_a_producer_arrives_whole_in_another_process_in_either_language() {
    let Some(installed) = Installed::find() else { return };
    let wanted = expected();
    for (producer, consumer) in [("producer.c", "consumer.cpp"), ("producer.cpp", "consumer.c")] {
        let said = play(producer, &build(&installed, producer), &build(&installed, consumer), &[]);
        assert_eq!(said, wanted, "{producer} and {consumer}");
    }
}

#[test]
fn a_consumer_learns_that_its_producer_was_killed() {
    let Some(installed) = Installed::find() else { return };
    let (producer, consumer) = (build(&installed, "producer.c"), build(&installed, "consumer.c"));
    let links = Links::new("killed");
    // It never gets that far.
    let mut producing =
        links.command(&producer).args(["camera", "1000000000"]).stdin(Stdio::null()).spawn().unwrap();
    let mut consuming = links
        .command(&consumer)
        .arg("camera")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(consuming.stdout.take().unwrap()));
    assert!(lines.next().unwrap().unwrap().starts_with("frame 1: 160 x 90"));
    producing.kill().unwrap();
    producing.wait().unwrap();
    // What it left is received first.
    assert!(lines.all(|line| line.unwrap().contains(" 0 missed")));
    let output = consuming.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("is gone"), "{}: {said}", output.status);
}

#[test]
fn a_frame_that_a_late_stream_writes_is_read_whole_on_the_device_of_another_process() {
    let Some(installed) = Installed::find() else { return };
    let Some(driver) = driver() else { return };
    let (producer, consumer) = (build(&installed, "gpu_producer.c"), build(&installed, "gpu_consumer.c"));
    let said = play("gpu", &producer, &consumer, &on_stand_in(&driver, "1000"));
    let mut wanted = String::new();
    for number in 1..=FRAMES {
        writeln!(wanted, "frame {number} on cuda:0: {LEN} bytes of {number}, 0 copies").unwrap();
    }
    assert_eq!(said, wanted);
}

#[test]
fn without_a_driver_a_loan_on_a_device_says_so() {
    let Some(installed) = Installed::find() else { return };
    let program = installed.build("tests/links/no_driver.c", &[]);
    let links = Links::new("no-driver");
    let mut command: Command = links.command(&program);
    // A path without a driver in it, whatever this machine has.
    command.env("UNCOPY_STANDIN", "0");
    let said = run(&mut command);
    if said.starts_with("there is a driver") {
        println!("SKIP this machine has a driver");
        return;
    }
    assert_eq!(said, "done\n");
}

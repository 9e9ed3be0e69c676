// SPDX-License-Identifier: MIT OR Apache-2.0
//! How the command ends: by itself, by Ctrl-C, by a reader that has gone, by a peer that has gone, by the clock.

use std::process::Command;
use std::time::Duration;

use uncopy::ErrorKind;

use crate::place::{Done, Place, Running};

#[test]
fn f47_a_sender_that_is_interrupted_closes_its_link() {
    let place = Place::new();
    let mut sender = place.start(&["send", "camera", "--pattern", "--size", "8x8", "--wait", "1"]);
    let mut receiver = place.start(&["recv", "camera", "--raw", "--until-closed", "--timeout", "60"]);
    receiver.gives(8 * 8 * 4);
    sender.signal("INT");
    let sent = sender.done().ended_with(130);
    assert!(sent.err.contains("sent ") && !sent.err.contains("error"), "{sent:?}");
    // It was told goodbye, and had not to find out about a death.
    receiver.done().ended_with(0);
    place.is_clean();
}

#[test]
fn f47_every_wait_ends_with_ctrl_c() {
    let place = Place::new();
    let mut silent_input = place.start(&["send", "raw", "--raw", "--size", "8x8"]);
    silent_input.says("sending");
    let mut no_consumer = place.start(&["send", "camera", "--pattern", "--size", "8x8", "--wait", "9"]);
    no_consumer.says("waiting for 9");
    let mut no_producer = place.start_with_hang_up("default", &["recv", "nobody", "--timeout", "600"]);
    no_producer.says("waiting for a producer");
    for (signal, mut waiting) in [("INT", silent_input), ("TERM", no_consumer), ("HUP", no_producer)] {
        waiting.signal(signal);
        let done = waiting.done().ended_with(130);
        assert!(!done.err.contains("error"), "{done:?}");
    }
    place.is_clean();
}

#[test]
fn a_command_that_was_told_to_outlive_its_terminal_does() {
    let place = Place::new();
    let args = ["send", "camera", "--pattern", "--size", "8x8", "--wait", "1"];
    let mut sender = place.start_with_hang_up("ignore", &args);
    sender.says("waiting for 1 consumer").signal("HUP").signal("HUP");
    let mut reader = uncopy::subscribe("camera").directory(place.links()).open().unwrap();
    reader.recv(Duration::from_secs(60)).unwrap();
    sender.signal("TERM");
    sender.done().ended_with(130);
    place.is_clean();
}

#[test]
fn f47_a_receiver_that_is_interrupted_tells_what_it_has() {
    let place = Place::new();
    let mut sender =
        place.start(&["send", "camera", "--pattern", "--size", "8x8", "--frames", "1", "--hold"]);
    sender.says("stays open");
    let mut receiver = place.start(&["recv", "camera", "--raw", "--timeout", "600"]);
    receiver.gives(8 * 8 * 4);
    receiver.signal("INT");
    let done = receiver.done().ended_with(130);
    assert!(done.err.contains("received   1 frame"), "{done:?}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let place = Place::new();
    let _sender = place.start(&["send", "camera", "--pattern", "--size", "64x64", "--fps", "100"]);
    let mut receiver = place.start(&["recv", "camera", "--raw", "--timeout", "60"]);
    receiver.gives(100);
    receiver.closes_output();
    let done = receiver.done().ended_with(0);
    assert!(!done.err.contains("error"), "{done:?}");
}

#[test]
fn an_output_that_is_closed_from_the_start_is_no_error() {
    let place = Place::new();
    for args in [&["list"][..], &["list", "--json"], &["exit-codes"], &["doctor"], &["--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = place.command(args);
        let output = command.stdout(writer).output().unwrap();
        assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()), "{args:?}");
    }
}

#[test]
fn a_producer_that_is_killed_is_lost_and_leaves_nothing() {
    let place = Place::new();
    let mut sender =
        place.start(&["send", "camera", "--pattern", "--size", "8x8", "--frames", "1", "--hold"]);
    sender.says("stays open");
    let mut receiver = place.start(&["recv", "camera", "--raw", "--until-closed", "--timeout", "2"]);
    receiver.gives(8 * 8 * 4);
    sender.signal("KILL");
    let done = receiver.done().ended_with(7);
    assert!(done.error().contains(&format!("process {}", sender.pid())), "{done:?}");
    place.is_clean();
}

#[test]
fn a_wait_is_as_long_as_it_was_asked_to_be() {
    let place = Place::new();
    let done = place.run(&["recv", "nobody", "--timeout", "0.2"]).ended_with(3);
    assert!(done.error().contains("nobody publishes 'nobody'"), "{done:?}");
    let mut sender = place.start(&["send", "camera", "--pattern", "--size", "8x8", "--wait", "9"]);
    sender.says("waiting for 9 consumers");
    for until_closed in [&[][..], &["--until-closed"]] {
        let args = [&["recv", "camera", "--timeout", "0.2"], until_closed].concat();
        assert!(place.run(&args).ended_with(124).error().contains("no new frame of 'camera'"));
    }
    let few = place.run(&["send", "other", "--pattern", "--wait", "2", "--timeout", "0.2"]).ended_with(124);
    assert!(few.error().contains("0 of 2 consumers"), "{few:?}");
}

#[test]
fn the_list_of_exit_codes_is_that_of_the_error_kinds() {
    let place = Place::new();
    let data = place.run(&["exit-codes", "--json"]).ended_with(0).json();
    let listed = data["exit_codes"].as_array().unwrap();
    assert_eq!(listed.len(), ErrorKind::ALL.len());
    for kind in ErrorKind::ALL {
        let code = listed.iter().find(|code| code["kind"] == kind.name()).unwrap();
        assert_eq!(code["exit_code"], kind.exit_code());
    }
    assert!(place.run(&["help", "exit-codes"]).ended_with(0).text().contains("exit codes"));
}

#[test]
fn every_subcommand_explains_itself_with_examples() {
    let place = Place::new();
    for name in [
        "list",
        "info",
        "hz",
        "top",
        "send",
        "recv",
        "doctor",
        "clean",
        "bench",
        "demo",
        "completions",
        "man",
    ] {
        let text = place.run(&[name, "--help"]).ended_with(0).text();
        assert!(text.contains("Examples:") && text.contains(&format!("uncopy {name}")), "{text}");
    }
}

#[test]
fn what_is_not_understood_is_told_on_standard_error() {
    let place = Place::new();
    for args in [
        &["no-such-thing"][..],
        &["send", "camera"],
        &["send", "camera", "--raw"],
        &["send", "camera", "--pattern", "--size", "0x7"],
        &["send", "camera", "--pattern", "--pixel", "rgba9"],
        &["send", "camera", "--pattern", "--slots", "1"],
        &["recv", "camera", "--frames", "0"],
        &["recv", "camera", "--timeout", "-1"],
        &["recv", "camera", "--raw", "--json"],
        &["recv", "camera", "--tone"],
    ] {
        let done = place.run(args).ended_with(2);
        assert!(done.out.is_empty() && done.err.starts_with("error: "), "{done:?}");
    }
    place.is_clean();
}

/// Runs the command on a terminal of its own, as `script` of util-linux gives one.
fn on_terminal(place: &Place, args: &[&str], no_color: Option<&str>) -> String {
    let line = [&[env!("CARGO_BIN_EXE_uncopy")], args].concat().join(" ");
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).env("UNCOPY_RUNTIME_DIR", place.links()).env("TERM", "xterm");
    command.env_remove("NO_COLOR");
    if let Some(value) = no_color {
        command.env("NO_COLOR", value);
    }
    Done::of(command).text()
}

#[test]
fn colours_are_for_terminals_and_never_against_the_users_wish() {
    let place = Place::new();
    assert!(on_terminal(&place, &["list"], None).contains("\x1b["));
    assert!(on_terminal(&place, &["list"], Some("")).contains("\x1b["));
    for args in [&["list"][..], &["exit-codes"], &["info", "nobody"], &["--help"]] {
        let text = on_terminal(&place, args, Some("1"));
        assert!(!text.is_empty() && !text.contains("\x1b["), "{text:?}");
    }
    assert!(!place.run(&["list"]).text().contains('\x1b'));
}

#[test]
fn progress_is_drawn_on_a_terminal_only_and_is_gone_at_the_end() {
    let place = Place::new();
    let args = ["send", "camera", "--pattern", "--size", "8x8", "--frames", "9", "--fps", "20"];
    let drawn = on_terminal(&place, &args, Some("1"));
    assert!(drawn.contains("/9 frames"), "{drawn:?}");
    assert!(drawn.trim_end().lines().last().unwrap().contains("sent 9 frames"), "{drawn:?}");
    let plain = Running::of(place.command(&args)).done().ended_with(0);
    assert_eq!(plain.err.lines().count(), 2, "{plain:?}");
}

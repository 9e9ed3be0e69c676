// SPDX-License-Identifier: MIT OR Apache-2.0
//! The C programs beside this file: each checks by itself, and prints "done" at its end.

use crate::abi::{declared, header};
use crate::setup::{Installed, Links, driver, on_stand_in, run};

fn play(source: &str) {
    let Some(installed) = Installed::find() else { return };
    let program = installed.build(&format!("tests/links/{source}.c"), &[]);
    let links = Links::new(source);
    assert_eq!(run(&mut links.command(&program)), "done\n");
}

#[test]
fn f18_f21_f39_f40_arrays_go_in_and_out_by_dlpack_and_by_address() {
    play("arrays");
}

#[test]
fn owners_in_cpp_end_by_themselves_and_errors_have_their_kind() {
    let Some(installed) = Installed::find() else { return };
    let program = installed.build("tests/links/owners.cpp", &[]);
    let links = Links::new("owners");
    assert_eq!(run(&mut links.command(&program)), "done\n");
}

#[test]
fn f41_f42_links_publish_and_receive_in_every_way() {
    play("links");
}

#[test]
fn a_long_wait_for_a_producer_says_once_what_it_waits_for() {
    let Some(installed) = Installed::find() else { return };
    let program = installed.build("tests/links/notice.cpp", &[]);
    let said = run(&mut Links::new("notice").command(&program));
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn programs_may_end_without_ending_what_they_have_or_after_main() {
    let Some(installed) = Installed::find() else { return };
    for source in ["forgetful.c", "globals.cpp"] {
        let program = installed.build(&format!("tests/links/{source}"), &[]);
        assert_eq!(run(&mut Links::new(source).command(&program)), "done\n", "{source}");
    }
}

#[test]
fn a_host_may_unload_the_library_while_a_link_is_open() {
    let Some(installed) = Installed::find() else { return };
    // Linked against nothing of ours: it loads the library by itself.
    let program = installed.build("tests/links/plugin.c", &["-Wl,--as-needed"]);
    let links = Links::new("plugin");
    let library = installed.lib().join("libuncopy.so.1");
    assert_eq!(run(links.command(&program).arg(library)), "done\n");
}

#[test]
fn streams_wait_for_whom_they_must() {
    let Some(installed) = Installed::find() else { return };
    let Some(driver) = driver() else { return };
    let program = installed.build("tests/links/gpu.c", &[]);
    let links = Links::new("streams");
    // The first stream is late by that much, all others are not.
    let settings = on_stand_in(&driver, "20000,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0");
    assert_eq!(run(links.command(&program).envs(settings)), "done\n");
}

#[test]
fn f42_programs_leak_nothing_and_touch_nothing_that_is_gone() {
    let Some(installed) = Installed::find() else { return };
    let sanitized = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"];
    let links = Links::new("sanitized");
    // Looking for leaks needs rights that a container may not give.
    let probe = installed.try_build("tests/links/nothing.c", &sanitized);
    if !probe.is_some_and(|probe| links.command(&probe).status().unwrap().success()) {
        println!("SKIP sanitizers don't run here");
        return;
    }
    for source in ["arrays.c", "links.c", "owners.cpp"] {
        let program = installed.build(&format!("tests/links/{source}"), &sanitized);
        assert_eq!(run(&mut links.command(&program)), "done\n", "{source}");
    }
    // The child of a fork leaves what it shares with its parent.
    let program = installed.build("tests/links/faults.c", &sanitized);
    assert_eq!(run(links.command(&program).env("ASAN_OPTIONS", "detect_leaks=0")), "done\n");
}

#[test]
fn no_function_lets_a_panic_out() {
    let Some(installed) = Installed::find_panicking() else { return };
    let program = installed.build("tests/links/panics.c", &[]);
    let links = Links::new("panics");
    let said = run(&mut links.command(&program));
    // All but those that can't fail, so that a new function is not forgotten.
    let cannot_fail =
        ["last_status", "last_message", "status_name", "status_meaning", "abi_version", "version"];
    let panicked = declared(&header()).len() - cannot_fail.len();
    assert_eq!(said, format!("{panicked} functions\n"));
}

#[test]
fn f45_f46_f47_what_programs_do_wrong_is_told_and_breaks_nothing() {
    play("faults");
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! Clocks that jump, clocks that differ between processes, and stamps of another boot: waits last as long as they
//! were told to, and an age is the time that has passed, or none.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use uncopy::Meta;
use uncopy_tests::hostile::{Props, SLOTS, Server};
use uncopy_tests::wire::{self, Description};
use uncopy_tests::{Peer, Stage, form, pattern};

const PEER: &str = env!("CARGO_BIN_EXE_peer");
const FORM: &str = "64x64x4";
const DAY: &str = "86400";

fn open(mut peer: Peer) -> Peer {
    peer.expect("open");
    peer
}

/// The library that makes up the wall clock of a program, or why there is none.
fn faketime() -> Result<PathBuf, String> {
    let arch = std::env::consts::ARCH;
    let candidates = [format!("/usr/lib/{arch}-linux-gnu/faketime"), "/usr/lib/faketime".to_owned()];
    let found =
        candidates.iter().map(|dir| Path::new(dir).join("libfaketime.so.1")).find(|path| path.exists());
    found.ok_or_else(|| "libfaketime is not installed; on Debian: apt-get install libfaketime".to_owned())
}

/// A peer whose wall clock is what `file` says, read anew at each look at it; its monotonic clock is the machine's.
fn with_wall_clock(stage: &Stage, library: &Path, file: &Path, role: &[&str]) -> Peer {
    open(stage.peer_in(role, |command| {
        command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", file);
        command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }))
}

/// A day forth and a day back, again and again, between every two looks of anybody.
fn jump_while(file: &Path, work: impl FnOnce()) {
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let next = file.with_extension("next");
            for offset in ["+1d", "-1d", "+0"].into_iter().cycle() {
                if over.load(std::sync::atomic::Ordering::SeqCst) {
                    return;
                }
                // In one step: a file that is just being written says nothing.
                fs::write(&next, offset).unwrap();
                fs::rename(&next, file).unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        work();
        over.store(true, std::sync::atomic::Ordering::SeqCst);
    });
}

#[test]
fn f43_waits_and_ages_do_not_follow_a_wall_clock_that_jumps_by_days() {
    let library = match faketime() {
        Ok(library) => library,
        Err(why) => return println!("SKIP {why}"),
    };
    let stage = Stage::new(PEER);
    let file = stage.path("wall-clock");
    fs::write(&file, "+0").unwrap();
    let mut producer = with_wall_clock(&stage, &library, &file, &["produce", "cam"]);
    let mut reader = with_wall_clock(&stage, &library, &file, &["consume", "cam", "--timeout", "0"]);
    // The clock of such a process is really made up.
    fs::write(&file, "+1d").unwrap();
    let ahead = reader.ask("wall-clock", "wall-clock").number("seconds");
    let real = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    assert!(ahead > real + 80_000, "the wall clock says {ahead}, a day after {real}");
    jump_while(&file, || {
        let begun = Instant::now();
        let error = reader.ask("take 200", "error");
        assert_eq!(error.text("kind"), "timed_out", "{error}");
        assert!(begun.elapsed() >= Duration::from_millis(200), "it gave up after {:?}", begun.elapsed());
        for _ in 0..20 {
            let begun = Instant::now();
            producer.ask(&format!("frame {FORM}"), "published");
            let took = reader.ask("take", "took");
            let age = Duration::from_nanos(took.number("age_nanos"));
            assert!(age <= begun.elapsed(), "an age of {age:?} after {:?}", begun.elapsed());
            reader.ask("drop", "dropped");
        }
        // The end of a link is noticed, and waited for, all the same.
        producer.ask("close", "closed");
        assert_eq!(reader.ask("take 50", "error").text("kind"), "producer_closed");
    });
    reader.quit();
    producer.quit();
}

/// What makes a program run with its monotonic and boot clocks ahead of the machine's, or why that can't be.
fn in_time_namespace(ahead_seconds: &str) -> Result<Vec<&str>, String> {
    let mut outer =
        vec!["unshare", "--time", "--fork", "--kill-child", "--monotonic", ahead_seconds, "--boottime"];
    outer.push(ahead_seconds);
    let (program, arguments) = outer.split_first().expect("a program");
    match Command::new(program).args(arguments).arg("true").output() {
        Ok(output) if output.status.success() => Ok(outer),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn f43_processes_whose_monotonic_clocks_differ_find_each_other_and_agree_on_ages() {
    for ahead in [DAY, "-1"] {
        let outer = match in_time_namespace(ahead) {
            Ok(outer) => outer,
            Err(why) => return println!("SKIP time namespaces can't be made here: {why}"),
        };
        let stage = Stage::new(PEER);
        for sides in [[true, false], [false, true], [true, true]] {
            let start = |is_elsewhere: bool, role: &[&str]| match is_elsewhere {
                true => open(stage.peer_under(&outer, role)),
                false => open(stage.peer(role)),
            };
            let mut producer = start(sides[0], &["produce", "cam"]);
            let mut reader = start(sides[1], &["consume", "cam"]);
            let begun = Instant::now();
            producer.ask(&format!("frame {FORM}"), "published");
            let published = Instant::now();
            // Time that certainly lies between the two, whatever the clocks say.
            std::thread::sleep(Duration::from_millis(20));
            let least = published.elapsed();
            let took = reader.ask("take", "took");
            let age = Duration::from_nanos(took.number("age_nanos"));
            assert!(
                age >= least && age <= begun.elapsed(),
                "{ahead} {sides:?}: an age of {age:?}, {least:?} after"
            );
            let info = stage.info("cam");
            assert!(info.last_frame_age.unwrap() >= least && info.last_frame_age.unwrap() <= begun.elapsed());
            assert!(info.uptime >= info.last_frame_age.unwrap(), "{info:?}");
            assert!(info.producer.unwrap().is_alive(), "{info:?}");
            let second = stage.publish("cam").open().err().unwrap().to_string();
            assert!(second.contains("(peer)") && !second.contains("86400"), "{second}");
            reader.quit();
            producer.quit();
        }
    }
}

/// A stamp of another boot can come from a memory image, or from a container that makes up its boot's number.
#[test]
fn f44_frames_of_a_link_of_another_boot_are_received_and_have_no_age() {
    let stage = Stage::new(PEER);
    let props = Props::new("cam");
    let mut header = wire::header("cam", SLOTS);
    let boot_id = 56..72;
    for (byte, own) in header.get_mut(boot_id).unwrap().iter_mut().zip(uncopy::os::boot_id()) {
        *byte = !own;
    }
    wire::seal_header(&mut header);
    props.control.words().store_bytes(0, &header).unwrap();
    wire::publish(props.control.words(), 0, &Description::of_bytes(&[64, 64]));
    let server = Server::start(&stage.runtime_dir(), "cam", move |guest, message| {
        if message.get(4..6) == Some(&wire::kind::HELLO.to_le_bytes()) {
            props.greet(guest);
        }
    });
    let mut sub = stage.subscribe("cam").open().unwrap();
    let frame = sub.newest().unwrap().unwrap();
    assert_eq!((frame.seq(), frame.age()), (1, None));
    let info = stage.info("cam");
    assert_eq!((info.last_frame_age, info.uptime), (None, Duration::ZERO), "{info:?}");
    drop((frame, sub, server));
    // A link of this boot says how old its frames are.
    let mut out = stage.publish("cam").open().unwrap();
    let mut sub = stage.subscribe("cam").open().unwrap();
    let mut loan = out.loan(&form(FORM)).unwrap();
    pattern::fill(loan.bytes_mut(), 1);
    loan.publish(Meta::default()).unwrap();
    assert!(sub.newest().unwrap().unwrap().age().is_some());
    drop((sub, out));
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! Limits of the system: descriptors, address space, memory. Each is met by a named error before anything is half
//! made, and never by a signal.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use uncopy::os::available_bytes;
use uncopy::{DType, ErrorKind, Form};
use uncopy_tests::{Event, Peer, Stage, footprint, form};

const PEER: &str = env!("CARGO_BIN_EXE_peer");

fn limited(stage: &Stage) -> Peer {
    let mut peer = stage.peer(&["limited", "cam"]);
    peer.expect("open");
    peer
}

/// One attempt under a limit. Whatever came of it, nothing of it is left.
#[track_caller]
fn attempt(stage: &Stage, peer: &mut Peer, command: &str) -> Event {
    let tried = peer.ask(command, "tried");
    assert_eq!(tried.value("leaks"), &serde_json::json!([]), "{command}: {tried}");
    assert!(stage.files().is_empty(), "{command} leaves {:?}: {tried}", stage.files());
    tried
}

#[test]
fn f34_with_ever_more_descriptors_every_attempt_fails_by_name_until_one_succeeds() {
    let stage = Stage::new(PEER);
    let mut peer = limited(&stage);
    let mut failures = 0;
    for room in 0.. {
        let tried = attempt(&stage, &mut peer, &format!("descriptors {room}"));
        if tried.text("kind") == "ok" {
            break;
        }
        failures += 1;
        // A client that finds nobody because nobody could be let in is told that.
        assert_eq!(tried.text("kind"), "out_of_resources", "room for {room}: {tried}");
        assert!(tried.text("text").contains("descriptor"), "room for {room}: {tried}");
        assert!(room < 100, "two ends of a link take {room} descriptors and more");
    }
    assert!(failures > 8, "only {failures} attempts failed: the limit was not felt");
    peer.quit();
}

#[test]
fn f34_a_producer_without_descriptors_tells_those_who_come_and_serves_those_who_are_there() {
    let stage = Stage::new(PEER);
    let mut producer = stage.peer(&["produce", "cam"]);
    producer.expect("open");
    let mut sub = stage.subscribe("cam").open().unwrap();
    producer.ask("frame 64x64x4", "published");
    producer.ask("no-descriptors", "limited");
    for _ in 0..3 {
        let error = stage.subscribe("cam").open().err().unwrap();
        assert_eq!(error.kind(), ErrorKind::OutOfResources, "{error}");
        assert!(error.to_string().contains("no file descriptor left"), "{error}");
    }
    producer.ask("frame 64x64x4", "published");
    assert_eq!(sub.newest().unwrap().unwrap().seq(), 2);
    drop(sub);
    // It can't even look at what it leaks.
    producer.kill();
}

#[test]
fn f34_without_address_space_the_error_names_the_limit() {
    let stage = Stage::new(PEER);
    let mut peer = limited(&stage);
    let tried = attempt(&stage, &mut peer, "address-space 4096");
    assert_eq!(tried.text("kind"), "out_of_memory", "{tried}");
    assert!(tried.text("text").contains("RLIMIT_AS"), "{tried}");
    assert_eq!(attempt(&stage, &mut peer, "memory 4096").text("kind"), "ok");
    peer.quit();
}

#[test]
fn f33_more_memory_than_there_is_is_refused_with_need_and_free_before_anything_is_allocated() {
    let stage = Stage::new(PEER);
    let mut out = stage.publish("cam").slots(64).open().unwrap();
    let mut sub = stage.subscribe("cam").open().unwrap();
    let free = available_bytes().unwrap().free_bytes as usize;
    // Twice what is free, over all slots, so that nobody else can free enough meanwhile.
    let frame = (free / 32).min(uncopy::MAX_FRAME_BYTES);
    if frame * 64 < free {
        return println!("SKIP this machine has more memory than a link can ask for");
    }
    let before = footprint::private_bytes(std::process::id().cast_signed());
    let error = out.loan(&Form::new(DType::U8, &[frame]).unwrap()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::OutOfMemory, "{error}");
    let text = error.to_string();
    let need = frame.next_multiple_of(4096) * 64;
    assert!(text.contains(&format!("{need} bytes of shared memory are needed")), "{text}");
    assert!(text.contains("are free under"), "{text}");
    let after = footprint::private_bytes(std::process::id().cast_signed());
    assert!(after < before + (8 << 20), "{before} bytes grew to {after}");
    // The link works on with frames that fit.
    out.loan(&form("64x64x4")).unwrap().publish(uncopy::Meta::default()).unwrap();
    assert_eq!(sub.newest().unwrap().unwrap().seq(), 1);
    drop((out, sub));
}

#[test]
fn frames_beyond_the_protocol_are_refused_by_size() {
    let stage = Stage::new(PEER);
    let mut out = stage.publish("cam").open().unwrap();
    let error = out.loan(&Form::new(DType::U8, &[uncopy::MAX_FRAME_BYTES + 1]).unwrap()).err().unwrap();
    assert!(error.to_string().contains("at most 17179869184 per frame"), "{error}");
    assert_eq!(error.kind(), ErrorKind::InvalidLayout);
    for slots in [0, 1, 65, usize::MAX] {
        let error = stage.publish("other").slots(slots).open().err().unwrap();
        assert!(error.to_string().contains("2 to 64 slots"), "{error}");
    }
    drop(out);
}

/// A control group with a memory limit for one process, removed on drop. `None`, with the reason, where none can be
/// made.
struct Group(PathBuf);

impl Group {
    fn new(limit_bytes: u64) -> Result<Self, String> {
        let own = fs::read_to_string("/proc/self/cgroup").map_err(|e| e.to_string())?;
        let of = |prefix: &str| {
            own.lines().find_map(|line| line.split_once(prefix)).map(|(_, path)| path.to_owned())
        };
        let candidates = [
            (of(":memory:"), "/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            (of("0::"), "/sys/fs/cgroup", "memory.max"),
        ];
        let mut why = "no memory controller is mounted".to_owned();
        for (path, mount, limit) in candidates {
            let Some(path) = path.filter(|_| Path::new(mount).join("cgroup.procs").exists()) else {
                continue;
            };
            let group = Path::new(mount)
                .join(path.trim_start_matches('/'))
                .join(format!("uncopy-{}", std::process::id()));
            if let Err(error) = fs::create_dir(&group) {
                why = format!("{}: {error}", group.display());
                continue;
            }
            let group = Self(group);
            match fs::write(group.0.join(limit), limit_bytes.to_string()) {
                Ok(()) => return Ok(group),
                Err(error) => why = format!("{limit}: {error}"),
            }
        }
        Err(why)
    }

    fn add(&self, pid: i32) -> Result<(), String> {
        fs::write(self.0.join("cgroup.procs"), pid.to_string()).map_err(|e| e.to_string())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Its process has been waited for; the kernel may take a moment to notice.
        uncopy_tests::stage::eventually("the control group is empty", || {
            fs::remove_dir(&self.0).map_err(|e| e.to_string())
        });
    }
}

#[test]
fn f33_a_control_groups_limit_is_a_refusal_and_never_a_kill() {
    let stage = Stage::new(PEER);
    let limit = 64 << 20;
    let group = match Group::new(limit) {
        Ok(group) => group,
        Err(why) => return println!("SKIP no control group with a limit can be made: {why}"),
    };
    let mut peer = limited(&stage);
    if let Err(why) = group.add(peer.pid()) {
        peer.quit();
        return println!("SKIP a process can't be put into a control group: {why}");
    }
    // Four slots of it do not fit; the kernel would kill whoever touches the memory.
    let tried = attempt(&stage, &mut peer, &format!("memory {}", 24 << 20));
    assert_eq!(tried.text("kind"), "out_of_memory", "{tried}");
    let text = tried.text("text");
    assert!(text.contains(&format!("{} bytes", 96 << 20)) && text.contains("cgroup memory"), "{text}");
    assert_eq!(attempt(&stage, &mut peer, &format!("memory {}", 1 << 20)).text("kind"), "ok");
    peer.quit();
    drop(group);
}

/// Mounts a file system of `options` on a directory that only the process that follows can see, and becomes that
/// process.
fn with_a_small(directory: &str, options: &str) -> Vec<String> {
    let script = format!("mount -t tmpfs -o {options} none {directory} && exec \"$@\"");
    ["unshare", "--mount", "sh", "-c", &script, "sh"].map(str::to_owned).into()
}

/// Whether this user may make such places. Says so if not.
fn may_mount() -> bool {
    let tried = Command::new("unshare").args(["--mount", "mount", "-t", "tmpfs", "none", "/mnt"]).output();
    let why = match tried {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    println!("SKIP file systems can't be mounted for one process here: {why}");
    false
}

fn limited_in(stage: &Stage, directory: &str, options: &str) -> Peer {
    let outer = with_a_small(directory, options);
    let outer: Vec<&str> = outer.iter().map(String::as_str).collect();
    let mut peer = stage.peer_under(&outer, &["limited", "cam"]);
    peer.expect("open");
    peer
}

#[test]
fn f33_frames_of_any_size_pass_where_dev_shm_has_one_mebibyte_and_is_full() {
    if !may_mount() {
        return;
    }
    let stage = Stage::new(PEER);
    // What Docker gives is 64 MiB; links don't use it, so that it doesn't matter.
    for options in ["size=1m", "size=4k,nr_inodes=1"] {
        let mut peer = limited_in(&stage, "/dev/shm", options);
        let tried = attempt(&stage, &mut peer, &format!("memory {}", 8 << 20));
        assert_eq!(tried.text("kind"), "ok", "{options}: {tried}");
        peer.quit();
    }
}

#[test]
fn f33_a_runtime_directory_without_room_is_an_error_that_names_it_and_nothing_is_half_made() {
    if !may_mount() {
        return;
    }
    let stage = Stage::new(PEER);
    drop(stage.runtime_dir());
    let directory = stage.dir();
    let directory = directory.to_str().unwrap();
    // The directory itself takes the first inode, the lock the second, and the socket the third.
    let room = |inodes: u32| format!("size=64k,mode=0700,nr_inodes={inodes}");
    for inodes in [1, 2] {
        let mut peer = limited_in(&stage, directory, &room(inodes));
        let tried = attempt(&stage, &mut peer, "memory 4096");
        assert_eq!(tried.text("kind"), "out_of_memory", "{inodes}: {tried}");
        assert!(tried.text("text").contains("No space left"), "{inodes}: {tried}");
        peer.quit();
    }
    let mut peer = limited_in(&stage, directory, &room(3));
    assert_eq!(attempt(&stage, &mut peer, "memory 4096").text("kind"), "ok");
    peer.quit();
}

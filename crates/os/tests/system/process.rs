// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who lives and who is dead, told of real processes.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::sync::mpsc;
use std::time::Duration;

use uncopy_core::ErrorKind;
use uncopy_os::{OsError, PidFd, ProcessId, Woken, boot_id, current_uid, random_id, spawn_quiet};

use crate::support::{self, Child, Role};

pub const ROLES: &[Role] = &[
    ("process::waits", waits),
    ("process::first_thread_ends", first_thread_ends),
    ("process::tells_its_boot", || support::tell(format!("{:?}", boot_id()))),
    ("process::leaves_nothing", leaves_nothing),
    ("process::cannot_start_threads", cannot_start_threads),
];

fn waits() {
    support::tell("ready");
    support::hear();
}

fn state_of(pid: i32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

#[test]
fn this_process_is_alive_and_has_a_name() {
    let me = ProcessId::current();
    assert_eq!(me.pid, std::process::id().cast_signed());
    assert!(me.start_ticks > 0);
    assert!(me.is_alive());
    assert_eq!(ProcessId::of(me.pid), Some(me));
    assert_eq!(me.command(), fs::read_to_string("/proc/self/comm").unwrap().trim_end());
}

#[test]
fn numbers_that_are_no_process_are_nobody() {
    for pid in [0, -1, i32::MIN, i32::MAX] {
        assert_eq!(ProcessId::of(pid), None, "{pid}");
        let error = PidFd::open(pid).unwrap_err();
        assert!(error.to_string().contains("pidfd_open"), "{error}");
    }
    let nobody = ProcessId { pid: i32::MAX, start_ticks: 1 };
    assert!(!nobody.is_alive());
    assert_eq!(nobody.command(), "?");
    assert!(PidFd::open_same(nobody).unwrap().is_none());
}

// F04
#[test]
fn a_zombie_is_dead() {
    let mut child = Child::start("process::waits", "");
    child.hear();
    let id = ProcessId::of(child.pid()).unwrap();
    let held = PidFd::open_same(id).unwrap().expect("it waits");
    assert!(!held.is_dead() && id.is_alive());

    child.process.kill().unwrap();
    assert_eq!(held.wait_dead(None), Woken::Woken);
    assert_eq!(state_of(id.pid), Some('Z'), "nobody has collected it");
    assert!(held.is_dead());
    assert!(!id.is_alive());
    assert_eq!(ProcessId::of(id.pid), None);
    assert_eq!(id.command(), "?");
    assert!(PidFd::open(id.pid).unwrap().is_dead(), "opened as a zombie");
    assert!(PidFd::open_same(id).unwrap().is_none());
    assert_eq!(child.wait().signal(), Some(libc::SIGKILL));
    assert!(held.is_dead(), "also once it is collected");
}

// F06
#[test]
fn another_process_with_the_same_number_is_not_mistaken_for_it() {
    let me = ProcessId::current();
    for start_ticks in [0, me.start_ticks - 1, me.start_ticks + 1, u64::MAX] {
        let forged = ProcessId { start_ticks, ..me };
        assert!(!forged.is_alive());
        assert_eq!(forged.command(), "?");
        assert!(PidFd::open_same(forged).unwrap().is_none());
    }
}

fn first_thread_ends() {
    // In a forked child the thread that forked is the first.
    if support::fork() != 0 {
        support::hear();
        return;
    }
    std::thread::spawn(|| {
        let pid = std::process::id().cast_signed();
        while state_of(pid) != Some('Z') {
            std::thread::yield_now();
        }
        support::tell(pid);
        support::hear();
        support::leave(0);
    });
    support::end_this_thread();
}

#[test]
fn a_process_whose_first_thread_has_ended_is_alive() {
    let mut child = Child::start("process::first_thread_ends", "");
    let pid = child.hear().parse().unwrap();
    assert_eq!(state_of(pid), Some('Z'));
    let id = ProcessId::of(pid).expect("its other thread runs");
    let held = PidFd::open_same(id).unwrap().expect("alive");
    assert!(id.is_alive() && !held.is_dead());
    drop(child); // and with it what the process waits for
    assert_eq!(held.wait_dead(None), Woken::Woken);
    assert!(!id.is_alive());
}

#[test]
fn a_wait_for_a_death_ends_with_its_timeout() {
    let me = PidFd::open(std::process::id().cast_signed()).unwrap();
    assert_eq!(me.wait_dead(Some(Duration::from_millis(5))), Woken::TimedOut);
}

#[test]
fn all_processes_of_a_boot_agree_on_its_id() {
    let mut child = Child::start("process::tells_its_boot", "");
    assert_eq!(child.hear(), format!("{:?}", boot_id()));
    child.finish();
}

#[test]
fn ten_thousand_random_ids_are_ten_thousand_names() {
    let ids: std::collections::HashSet<_> = (0..10_000).map(|_| random_id()).collect();
    assert_eq!(ids.len(), 10_000);
}

#[test]
fn the_user_is_the_one_that_files_belong_to() {
    use std::os::unix::fs::MetadataExt;
    assert_eq!(fs::metadata("/proc/self").unwrap().uid(), current_uid());
}

#[test]
fn a_quiet_thread_has_its_name_and_blocks_all_signals_but_its_own_faults() {
    let (give, take) = mpsc::channel();
    let before = blocked_signals();
    let thread = spawn_quiet("uncopy-service", move || {
        let name = fs::read_to_string("/proc/thread-self/comm").unwrap();
        give.send((name, blocked_signals())).unwrap();
    });
    thread.unwrap().join().unwrap();
    let (name, blocked) = take.recv().unwrap();
    assert_eq!(name, "uncopy-service\n");
    for signal in [
        libc::SIGINT,
        libc::SIGTERM,
        libc::SIGALRM,
        libc::SIGPROF,
        libc::SIGUSR1,
        libc::SIGCHLD,
        libc::SIGPIPE,
    ] {
        assert!(blocked & (1 << (signal - 1)) != 0, "signal {signal}");
    }
    for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGSYS] {
        assert!(blocked & (1 << (signal - 1)) == 0, "signal {signal}");
    }
    assert_eq!(blocked_signals(), before, "the creator gets its own mask back");
}

fn blocked_signals() -> u64 {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap()
}

#[test]
fn a_thread_name_with_a_nul_is_refused() {
    let error = spawn_quiet("a\0b", || {}).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
}

fn cannot_start_threads() {
    let before = blocked_signals();
    // What limits threads (ulimit -u) does not limit root; the filter answers the same.
    support::in_thread_without_call(Some((libc::SYS_clone3, rustix::io::Errno::AGAIN)), || {
        let error = spawn_quiet("one-too-many", || {}).unwrap_err();
        assert!(matches!(error, OsError::OutOfThreads { .. }), "{error}");
        assert_eq!(error.kind(), ErrorKind::OutOfResources);
        assert!(error.to_string().contains("one-too-many"), "{error}");
        assert_eq!(blocked_signals(), before);
    });
}

// F34
#[test]
fn a_thread_that_the_system_does_not_start_is_an_error() {
    Child::start("process::cannot_start_threads", "").finish();
}

fn leaves_nothing() {
    support::leaves_nothing_behind(|| {
        let me = ProcessId::current();
        PidFd::open_same(me).unwrap().unwrap();
        PidFd::open_same(ProcessId { start_ticks: 1, ..me }).unwrap();
        support::in_thread_without_call(None, || spawn_quiet("short", || {}).unwrap().join().unwrap());
    });
}

#[test]
fn looking_at_processes_leaves_nothing_behind() {
    Child::start("process::leaves_nothing", "").finish();
}

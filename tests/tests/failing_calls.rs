// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any system call fails once: each call that the life of a link makes, at each of its passes. What comes of it is an
//! error or nothing, and never a hang, a leak, an abort or half a link.
//!
//! `UNCOPY_EVERY_ERROR=1` tries every error that the calls can have, not only the likeliest of each.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use uncopy::LinkError;
use uncopy_tests::peer::HANGS_AFTER;
use uncopy_tests::raw::SharedWord;
use uncopy_tests::roles::failing::{BEGIN, CLOSE, DETACHED, OVER};
use uncopy_tests::stage::eventually;
use uncopy_tests::strace::{Injection, Strace, Trace};
use uncopy_tests::{Event, Peer, Stage, pattern};

const PEER: &str = env!("CARGO_BIN_EXE_peer");

/// Calls that are not made to fail, and why.
const LEFT_OUT: &[(&str, &str)] = &[
    ("clock_nanosleep", "the peer's own waiting for the test"),
    ("restart_syscall", "the same, when strace comes in between"),
    ("close", "Linux closes whatever it answers; strace would not, and that would be a leak of its own"),
    ("munmap", "the same: strace would leave the mapping"),
    ("futex", "it can't fail but by EINTR and time, and a wake that is not made is no failure that there is"),
    ("exit", "it does not return"),
    ("rseq", "the C library's, which ends the thread when it fails"),
    ("set_robust_list", "the C library's"),
    ("mprotect", "the standard library ends the process when a thread that it starts gets no signal stack"),
    ("sigaltstack", "the same"),
    ("sched_getaffinity", "the C library's, to find that stack's size"),
    ("geteuid", "it never fails"),
    ("prlimit64", "it never fails for one's own process"),
    ("getpid", "it never fails"),
    ("gettid", "it never fails"),
    ("sched_yield", "it never fails"),
    ("rt_sigprocmask", "it fails for pointers that lead nowhere only, and the C library counts on that"),
];

/// The likeliest error of a call first.
fn errors_of(call: &str) -> &'static [&'static str] {
    match call {
        "memfd_create" | "eventfd2" | "epoll_create1" | "pidfd_open" | "socket" | "accept4" | "openat" => {
            &["EMFILE", "ENFILE", "ENOMEM", "EINTR", "EACCES"]
        }
        "ftruncate" | "fallocate" => &["ENOSPC", "EINTR", "ENOMEM", "EFBIG"],
        "mmap" | "mprotect" | "madvise" => &["ENOMEM", "EAGAIN", "EACCES"],
        "clone3" | "clone" => &["EAGAIN", "ENOMEM"],
        "fcntl" => &["EPERM", "EBUSY", "EINVAL", "ENOMEM"],
        "flock" => &["EINTR", "ENOLCK"],
        "bind" | "rename" | "renameat" | "renameat2" | "mkdir" | "mkdirat" => {
            &["ENOSPC", "EACCES", "ENOENT", "EROFS"]
        }
        "connect" => &["ECONNREFUSED", "EAGAIN", "EINTR", "ENOENT"],
        "sendmsg" => &["ENOBUFS", "EAGAIN", "EINTR", "EPIPE", "ETOOMANYREFS", "ENOMEM"],
        "recvmsg" => &["ECONNRESET", "EINTR", "EAGAIN", "ENOMEM"],
        "unlink" | "unlinkat" => &["EACCES", "ENOENT", "EROFS"],
        "epoll_wait" | "epoll_pwait" | "epoll_pwait2" | "poll" | "ppoll" => &["EINTR"],
        "epoll_ctl" => &["ENOMEM", "ENOSPC"],
        "read" | "write" | "pread64" => &["EIO", "EINTR", "EAGAIN"],
        _ => &["ENOMEM", "EACCES", "EINTR", "EINVAL"],
    }
}

struct Victim<'a> {
    stage: &'a Stage,
    peer: Peer,
    word: SharedWord,
    log: PathBuf,
}

/// Every pass of a call up to here is tried, and of those beyond every seventh: they are lines of the same files.
const EVERY_PASS_UP_TO: u32 = 24;

impl<'a> Victim<'a> {
    fn start(stage: &'a Stage) -> Self {
        let path = stage.path("word");
        fs::write(&path, [0; 4096]).unwrap();
        let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let mut peer = stage.peer(&["failing", "cam", "--word", path.to_str().unwrap()]);
        peer.expect("open");
        Self { stage, peer, word: SharedWord::map(&file), log: stage.path("strace.log") }
    }

    /// Lets the link live once, under strace. `Err` where strace can't attach.
    #[track_caller]
    fn live(&mut self, injection: Option<Injection<'_>>) -> Result<(Event, Trace), String> {
        self.peer.ask("live", "ready");
        let strace = Strace::attach(self.peer.pid(), injection, &self.log)?;
        self.word.set(BEGIN);
        Ok(self.end(injection, strace))
    }

    /// Lets the link live once while others come and go. One of them at most meets the failure.
    #[track_caller]
    fn serve(&mut self, injection: Option<Injection<'_>>) -> Result<(Event, Trace), String> {
        self.peer.ask("serve", "ready");
        let strace = Strace::attach(self.peer.pid(), injection, &self.log)?;
        let failed: Vec<LinkError> = (0..3).filter_map(|_| visit(self.stage).err()).collect();
        assert!(
            failed.len() < 2,
            "{injection:?}: the link serves nobody any more: {failed:?}\n{}",
            strace.detach().tail()
        );
        eventually("the places of all who came are free", || {
            let links = self.stage.list();
            let consumers = links.first().map(|link| &link.consumers);
            if consumers.is_some_and(Vec::is_empty) {
                Ok(())
            } else {
                Err(format!("{injection:?}: {links:?}"))
            }
        });
        self.word.set(CLOSE);
        Ok(self.end(injection, strace))
    }

    /// Waits until the link has lived, detaches, and checks that nothing is left of it.
    #[track_caller]
    fn end(&mut self, injection: Option<Injection<'_>>, strace: Strace) -> (Event, Trace) {
        let begun = Instant::now();
        while self.word.get() != OVER {
            let has_ended = self.peer.has_ended();
            if has_ended || begun.elapsed() > HANGS_AFTER {
                let how = if has_ended { "the process ended" } else { "it hangs" };
                let (seen, said) = (strace.detach(), self.peer.said());
                panic!("{injection:?}: {how}{said}\n{}", seen.tail());
            }
            std::thread::sleep(Duration::from_micros(100));
        }
        let trace = strace.detach();
        self.word.set(DETACHED);
        let tried = self.peer.expect("tried");
        assert_eq!(tried.value("leaks"), &serde_json::json!([]), "{injection:?}: {tried}\n{}", trace.tail());
        // A name that could not be removed is a leftover like any other: who looks next removes it.
        assert_eq!(self.stage.list(), [], "{injection:?}: {tried}");
        assert_eq!(self.stage.files(), [""; 0], "{injection:?}: {tried}");
        (tried, trace)
    }
}

/// Joins the link, receives its frame and has its doorbell installed, looks at it from outside, and leaves.
fn visit(stage: &Stage) -> Result<(), LinkError> {
    let mut sub = stage.subscribe("cam").timeout(Some(Duration::ZERO)).open()?;
    let frame = sub.recv(Duration::from_secs(60))?;
    assert_eq!(pattern::check(frame.bytes(), frame.seq()), Ok(()));
    sub.events()?;
    uncopy::list_in(&stage.runtime_dir())?;
    Ok(())
}

/// One life under strace, with or without a failure.
type Life<'v> = fn(&mut Victim<'v>, Option<Injection<'_>>) -> Result<(Event, Trace), String>;

/// Fails each pass of each call that a life makes; says how many that were, or why strace can't attach.
#[track_caller]
fn sweep<'v>(victim: &mut Victim<'v>, life: Life<'v>) -> Result<u32, String> {
    let (tried, trace) = life(victim, None)?;
    assert_eq!(tried.text("kind"), "ok", "{tried}");
    let calls = trace.calls();
    let every_error = std::env::var_os("UNCOPY_EVERY_ERROR").is_some();
    let step = if every_error { 1 } else { 7 };
    let mut failures = 0;
    for call in calls.keys().filter(|call| LEFT_OUT.iter().all(|(name, _)| name != call)) {
        let errors = errors_of(call);
        for error in &errors[..if every_error { errors.len() } else { 1 }] {
            let mut outcomes: BTreeMap<String, u32> = BTreeMap::new();
            for when in (1..=EVERY_PASS_UP_TO).chain((EVERY_PASS_UP_TO + 1..).step_by(step)) {
                let injection = Injection { call, error, when };
                let (tried, trace) = life(victim, Some(injection)).expect("strace attached before");
                if !trace.was_injected() {
                    assert_eq!(tried.text("kind"), "ok", "{injection:?} did not happen: {tried}");
                    break;
                }
                *outcomes.entry(tried.text("kind").to_owned()).or_default() += 1;
            }
            println!("{call} {error}: {outcomes:?}");
            failures += outcomes.values().sum::<u32>();
        }
    }
    Ok(failures)
}

#[test]
fn f35_any_system_call_of_a_link_may_fail_once_and_comes_out_as_an_error_or_not_at_all() {
    let stage = Stage::new(PEER);
    let mut victim = Victim::start(&stage);
    match sweep(&mut victim, Victim::live) {
        Ok(failures) => assert!(failures > 100, "only {failures} calls failed"),
        // The peer still waits for its word, and is killed.
        Err(why) => return println!("SKIP strace can't attach here: {why}"),
    }
    victim.peer.quit();
}

#[test]
fn f35_a_producer_serves_on_after_any_system_call_of_its_service_thread_failed_once() {
    let stage = Stage::new(PEER);
    let mut victim = Victim::start(&stage);
    match sweep(&mut victim, Victim::serve) {
        Ok(failures) => assert!(failures > 30, "only {failures} calls failed"),
        Err(why) => return println!("SKIP strace can't attach here: {why}"),
    }
    victim.peer.quit();
}

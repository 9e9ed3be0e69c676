// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel offers: every call that a link needs is made once, on memory and sockets of our own.

use std::time::Duration;

use uncopy::Access;
use uncopy::os::{
    Connection, EventFd, Interest, Mapping, OsError, PidFd, Poller, Received, Sent, SharedMemory, Woken,
    futex_wait, futex_wake,
};

use super::{Finding, Heading};

const TOPIC: &str = "kernel";
/// Memory enough for what is tried.
const LEN_BYTES: usize = 4096;
const OLD_KERNEL: &str = "use Linux 5.10 or later, and look whether a sandbox (seccomp) forbids the call";

/// One thing to try: a sentence when it works, the reason when it doesn't.
type Trial = fn() -> Result<String, String>;

pub(super) fn look() -> Vec<Finding> {
    let needed: [Trial; 5] = [sealed_memory, read_only_memory, handle_passing, futex, events];
    let mut findings: Vec<Finding> = needed
        .into_iter()
        .map(|trial| match trial() {
            Ok(says) => Finding::ok(TOPIC, Heading::Kernel, says),
            Err(why) => Finding::fail(TOPIC, Heading::Kernel, why, OLD_KERNEL),
        })
        .collect();
    findings.push(process_handles());
    findings.push(peer_handles());
    findings.push(wsl2(&release()));
    findings
}

/// The kernel's own.
fn release() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
}

/// Whether a kernel of this release is that of WSL2, which says so in its name.
pub(super) fn is_wsl2() -> bool {
    is_of_wsl2(&release())
}

fn is_of_wsl2(release: &str) -> bool {
    release.to_ascii_lowercase().contains("microsoft")
}

/// Said in any case: whoever reads a report from elsewhere must not guess.
fn wsl2(release: &str) -> Finding {
    let says = match is_of_wsl2(release) {
        true => {
            format!("this is WSL2 (kernel {release}): links carry frames in host memory, and none on a GPU")
        }
        false => format!("this is not WSL2 (kernel {release})"),
    };
    Finding::ok(TOPIC, Heading::Wsl2, says)
}

fn sealed_memory() -> Result<String, String> {
    let failed = |error: OsError| format!("shared memory can't be made: {error}");
    let memory = SharedMemory::create("doctor", LEN_BYTES).map_err(failed)?;
    let seals = memory.seals().map_err(failed)?;
    if seals.shrink && seals.grow {
        return Ok("shared memory can be made and sealed: its size can't change under a reader".to_owned());
    }
    Err(format!("shared memory can't be sealed against shrinking and growing (it is sealed {seals})"))
}

/// Freezes memory, and then tries to do what must not be possible.
fn read_only_memory() -> Result<String, String> {
    let failed = |error: OsError| format!("shared memory can't be frozen (F_SEAL_FUTURE_WRITE): {error}");
    let memory = SharedMemory::create("doctor", LEN_BYTES).map_err(failed)?;
    memory.freeze_writes().map_err(failed)?;
    let handle = memory.share().map_err(failed)?;
    Mapping::open(&handle, LEN_BYTES, Access::ReadOnly).map_err(failed)?;
    match Mapping::open(&handle, LEN_BYTES, Access::ReadWrite) {
        Err(_) => {
            Ok("received frames are read-only: the kernel refuses to map frozen memory writable".to_owned())
        }
        Ok(_) => Err("memory that was frozen (F_SEAL_FUTURE_WRITE) can still be mapped writable".to_owned()),
    }
}

fn handle_passing() -> Result<String, String> {
    let failed = |error: OsError| format!("memory can't be handed to another process: {error}");
    let memory = SharedMemory::create("doctor", LEN_BYTES).map_err(failed)?;
    let (here, there) = Connection::pair().map_err(failed)?;
    let sent = here.send(b"memory", &[&memory.share().map_err(failed)?]).map_err(failed)?;
    let mut buffer = [0; 16];
    match (sent, there.recv(&mut buffer).map_err(failed)?) {
        (Sent::Done, Received::Message { handles, .. }) if handles.len() == 1 => {
            Ok("memory can be handed over by message sockets (SOCK_SEQPACKET, SCM_RIGHTS)".to_owned())
        }
        _ => Err("a message with a handle to memory did not arrive whole (SCM_RIGHTS)".to_owned()),
    }
}

fn futex() -> Result<String, String> {
    let failed = |error: OsError| format!("shared memory can't be made: {error}");
    let memory = SharedMemory::create("doctor", LEN_BYTES).map_err(failed)?;
    let Some(word) = memory.words().u32_at(0) else {
        return Err("shared memory has no first word".to_owned());
    };
    let moment = Some(Duration::from_millis(1));
    let (changed, waited) = (futex_wait(word, 1, moment), futex_wait(word, 0, moment));
    futex_wake(word, 1);
    match (changed, waited) {
        (Woken::ValueChanged, Woken::TimedOut | Woken::Woken | Woken::Interrupted) => {
            Ok("consumers can sleep on shared memory until a frame comes (futex)".to_owned())
        }
        other => Err(format!("waiting on shared memory (futex) answers {other:?}")),
    }
}

fn events() -> Result<String, String> {
    let failed = |error: OsError| format!("events can't be waited for (epoll, eventfd): {error}");
    let poller = Poller::new().map_err(failed)?;
    let bell = EventFd::new().map_err(failed)?;
    poller.add(&bell, 1, Interest::READ).map_err(failed)?;
    bell.ring();
    let mut events = Vec::new();
    poller.wait(&mut events, Some(Duration::from_secs(1))).map_err(failed)?;
    match events.len() {
        1 => Ok("one thread can wait for all that happens to links (epoll, eventfd)".to_owned()),
        _ => Err("an event that was there was not reported (epoll, eventfd)".to_owned()),
    }
}

fn process_handles() -> Finding {
    match PidFd::open(std::process::id() as i32) {
        Ok(process) if !process.is_dead() => {
            Finding::ok(TOPIC, Heading::Death, "the death of a process is noticed at once (pidfd)")
        }
        Ok(_) => Finding::warn(
            TOPIC,
            Heading::Death,
            "this process, which lives, is reported dead (pidfd)",
            OLD_KERNEL,
        ),
        Err(error) => {
            let says = format!("processes can't be held on to ({error}): death is noticed by hang-up only");
            Finding::warn(TOPIC, Heading::Death, says, OLD_KERNEL)
        }
    }
}

fn peer_handles() -> Finding {
    let pidfd = Connection::pair().and_then(|(here, _there)| here.peer_pidfd());
    match pidfd {
        Ok(Some(_)) => Finding::ok(
            TOPIC,
            Heading::Death,
            "the process behind a socket is known for certain (SO_PEERPIDFD)",
        ),
        Ok(None) => Finding::ok(
            TOPIC,
            Heading::Death,
            "processes behind sockets are told apart by number and start time (SO_PEERPIDFD comes with Linux 6.5)",
        ),
        Err(error) => Finding::warn(
            TOPIC,
            Heading::Death,
            format!("who is behind a socket can't be told: {error}"),
            OLD_KERNEL,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn whether_this_is_wsl2_is_said_in_any_case() {
        let said = |release| wsl2(release).says;
        assert!(said("5.15.153.1-microsoft-standard-WSL2").starts_with("this is WSL2 (kernel 5.15.153.1-"));
        assert_eq!(said("6.8.0-45-generic"), "this is not WSL2 (kernel 6.8.0-45-generic)");
    }

    #[test]
    fn a_kernel_that_runs_links_passes_every_trial() {
        for finding in look() {
            assert_eq!(finding.level, Level::Ok, "{}", finding.says);
        }
    }
}

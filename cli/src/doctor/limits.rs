// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory, descriptors, and what /proc tells of processes.

use std::fs;

use uncopy::os::{ProcessId, available_bytes, boot_id};

use super::{Finding, Heading};
use crate::units;

/// Four slots of 1920 x 1080 RGBA, the frames that the figures are measured with.
const USUAL_LINK_BYTES: u64 = 4 * 1920 * 1080 * 4;
/// Fewer descriptors than this are gone after a few links.
const FEW_DESCRIPTORS: u64 = 256;
/// The pid namespace of the machine itself: PROC_PID_INIT_INO of include/linux/proc_ns.h.
const MACHINES_OWN_NAMESPACE: &str = "pid:[4026531836]";

pub(super) fn look() -> Vec<Finding> {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let mut findings = vec![memory(), descriptors(soft_limit(&limits, "Max open files"))];
    findings.extend(locked_memory(soft_limit(&limits, "Max locked memory")));
    findings.push(shm(&fs::read_to_string("/proc/self/mounts").unwrap_or_default()));
    findings.push(processes());
    findings.extend(namespace());
    findings
}

/// What is wrong where no `/proc` is mounted; `None` where one is.
pub(super) fn no_proc() -> Option<Finding> {
    let is_there = fs::exists("/proc/self").unwrap_or(false) && fs::exists("/proc/meminfo").unwrap_or(false);
    (!is_there).then(|| {
        Finding::fail(
            "processes",
            Heading::Proc,
            "/proc is missing: it tells how much memory there is, leads to the sockets of links, and knows processes",
            "mount -t proc proc /proc; nothing else was looked at",
        )
    })
}

fn memory() -> Finding {
    const TOPIC: &str = "memory";
    match available_bytes() {
        Ok(available) => {
            let links = available.free_bytes / USUAL_LINK_BYTES;
            let free = units::size(available.free_bytes);
            let says = format!(
                "{free} may be allocated ({}): {links} links of 4 slots of 1080p RGBA",
                available.limit
            );
            if links == 0 {
                return Finding::warn(
                    TOPIC,
                    Heading::Memory,
                    says,
                    "free memory, or raise that limit; links of smaller frames fit",
                );
            }
            Finding::ok(TOPIC, Heading::Memory, says)
        }
        Err(error) => {
            let says = format!("how much memory may be allocated can't be told: {error}");
            Finding::warn(
                TOPIC,
                Heading::Memory,
                says,
                "make /proc readable: nothing is allocated that may not be there",
            )
        }
    }
}

fn descriptors(limit: Option<u64>) -> Finding {
    const TOPIC: &str = "limits";
    match limit {
        Some(limit) if limit < FEW_DESCRIPTORS => Finding::warn(
            TOPIC,
            Heading::Files,
            format!("this process may open only {limit} files and sockets"),
            "ulimit -n 1024",
        ),
        Some(limit) => {
            Finding::ok(TOPIC, Heading::Files, format!("{limit} files and sockets may be open at once"))
        }
        None => Finding::warn(
            TOPIC,
            Heading::Proc,
            "the limit of open files can't be read",
            "make /proc readable",
        ),
    }
}

fn locked_memory(limit: Option<u64>) -> Option<Finding> {
    let limit = match limit? {
        u64::MAX => "without limit".to_owned(),
        bytes => format!("up to {}", units::size(bytes)),
    };
    Some(Finding::ok(
        "limits",
        Heading::Locked,
        format!(
            "memory may be locked {limit}; links lock none, and a GPU's driver pins what it needs by itself"
        ),
    ))
}

/// For those who look for it there.
fn shm(mounts: &str) -> Finding {
    let has = match shm_size(mounts) {
        None => "there is no /dev/shm".to_owned(),
        Some(None) => "/dev/shm has half of the memory".to_owned(),
        Some(Some(bytes)) => format!("/dev/shm has {}", units::size(bytes)),
    };
    Finding::ok("limits", Heading::Shm, format!("{has}, which limits nothing: links don't use it"))
}

/// The size that `/dev/shm` is mounted with: `Some(None)` for tmpfs's own, half of the memory. See tmpfs(5).
fn shm_size(mounts: &str) -> Option<Option<u64>> {
    let mut mounted = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let options = mounted.rfind(|words| words.get(1) == Some(&"/dev/shm"))?.get(3).copied()?;
    let size = options.split(',').find_map(|option| option.strip_prefix("size="));
    Some(size.and_then(|size| size.strip_suffix('k')?.parse::<u64>().ok()).map(|kib| kib * 1024))
}

/// A soft limit of `/proc/self/limits`, `u64::MAX` for `unlimited`: see proc_pid_limits(5).
fn soft_limit(limits: &str, name: &str) -> Option<u64> {
    let soft = limits.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?;
    if soft == "unlimited" { Some(u64::MAX) } else { soft.parse().ok() }
}

fn processes() -> Finding {
    const TOPIC: &str = "processes";
    let shown = fs::read_link("/proc/self").ok().and_then(|link| link.to_str()?.parse::<u32>().ok());
    let is_complete = boot_id() != [0; 16] && ProcessId::current().start_ticks != 0;
    match shown {
        Some(pid) if pid == std::process::id() && is_complete => Finding::ok(
            TOPIC,
            Heading::Proc,
            "/proc tells when processes started: a number that is used again is noticed",
        ),
        Some(pid) if pid != std::process::id() => Finding::warn(
            TOPIC,
            Heading::Proc,
            format!(
                "/proc belongs to another pid namespace (this process is {} here, {pid} there)",
                std::process::id()
            ),
            "mount -t proc proc /proc in this namespace",
        ),
        _ => Finding::warn(
            TOPIC,
            Heading::Proc,
            "/proc is incomplete: process names and start times are unknown",
            "mount -t proc proc /proc, without hidepid",
        ),
    }
}

fn namespace() -> Option<Finding> {
    const TOPIC: &str = "processes";
    let own = fs::read_link("/proc/self/ns/pid").ok()?;
    if own.to_str() == Some(MACHINES_OWN_NAMESPACE) {
        return Some(Finding::ok(
            TOPIC,
            Heading::Containers,
            "this is the machine's own pid namespace: every peer can be watched",
        ));
    }
    Some(Finding::warn(
        TOPIC,
        Heading::Containers,
        "this is a container (a pid namespace of its own): a peer outside is known to be gone by hang-up only",
        "run both sides in it, or share the namespace (docker run --pid=host), where links cross its border",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: &str = "\
Limit                     Soft Limit           Hard Limit           Units     
Max open files            1024                 524288               files     
Max locked memory         unlimited            unlimited            bytes     
";

    #[test]
    fn soft_limits_are_read_by_name() {
        assert_eq!(soft_limit(LIMITS, "Max open files"), Some(1024));
        assert_eq!(soft_limit(LIMITS, "Max locked memory"), Some(u64::MAX));
        assert_eq!(soft_limit(LIMITS, "Max stack size"), None);
    }

    #[test]
    fn the_size_of_dev_shm_is_read_from_its_mount() {
        let mounts = "proc /proc proc rw 0 0\nshm /dev/shm tmpfs rw,nosuid,size=65536k,inode64 0 0\n";
        assert_eq!(shm_size(mounts), Some(Some(64 << 20)));
        assert_eq!(shm_size("tmpfs /dev/shm tmpfs rw,nosuid 0 0\n"), Some(None));
        assert_eq!(shm_size("proc /proc proc rw 0 0\n"), None);
        assert!(shm(mounts).says.contains("67 MB"), "{}", shm(mounts).says);
    }

    #[test]
    fn few_descriptors_are_worth_a_warning() {
        assert!(descriptors(Some(8)).advice.unwrap().contains("ulimit"));
        assert!(descriptors(Some(1024)).advice.is_none());
    }
}

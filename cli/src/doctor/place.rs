// SPDX-License-Identifier: MIT OR Apache-2.0
//! The directory in which links are found, and the links in it.

use uncopy::os::{Connection, DirectoryWatch, Listener, OsError, RuntimeDir};
use uncopy::{Answer, LinkInfo};

use super::{Finding, Heading};
use crate::units;

const TOPIC: &str = "directory";

pub(super) fn look() -> Vec<Finding> {
    let dir = match RuntimeDir::open() {
        Ok(dir) => dir,
        Err(error) => {
            let advice =
                "a directory of your own with mode 0700, named by UNCOPY_RUNTIME_DIR or XDG_RUNTIME_DIR";
            return vec![Finding::fail(
                TOPIC,
                Heading::Directory,
                format!("there is no place for links: {error}"),
                advice,
            )];
        }
    };
    let mut findings = vec![kept(&dir), watched(&dir)];
    findings.extend(links(&dir));
    findings
}

/// Makes a socket there, as a producer does, and finds it again, as a consumer does.
fn kept(dir: &RuntimeDir) -> Finding {
    let file_name = format!(".doctor-{}", std::process::id());
    let tried = Listener::bind(dir, &file_name)
        .and_then(|_listener| Connection::connect(dir, &file_name).map(|_| ()));
    // It is missing where binding has failed.
    let removed = dir.remove(&file_name).map(|_| ());
    match tried.and(removed) {
        Ok(()) => Finding::ok(
            TOPIC,
            Heading::Directory,
            format!("links are found in {}, which is yours alone", dir.path().display()),
        ),
        Err(error) => {
            let says = format!("no socket can be made in {}: {error}", dir.path().display());
            Finding::fail(
                TOPIC,
                Heading::Directory,
                says,
                "a directory on a local file system that can be written to, by UNCOPY_RUNTIME_DIR",
            )
        }
    }
}

fn watched(dir: &RuntimeDir) -> Finding {
    match DirectoryWatch::new(dir) {
        Ok(_) => Finding::ok(TOPIC, Heading::Appearing, "a link that appears is noticed at once (inotify)"),
        Err(error @ OsError::OutOfDescriptors { .. }) => {
            let advice = "raise fs.inotify.max_user_instances (sysctl), or end programs that watch files";
            Finding::fail(
                TOPIC,
                Heading::Appearing,
                format!("subscribers can't wait for a link to appear: {error}"),
                advice,
            )
        }
        Err(error) => {
            let advice = "a local file system for UNCOPY_RUNTIME_DIR";
            Finding::fail(
                TOPIC,
                Heading::Appearing,
                format!("subscribers can't wait for a link to appear: {error}"),
                advice,
            )
        }
    }
}

/// The links that are there, what is wrong with them, and what dead producers left (looking removes it).
fn links(dir: &RuntimeDir) -> Vec<Finding> {
    const TOPIC: &str = "links";
    let before = dir.entries().unwrap_or_default();
    let links = match uncopy::list_in(dir) {
        Ok(links) => links,
        Err(error) => {
            return vec![Finding::fail(
                TOPIC,
                Heading::Directory,
                format!("links can't be listed: {error}"),
                "uncopy list",
            )];
        }
    };
    let after = dir.entries().unwrap_or_default();
    let swept: Vec<&str> = before
        .iter()
        .filter(|name| !after.contains(name))
        .filter_map(|name| name.strip_suffix(".sock"))
        .collect();
    let mut findings = Vec::new();
    if !swept.is_empty() {
        let says = format!("producers that died had left {} behind; it is removed now", swept.join(", "));
        findings.push(Finding::warn(
            TOPIC,
            Heading::Leftovers,
            says,
            "nothing; to learn why they died, look at their logs",
        ));
    }
    findings.extend(links.iter().filter_map(trouble));
    if findings.is_empty() {
        let live = units::count(links.len() as u64, "live link");
        findings.push(Finding::ok(
            TOPIC,
            Heading::Leftovers,
            format!("{live}, nothing left behind by dead producers"),
        ));
    }
    findings
}

fn trouble(link: &LinkInfo) -> Option<Finding> {
    const TOPIC: &str = "links";
    let name = &link.name;
    let pid = link.producer.map_or_else(|| "?".to_owned(), |process| process.pid.to_string());
    match &link.answer {
        Answer::Silent => Some(Finding::warn(
            TOPIC,
            Heading::Silent,
            format!("the producer of '{name}' (process {pid}) does not answer"),
            format!("kill -CONT {pid} if it was stopped, or end it"),
        )),
        Answer::Refused(detail) => {
            let says = format!("'{name}' can't be read: {detail}");
            Some(Finding::warn(
                TOPIC,
                Heading::Unreadable,
                says,
                "restart its producer with the same version of uncopy",
            ))
        }
        Answer::Answering => {
            if let Some(evicted) =
                link.consumers.iter().find(|consumer| consumer.evicted && consumer.holds > 0)
            {
                let says = format!(
                    "a consumer of '{name}' (process {}) was evicted and keeps {} slots, which the producer can't use",
                    evicted.pid, evicted.holds
                );
                return Some(Finding::warn(
                    TOPIC,
                    Heading::Kept,
                    says,
                    "end that process, or let it release its frames",
                ));
            }
            let hung_up = link.consumers.iter().find(|consumer| consumer.quarantined)?;
            let says = format!(
                "a consumer of '{name}' (process {}) hung up and may still read {} slots, which the producer can't use",
                hung_up.pid, hung_up.holds
            );
            Some(Finding::warn(
                TOPIC,
                Heading::Kept,
                says,
                "end that process; its socket was closed without a goodbye (it ran exec, or something closed it)",
            ))
        }
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the environment asks of the stand-in. A setting that can't be read ends the process: a test that misspelt
//! one would otherwise test nothing.

use std::{env, str::FromStr, sync::OnceLock, time::Duration};

/// Every variable that begins so must be one of ours.
const PREFIX: &str = "UNCOPY_STANDIN_";
const KNOWN: &[&str] =
    &["VERSION", "DEVICES", "MEMORY_MIB", "PEER", "CARD", "LAG_US", "LAZY_US", "FAULTS", "WITHOUT", "LOG"];

/// The settings, read once.
#[derive(Debug)]
pub struct Settings {
    /// What `cuDriverGetVersion` says.
    pub version: i32,
    /// How many cards the machine has, before `CUDA_VISIBLE_DEVICES`.
    pub cards: usize,
    /// Memory of each card.
    pub memory_bytes: usize,
    /// Whether two cards can reach each other's memory.
    pub has_peer_access: bool,
    /// Processes that name the same card see each other's use of memory.
    pub card: Option<String>,
    /// How late each stream is, by order of creation; the list is used again from its start.
    pub lags: Vec<Duration>,
    /// Streams run only when somebody waits for them, or this long after work that other processes can see.
    pub lazy: Option<Duration>,
    pub faults: String,
    /// Functions that this driver has not.
    pub without: Vec<String>,
    pub log: Option<String>,
}

/// The settings of this process.
pub fn settings() -> &'static Settings {
    static READ: OnceLock<Settings> = OnceLock::new();
    READ.get_or_init(|| {
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy();
            if name.strip_prefix(PREFIX).is_some_and(|rest| !KNOWN.contains(&rest)) {
                refuse(&format!("there is no setting {name}; there are {PREFIX}{{{}}}", KNOWN.join(",")));
            }
        }
        Settings {
            version: number("VERSION").unwrap_or(13_000),
            cards: number("DEVICES").unwrap_or(1),
            memory_bytes: number::<usize>("MEMORY_MIB").unwrap_or(1024) << 20,
            has_peer_access: number::<u8>("PEER").unwrap_or(1) != 0,
            card: text("CARD"),
            lags: list("LAG_US"),
            lazy: number("LAZY_US").map(Duration::from_micros),
            faults: text("FAULTS").unwrap_or_default(),
            without: text("WITHOUT").unwrap_or_default().split(',').map(str::to_string).collect(),
            log: text("LOG"),
        }
    })
}

/// Ends the process with a sentence: what the stand-in was asked, or was made to do, can't be right.
pub fn refuse(why: &str) -> ! {
    eprintln!("stand-in driver: {why}");
    std::process::abort()
}

fn text(name: &str) -> Option<String> {
    env::var(format!("{PREFIX}{name}")).ok().filter(|text| !text.is_empty())
}

fn number<T: FromStr>(name: &str) -> Option<T> {
    text(name).map(|text| parsed(name, &text))
}

fn list(name: &str) -> Vec<Duration> {
    let text = text(name).unwrap_or_default();
    text.split(',')
        .filter(|item| !item.is_empty())
        .map(|item| Duration::from_micros(parsed(name, item)))
        .collect()
}

fn parsed<T: FromStr>(name: &str, text: &str) -> T {
    text.trim().parse().unwrap_or_else(|_| refuse(&format!("{PREFIX}{name}: {text:?} is no number")))
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! How far this process's clocks are ahead of the machine's: a time namespace (time_namespaces(7)) shifts the monotonic
//! and the boot clock of those inside.

use std::fs;
use std::sync::OnceLock;

/// What a namespace adds, in nanoseconds; all zero outside of one, and where the kernel does not tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Offsets {
    pub(crate) monotonic_nanos: i64,
    pub(crate) boottime_nanos: i64,
}

/// Those of this process. A child in another namespace than its parent must not have asked before it was forked.
#[inline]
pub(crate) fn offsets() -> Offsets {
    static OFFSETS: OnceLock<Offsets> = OnceLock::new();
    *OFFSETS.get_or_init(read)
}

fn read() -> Offsets {
    let namespace = |which: &str| fs::read_link(format!("/proc/self/ns/{which}")).ok();
    // The file tells of the namespace that children will have.
    let is_told = namespace("time").is_some_and(|own| Some(own) == namespace("time_for_children"));
    let text = fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
    if is_told { parse(&text) } else { Offsets::default() }
}

/// Reads lines of a clock, seconds and nanoseconds.
fn parse(text: &str) -> Offsets {
    let of = |clock: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(clock))?;
        let mut numbers = line.split_ascii_whitespace().map(str::parse::<i64>);
        let (seconds, nanos) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        seconds.checked_mul(1_000_000_000)?.checked_add(nanos)
    };
    Offsets { monotonic_nanos: of("monotonic").unwrap_or(0), boottime_nanos: of("boottime").unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_read_with_their_signs() {
        let text = "monotonic       86400         5\nboottime       -3600 500000000\n";
        let read = Offsets { monotonic_nanos: 86_400_000_000_005, boottime_nanos: -3_599_500_000_000 };
        assert_eq!(parse(text), read);
    }

    #[test]
    fn what_is_no_offset_is_none() {
        for text in ["", "monotonic", "monotonic x 0\nboottime 1", "monotonic 9223372036854775807 0"] {
            assert_eq!(parse(text), Offsets::default(), "{text}");
        }
    }
}

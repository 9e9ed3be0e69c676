// SPDX-License-Identifier: MIT OR Apache-2.0
//! Numbers as people read them: times, sizes and rates, with units and no more digits than mean something.

use std::time::Duration;

/// `31 µs`, `1.4 ms`, `12 s`, `5 min 3 s`, `2 h 5 min`, `3 d 4 h`.
pub(crate) fn time(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let nanos = duration.as_nanos() as f64;
    match seconds {
        0 if nanos < 1e3 => format!("{nanos:.0} ns"),
        0 if nanos < 1e6 => format!("{} µs", digits(nanos / 1e3)),
        0 => format!("{} ms", digits(nanos / 1e6)),
        1..60 => format!("{} s", digits(nanos / 1e9)),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// `31 µs` for a number of nanoseconds.
pub(crate) fn nanos(nanos: u64) -> String {
    time(Duration::from_nanos(nanos))
}

/// `31 µs` for a number of seconds.
pub(crate) fn seconds(seconds: f64) -> String {
    time(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

/// `16.68 ms` for a number of nanoseconds: as [`nanos`], with the digits that a jitter of microseconds needs.
pub(crate) fn fine_nanos(nanos: u64) -> String {
    match nanos {
        1_000_000..1_000_000_000 => format!("{:.2} ms", nanos as f64 / 1e6),
        _ => self::nanos(nanos),
    }
}

/// `640 B`, `3.5 MB`, `12 GB`: powers of 1000, as disks and networks are measured.
pub(crate) fn size(len_bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if len_bytes < 1000 {
        return format!("{len_bytes} B");
    }
    let mut value = len_bytes as f64;
    let mut shown = "B";
    for unit in UNITS {
        if value < 999.5 {
            break;
        }
        value /= 1000.0;
        shown = unit;
    }
    format!("{} {shown}", digits(value))
}

/// `29.97`, `25`: frames each second.
pub(crate) fn rate(per_second: f64) -> String {
    let text = format!("{per_second:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Three digits where the number is small, none after the point where it is large.
fn digits(value: f64) -> String {
    match value {
        v if v < 9.95 => format!("{v:.1}"),
        v => format!("{v:.0}"),
    }
}

/// `1 frame`, `2 frames`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

/// `once`, `2 times`.
pub(crate) fn times(number: u64) -> String {
    match number {
        1 => "once".to_owned(),
        _ => format!("{number} times"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_unit_that_fits() {
        let shown = [
            (Duration::from_nanos(870), "870 ns"),
            (Duration::from_micros(31), "31 µs"),
            (Duration::from_nanos(1_400), "1.4 µs"),
            (Duration::from_micros(2_345), "2.3 ms"),
            (Duration::from_millis(5_280), "5.3 s"),
            (Duration::from_secs(303), "5 min 3 s"),
            (Duration::from_secs(7_500), "2 h 5 min"),
            (Duration::from_secs(273_600), "3 d 4 h"),
        ];
        for (duration, expected) in shown {
            assert_eq!(time(duration), expected);
        }
    }

    #[test]
    fn fine_times_have_two_digits_where_they_are_milliseconds() {
        assert_eq!([16_683_000, 110_000, 2_000_000_000].map(fine_nanos), ["16.68 ms", "110 µs", "2.0 s"]);
    }

    #[test]
    fn sizes_change_their_unit_where_the_digits_would_round_up() {
        for (bytes, expected) in
            [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_600, "1.0 MB"), (2_764_800, "2.8 MB")]
        {
            assert_eq!(size(bytes), expected);
        }
    }

    #[test]
    fn rates_drop_zeros_and_nothing_else() {
        assert_eq!(
            (rate(25.0), rate(30_000.0 / 1001.0), rate(100.0)),
            ("25".into(), "29.97".into(), "100".into())
        );
    }

    #[test]
    fn one_is_singular() {
        assert_eq!((count(1, "frame"), count(0, "frame")), ("1 frame".into(), "0 frames".into()));
    }
}

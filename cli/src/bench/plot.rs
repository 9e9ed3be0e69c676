// SPDX-License-Identifier: MIT OR Apache-2.0
//! How often a hand-over took how long, as bars of text: one row for each doubling of the time.

use super::Figure;
use crate::units;

/// Characters of the longest bar.
const WIDTH: usize = 24;
const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/// The rows, for the figures that are hand-overs, beside each other.
pub(super) fn lines(figures: &[Figure]) -> Vec<String> {
    let shown: Vec<(&str, Vec<(u64, f64)>)> = figures
        .iter()
        .filter_map(|figure| Some((figure.title.strip_prefix("hand-over, reader ")?, figure.times.shares())))
        .collect();
    let least = shown.iter().filter_map(|(_, shares)| Some(shares.first()?.0)).min();
    let most = shown.iter().filter_map(|(_, shares)| Some(shares.last()?.0)).max();
    let (Some(least), Some(most)) = (least, most) else { return Vec::new() };
    let titles = shown.iter().map(|(title, _)| format!("{title:<WIDTH$}"));
    let mut lines = vec![format!("{:>10}  {}", "from", titles.collect::<Vec<_>>().join("  ").trim_end())];
    let rows =
        std::iter::successors(Some(least), |from| from.checked_mul(2)).take_while(|from| *from <= most);
    for from in rows {
        let bars = shown.iter().map(|(_, shares)| {
            let share = shares.iter().find(|(at, _)| *at == from).map_or(0.0, |(_, share)| *share);
            bar(share)
        });
        let line = format!("{:>10}  {}", units::nanos(from), bars.collect::<Vec<_>>().join("  "));
        lines.push(line.trim_end().to_owned());
    }
    lines
}

/// A bar as long as the share; what is there at all shows.
fn bar(share: f64) -> String {
    let eighths = ((share * WIDTH as f64 * 8.0).round() as usize).max(usize::from(share > 0.0));
    let mut bar = "█".repeat(eighths / 8);
    if let Some(rest) = EIGHTHS.get(eighths % 8).filter(|rest| **rest != ' ') {
        bar.push(*rest);
    }
    let gap = WIDTH.saturating_sub(bar.chars().count());
    bar + &" ".repeat(gap)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::Latency;
    use std::time::Duration;

    fn figure(title: &'static str, nanos: &[u64]) -> Figure {
        let mut times = Latency::default();
        nanos.iter().for_each(|nanos| times.add(Duration::from_nanos(*nanos)));
        Figure { name: "", title, times, len_bytes: None }
    }

    #[test]
    fn bars_stand_in_rows_of_doubling_times() {
        let figures = [
            figure("hand-over, reader spinning", &[300, 400, 500, 1100]),
            figure("hand-over, reader asleep", &[1100, 1200]),
            figure("publish", &[1]),
        ];
        let expected = [
            "      from  spinning                  asleep",
            "    256 ns  ██████████████████",
            "    512 ns",
            "    1.0 µs  ██████                    ████████████████████████",
        ];
        assert_eq!(lines(&figures), expected);
    }

    #[test]
    fn what_happened_once_is_seen() {
        assert_eq!(bar(1e-6).trim_end(), "▏");
        assert_eq!(bar(0.0).trim_end(), "");
        assert_eq!(bar(1.0).chars().count(), WIDTH);
    }

    #[test]
    fn nothing_measured_is_nothing_drawn() {
        assert!(lines(&[figure("hand-over, reader spinning", &[])]).is_empty());
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long a frame takes to the other process, by its size: ours beside the least that it can take and beside another library.
//!
//! A mark per time on an axis of which each step multiplies, since what is compared lies between a tenth and fifty times; the
//! numbers stand beside it.

use super::{
    canvas::{Anchor, Canvas, MARGIN, WIDTH},
    lettering::{Letters, bold, plain},
    panels::{Line, Panel},
};
use crate::bench::results::{Unit, shown};

const TITLE: &str = "from one process to another, by size";
/// Left of the axis stand the sizes.
const AXIS_X: f64 = MARGIN + 222.0;
const AXIS_LENGTH: f64 = 350.0;
const ROW_HEIGHT: f64 = 24.0;
/// Where the columns of numbers end: floor, uncopy, their ratio, the other library.
const COLUMNS: [f64; 4] = [676.0, 752.0, 822.0, WIDTH - MARGIN];

const HEAD: Letters = bold(19.0);
const HEADING: Letters = bold(15.0);
const NAME: Letters = plain(13.0);
const SMALL: Letters = plain(12.0);

/// The picture.
pub fn draw(panels: &[Panel]) -> String {
    let mut canvas = Canvas::new("How long a frame takes from one process to another, by its size");
    canvas.line(MARGIN, 34.0, Anchor::Start, HEAD, "ink", &format!("uncopy, {TITLE}"));
    let summary =
        "Medians, of several rounds the median. Further left is better. Ratio: uncopy by the floor.";
    canvas.line(MARGIN, 56.0, Anchor::Start, plain(13.0), "soft", summary);
    let mut top = 66.0;
    for panel in panels {
        top = draw_panel(&mut canvas, panel, top);
    }
    canvas.finish(top + MARGIN)
}

/// Draws a panel from `top` on; where it ends.
fn draw_panel(canvas: &mut Canvas, panel: &Panel, top: f64) -> f64 {
    let width = WIDTH - 2.0 * MARGIN;
    let heading = HEADING.lines(&panel.name, width);
    let y = canvas.paragraph((MARGIN, top + 30.0), Anchor::Start, HEADING, "ink", &heading);
    let origin = SMALL.lines(&panel.origin, width);
    let mut y = canvas.paragraph((MARGIN, y), Anchor::Start, SMALL, "soft", &origin) + 6.0;
    for (mark, what) in [(Mark::Floor, &panel.floor), (Mark::Ours, &panel.ours), (Mark::Peer, &panel.peer)] {
        mark.draw(canvas, MARGIN + 6.0, y - 4.5);
        let lines = SMALL.lines(&format!("{}: {}", mark.name(panel), what), width - 20.0);
        y = canvas.paragraph((MARGIN + 20.0, y), Anchor::Start, SMALL, "ink", &lines) + 2.0;
    }
    let Some(axis) = Axis::of(&panel.lines) else {
        canvas.line(MARGIN, y + 6.0, Anchor::Start, NAME, "soft", "nothing of this has been measured yet");
        return y + 12.0;
    };
    let ticks = y + 12.0;
    let end = ticks + 8.0 + ROW_HEIGHT * panel.lines.len() as f64;
    axis.draw(canvas, ticks, end);
    column_heads(canvas, panel, ticks);
    for (number, line) in panel.lines.iter().enumerate() {
        draw_line(canvas, &axis, line, ticks + 8.0 + ROW_HEIGHT * (number as f64 + 0.5));
    }
    end
}

fn column_heads(canvas: &mut Canvas, panel: &Panel, baseline: f64) {
    for (x, name) in COLUMNS.iter().zip(["floor", "uncopy", "ratio", &panel.peer_name]) {
        canvas.line(*x, baseline, Anchor::End, SMALL, "soft", name);
    }
}

fn draw_line(canvas: &mut Canvas, axis: &Axis, line: &Line, middle: f64) {
    let baseline = middle + 4.5;
    canvas.line(AXIS_X - 16.0, baseline, Anchor::End, NAME, "ink", &line.size);
    let marks = [(Mark::Peer, line.peer), (Mark::Floor, line.floor), (Mark::Ours, line.ours)];
    for (mark, nanos) in marks {
        if let Some(nanos) = nanos {
            mark.draw(canvas, axis.x(nanos), middle);
        }
    }
    let time = |nanos: Option<f64>| nanos.map_or("–".to_string(), |nanos| shown(nanos, Unit::Ns));
    let ratio =
        line.floor.zip(line.ours).map_or("–".to_string(), |(floor, ours)| format!("{:.2} x", ours / floor));
    let columns =
        [(time(line.floor), "ink"), (time(line.ours), "met"), (ratio, "ink"), (time(line.peer), "peer")];
    for (x, (text, class)) in COLUMNS.iter().zip(columns) {
        let letters = if class == "met" { bold(13.0) } else { NAME };
        canvas.line(*x, baseline, Anchor::End, letters, class, &text);
    }
}

/// A mark for each of what is compared: they differ in shape too.
#[derive(Clone, Copy)]
enum Mark {
    Floor,
    Ours,
    Peer,
}

impl Mark {
    fn name(self, panel: &Panel) -> &str {
        match self {
            Self::Floor => "floor",
            Self::Ours => "uncopy",
            Self::Peer => &panel.peer_name,
        }
    }

    fn draw(self, canvas: &mut Canvas, x: f64, y: f64) {
        match self {
            // A line across the row: what nothing gets below.
            Self::Floor => canvas.shape(&format!("M{:.1} {:.1}h3v18h-3Z", x - 1.5, y - 9.0), "ink"),
            Self::Ours => {
                canvas.shape(&format!("M{:.1} {y:.1}a5 5 0 1 0 10 0a5 5 0 1 0 -10 0Z", x - 5.0), "met");
            }
            Self::Peer => canvas.shape(&format!("M{x:.1} {:.1}l6 6l-6 6l-6 -6Z", y - 6.0), "peer"),
        }
    }
}

/// An axis of times from one round number to another.
struct Axis {
    ticks: Vec<f64>,
}

impl Axis {
    /// That holds every time of these lines; `None` where there is none.
    fn of(lines: &[Line]) -> Option<Self> {
        let times = || {
            lines.iter().flat_map(|line| [line.floor, line.ours, line.peer]).flatten().filter(|it| *it > 0.0)
        };
        let (least, most) = (times().reduce(f64::min)?, times().reduce(f64::max)?);
        let steps: Vec<f64> =
            (0..12).flat_map(|power| [1.0, 2.0, 5.0].map(|step| step * 10_f64.powi(power))).collect();
        let begin = steps.iter().rposition(|step| *step <= least).unwrap_or(0);
        let end = steps.iter().position(|step| *step >= most && *step > least)?;
        Some(Self { ticks: steps.get(begin..=end)?.to_vec() })
    }

    fn x(&self, nanos: f64) -> f64 {
        let (begin, end) =
            (self.ticks.first().copied().unwrap_or(1.0), self.ticks.last().copied().unwrap_or(10.0));
        AXIS_X + AXIS_LENGTH * (nanos.max(begin) / begin).ln() / (end / begin).ln()
    }

    fn draw(&self, canvas: &mut Canvas, baseline: f64, end: f64) {
        for tick in &self.ticks {
            let x = self.x(*tick);
            canvas.stroke((x, baseline + 5.0), (x, end), "line", 1.0);
            canvas.line(x, baseline, Anchor::Middle, SMALL, "soft", &round_time(*tick));
        }
    }
}

/// A round number of nanoseconds with the unit that makes it short.
fn round_time(nanos: f64) -> String {
    match nanos {
        _ if nanos >= 1e9 => format!("{} s", nanos / 1e9),
        _ if nanos >= 1e6 => format!("{} ms", nanos / 1e6),
        _ if nanos >= 1e3 => format!("{} µs", nanos / 1e3),
        _ => format!("{nanos} ns"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::canvas::tests::assert_everything_can_be_read;

    fn line(floor: Option<f64>, ours: Option<f64>, peer: Option<f64>) -> Line {
        Line { size: "1920 x 1080, float32, 33.2 MB".to_string(), floor, ours, peer }
    }

    fn panel(lines: Vec<Line>) -> Panel {
        Panel {
            name: "a panel".to_string(),
            origin: "a machine; ".repeat(40),
            floor: "the least ".repeat(40),
            ours: "ours".to_string(),
            peer: "another".to_string(),
            peer_name: "torch.multiprocessing".to_string(),
            lines,
        }
    }

    #[test]
    fn every_time_lies_on_the_axis_and_no_text_on_another() {
        for factor in [0.01, 1.0, 3.0, 1000.0] {
            let of = |nanos: f64| Some(nanos * factor);
            let lines = vec![line(of(9_800.0), of(11_294.0), of(445_704.0)), line(of(99_129.0), None, None)];
            let axis = Axis::of(&lines).unwrap();
            for nanos in [9_800.0, 445_704.0].map(|nanos| nanos * factor) {
                assert!((AXIS_X..=AXIS_X + AXIS_LENGTH).contains(&axis.x(nanos)), "{nanos} {:?}", axis.ticks);
            }
            assert_everything_can_be_read(&draw(&[panel(lines)]));
        }
    }

    #[test]
    fn the_numbers_stand_beside_the_marks_and_what_is_missing_is_a_dash() {
        let svg = draw(&[panel(vec![line(Some(10_000.0), Some(12_500.0), None)])]);
        for text in [">10.0 µs<", ">12.5 µs<", ">1.25 x<", ">–<"] {
            assert!(svg.contains(text), "{text}");
        }
    }

    #[test]
    fn twice_the_time_is_as_far_everywhere_on_the_axis() {
        let axis = Axis::of(&[line(Some(1_000.0), Some(90_000.0), None)]).unwrap();
        assert_eq!((axis.ticks.first(), axis.ticks.last()), (Some(&1_000.0), Some(&100_000.0)));
        let (low, high) = (axis.x(4_000.0) - axis.x(2_000.0), axis.x(80_000.0) - axis.x(40_000.0));
        assert!((low - high).abs() < 0.001);
    }

    #[test]
    fn a_panel_without_results_says_so() {
        let svg = draw(&[panel(vec![line(None, None, None)])]);
        assert!(svg.contains("nothing of this has been measured yet"));
        assert_everything_can_be_read(&svg);
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! The goals and what was measured, as a picture: a bar per goal, as long as the measured part of what is allowed.
//!
//! The text of a row says everything, so that the colour is only a help. A row is as high as its text needs.

use super::{
    Section,
    canvas::{Anchor, Canvas, MARGIN, WIDTH, spacing},
    goals::Unit,
    judge::{Row, Verdict},
    lettering::{Letters, bold, plain},
};

const TITLE: &str = "uncopy, measured as a part of what is allowed";
/// Left of the bars stand the names.
const NAME_WIDTH: f64 = 196.0;
const BARS_X: f64 = MARGIN + NAME_WIDTH + 12.0;
/// Length of a bar that just reaches its goal.
const GOAL_LENGTH: f64 = 180.0;
/// A bar that is longer than this many goals is cut, and says so by its end.
const LONGEST: f64 = 1.5;
/// Right of the bars stands what was measured and what is allowed.
const TEXT_X: f64 = BARS_X + GOAL_LENGTH * LONGEST + 22.0;
const TEXT_WIDTH: f64 = WIDTH - MARGIN - TEXT_X;
const BAR_HEIGHT: f64 = 16.0;
/// Between the texts of two rows.
const GAP: f64 = 12.0;

const HEAD: Letters = bold(19.0);
const HEADING: Letters = bold(15.0);
const NAME: Letters = plain(13.0);
const MEASURED: Letters = bold(13.0);
const SMALL: Letters = plain(12.0);

const fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Met => "met",
        Verdict::WithinNoise => "near",
        Verdict::Short => "short",
        Verdict::NotMeasured => "soft",
    }
}

/// The picture.
pub fn draw(sections: &[Section<'_>]) -> String {
    let mut canvas = Canvas::new("What uncopy reaches, beside its goals");
    canvas.line(MARGIN, 34.0, Anchor::Start, HEAD, "ink", TITLE);
    let rows = || sections.iter().flat_map(|section| &section.rows);
    let met = rows().filter(|row| row.verdict.is_good()).count();
    let summary = format!("{met} of {} goals met. Shorter is better; the line is the goal.", rows().count());
    canvas.line(MARGIN, 56.0, Anchor::Start, plain(13.0), "soft", &summary);
    let mut top = 66.0;
    for section in sections {
        top = draw_section(&mut canvas, section, top);
    }
    canvas.finish(top + MARGIN)
}

/// Draws a section from `top` on; where it ends.
fn draw_section(canvas: &mut Canvas, section: &Section<'_>, top: f64) -> f64 {
    canvas.line(MARGIN, top + 30.0, Anchor::Start, HEADING, "ink", section.name);
    let origin = SMALL.lines(&section.origin, WIDTH - 2.0 * MARGIN);
    let ticks = canvas.paragraph((MARGIN, top + 48.0), Anchor::Start, SMALL, "soft", &origin) + 10.0;
    let laid: Vec<Laid<'_>> = section.rows.iter().map(Laid::of).collect();
    let begin = ticks + 8.0;
    let end = begin + laid.iter().map(Laid::height).sum::<f64>();
    axis(canvas, ticks, end);
    let mut top = begin;
    for row in &laid {
        row.draw(canvas, top);
        top += row.height();
    }
    end
}

/// The lines of a section's bars, with their numbers at `baseline`.
fn axis(canvas: &mut Canvas, baseline: f64, end: f64) {
    for tick in [0.0, 0.5, 1.0, LONGEST] {
        let x = BARS_X + GOAL_LENGTH * tick;
        let (class, text, width, name) = match tick {
            1.0 => ("ink", "ink", 1.5, "goal".to_string()),
            _ => ("line", "soft", 1.0, tick.to_string()),
        };
        canvas.stroke((x, baseline + 5.0), (x, end), class, width);
        canvas.line(x, baseline, Anchor::Middle, SMALL, text, &name);
    }
}

/// A row, broken into lines.
struct Laid<'r> {
    row: &'r Row<'r>,
    name: Vec<String>,
    measured: Vec<String>,
    allowed: Vec<String>,
}

/// How high so many lines are.
fn height(lines: &[String], letters: Letters) -> f64 {
    lines.len() as f64 * spacing(letters)
}

impl<'r> Laid<'r> {
    fn of(row: &'r Row<'r>) -> Self {
        let goal = row.goal;
        let measured = format!("{}: {}", row.verdict.word(), row.measured);
        let is_ratio = goal.unit == Unit::Ratio;
        let against = if is_ratio { format!(", against {}", goal.against) } else { String::new() };
        Self {
            row,
            name: NAME.lines(&goal.name, NAME_WIDTH),
            measured: MEASURED.lines(&measured, TEXT_WIDTH),
            allowed: SMALL.lines(&format!("{}{against}", goal.shown()), TEXT_WIDTH),
        }
    }

    fn text_height(&self) -> f64 {
        height(&self.measured, MEASURED) + height(&self.allowed, SMALL)
    }

    fn height(&self) -> f64 {
        self.text_height().max(height(&self.name, NAME)).max(BAR_HEIGHT) + GAP
    }

    /// What exactly was measured shows when one points at the row.
    fn draw(&self, canvas: &mut Canvas, top: f64) {
        let class = class(self.row.verdict);
        let middle = top + self.height() / 2.0;
        // From the middle of lines to the baseline of the first one.
        let first = |height: f64, letters: Letters| middle - height / 2.0 + letters.size;
        canvas.group(&self.row.goal.measures, |canvas| {
            let y = first(height(&self.name, NAME), NAME);
            canvas.paragraph((BARS_X - 12.0, y), Anchor::End, NAME, "ink", &self.name);
            if let Some(of_goal) = self.row.of_goal {
                bar(canvas, of_goal, middle, class);
            }
            let y = first(self.text_height(), MEASURED);
            let y = canvas.paragraph((TEXT_X, y), Anchor::Start, MEASURED, class, &self.measured);
            canvas.paragraph((TEXT_X, y - 1.0), Anchor::Start, SMALL, "soft", &self.allowed);
        });
    }
}

/// A bar; one that is cut ends in an arrow.
fn bar(canvas: &mut Canvas, of_goal: f64, middle: f64, class: &str) {
    let top = middle - BAR_HEIGHT / 2.0;
    if of_goal <= LONGEST {
        // Never so thin that it can't be seen.
        let length = (of_goal * GOAL_LENGTH).max(2.0);
        canvas.shape(&format!("M{BARS_X} {top:.1}h{length:.1}v{BAR_HEIGHT}H{BARS_X}Z"), class);
        return;
    }
    let end = BARS_X + GOAL_LENGTH * LONGEST;
    let (shoulder, bottom) = (end - 10.0, top + BAR_HEIGHT);
    let arrow = format!("M{BARS_X} {top:.1}H{shoulder}L{end} {middle:.1}L{shoulder} {bottom:.1}H{BARS_X}Z");
    canvas.shape(&arrow, class);
    let times =
        if of_goal.is_finite() { format!("{of_goal:.1} goals") } else { "none is allowed".to_string() };
    canvas.line(shoulder - 6.0, middle + 4.5, Anchor::End, SMALL, "onbar", &times);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        figures::{
            canvas::tests::assert_everything_can_be_read,
            goals::{self, Goal},
            judge::judge,
        },
        repo::Repo,
    };

    fn picture(goals: &[Goal], origin: &str) -> String {
        let rows = goals.iter().map(|goal| judge(goal, &[])).collect();
        draw(&[Section { name: "all of them", origin: origin.to_string(), rows }])
    }

    #[test]
    fn every_goal_has_its_row_with_its_verdict() {
        let goals = goals::load(&Repo::this()).unwrap();
        let svg = picture(&goals, "nowhere");
        assert_eq!(svg.matches("not measured:").count(), goals.len());
        for word in goals.iter().flat_map(|goal| goal.name.split(' ')) {
            assert!(svg.contains(word), "{word}");
        }
        assert_everything_can_be_read(&svg);
    }

    #[test]
    fn no_name_reference_or_origin_is_too_long_for_the_picture() {
        let mut goals = goals::load(&Repo::this()).unwrap();
        for goal in &mut goals {
            goal.name = format!("{} of everything that was ever measured, each byte read", goal.name);
            goal.against = format!("{} {}", goal.against, "and_so_on_".repeat(30)).repeat(3);
            goal.topic = "a_topic_that_nobody_has_".repeat(20);
        }
        assert_everything_can_be_read(&picture(&goals, &"a machine, its cores and its kernel; ".repeat(20)));
    }

    #[test]
    fn a_bar_is_as_long_as_its_part_of_the_goal_and_a_longer_one_is_cut() {
        let drawn = |of_goal| {
            let mut canvas = Canvas::new("t");
            bar(&mut canvas, of_goal, 20.0, "short");
            canvas.finish(40.0)
        };
        assert!(drawn(0.5).contains("h90.0v"));
        assert!(drawn(3.4).contains("3.4 goals"));
        assert!(drawn(f64::INFINITY).contains("none is allowed"));
        assert_everything_can_be_read(&drawn(f64::INFINITY));
    }
}

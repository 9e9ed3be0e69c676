// SPDX-License-Identifier: MIT OR Apache-2.0
//! The goals and what was measured, as a picture: a bar per goal, as long as the measured part of what is allowed.
//!
//! The text of a row says everything, so that the colour is only a help.

use super::{
    goals::Unit,
    judge::{Row, Verdict},
};

const WIDTH: f64 = 1140.0;
const MARGIN: f64 = 24.0;
/// Where the bars begin: left of it stands the name.
const BARS_X: f64 = 236.0;
/// Length of a bar that just reaches its goal.
const GOAL_LENGTH: f64 = 260.0;
/// A bar that is longer than this many goals is cut, and says so by its end.
const LONGEST: f64 = 1.5;
/// Where the text right of the bars begins.
const TEXT_X: f64 = BARS_X + GOAL_LENGTH * LONGEST + 24.0;
const HEAD_HEIGHT: f64 = 104.0;
const ROW_HEIGHT: f64 = 40.0;
const BAR_HEIGHT: f64 = 16.0;
const FOOT_HEIGHT: f64 = 30.0;

const INK: &str = "#1f2933";
const SOFT: &str = "#616e7c";
const LINE: &str = "#d9e0e6";

fn colour(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Met => "#2a7f72",
        Verdict::WithinNoise => "#9a6700",
        Verdict::Short => "#c2413b",
        Verdict::NotMeasured => "#616e7c",
    }
}

/// The picture. `origin` says where the figures come from.
pub fn draw(rows: &[Row<'_>], origin: &str) -> String {
    let rows_end = HEAD_HEIGHT + ROW_HEIGHT * rows.len() as f64;
    let height = rows_end + FOOT_HEIGHT;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif\" font-size=\"13\" role=\"img\">\n\
         <title>What uncopy reaches, beside its goals</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    svg.push_str(&head(rows, origin));
    svg.push_str(&axis(rows_end));
    for (number, row) in rows.iter().enumerate() {
        svg.push_str(&bar(row, HEAD_HEIGHT + ROW_HEIGHT * number as f64));
    }
    svg.push_str("</svg>\n");
    svg
}

fn head(rows: &[Row<'_>], origin: &str) -> String {
    let met = rows.iter().filter(|row| row.verdict.is_good()).count();
    let mut text = label(
        MARGIN,
        34.0,
        INK,
        "font-size=\"19\" font-weight=\"600\"",
        "uncopy, measured as a part of what is allowed",
    );
    let summary = format!("{met} of {} goals met. Shorter is better; the line at 1 is the goal.", rows.len());
    text.push_str(&label(MARGIN, 56.0, SOFT, "", &summary));
    text.push_str(&label(MARGIN, 75.0, SOFT, "", origin));
    text
}

fn axis(rows_end: f64) -> String {
    let mut text = String::new();
    for tick in [0.0, 0.5, 1.0, LONGEST] {
        let x = BARS_X + GOAL_LENGTH * tick;
        let (stroke, width, name) = if tick == 1.0 { (INK, 1.5, "goal") } else { (LINE, 1.0, "") };
        text.push_str(&format!(
            "<line x1=\"{x}\" y1=\"{}\" x2=\"{x}\" y2=\"{rows_end}\" stroke=\"{stroke}\" stroke-width=\"{width}\"/>\n",
            HEAD_HEIGHT - 4.0
        ));
        let name = if name.is_empty() { tick.to_string() } else { name.to_string() };
        text.push_str(&label(
            x,
            HEAD_HEIGHT - 10.0,
            if tick == 1.0 { INK } else { SOFT },
            "text-anchor=\"middle\"",
            &name,
        ));
    }
    text
}

/// A row; what exactly was measured shows when one points at it.
fn bar(row: &Row<'_>, top: f64) -> String {
    let middle = top + ROW_HEIGHT / 2.0;
    let colour = colour(row.verdict);
    let goal = row.goal;
    let mut text = format!("<g><title>{}</title>\n", escaped(&goal.measures));
    text.push_str(&label(BARS_X - 12.0, middle + 4.5, INK, "text-anchor=\"end\"", &goal.name));
    if let Some(of_goal) = row.of_goal {
        text.push_str(&shape(of_goal, middle, colour));
    }
    let measured = format!("{}: {}", row.verdict.word(), row.measured);
    text.push_str(&label(TEXT_X, middle - 2.5, colour, "font-weight=\"600\"", &measured));
    let against =
        if goal.unit == Unit::Ratio { format!(", against {}", goal.against) } else { String::new() };
    let allowed = format!("{}{against}", goal.shown());
    text.push_str(&label(TEXT_X, middle + 13.0, SOFT, "font-size=\"12\"", &allowed));
    text + "</g>\n"
}

/// A bar; one that is cut ends in an arrow.
fn shape(of_goal: f64, middle: f64, colour: &str) -> String {
    let top = middle - BAR_HEIGHT / 2.0;
    let bottom = middle + BAR_HEIGHT / 2.0;
    if of_goal <= LONGEST {
        // Never so thin that it can't be seen.
        let length = (of_goal * GOAL_LENGTH).max(2.0);
        return format!(
            "<rect x=\"{BARS_X}\" y=\"{top}\" width=\"{length:.1}\" height=\"{BAR_HEIGHT}\" rx=\"2\" fill=\"{colour}\"/>\n"
        );
    }
    let end = BARS_X + GOAL_LENGTH * LONGEST;
    let shoulder = end - 10.0;
    let arrow = format!(
        "<path d=\"M{BARS_X} {top}H{shoulder}L{end} {middle}L{shoulder} {bottom}H{BARS_X}Z\" fill=\"{colour}\"/>\n"
    );
    let times =
        if of_goal.is_finite() { format!("{of_goal:.1} goals") } else { "none is allowed".to_string() };
    arrow + &label(shoulder - 6.0, middle + 4.5, "#ffffff", "text-anchor=\"end\" font-size=\"12\"", &times)
}

fn label(x: f64, y: f64, colour: &str, attributes: &str, text: &str) -> String {
    format!("<text x=\"{x}\" y=\"{y}\" fill=\"{colour}\" {attributes}>{}</text>\n", escaped(text))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{figures::goals, figures::judge::judge, repo::Repo};

    #[test]
    fn every_goal_has_its_row_with_its_verdict() {
        let goals = goals::load(&Repo::this()).unwrap();
        let rows: Vec<Row<'_>> = goals.iter().map(|goal| judge(goal, &[])).collect();
        let svg = draw(&rows, "nowhere");
        assert_eq!(svg.matches("not measured:").count(), goals.len());
        assert!(goals.iter().all(|goal| svg.contains(&format!(">{}<", goal.name))));
    }

    #[test]
    fn a_bar_is_as_long_as_its_part_of_the_goal_and_a_longer_one_is_cut() {
        assert!(shape(0.5, 0.0, "red").contains("width=\"130.0\""));
        assert!(shape(3.4, 0.0, "red").contains("3.4 goals"));
        assert!(shape(f64::INFINITY, 0.0, "red").contains("none is allowed"));
    }

    #[test]
    fn text_can_not_break_the_picture() {
        assert!(label(0.0, 0.0, INK, "", "a < b & c").contains("a &lt; b &amp; c"));
    }
}

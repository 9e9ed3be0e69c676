// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask figures`: each goal beside what was measured, as a table and as the picture of the docs.
//!
//! It measures nothing: it reads `bench/goals.toml` and the newest results of each topic below `bench/results`.

mod goals;
mod judge;
mod svg;

use crate::{
    bench::results::{self, Results},
    error::{Error, write_text},
    repo::Repo,
};
use goals::Kind;
use judge::{Row, judge};

/// Where the picture goes.
const PICTURE: &str = "docs/figures.svg";

/// Whose results to judge by.
#[derive(clap::Args)]
pub struct Options {
    /// The machine, by the name of its directory in bench/results (the newest results of any, unless told).
    #[arg(long)]
    machine: Option<String>,
}

/// Prints and draws; false where a goal was missed or never measured.
pub fn run(repo: &Repo, options: &Options) -> Result<bool, Error> {
    let goals = goals::load(repo)?;
    let mut results = results::all(repo)?;
    if let Some(machine) = &options.machine {
        results.retain(|results| results.machine.name == *machine);
    }
    let rows: Vec<Row<'_>> = goals.iter().map(|goal| judge(goal, &results)).collect();
    print!("{}", table(&rows));
    for note in notes(&rows, &results) {
        println!("{note}");
    }
    let picture = repo.join(PICTURE);
    write_text(&picture, &svg::draw(&rows, &origin(&rows, &results)))?;
    let met = rows.iter().filter(|row| row.verdict.is_good()).count();
    println!("{met} of {} goals met; drawn in {PICTURE}", rows.len());
    Ok(met == rows.len())
}

/// Goal, what was measured, and the verdict, in columns.
fn table(rows: &[Row<'_>]) -> String {
    let lines: Vec<[String; 4]> = rows.iter().map(cells).collect();
    let width = |at: usize| lines.iter().filter_map(|line| line.get(at)).map(|c| c.chars().count()).max();
    let widths: Vec<usize> = (0..4).map(|at| width(at).unwrap_or(0)).collect();
    let mut text = String::new();
    for line in &lines {
        let padded = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(padded.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn cells(row: &Row<'_>) -> [String; 4] {
    let part = row.of_goal.filter(|of_goal| of_goal.is_finite());
    let of_goal = part.map_or(String::new(), |of_goal| format!(", {of_goal:.2} of the goal"));
    let verdict = format!("{}{of_goal}", row.verdict.word());
    [row.goal.name.clone(), row.measured.clone(), row.goal.shown(), verdict]
}

/// What makes the figures less than they seem, and how to measure what is missing.
fn notes(rows: &[Row<'_>], results: &[Results]) -> Vec<String> {
    let mut notes = Vec::new();
    for row in rows.iter().filter(|row| row.of_goal.is_none()) {
        let there = match row.goal.on {
            Kind::Cpu => "",
            Kind::Gpu => ", its run.sh on a machine with a GPU, then cargo xtask gpu-results",
        };
        notes.push(format!("to measure what is missing: {}{there}", row.goal.reproduce));
    }
    notes.dedup();
    for topic in newest(rows, results) {
        if topic.has_uncommitted_changes {
            notes.push(format!("'{}' was measured with uncommitted changes", topic.topic));
        }
    }
    notes
}

/// The results that the rows come from.
fn newest<'a>(rows: &[Row<'_>], results: &'a [Results]) -> Vec<&'a Results> {
    let mut topics: Vec<&str> = rows.iter().map(|row| row.goal.topic.as_str()).collect();
    topics.dedup();
    topics.iter().filter_map(|topic| results.iter().find(|r| r.topic == *topic && !r.is_quick)).collect()
}

/// Where the figures come from, in one line.
fn origin(rows: &[Row<'_>], results: &[Results]) -> String {
    let mut machines: Vec<String> = newest(rows, results)
        .iter()
        .map(|r| {
            let kind = if r.machine.is_virtual { "virtual machine, " } else { "" };
            let card = r.machine.gpu.as_ref().map_or(String::new(), |gpu| {
                format!("{}, driver {}, CUDA {}, ", gpu.card, gpu.driver, gpu.cuda)
            });
            format!(
                "{}: {card}{kind}{}, {} cores, Linux {}",
                r.machine.name, r.machine.cpu, r.machine.cores, r.machine.kernel
            )
        })
        .collect();
    machines.sort();
    machines.dedup();
    if machines.is_empty() { "nothing has been measured yet".to_string() } else { machines.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::results::{Unit, tests::figure, tests::results};

    #[test]
    fn without_results_every_goal_is_not_measured_and_the_command_is_named() {
        let goals = goals::load(&Repo::this()).unwrap();
        let rows: Vec<Row<'_>> = goals.iter().map(|goal| judge(goal, &[])).collect();
        assert!(rows.iter().all(|row| !row.verdict.is_good()));
        assert!(
            notes(&rows, &[]).contains(&"to measure what is missing: cargo xtask bench latency".to_string())
        );
        assert_eq!(table(&rows).lines().count(), goals.len());
    }

    #[test]
    fn the_table_says_measured_goal_and_verdict() {
        let goals = goals::load(&Repo::this()).unwrap();
        let ours = figure("hand_over_spinning", Unit::Ns, &[200.0], Some(&[100.0]));
        let measured = [results("latency", "2000", vec![ours])];
        let rows: Vec<Row<'_>> = goals.iter().take(1).map(|goal| judge(goal, &measured)).collect();
        let text = table(&rows);
        for part in ["2.00 x (200 ns / 100 ns)", "at most 1.6 x", "short, 1.25 of the goal"] {
            assert!(text.contains(part), "{text}");
        }
    }
}

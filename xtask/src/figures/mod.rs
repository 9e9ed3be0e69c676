// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask figures`: each goal beside what was measured, as a table and as the pictures of the docs.
//!
//! It measures nothing: it reads `bench/goals.toml` and the newest results of each topic below `bench/results`.

mod canvas;
mod goals;
mod goals_picture;
mod judge;
mod lettering;
mod panels;
mod sizes_picture;

use crate::{
    bench::results::{self, Machine, Results},
    error::{Error, write_text},
    repo::Repo,
};
use goals::Kind;
use judge::{Row, judge};

/// Where the pictures go.
const GOALS: &str = "docs/figures.svg";
const SIZES: &str = "docs/sizes.svg";

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
    let (count, met) = (rows.len(), rows.iter().filter(|row| row.verdict.is_good()).count());
    write_text(&repo.join(GOALS), &goals_picture::draw(&sections(rows, &results)))?;
    write_text(&repo.join(SIZES), &sizes_picture::draw(&panels::all(&results)))?;
    println!("{met} of {count} goals met; drawn in {GOALS} and {SIZES}");
    Ok(met == count)
}

/// The goals of one kind of machine.
pub struct Section<'r> {
    pub name: &'static str,
    /// Where its figures come from.
    pub origin: String,
    pub rows: Vec<Row<'r>>,
}

/// The rows by the machines that can measure them.
fn sections<'r>(rows: Vec<Row<'r>>, results: &[Results]) -> [Section<'r>; 2] {
    let (on_gpu, on_cpu): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.goal.on == Kind::Gpu);
    [("Frames in host memory", on_cpu), ("Frames on a GPU", on_gpu)].map(|(name, rows)| {
        let origin = origin(newest(&rows, results));
        Section { name, origin, rows }
    })
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

/// The machines that results come from, in words.
fn origin<'r>(results: impl IntoIterator<Item = &'r Results>) -> String {
    let mut machines: Vec<String> = results.into_iter().map(|results| machine(&results.machine)).collect();
    machines.sort();
    machines.dedup();
    if machines.is_empty() { "nothing has been measured yet".to_string() } else { machines.join("; ") }
}

fn machine(machine: &Machine) -> String {
    let kind = if machine.is_virtual { "virtual machine, " } else { "" };
    let card = machine
        .gpu
        .as_ref()
        .map_or(String::new(), |gpu| format!("{}, driver {}, CUDA {}, ", gpu.card, gpu.driver, gpu.cuda));
    let Machine { name, cpu, cores, kernel, .. } = machine;
    format!("{name}: {card}{kind}{cpu}, {cores} cores, Linux {kernel}")
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

    #[test]
    fn goals_of_a_gpu_stand_apart_with_the_machine_that_measured_them() {
        let goals = goals::load(&Repo::this()).unwrap();
        let ours = figure("hand_over_spinning", Unit::Ns, &[200.0], Some(&[100.0]));
        let measured = [results("latency", "2000", vec![ours])];
        let rows: Vec<Row<'_>> = goals.iter().map(|goal| judge(goal, &measured)).collect();
        let [on_cpu, on_gpu] = sections(rows, &measured);
        assert!(on_cpu.rows.iter().all(|row| row.goal.on == Kind::Cpu) && !on_cpu.rows.is_empty());
        assert_eq!(on_cpu.rows.len() + on_gpu.rows.len(), goals.len());
        assert!(on_cpu.origin.contains(&measured[0].machine.name), "{}", on_cpu.origin);
        assert_eq!(on_gpu.origin, "nothing has been measured yet");
    }
}

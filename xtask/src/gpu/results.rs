// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask gpu-results DIR...`: what `run.sh` measured, as results beside those of other machines.
//!
//! Every row becomes a figure, `ROW_SIZE` where it is uncopy's own and `PROGRAM_ROW_SIZE` otherwise, with `_mps` at its
//! end where it was measured under MPS. Rounds stay apart, so that a ratio is of one minute.

use super::{
    SEVERAL, TOPIC,
    kept_cases::{self, Case, Run as CasesRun},
    pairs::{self, Reference},
};
use crate::{
    bench::{
        machine::words_of,
        results::{self, Figure, Gpu, Machine, Results, Round, Series, Unit, Versions},
    },
    error::{Error, read_text, write_text},
    repo::Repo,
};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Rounds of a full measurement; fewer show whether everything runs, and do not count.
const ROUNDS: usize = 3;
/// The program whose rows are uncopy's own, and the one whose rows are the floors.
const OURS: &str = "uncopy";
const FLOORS: &str = "floors";
/// The size of a row that knows none.
const NO_SIZE: &str = "any";

/// Where the results are.
#[derive(clap::Args)]
pub struct Options {
    /// The directory that run.sh was given with --out; several, where its parts ran one by one.
    #[arg(required = true)]
    dirs: Vec<PathBuf>,
}

/// Keeps them; false when a test or a measurement had failed there.
pub fn run(repo: &Repo, options: &Options) -> Result<bool, Error> {
    let document = Document::joined(options.dirs.iter().map(|dir| Document::read(dir)))?;
    for case in document.cases.iter().filter(|case| case.outcome == "failed") {
        println!("failed: {} {}: {}", case.part, case.name, case.why);
    }
    let failed = document.count("failed");
    let run = CasesRun {
        date: &document.date,
        commit: &document.bundle.commit,
        card: &document.machine.gpu.card,
        cards: document.machine.gpu.count,
        driver: &document.machine.gpu.driver,
    };
    let kept =
        repo.join("bench/gpu/cases").join(format!("{}.json", words_of(&document.machine.gpu.card).join("-")));
    kept_cases::keep(&kept, &run, &document.cases)?;
    println!("cases kept in {}", repo.shown(&kept));
    if document.runs.is_empty() {
        return Ok(failed == 0);
    }
    let results = document.into_results();
    print!("{}", results.table());
    let dir = if results.is_quick { repo.target().join("bench") } else { results::dir(repo) };
    let kept = dir.join(&results.machine.name).join(format!("{}.json", results.topic));
    write_text(&kept, &results.to_json()?)?;
    println!("kept in {}", repo.shown(&kept));
    Ok(failed == 0)
}

/// `results.json` of the runner.
#[derive(Deserialize)]
struct Document {
    date: String,
    bundle: Sources,
    machine: Measured,
    versions: BTreeMap<String, String>,
    cases: Vec<Case>,
    runs: Vec<Run>,
}

#[derive(Deserialize)]
struct Sources {
    commit: String,
    has_uncommitted_changes: bool,
    uncopy: String,
    rustc: String,
}

#[derive(Deserialize)]
struct Measured {
    cpu: String,
    cores: usize,
    is_virtual: bool,
    kernel: String,
    memory_gib: u64,
    load_before: Option<f64>,
    pinning: String,
    gpu: Gpu,
}

/// What one program printed in one round.
#[derive(Deserialize)]
struct Run {
    program: String,
    mps: bool,
    round: usize,
    version: Option<String>,
    rows: Vec<Row>,
}

#[derive(Clone, Deserialize)]
struct Row {
    name: String,
    size: String,
    unit: RowUnit,
    p50: f64,
    p99: f64,
    n: usize,
    #[serde(default)]
    what: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RowUnit {
    Us,
    Share,
    Count,
    Bytes,
}

impl RowUnit {
    /// The unit of figures, and how many of that make one of this.
    const fn kept(self) -> (Unit, f64) {
        match self {
            Self::Us => (Unit::Ns, 1e3),
            Self::Share => (Unit::Share, 1.0),
            Self::Count => (Unit::Count, 1.0),
            Self::Bytes => (Unit::Bytes, 1.0),
        }
    }
}

/// What makes rows of several rounds one figure.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    program: String,
    name: String,
    size: String,
    is_mps: bool,
}

impl Key {
    fn figure_name(&self) -> String {
        let mut name = if self.program == OURS { String::new() } else { format!("{}_", self.program) };
        name.push_str(&self.name);
        if self.size != NO_SIZE {
            name.push_str(&format!("_{}", self.size));
        }
        name + if self.is_mps { "_mps" } else { "" }
    }
}

/// The rows of each figure, by round.
type Rows = BTreeMap<Key, BTreeMap<usize, Row>>;

impl Document {
    fn read(dir: &Path) -> Result<Self, Error> {
        let path = dir.join("results.json");
        serde_json::from_str(&read_text(&path)?).map_err(|e| Error::form(path.display().to_string(), e))
    }

    /// All of them as one, as far as they are of one version on one card.
    fn joined(all: impl Iterator<Item = Result<Self, Error>>) -> Result<Self, Error> {
        let joined = all.reduce(|one, other| one?.with(other?));
        joined.unwrap_or_else(|| Err(Error::Missing("no directory with results was named".to_string())))
    }

    fn with(mut self, other: Self) -> Result<Self, Error> {
        let of = |document: &Self| format!("{} on {}", document.bundle.commit, document.machine.gpu.card);
        if of(&self) != of(&other) {
            return Err(Error::form(
                "the results",
                format!("some are of {}, some of {}", of(&self), of(&other)),
            ));
        }
        self.cases.extend(other.cases);
        self.runs.extend(other.runs);
        Ok(self)
    }

    fn count(&self, outcome: &str) -> usize {
        self.cases.iter().filter(|case| case.outcome == outcome).count()
    }

    fn rows(&self) -> Rows {
        let mut rows = Rows::new();
        for run in &self.runs {
            for row in &run.rows {
                let (name, size) = (row.name.clone(), row.size.clone());
                let key = Key { program: run.program.clone(), name, size, is_mps: run.mps };
                rows.entry(key).or_default().insert(run.round, row.clone());
            }
        }
        rows
    }

    fn into_results(self) -> Results {
        let rows = self.rows();
        let mut figures: Vec<Figure> = rows.keys().filter_map(|key| figure(key, &rows)).collect();
        for outcome in ["passed", "failed", "skipped"] {
            figures.push(tests(outcome, self.count(outcome)));
        }
        let rounds = self.runs.iter().map(|run| run.round).max().unwrap_or(0);
        Results {
            topic: if self.machine.gpu.count > 1 { SEVERAL } else { TOPIC }.to_string(),
            is_quick: rounds < ROUNDS,
            versions: self.versions(),
            date: self.date,
            commit: self.bundle.commit,
            has_uncommitted_changes: self.bundle.has_uncommitted_changes,
            machine: self.machine.into_machine(),
            figures,
        }
    }

    fn versions(&self) -> Versions {
        let installed: Vec<String> =
            self.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
        let mut peers: Vec<String> = self.runs.iter().filter_map(|run| run.version.clone()).collect();
        peers.sort();
        peers.dedup();
        Versions {
            uncopy: self.bundle.uncopy.clone(),
            rustc: self.bundle.rustc.clone(),
            python: Some(installed.join(", ")),
            peer: (!peers.is_empty()).then(|| peers.join(", ")),
        }
    }
}

impl Measured {
    fn into_machine(self) -> Machine {
        Machine {
            name: words_of(&self.gpu.card).join("-"),
            cpu: self.cpu,
            cores: self.cores,
            is_virtual: self.is_virtual,
            kernel: self.kernel,
            governor: None,
            memory_gib: self.memory_gib,
            load_before: self.load_before,
            pinning: self.pinning,
            gpu: Some(self.gpu),
        }
    }
}

/// A row with its reference, if it has one; `None` where no round has both.
fn figure(key: &Key, rows: &Rows) -> Option<Figure> {
    let ours = rows.get(key)?;
    let first = ours.values().next()?;
    let (unit, factor) = first.unit.kept();
    let series = |what: &str, rows: &[&Row]| Series {
        what: what.to_string(),
        rounds: rows.iter().map(|row| round_of(row, factor)).collect(),
    };
    let bare = |ours: Series, reference| Figure {
        name: key.figure_name(),
        unit,
        warm_up: "20 frames".to_string(),
        ours,
        reference,
    };
    let alone = || bare(series(&first.what, &ours.values().collect::<Vec<_>>()), None);
    let Some(pair) = (key.program == OURS).then(|| pairs::of(&key.name)).flatten() else {
        return Some(alone());
    };
    // Only rounds that have both: a ratio is of one minute.
    let both: Vec<(&Row, Row)> = ours
        .iter()
        .filter_map(|(round, row)| Some((row, reference_of(key, pair.reference, *round, rows)?)))
        .collect();
    if both.is_empty() {
        return Some(alone());
    }
    let (ours, references): (Vec<&Row>, Vec<Row>) = both.into_iter().unzip();
    let references: Vec<&Row> = references.iter().collect();
    Some(bare(series(&first.what, &ours), Some(series(pair.what, &references))))
}

fn round_of(row: &Row, factor: f64) -> Round {
    Round { p50: row.p50 * factor, p99: row.p99 * factor, n: row.n }
}

/// The row of the same round, of the same size or of none.
fn reference_of(key: &Key, reference: Reference, round: usize, rows: &Rows) -> Option<Row> {
    let at = |program: &str, name: &str| {
        [key.size.as_str(), NO_SIZE].iter().find_map(|size| {
            let (program, name, size) = (program.to_string(), name.to_string(), (*size).to_string());
            rows.get(&Key { program, name, size, is_mps: key.is_mps })?.get(&round).cloned()
        })
    };
    match reference {
        Reference::Floor(name) => at(FLOORS, name),
        Reference::Ours(name) => at(OURS, name),
        Reference::SlowerFloor(one, other) => {
            let (one, other) = (at(FLOORS, one)?, at(FLOORS, other)?);
            Some(Row { p50: one.p50.max(other.p50), p99: one.p99.max(other.p99), ..one })
        }
    }
}

fn tests(outcome: &str, count: usize) -> Figure {
    let round = Round { p50: count as f64, p99: count as f64, n: 1 };
    let what = format!("tests and measurements that {outcome}");
    Figure {
        name: format!("cases_{outcome}"),
        unit: Unit::Count,
        warm_up: "none".to_string(),
        ours: Series { what, rounds: vec![round] },
        reference: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::results::Percentile::P50;

    /// What the runner writes, with these runs.
    fn document(runs: &str) -> Document {
        let text = format!(
            r#"{{"date": "2030-01-01T00:00:00Z",
            "bundle": {{"commit": "c", "has_uncommitted_changes": false, "uncopy": "0.1.0", "rustc": "rustc 1"}},
            "machine": {{"cpu": "x", "cores": 8, "is_virtual": true, "kernel": "6", "memory_gib": 9, "load_before": 0.1, "pinning": "none",
              "gpu": {{"card": "NVIDIA H200", "count": 1, "driver": "580.1", "cuda": "13.0", "memory_mib": 1,
                "compute_mode": "Default", "mig": "Disabled"}}}},
            "versions": {{"python": "3.12.3", "torch": "2.11.0"}},
            "cases": [{{"part": "rust", "name": "n", "outcome": "passed", "why": ""}},
              {{"part": "mps", "name": "m", "outcome": "skipped", "why": "no MPS"}}],
            "runs": [{runs}]}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    /// One row of one program in one round.
    fn run(program: &str, round: usize, name: &str, size: &str, p50: f64, is_mps: bool) -> String {
        format!(
            r#"{{"program": "{program}", "mps": {is_mps}, "round": {round}, "rows": [{{"name": "{name}", "size": "{size}",
            "unit": "us", "p50": {p50}, "p99": {}, "min": 1, "n": 400, "what": "w"}}]}}"#,
            p50 * 2.0
        )
    }

    fn figures(runs: &[String]) -> Vec<Figure> {
        document(&runs.join(",")).into_results().figures
    }

    fn named<'a>(figures: &'a [Figure], name: &str) -> &'a Figure {
        figures.iter().find(|figure| figure.name == name).unwrap()
    }

    #[test]
    fn ours_is_held_against_the_floor_of_the_same_round_size_and_mps() {
        let mut runs = Vec::new();
        for (round, floor, ours) in [(1, 20.0, 22.0), (2, 40.0, 60.0), (3, 10.0, 11.0)] {
            runs.push(run("floors", round, "copy_known", "1080p_f32", floor, false));
            runs.push(run("floors", round, "copy_known", "4k_f32", 1.0, false));
            runs.push(run("floors", round, "copy_known", "1080p_f32", 1.0, true));
            runs.push(run("uncopy", round, "send_known", "1080p_f32", ours, false));
            runs.push(run("uncopy", round, "send_known", "1080p_f32", 3.0, true));
        }
        let figures = figures(&runs);
        let figure = named(&figures, "send_known_1080p_f32");
        assert_eq!(figure.worst_ratio(P50), Some(1.5));
        assert_eq!(figure.ours.worst(P50), 60_000.0);
        assert_eq!(named(&figures, "send_known_1080p_f32_mps").worst_ratio(P50), Some(3.0));
        let floor = named(&figures, "floors_copy_known_1080p_f32_mps");
        assert_eq!((floor.ours.worst(P50), floor.reference.is_none()), (1000.0, true));
    }

    #[test]
    fn a_round_without_its_floor_does_not_count() {
        let runs = [
            run("uncopy", 1, "numpy", "1080p_f32", 900.0, false),
            run("uncopy", 2, "numpy", "1080p_f32", 600.0, false),
            run("floors", 2, "host_copy_done", "1080p_f32", 600.0, false),
        ];
        let figures = figures(&runs);
        let figure = named(&figures, "numpy_1080p_f32");
        assert_eq!((figure.ours.rounds.len(), figure.worst_ratio(P50)), (1, Some(1.0)));
    }

    #[test]
    fn the_slower_of_two_floors_counts_also_where_one_has_no_size() {
        let runs = [
            run("uncopy", 1, "send_known_60hz", "1080p_f32", 50.0, false),
            run("floors", 1, "copy_known_60hz", "1080p_f32", 25.0, false),
            run("floors", 1, "futex_60hz", "any", 40.0, false),
        ];
        assert_eq!(named(&figures(&runs), "send_known_60hz_1080p_f32").worst_ratio(P50), Some(1.25));
    }

    #[test]
    fn others_and_rows_without_a_floor_are_kept_alone() {
        let runs = [
            run("cuda_link", 1, "known", "1080p_f32", 36.0, false),
            run("uncopy", 1, "something_new", "any", 1.0, false),
            run("uncopy", 1, "send_known", "512_u8", 14.0, false),
        ];
        let figures = figures(&runs);
        for name in ["cuda_link_known_1080p_f32", "something_new", "send_known_512_u8"] {
            assert!(named(&figures, name).reference.is_none(), "{name}");
        }
    }

    #[test]
    fn the_card_names_the_machine_and_few_rounds_do_not_count() {
        let few = document(&run("floors", 2, "copy_known", "512_u8", 1.0, false)).into_results();
        assert_eq!((few.machine.name.as_str(), few.is_quick), ("h200", true));
        let enough = document(&run("floors", 3, "copy_known", "512_u8", 1.0, false)).into_results();
        assert!(!enough.is_quick);
        assert_eq!(enough.versions.python.as_deref(), Some("python 3.12.3, torch 2.11.0"));
        assert_eq!(named(&enough.figures, "cases_skipped").ours.worst(P50), 1.0);
        assert_eq!(named(&enough.figures, "cases_failed").ours.worst(P50), 0.0);
    }

    #[test]
    fn parts_that_ran_one_by_one_are_joined_if_they_are_of_one_version_and_card() {
        let part = |program| document(&run(program, 1, "x", "any", 1.0, false));
        let joined = Document::joined([Ok(part("one")), Ok(part("two"))].into_iter()).unwrap();
        assert_eq!((joined.runs.len(), joined.cases.len()), (2, 4));
        let mut other = part("two");
        other.bundle.commit = "d".to_string();
        let error = Document::joined([Ok(part("one")), Ok(other)].into_iter()).err().unwrap();
        assert!(error.to_string().contains("d on NVIDIA H200"), "{error}");
    }

    #[test]
    fn what_the_runner_is_known_to_write_is_read() {
        // The runner's own tests hold what it writes against this file.
        let text = read_text(&Repo::this().join("bench/gpu/tests/sample.json")).unwrap();
        let results = serde_json::from_str::<Document>(&text).unwrap().into_results();
        assert_eq!(named(&results.figures, "floors_copy_known_1080p_f32_mps").ours.worst(P50), 24_000.0);
        assert_eq!((results.machine.name.as_str(), results.machine.cores), ("h200", 8));
    }

    #[test]
    fn results_of_a_gpu_are_read_back_with_their_card() {
        let results = document(&run("floors", 1, "copy_known", "512_u8", 1.0, false)).into_results();
        let again: Results = serde_json::from_str(&results.to_json().unwrap()).unwrap();
        assert_eq!(again.machine.gpu.unwrap().card, "NVIDIA H200");
    }
}

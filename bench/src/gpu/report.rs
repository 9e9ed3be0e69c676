// SPDX-License-Identifier: MIT OR Apache-2.0
//! Rows of figures, printed as `bench/gpu/README.md` describes.

use crate::failure::Failure;
use crate::figure::Round;
use serde::Serialize;

#[derive(Serialize)]
struct Row {
    name: String,
    size: String,
    unit: &'static str,
    p50: f64,
    p99: f64,
    min: f64,
    n: usize,
    what: String,
}

#[derive(Serialize)]
struct Document {
    program: &'static str,
    version: String,
    rows: Vec<Row>,
}

/// What was measured so far.
#[derive(Default)]
pub struct Report(Vec<Row>);

impl Report {
    /// Nanoseconds, kept in microseconds.
    ///
    /// # Errors
    /// There are no samples.
    pub fn add_nanos(
        &mut self,
        name: &str,
        size: &str,
        what: &str,
        samples: Vec<u64>,
    ) -> Result<(), Failure> {
        let min = samples.iter().min().copied().unwrap_or_default() as f64 / 1e3;
        let round = Round::of(name, samples)?.divided_by(1e3);
        self.add(name, size, what, "us", round, min);
        Ok(())
    }

    /// A share of one core.
    pub fn add_share(&mut self, name: &str, size: &str, what: &str, share: f64) {
        self.add(name, size, what, "share", Round::single(share), share);
    }

    /// A number of things among `n`.
    pub fn add_count(&mut self, name: &str, size: &str, what: &str, count: f64, n: usize) {
        let round = Round { n, ..Round::single(count) };
        self.add(name, size, what, "count", round, count);
    }

    fn add(&mut self, name: &str, size: &str, what: &str, unit: &'static str, round: Round, min: f64) {
        let Round { p50, p99, n } = round;
        let (name, size, what) = (name.to_owned(), size.to_owned(), what.to_owned());
        self.0.push(Row { name, size, unit, p50, p99, min, n, what });
    }

    /// Prints everything.
    ///
    /// # Errors
    /// It can't be written as JSON.
    pub fn print(self) -> Result<(), Failure> {
        let version = format!("uncopy {}", env!("CARGO_PKG_VERSION"));
        let document = Document { program: "uncopy", version, rows: self.0 };
        let text = serde_json::to_string(&document).map_err(|error| Failure::Output(error.to_string()))?;
        println!("{text}");
        Ok(())
    }
}

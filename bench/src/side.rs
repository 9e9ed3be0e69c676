// SPDX-License-Identifier: MIT OR Apache-2.0
//! The other process of a measurement: this program again, told what to do by its arguments, answering in lines.

use crate::{failure::Failure, run::this_program};
use clap::ValueEnum;
use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// A running other side. It is ended when this is dropped.
pub struct Side {
    child: Child,
    /// Open for as long as the other side is wanted: see [`until_dismissed`].
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Side {
    /// Starts this program as its side of that role, with what it has to know.
    ///
    /// # Errors
    /// The system refuses.
    pub fn start(role: impl ValueEnum, arguments: &[&str]) -> Result<Self, Failure> {
        let doing = "start the other process";
        let name = role.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        let mut command = Command::new(this_program()?);
        command.args(["side", &name]).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|e| Failure::system(doing, e))?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(input), Some(output)) => {
                Ok(Self { child, input: Some(input), output: BufReader::new(output) })
            }
            _ => Err(Failure::Side("it has no pipes".to_owned())),
        }
    }

    /// The next line that it says.
    ///
    /// # Errors
    /// It has ended.
    pub fn line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        match self.output.read_line(&mut line) {
            Ok(0) => Err(Failure::Side("it ended early".to_owned())),
            Ok(_) => Ok(line.trim_end().to_owned()),
            Err(error) => Err(Failure::system("read from the other process", error)),
        }
    }

    /// Waits until it has said `wanted`.
    ///
    /// # Errors
    /// It has ended, or said something else.
    pub fn expect(&mut self, wanted: &str) -> Result<(), Failure> {
        let said = self.line()?;
        if said == wanted { Ok(()) } else { Err(Failure::Side(format!("it said '{said}', not '{wanted}'"))) }
    }

    /// The next line, as numbers.
    ///
    /// # Errors
    /// It has ended, or said something else.
    pub fn numbers(&mut self) -> Result<Vec<u64>, Failure> {
        let line = self.line()?;
        let numbers = line.split_whitespace().map(str::parse).collect::<Result<_, _>>();
        numbers.map_err(|_| Failure::Side(format!("it said '{line}', not numbers")))
    }

    /// For those who look at it from outside.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Lets it end, and waits for that.
    ///
    /// # Errors
    /// It failed.
    pub fn dismiss(mut self) -> Result<(), Failure> {
        self.input = None;
        let status = self.child.wait().map_err(|e| Failure::system("wait for the other process", e))?;
        if status.success() { Ok(()) } else { Err(Failure::Side(format!("it ended with {status}"))) }
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        // Either fails where it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the measuring process told this side.
pub struct Arguments(Vec<String>);

impl Arguments {
    /// From the command line.
    #[must_use]
    pub fn new(arguments: Vec<String>) -> Self {
        Self(arguments)
    }

    /// The argument at this place.
    ///
    /// # Errors
    /// It is missing.
    pub fn text(&self, at: usize) -> Result<&str, Failure> {
        self.0.get(at).map(String::as_str).ok_or_else(|| Failure::Side(format!("argument {at} is missing")))
    }

    /// The argument at this place, as a number.
    ///
    /// # Errors
    /// It is missing, or no number.
    pub fn number(&self, at: usize) -> Result<usize, Failure> {
        let text = self.text(at)?;
        text.parse().map_err(|_| Failure::Side(format!("argument {at} is '{text}', not a number")))
    }
}

/// Says one line of numbers to the measuring process.
pub fn tell_numbers(numbers: &[u64]) {
    let words: Vec<String> = numbers.iter().map(u64::to_string).collect();
    println!("{}", words.join(" "));
}

/// Waits until the measuring process lets this side end, or has ended itself.
pub fn until_dismissed() {
    // An error is as good as an end.
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
}

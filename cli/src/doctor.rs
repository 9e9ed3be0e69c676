// SPDX-License-Identifier: MIT OR Apache-2.0
//! `uncopy doctor`: what this machine can do and what is wrong, in plain words.
//!
//! What the kernel offers is tried, not concluded from its version: the same calls that links make are made once.

use serde::Serialize;

use crate::console::Style;
use crate::error::CliError;
use crate::host::Session;
use crate::units;

#[cfg(feature = "cuda")]
mod cuda;
#[cfg(not(feature = "cuda"))]
#[path = "doctor/no_cuda.rs"]
mod cuda;
mod heading;
mod kernel;
mod limits;
mod place;
mod programs;

use heading::Heading;

/// Say what this machine can do for links and what is wrong
///
/// Each finding is ok, warn (links work, something is slower, missing or odd) or fail (links can't work). The exit code
/// is 1 when anything fails.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  uncopy doctor\n  uncopy doctor --json | jq '.findings[] | select(.level != \"ok\")'\n  \
                  uncopy doctor --explain NameTaken"
)]
pub(crate) struct Options {
    /// The Python to look at; else $UNCOPY_PYTHON, the one beside this command, python3 on PATH
    #[arg(long, value_name = "PATH")]
    python: Option<std::path::PathBuf>,
    /// Print JSON; `see` of a finding is the heading that explains it
    #[arg(long)]
    json: bool,
    /// Look at nothing; print what docs/troubleshooting.md says under a heading, or about an error such as NameTaken
    #[arg(long, value_name = "HEADING", conflicts_with_all = ["python", "json"])]
    explain: Option<String>,
}

/// How good or bad a finding is.
#[derive(Serialize, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[serde(rename_all = "snake_case")]
enum Level {
    Ok,
    Warn,
    Fail,
}

/// One thing that was looked at.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
struct Finding {
    topic: &'static str,
    level: Level,
    says: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
    /// Where it is explained.
    see: Heading,
}

impl Finding {
    fn ok(topic: &'static str, see: Heading, says: impl Into<String>) -> Self {
        Self { topic, level: Level::Ok, says: says.into(), advice: None, see }
    }

    fn warn(topic: &'static str, see: Heading, says: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { topic, level: Level::Warn, says: says.into(), advice: Some(advice.into()), see }
    }

    fn fail(topic: &'static str, see: Heading, says: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { topic, level: Level::Fail, says: says.into(), advice: Some(advice.into()), see }
    }
}

pub(crate) fn run(options: &Options, session: &Session<'_>) -> Result<(), CliError> {
    if let Some(asked) = &options.explain {
        return session.console.line(heading::explain(asked)?);
    }
    // Without /proc hardly anything works, and each failure would name another culprit.
    let mut findings = match limits::no_proc() {
        Some(finding) => vec![finding],
        None => kernel::look().into_iter().chain(place::look()).chain(limits::look()).collect(),
    };
    session.check()?;
    let (of_gpus, gpus) = cuda::look();
    findings.extend(of_gpus);
    session.check()?;
    findings.extend(programs::look(options.python.as_deref(), session));
    let count = |level| findings.iter().filter(|finding| finding.level == level).count() as u64;
    let failures = count(Level::Fail);
    if options.json {
        let worst = findings.iter().map(|finding| finding.level).max();
        let wsl2 = kernel::is_wsl2();
        let said = serde_json::json!({ "findings": findings, "worst": worst, "wsl2": wsl2, "gpus": gpus });
        session.console.json(&said)?;
    } else {
        findings.iter().try_for_each(|finding| print(finding, session))?;
        let (fine, warnings) = (count(Level::Ok), units::count(count(Level::Warn), "warning"));
        session
            .console
            .line(format_args!("\n{fine} ok, {warnings}, {}", units::count(failures, "failure")))?;
    }
    match failures {
        0 => Ok(()),
        number => {
            let sentence =
                format!("links can't work on this machine as it is: {}", units::count(number, "failure"));
            Err(CliError::ChecksFailed(sentence))
        }
    }
}

fn print(finding: &Finding, session: &Session<'_>) -> Result<(), CliError> {
    let console = &session.console;
    let (word, style) = match finding.level {
        Level::Ok => ("ok  ", Style::Good),
        Level::Warn => ("warn", Style::Doubtful),
        Level::Fail => ("fail", Style::Bad),
    };
    let topic = console.painted(Style::Dim, &format!("{:<10}", finding.topic));
    let says = finding.says.replace(char::is_control, "?");
    console.line(format_args!("{}  {topic}  {says}", console.painted(style, word)))?;
    let Some(advice) = &finding.advice else { return Ok(()) };
    console.line(format_args!("{:18}try: {}", "", advice.replace(char::is_control, "?")))?;
    console.line(console.painted(Style::Dim, &format!("{:18}see: {}", "", finding.see)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_get_worse_in_the_order_of_their_words() {
        assert!(Level::Ok < Level::Warn && Level::Warn < Level::Fail);
        assert_eq!(serde_json::to_string(&Level::Warn).unwrap(), "\"warn\"");
    }
}

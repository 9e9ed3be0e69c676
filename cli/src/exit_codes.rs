// SPDX-License-Identifier: MIT OR Apache-2.0
//! `uncopy exit-codes`: what the numbers mean, from the one list of error kinds.

use std::collections::BTreeMap;

use serde::Serialize;
use uncopy::ErrorKind;

use crate::error::CliError;
use crate::host::Session;
use crate::table::{Column, Table};

/// List the exit codes of this command
///
/// 0 says that everything went well, and for doctor, demo and checked frames that every check held. Scripts can rely
/// on the others: each stands for the kinds of failure beside it. A reader that closes our standard output early
/// (such as head) is no failure. What to do about a kind: uncopy doctor --explain KIND.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Code {
    exit_code: u8,
    kind: &'static str,
    meaning: &'static str,
}

pub(crate) fn run(options: &Options, session: &Session<'_>) -> Result<(), CliError> {
    let mut by_code: BTreeMap<u8, Vec<ErrorKind>> = BTreeMap::new();
    for kind in ErrorKind::ALL {
        by_code.entry(kind.exit_code()).or_default().push(*kind);
    }
    let codes: Vec<Code> = by_code
        .iter()
        .flat_map(|(&exit_code, kinds)| kinds.iter().map(move |kind| (exit_code, kind)))
        .map(|(exit_code, kind)| Code { exit_code, kind: kind.name(), meaning: kind.meaning() })
        .collect();
    if options.json {
        return session.console.json(&serde_json::json!({ "exit_codes": codes }));
    }
    let mut table = Table::new([Column::right("CODE"), Column::left("KIND"), Column::left("MEANING")]);
    table.row(["0".into(), "success".into(), "Everything went well.".into()]);
    table.row(["1".into(), "check_failed".into(), "A check was made and did not hold.".into()]);
    for code in codes {
        table.row([code.exit_code.to_string().into(), code.kind.into(), code.meaning.into()]);
    }
    session.console.table(&table)
}
